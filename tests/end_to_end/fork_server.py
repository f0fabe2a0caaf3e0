"""A program: replsync in processes that are forked from one which has imported everything, so that a run takes little.

Each line on stdin is a `Task` in JSON; the answers are the new process's id on
one line, and its wait status on the next. A task may have its process send
itself a signal while it writes its journal.
"""

import importlib
import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

_REACTION = 0.1  # seconds that the main thread is given to act on a signal, while the line is still being written


@dataclass(frozen=True)
class JournalStop:
    """Where in the journal to send the signal `number`.

    `moment`: before the line (they count from 1), with `half` of it written,
    `written` but not yet synced, or `synced`.
    """

    line: int
    moment: str
    number: int


@dataclass(frozen=True)
class Task:
    """`replsync ARGS` in `folder`; what it says goes into the files `out` and `err`."""

    args: tuple[str, ...]
    folder: str
    env: dict[str, str]
    out: str
    err: str
    stop: JournalStop | None = None

    def line(self) -> str:
        """As a line for stdin."""
        return json.dumps(asdict(self)) + "\n"


def _read(line: str) -> Task:
    values = json.loads(line)
    stop = JournalStop(**values.pop("stop")) if values["stop"] else values.pop("stop")
    return Task(**values, stop=stop)


# What the commands import where they use it.
_NEEDED = ("applying", "history", "main", "planning", "rolling_back")


def _serve() -> None:
    for name in _NEEDED:
        importlib.import_module(f"replsync.cli.{name}")
    for line in sys.stdin:
        process = os.fork()
        if not process:
            _become(_read(line))
        _answer(process)
        _answer(os.waitpid(process, 0)[1])


def _answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _become(task: Task) -> NoReturn:
    from replsync.cli.main import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor, path in ((0, os.devnull), (1, task.out), (2, task.err)):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC if descriptor else os.O_RDONLY, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    os.chdir(task.folder)
    os.environ.clear()
    os.environ.update(task.env)
    sys.argv = ["replsync", *task.args]
    if task.stop:
        _arm(task.stop)
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - a process of its own ends here: nobody is above to catch it
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _arm(stop: JournalStop) -> None:
    write, sync = os.write, os.fsync
    lines = 0

    def strike() -> None:
        os.kill(os.getpid(), stop.number)
        time.sleep(_REACTION)  # SIGKILL ends the process here

    def is_journal(descriptor: int) -> bool:
        return Path(f"/proc/self/fd/{descriptor}").readlink().suffix == ".jsonl"

    def writing(descriptor: int, data: Any) -> int:
        nonlocal lines
        if not is_journal(descriptor):
            return write(descriptor, data)
        lines += 1
        if lines == stop.line and stop.moment == "before":
            strike()
        if lines == stop.line and stop.moment == "half":
            middle = len(data) // 2
            write(descriptor, data[:middle])
            strike()
            write(descriptor, data[middle:])
            return len(data)
        return write(descriptor, data)

    def syncing(fd: Any) -> None:
        ours = is_journal(fd) and lines == stop.line
        if ours and stop.moment == "written":
            strike()
        sync(fd)
        if ours and stop.moment == "synced":
            strike()

    os.write, os.fsync = writing, syncing


if __name__ == "__main__":
    _serve()
