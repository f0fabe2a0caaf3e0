"""docker pull, tag and push, with a daemon of its own for each job."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers.peer import Form, Job, Peer, Ready, in_parallel
from benchmarks.peers.version import first_line
from benchmarks.servers import find, search_path, started
from tests.servers.docker import unmount_below

_MOVE = 'docker pull --quiet "$1" && docker tag "$1" "$2" && docker push --quiet "$2"'


class Docker(Peer):
    """What Replicated's page says to do by hand, in a loop. The daemon's time and memory count."""

    name = "docker"
    exact = False

    def version(self) -> str | None:
        """The daemon's version."""
        return first_line("dockerd", "--version", after="version ") if find("docker") else None

    def cannot(self, in_place: bool) -> str | None:
        """It has no way to see that an image is in place already."""
        if os.geteuid():
            return "dockerd starts as root only"
        return "it can't compare two registries: it would pull and push every image" if in_place else None

    def forms(self, job: Job) -> list[Form]:
        """In a loop, and several at once."""
        if len(job.images) == 1:
            return [Form("docker pull, tag, push", job.command("sh", "-c", _MOVE, "sh", *job.pairs()[0]))]
        move = ("sh", "-c", _MOVE, "sh")
        return [
            Form(f"docker pull, tag, push, xargs -P {at_once}", in_parallel(job, at_once, job.pairs(), *move))
            for at_once in (4, 1)
        ]

    @contextlib.contextmanager
    def servant(self, job: Job, data: Path) -> Iterator[Ready]:
        """A daemon without images."""
        data.mkdir()
        env = {**job.command().env, "DOCKER_HOST": f"unix://{data}/sock", "DOCKER_CONFIG": str(job.folder / "docker")}
        spaces = [
            f"--containerd-namespace=bench-{os.getpid()}",
            f"--containerd-plugins-namespace=bench-{os.getpid()}-p",
        ]
        command = [find("dockerd") or "dockerd", "--config-file", str(_configure(data)), *spaces]
        client = find("docker") or "docker"

        def answers() -> bool | None:
            asked = subprocess.run([client, "version"], env=env, capture_output=True, stdin=subprocess.DEVNULL)
            return True if asked.returncode == 0 else None

        try:
            with started(command, data.with_name(f"{data.name}.log"), answers, {**env, "PATH": search_path()}):
                pid = int((data / "pid").read_text())
                yield Ready((pid,), {name: env[name] for name in ("DOCKER_HOST", "DOCKER_CONFIG")})
        finally:
            unmount_below(data)
            shutil.rmtree(data)


def _configure(folder: Path) -> Path:
    # No bridge and no iptables: the machine's network stays as it is.
    config = {
        "data-root": str(folder / "data"),
        "exec-root": str(folder / "exec"),
        "pidfile": str(folder / "pid"),
        "hosts": [f"unix://{folder}/sock"],
        "bridge": "none",
        "iptables": False,
    }
    path = folder / "daemon.json"
    path.write_text(json.dumps(config))
    return path
