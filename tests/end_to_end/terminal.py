"""A pseudo-terminal, and a process that believes to sit at it."""

import contextlib
import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Makes the terminal its own, so that Ctrl-C reaches it, and becomes the command. SIGINT may be ignored at first: a
# shell passes that on to its background jobs, and pytest may be one.
_LOGIN = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.login_tty(0); os.execvp(sys.argv[1], sys.argv[1:])"
)
_DEADLINE = 60  # seconds
_CTRL_C = "\x03"


@dataclass
class Terminal:
    """What the process wrote so far is `output`, with plain line ends."""

    process: subprocess.Popen[bytes]
    _handle: int
    _raw: bytearray = field(default_factory=bytearray)

    @property
    def output(self) -> str:
        """All that was shown, escape sequences included."""
        return self._raw.decode(errors="replace").replace("\r\n", "\n")

    def wait_for(self, text: str) -> None:
        """Read until `text` was shown."""
        while text not in self.output:
            assert self._read(), f"it ended without {text!r}:\n{self.output}"

    def type(self, text: str) -> None:
        """Type `text`; a line ends with a new line."""
        os.write(self._handle, text.encode())

    def press_ctrl_c(self) -> None:
        """Press Ctrl-C."""
        self.type(_CTRL_C)

    def ended(self) -> int:
        """Read to the end; returns the exit code."""
        while self._read():
            pass
        return self.process.wait(_DEADLINE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._handle], [], [], _DEADLINE)
        assert ready, f"nothing more was shown in {_DEADLINE} s:\n{self.output}"
        with contextlib.suppress(OSError):  # EIO is how Linux says that the other side is closed
            if part := os.read(self._handle, 65536):
                self._raw += part
                return True
        return False


@contextlib.contextmanager
def terminal(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Iterator[Terminal]:
    """Run `command` with all three standard streams at a terminal of 120 columns until the block ends."""
    ours, theirs = pty.openpty()
    try:
        size = {"COLUMNS": "120", "LINES": "40", "TERM": "xterm"}
        process = subprocess.Popen(
            [sys.executable, "-c", _LOGIN, *command],
            cwd=cwd,
            env={**size, **env},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        try:
            yield Terminal(process, ours)
        finally:
            process.kill()
            process.wait(_DEADLINE)
    finally:
        os.close(ours)
