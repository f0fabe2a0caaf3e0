"""A Docker daemon of the tests' own, beside any other on the machine."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.process import leave_out, program, running

_MAX_SOCKET = 107  # bytes; sun_path of unix(7) less its final zero


@dataclass(frozen=True)
class DockerDaemon:
    """A running daemon, and the `docker` program with a configuration of its own."""

    host: str
    config_dir: Path
    program: str

    def env(self) -> dict[str, str]:
        """The variables that lead other programs to this daemon."""
        return {"DOCKER_HOST": self.host, "DOCKER_CONFIG": str(self.config_dir)}

    def cli(self, *args: str, input: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `docker ARGS`. With `check`, an exit code other than 0 fails the test with what docker said."""
        done = subprocess.run(
            [self.program, *args],
            env=os.environ | self.env(),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
        )
        if check and done.returncode:
            pytest.fail(f"docker {' '.join(args)} ended with {done.returncode}:\n{done.stderr}")
        return done


@pytest.fixture(scope="session")
def dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerDaemon]:
    """One daemon for all tests: they keep apart by the names of their images (see `namespace`)."""
    server, client = program("dockerd", "docker.io"), program("docker", "docker.io or docker-cli")
    if os.geteuid():
        leave_out("dockerd starts as root only")
    folder = tmp_path_factory.mktemp("dockerd")
    config = _configure(folder)
    daemon = DockerDaemon(f"unix://{folder}/sock", folder / "client", client)
    daemon.config_dir.mkdir()
    # Where the machine has a containerd running, daemons share it and are told apart by the namespace.
    own = f"replsync-{os.getpid()}"
    spaces = [f"--containerd-namespace={own}", f"--containerd-plugins-namespace={own}-plugins"]
    try:
        with running([server, "--config-file", str(config), *spaces], folder / "log", lambda: _version(daemon)):
            yield daemon
    finally:
        unmount_below(folder)
        shutil.rmtree(folder)


def _configure(folder: Path) -> Path:
    # A file of our own rather than options: the machine's daemon.json must not be read.
    # No bridge and no iptables: the tests leave the machine's network as it is.
    execution = folder / "exec"
    longest = execution / "containerd" / "containerd-debug.sock"
    if len(os.fsencode(longest)) > _MAX_SOCKET:
        pytest.fail(f"{longest} is too long for a socket: call pytest with a shorter --basetemp", pytrace=False)
    config = {
        "data-root": str(folder / "data"),
        "exec-root": str(execution),
        "pidfile": str(folder / "pid"),
        "hosts": [f"unix://{folder}/sock"],
        "storage-driver": "vfs",
        "bridge": "none",
        "iptables": False,
    }
    path = folder / "daemon.json"
    path.write_text(json.dumps(config))
    return path


def _version(daemon: DockerDaemon) -> str | None:
    asked = daemon.cli("version", "--format", "{{.Server.Version}}", check=False)
    return asked.stdout.strip() if asked.returncode == 0 else None


def unmount_below(folder: Path) -> None:
    """Undo the mounts that a daemon leaves behind, so that `folder` can be removed; the last made goes first."""
    table = Path("/proc/self/mountinfo").read_text().splitlines()
    for point in reversed([line.split()[4] for line in table]):
        if Path(point).is_relative_to(folder):
            with contextlib.suppress(subprocess.CalledProcessError):  # rmtree tells what is still in the way
                subprocess.run(["umount", "--lazy", point], check=True, capture_output=True)
