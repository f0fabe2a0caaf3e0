"""One run at a time for each application on this machine: a lock file of the user's own."""

import asyncio
import errno
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from replsync.errors import MachineError

_LOOK_AGAIN = 0.2
"""Seconds between two attempts."""


@asynccontextmanager
async def one_at_a_time(target: str, waiting: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the lock of `target` (REGISTRY/APP), and wait for it as long as another run has it.

    `waiting` is called once, with who has it, when there is a wait. The kernel
    gives the lock back when the process ends, however it ends. Another user,
    or another machine, has a lock of its own: there the guards of each tag must do.
    """
    with _refusing(target):
        file = _open(target)
    told = False
    try:
        while not _locked(target, file):
            if not told:
                waiting(f"waiting for another run of replsync for {target}{_holder(file)}")
                told = True
            await asyncio.sleep(_LOOK_AGAIN)
        with _refusing(target):
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
    except asyncio.CancelledError:
        # The process is about to end. A thread may still write to the registry: the lock ends when that has.
        raise
    except BaseException:
        os.close(file)
        raise
    else:
        os.close(file)


@contextmanager
def _refusing(target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"lock {target} against other runs on this machine: {error.filename or 'its lock file'}: {error.strerror}",
            hint="all runs on this machine need the same writable folder for temporary files (TMPDIR)",
        ) from error


def _open(target: str) -> int:
    folder = Path(tempfile.gettempdir()) / f"replsync-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(errno.EPERM, "it belongs to somebody else", str(folder))
    name = hashlib.sha256(target.encode()).hexdigest()[:24]
    return os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _locked(target: str, file: int) -> bool:
    with _refusing(target):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _holder(file: int) -> str:
    process = os.pread(file, 20, 0).decode(errors="replace")
    return f" (process {process})" if process.isdecimal() else ""
