"""One run at a time for each application on this machine: a lock file of the user's own."""

import asyncio
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from replsync.errors import ReplsyncError

_LOOK_AGAIN = 0.2
"""Seconds between two attempts."""


@asynccontextmanager
async def one_at_a_time(target: str, waiting: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the lock of `target` (REGISTRY/APP), and wait for it as long as another run has it.

    `waiting` is called once, with who has it, when there is a wait. The kernel
    gives the lock back when the process ends, however it ends. Another user,
    or another machine, has a lock of its own: there the guards of each tag must do.
    """
    file = _open(target)
    try:
        told = False
        while not _locked(file):
            if not told:
                waiting(f"waiting for another run of replsync for {target}{_holder(file)}")
                told = True
            await asyncio.sleep(_LOOK_AGAIN)
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(file)


def _open(target: str) -> int:
    folder = Path(tempfile.gettempdir()) / f"replsync-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise PermissionError(1, "it belongs to somebody else")
        name = hashlib.sha256(target.encode()).hexdigest()[:24]
        return os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ReplsyncError(
            f"lock {target} against other runs on this machine, in {folder}: {error.strerror}",
            hint="name another folder for temporary files with TMPDIR",
        ) from error


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: int) -> str:
    process = os.pread(file, 20, 0).decode(errors="replace")
    return f" (process {process})" if process.isdecimal() else ""
