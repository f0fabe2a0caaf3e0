"""The lock file beside a manifest."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from replsync.cli.files import read_whole
from replsync.errors import InvalidInput
from replsync.manifest.labels import is_among
from replsync.manifest.lock import Lock, lock_path, locked_tags, missing
from replsync.manifest.lock_text import read_lock
from replsync.manifest.model import Image, Manifest
from replsync.manifest.read import ManifestFile
from replsync.manifest.source_text import MAX_SIZE
from replsync.oci.digest import Digest, sha256
from replsync.oci.source_name import SourceName

_MEND = "run `replsync lock`, and look at what it changes"


def read_lock_beside(manifest: str) -> tuple[Lock, Digest] | None:
    """Return the lock file of the manifest with this path, and the digest of its bytes; None where there is none.

    Raises InvalidInput where it can't be read.
    """
    data = _data_beside(manifest)
    return (read_lock(data, lock_path(manifest)), sha256(data)) if data is not None else None


def lock_digest(manifest: str) -> Digest | None:
    """Return the digest of the lock file's bytes, whatever they say. Raises InvalidInput where they can't be read."""
    data = _data_beside(manifest)
    return sha256(data) if data is not None else None


def _data_beside(manifest: str) -> bytes | None:
    path = Path(lock_path(manifest))
    if not os.path.lexists(path):  # a link that leads nowhere is there, and can't be read
        return None
    return read_whole(path, "the lock file", MAX_SIZE, _MEND)


def check_there(lock: Lock | None, file: ManifestFile, *, required: bool) -> None:
    """Raise InvalidInput where a lock is `required`, and there is none."""
    if lock is None and required:
        raise InvalidInput(f"--locked: there is no lock file {lock_path(file.name)}", hint=_MEND)


def check_selections(lock: Lock, images: Iterable[Image]) -> None:
    """Raise InvalidInput where the lock doesn't have what one of these images selects."""
    for image in images:
        if locked_tags(lock, image) is None:
            what = "has what another selector chose" if image.name in lock.selected else "does not have what is chosen"
            raise InvalidInput(f"the lock file {lock.name} {what} for {image.name} (its `select`)", hint=_MEND)


def check_complete(lock: Lock, manifest: Manifest, targets: Sequence[str]) -> None:
    """Raise InvalidInput where the lock lacks what the manifest needs for `targets`, patterns; for all without any.

    `manifest` has the selected tags.
    """
    lacking = {
        source: labels
        for source, labels in missing(lock, manifest).items()
        if any(is_among(label, targets) for label in labels)
    }
    if lacking:
        raise InvalidInput(f"the lock file {lock.name} does not have {named(lacking)}", hint=_MEND)


def named(sources: dict[SourceName, tuple[str, ...]]) -> str:
    """Name some of the sources, and the tags that they are for."""
    first, *others = sources
    more = f", and {len(others)} more" if others else ""
    return f"{first} (for {', '.join(sources[first][:3])}){more}"
