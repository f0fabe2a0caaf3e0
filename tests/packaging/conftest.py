"""What is handed out: the sdist and the wheel, and the wheel in a virtual environment that has nothing else."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.command import clean_environment
from tests.servers.process import leave_out

ROOT = Path(__file__).parents[2]
_KEPT = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT", "SSL_CERT_FILE", "HTTPS_PROXY")


@dataclass(frozen=True)
class Distribution:
    """The files that are handed out."""

    sdist: Path
    wheel: Path


@dataclass(frozen=True)
class Installed:
    """A virtual environment; `home` is an empty one."""

    bin: Path
    home: Path

    def run(self, program: str, *args: str, cwd: Path, env: Mapping[str, str] | None = None, code: int = 0) -> str:
        """What `program` of the environment says on stdout; the test fails where it doesn't end with `code`."""
        command: list[str | Path] = [self.bin / program, *args]
        own = {**_without_checkout(self.home), "PYTHONWARNINGS": "error", **(env or {})}
        done = subprocess.run(command, cwd=cwd, env=own, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout


def _without_checkout(home: Path) -> dict[str, str]:
    """Nothing of the checkout is seen: what runs is what was installed."""
    return {**clean_environment(home), "PYTHONPATH": ""}


@pytest.fixture(scope="session")
def handed_out(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    """Built as `make dist` does: the wheel from the sdist, so that the sdist has all that it takes."""
    folder = tmp_path_factory.mktemp("dist")
    command: list[str | Path] = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Distribution(sdist, wheel)


@pytest.fixture(scope="session")
def installed(handed_out: Distribution, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel and the pinned requirements, from the package index, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "install"]
    env = {**_without_checkout(Path.home()), **{name: os.environ[name] for name in _KEPT if name in os.environ}}
    done = subprocess.run(
        [*pip, "--require-hashes", "--requirement", ROOT / "requirements.txt"], env=env, capture_output=True, text=True
    )
    if done.returncode:
        leave_out(f"the requirements can't be installed from the package index: {done.stderr[-2000:]}")
    done = subprocess.run([*pip, "--no-deps", "--no-index", handed_out.wheel], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    home = folder / "home"
    home.mkdir()
    return Installed(folder / "venv/bin", home)
