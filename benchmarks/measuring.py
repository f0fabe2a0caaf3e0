"""What a command takes: time, processor, memory."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.failing import BenchmarkError

_LAUNCHER = Path(__file__).with_name("launcher.py")
_GRACE = 30  # seconds that the launcher has beside the limit of its command


@dataclass(frozen=True)
class Command:
    """A command line. `good` are the exit codes of success; nothing of this process's environment gets in but `env`."""

    argv: tuple[str, ...]
    folder: Path
    env: Mapping[str, str]
    good: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Run:
    """One run. `wall` and `cpu` are seconds, `memory` is the largest process's peak in bytes.

    `fault` says why the run doesn't count.
    """

    wall: float
    cpu: float
    memory: int
    fault: str | None = None


@dataclass(frozen=True)
class Figures:
    """Medians of the runs of one contender that count."""

    wall: float
    cpu: float
    memory: int
    walls: tuple[float, ...]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> "Figures | None":
        """The medians; None where no run counts."""
        good = [run for run in runs if run.fault is None]
        if not good:
            return None
        return cls(
            statistics.median(run.wall for run in good),
            statistics.median(run.cpu for run in good),
            int(statistics.median(run.memory for run in good)),
            tuple(run.wall for run in good),
        )


@dataclass(frozen=True)
class Usage:
    """What servers that work for a client have taken so far: seconds, and bytes of the largest."""

    cpu: float = 0.0
    memory: int = 0


def measure(command: Command, limit: float) -> Run:
    """Run `command` for at most `limit` seconds."""
    log = command.folder / "output.log"
    spec = {"argv": command.argv, "env": dict(command.env), "log": str(log), "limit": limit}
    told = json.loads(_launched(json.dumps(spec), command.folder, limit + _GRACE))
    return Run(told["wall"], told["cpu"], told["memory"], _fault(told["code"], command, limit, log))


def _launched(spec: str, folder: Path, patience: float) -> str:
    start = [sys.executable, "-I", "-S", str(_LAUNCHER)]
    pipe = subprocess.PIPE
    with subprocess.Popen(start, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            output, errors = process.communicate(spec, patience)
        finally:
            if process.poll() is None:  # interrupted: the command ends, too
                process.terminate()
    if process.returncode:
        raise BenchmarkError(f"the launcher failed: {errors[-2000:]}")
    return output


def _fault(code: int | None, command: Command, limit: float, log: Path) -> str | None:
    if code is None:
        return f"stopped after {limit:.0f} s"
    if code in command.good:
        return None
    last = log.read_text(errors="replace").strip()[-300:].replace(str(command.folder), "…")
    return f"ended with {code}: {last}"


def usage_of(pids: Sequence[int]) -> Usage:
    """What the processes `pids` and their descendants have taken so far, by proc(5)."""
    tree = _descendants(pids)
    ticks = os.sysconf("SC_CLK_TCK")
    cpu, memory = 0.0, 0
    for pid in tree:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:  # it has ended, and its parent has its time
            continue
        cpu += sum(map(int, stat[11:15])) / ticks  # utime, stime, cutime, cstime
        peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        memory = max(memory, *(int(peak) * 1024 for peak in peaks), 0)
    return Usage(cpu, memory)


def _descendants(pids: Sequence[int]) -> set[int]:
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    tree = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in tree and pid not in tree}:
        tree |= more
    return tree
