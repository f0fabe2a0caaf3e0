"""Reading and writing whole files: a file that is written is the old one or the new one, never half of it."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from replsync.apply.journal_file import sync_folder
from replsync.errors import InvalidInput, MachineError


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


def write_whole(path: Path, data: bytes, what: str, *, mode: int | None = None) -> None:
    """Write `path` in one step, with the owner and the permissions that it has; what is no file is written to.

    `mode` goes before the permissions that it has. Raises MachineError; `what` names the file.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a pipe, /dev/stdout: to put a file in its place would break it
        else:
            _replace(Path(os.path.realpath(path)), data, mode)  # what a link points at, not the link
    except OSError as error:
        mend = "make its folder first" if isinstance(error, FileNotFoundError) else "make room or name another place"
        raise MachineError(f"write {what} {path}: {error.strerror}", hint=f"nothing was changed; {mend}") from error


def _replace(path: Path, data: bytes, mode: int | None) -> None:
    old = path.stat() if path.exists() else None
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            kept = old.st_mode & 0o7777 if old else 0o666 & ~_umask()
            os.fchmod(file.fileno(), kept if mode is None else mode)
            if old:
                with suppress(PermissionError):  # only root may give a file away
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    with suppress(OSError):  # the file is in its place; some file systems can't sync a folder
        sync_folder(path.parent)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
