"""Run replsync as its users do: as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest

# What a process needs to run at all. Nothing else of the machine gets in: no sign-ins, no REPLICATED_*, no DOCKER_*.
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
_CHECKOUT = Path(__file__).parents[2]
_LIMIT = 110  # seconds; less than a test has, so that the failure is told here


class RunReplsync(Protocol):
    """`replsync ARGS` in the folder `cwd`, with no variables but `env`; `input` is its standard input."""

    def __call__(
        self, *args: str | Path, cwd: Path, env: Mapping[str, str] | None = None, input: str | None = None
    ) -> subprocess.CompletedProcess[str]: ...


def clean_environment(home: Path, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a user without any configuration whose home is `home`, with `env` on top."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "HOME": str(home), "COLUMNS": "120", "PYTHONPATH": str(_CHECKOUT), **(env or {})}


def replsync_command(*args: str | Path) -> list[str]:
    """The command line of `replsync ARGS`, for a test that starts the process by itself."""
    return [sys.executable, "-W", "error", "-m", "replsync", *map(str, args)]


@pytest.fixture(scope="session")
def run_replsync(tmp_path_factory: pytest.TempPathFactory) -> RunReplsync:
    """Runs the command line to its end, whatever its exit code, with warnings as errors."""
    home = tmp_path_factory.mktemp("home")

    def run(
        *args: str | Path, cwd: Path, env: Mapping[str, str] | None = None, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            replsync_command(*args),
            cwd=cwd,
            env=clean_environment(home, env),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
        )

    return run
