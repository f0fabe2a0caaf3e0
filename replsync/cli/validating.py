"""`replsync validate`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from replsync.cli.manifests import read_all
from replsync.cli.options import CiName
from replsync.render.harmless import clean


def validate_files(given: Sequence[Path], ci: CiName) -> None:
    """Check manifests, and say what each holds."""
    files = [member.file for member in read_all(given, app_later=True)]
    for file in files:
        images = file.manifest.images
        tags = sum(len(image.tags) for image in images)
        retired = sum(len(image.retired) for image in images)
        print(f"{clean(file.name)}: valid; {_count(len(images), 'image')}, {_count(tags, 'tag')}, {retired} retired")
    if ci is not CiName.NONE:
        from replsync.cli.ci import tell_valid

        tell_valid(ci)
    for file in files:
        if file.manifest.app is None:
            which = "it" if len(files) == 1 else clean(file.name)
            print(
                f"note: {which} names no `app`: plan will want it from $REPLICATED_APP or from appSlug in .replicated",
                file=sys.stderr,
            )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
