"""What the benchmark says about a command."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.measuring import Command, Figures, Run, measure

LAUNCHER = Path(__file__).parents[2] / "benchmarks" / "launcher.py"
_MB = 10**6


def python(code: str, folder: Path, good: tuple[int, ...] = (0,)) -> Command:
    return Command((sys.executable, "-S", "-c", code), folder, {"PATH": "/usr/bin:/bin"}, good)


def test_the_memory_is_that_of_the_command_and_not_of_whoever_started_it(tmp_path: Path) -> None:
    ballast = b"x" * (200 * _MB)
    small = measure(python("pass", tmp_path), 60)
    large = measure(python("text = b'x' * 100_000_000", tmp_path), 60)
    assert len(ballast) > small.memory + 100 * _MB
    assert 90 * _MB < large.memory - small.memory < 110 * _MB


def test_the_processor_time_has_that_of_descendants(tmp_path: Path) -> None:
    work = "sum(i * i for i in range(3_000_000))"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {work!r}], check=True)"
    alone, nothing = measure(python(work, tmp_path), 60), measure(python("pass", tmp_path), 60)
    assert measure(python(outer, tmp_path), 60).cpu > (alone.cpu + nothing.cpu) / 2


def test_a_command_that_fails_does_not_count_and_says_why(tmp_path: Path) -> None:
    run = measure(python("import sys; sys.exit('no such tag')", tmp_path), 60)
    assert run.fault == "ended with 1: no such tag"
    assert measure(python("raise SystemExit(2)", tmp_path, good=(0, 2)), 60).fault is None


def test_a_command_that_hangs_is_stopped_with_what_it_started(tmp_path: Path) -> None:
    marker = tmp_path / "alive"
    child = f"import time; time.sleep(3); open({str(marker)!r}, 'w')"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {child!r}])"
    run = measure(python(outer, tmp_path), 0.5)
    assert run.fault == "stopped after 0 s"
    assert measure(python("import time; time.sleep(4)", tmp_path), 60).fault is None
    assert not marker.exists()


def test_a_command_ends_with_whoever_measures_it(tmp_path: Path) -> None:
    started = tmp_path / "pid"
    code = f"import os, time; open({str(started)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    command = python(code, tmp_path)
    spec = {"argv": command.argv, "env": dict(command.env), "log": str(tmp_path / "log"), "limit": 60}
    with subprocess.Popen(
        [sys.executable, "-I", "-S", LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        process.stdin.write(json.dumps(spec).encode())
        process.stdin.close()
        wait_until(lambda: started.exists() and started.read_text() != "")
        process.terminate()
        assert process.wait(30) == 0
    assert not Path(f"/proc/{started.read_text()}").exists()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("faults", [(), (1,), (0, 2)])
def test_medians_are_of_the_runs_that_count(faults: tuple[int, ...]) -> None:
    runs = [Run(wall, wall / 2, int(wall)) for wall in (3.0, 1.0, 2.0)]
    runs += [Run(99.0, 99.0, 99, "wrong") for _ in faults]
    assert Figures.of(runs) == Figures(2.0, 1.0, 2, (3.0, 1.0, 2.0))


def test_without_a_run_that_counts_there_are_no_figures() -> None:
    assert Figures.of([Run(1.0, 1.0, 1, "wrong")]) is None
