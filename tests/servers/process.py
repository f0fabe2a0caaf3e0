"""Start a server program, wait until it answers, and stop it by its handle."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

T = TypeVar("T")

REQUIRE_SERVERS = "REPLSYNC_REQUIRE_SERVERS"

_BUILT = Path(__file__).parents[2] / "build" / "bin"  # where scripts/build-go-programs puts what it builds
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # where Debian keeps servers; not on every PATH
_POLL = 0.02  # seconds
_STOP = 20  # seconds


def program(name: str, package: str) -> str:
    """The path of the program `name`; where it isn't installed, the test is left out (see `leave_out`)."""
    path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_SBIN)))
    return path or leave_out(f"{name} is not installed (Debian's package is {package})")


def built(name: str) -> str:
    """The path of `name`, built from the sources that tests/servers/go pins; otherwise the test is left out.

    What else is called so on this machine isn't taken: it may be another version.
    """
    path = shutil.which(name, path=str(_BUILT))
    return path or leave_out(f"{name} is not built (scripts/build-go-programs does it, with Go)")


def leave_out(reason: str) -> NoReturn:
    """Skip the test that asks for a server, or fail it where the servers are required."""
    if os.environ.get(REQUIRE_SERVERS) == "1":
        pytest.fail(f"{reason}, and {REQUIRE_SERVERS}=1 asks for it", pytrace=False)
    pytest.skip(reason)


@contextlib.contextmanager
def running(
    command: Sequence[str],
    log: Path,
    ready: Callable[[], T | None],
    *,
    env: Mapping[str, str] | None = None,
    deadline: float = 60,
) -> Iterator[T]:
    """Run `command` until the block ends; yields the first answer of `ready` that isn't None.

    `deadline` is in seconds. The test fails with the end of `log`, which takes
    all output, where the process dies or isn't ready in time.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,  # Ctrl-C is pytest's, which then stops the server in order
        )
    try:
        yield _wait(process, log, ready, time.monotonic() + deadline)
    finally:
        _stop(process)


def _wait(process: subprocess.Popen[bytes], log: Path, ready: Callable[[], T | None], deadline: float) -> T:
    while time.monotonic() < deadline:
        if (answer := ready()) is not None:
            return answer
        try:
            status = process.wait(_POLL)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"{process.args!r} ended with {status}:\n{_tail(log)}", pytrace=False)
    pytest.fail(f"{process.args!r} is not ready in time:\n{_tail(log)}", pytrace=False)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
