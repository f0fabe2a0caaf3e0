"""Reading and writing whole files: a file that is written is the old one or the new one, never half of it."""

import os
import tempfile
from pathlib import Path

from replsync.errors import InvalidInput, ReplsyncError


def read_whole(path: Path, what: str, limit: int, hint: str) -> bytes:
    """Return the content of `path`, at most `limit` bytes and one more. Raises InvalidInput; `what` names the file."""
    try:
        str(path).encode()  # names of files go into documents
        with path.open("rb") as file:
            return file.read(limit + 1)
    except FileNotFoundError as error:
        raise InvalidInput(f"read {what} {path}: there is no such file", hint=hint) from error
    except UnicodeEncodeError as error:
        raise InvalidInput(f"read {what} {str(path)!a}: its name is not UTF-8", hint="rename it") from error
    except OSError as error:
        raise InvalidInput(f"read {what} {path}: {error.strerror}", hint=hint) from error


def write_whole(path: Path, data: bytes, what: str) -> None:
    """Write `path` in one step, with the permissions that it has. Raises ReplsyncError; `what` names the file."""
    path = Path(os.path.realpath(path))  # what a link points at, not the link
    temporary: str | None = None
    try:
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask()
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise ReplsyncError(
            f"write {what} {path}: {error.strerror}", hint="nothing was changed; make room or name another place"
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
