"""Temporary folders for what is exported, packed or split."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from replsync.errors import NoRoom

_HINT = "make room, or choose another folder by TMPDIR"


@contextmanager
def temporary_folder(operation: str) -> Iterator[Path]:
    """Make a folder that is gone at the end. Raises NoRoom that begins with `operation` where none can be made."""
    try:
        # A thread that is being stopped may still write while the folder goes.
        folder = tempfile.TemporaryDirectory(prefix="replsync-", ignore_cleanup_errors=True)
    except OSError as error:
        raise no_room(operation, error) from error
    with folder as name:
        yield Path(name)


def no_room(operation: str, error: OSError) -> NoRoom:
    """Say that a temporary folder can't be written."""
    return NoRoom(f"{operation} in a temporary folder: {error.strerror or error}", hint=_HINT)
