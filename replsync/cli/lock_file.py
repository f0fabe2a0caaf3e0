"""The lock file beside a manifest."""

import os
from collections.abc import Sequence
from pathlib import Path

from replsync.cli.files import read_whole
from replsync.errors import InvalidInput
from replsync.manifest.labels import is_among
from replsync.manifest.lock import Lock, lock_path, missing, read_lock
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


def complete_lock(lock: Lock | None, file: ManifestFile, targets: Sequence[str], *, required: bool) -> Lock | None:
    """Return the lock, if it has all that the manifest needs for `targets`, which are patterns; for all without any.

    Raises InvalidInput where the manifest has outgrown it, or where it is `required` and not there.
    """
    if lock is None:
        if required:
            raise InvalidInput(f"--locked: there is no lock file {lock_path(file.name)}", hint=_MEND)
        return None
    lacking = {
        source: labels
        for source, labels in missing(lock, file.manifest).items()
        if any(is_among(label, targets) for label in labels)
    }
    if lacking:
        raise InvalidInput(f"the lock file {lock.name} does not have {named(lacking)}", hint=_MEND)
    return lock


def named(sources: dict[SourceName, tuple[str, ...]]) -> str:
    """Name some of the sources, and the tags that they are for."""
    first, *others = sources
    more = f", and {len(others)} more" if others else ""
    return f"{first} (for {', '.join(sources[first][:3])}){more}"
