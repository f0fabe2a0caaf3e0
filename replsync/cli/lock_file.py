"""The lock file beside a manifest."""

from pathlib import Path

from replsync.cli.files import read_whole
from replsync.errors import InvalidInput
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
    path = Path(lock_path(manifest))
    if not path.exists():
        return None
    data = read_whole(path, "the lock file", MAX_SIZE, _MEND)
    return read_lock(data, str(path)), sha256(data)


def complete_lock(lock: Lock | None, file: ManifestFile, *, required: bool) -> Lock | None:
    """Return the lock, if it has all that the manifest needs.

    Raises InvalidInput where the manifest has outgrown it, or where it is `required` and not there.
    """
    if lock is None:
        if required:
            raise InvalidInput(f"--locked: there is no lock file {lock_path(file.name)}", hint=_MEND)
        return None
    lacking = missing(lock, file.manifest)
    if lacking:
        raise InvalidInput(f"the lock file {lock.name} does not have {named(lacking)}", hint=_MEND)
    return lock


def named(sources: dict[SourceName, tuple[str, ...]]) -> str:
    """Name some of the sources, and the tags that they are for."""
    first, *others = sources
    more = f", and {len(others)} more" if others else ""
    return f"{first} (for {', '.join(sources[first][:3])}){more}"
