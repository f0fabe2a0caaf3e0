"""`replsync validate`."""

import sys
from pathlib import Path

from replsync.cli.manifest_file import read
from replsync.render.harmless import clean


def validate_file(path: Path) -> None:
    """Check a manifest and say what it holds."""
    manifest = read(path).manifest
    tags = sum(len(image.tags) for image in manifest.images)
    retired = sum(len(image.retired) for image in manifest.images)
    print(
        f"{clean(str(path))}: valid; {_count(len(manifest.images), 'image')}, {_count(tags, 'tag')}, {retired} retired"
    )
    if manifest.app is None:
        print(
            "note: it names no `app`: plan will want it from $REPLICATED_APP or from appSlug in .replicated",
            file=sys.stderr,
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
