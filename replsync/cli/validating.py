"""`replsync validate`."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from replsync.cli.manifests import read_all
from replsync.cli.options import CiName
from replsync.manifest.read import ManifestFile
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
        for line in _doubts(file):
            print(f"note: {clean(line)}", file=sys.stderr)
        if file.manifest.app is None:
            which = "it" if len(files) == 1 else clean(file.name)
            print(
                f"note: {which} names no `app`: plan will want it from $REPLICATED_APP or from appSlug in .replicated",
                file=sys.stderr,
            )


def _doubts(file: ManifestFile) -> Iterator[str]:
    """What is valid, and was hardly meant so: names that begin with the application, which is put in front of them."""
    manifest = file.manifest
    for number, image in enumerate(manifest.images):
        inner = image.name.removeprefix(f"{manifest.app}/")
        if inner != image.name:
            line, column = file.positions.of(("images", number, "name"))
            yield (
                f"{file.name}:{line}:{column}: {image.name} is {manifest.registry}/{manifest.app}/{image.name}; "
                f"if that is not meant, write `name: {inner}`"
            )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
