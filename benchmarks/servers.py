"""Registries of the benchmark's own, with a long line in front of them where a workload wants one."""

import contextlib
import json
import os
import shutil
import socket
import ssl
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from benchmarks.failing import BenchmarkError
from benchmarks.tls import Tls
from tests.servers.process import running

CHECKOUT = Path(__file__).parents[1]
_RELAY = Path(__file__).with_name("relay.py")
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # where Debian keeps servers; not on every PATH
T = TypeVar("T")


def search_path() -> str:
    """Where programs are looked for: what `scripts/install-servers` built goes first."""
    return os.pathsep.join((str(CHECKOUT / "build" / "bin"), os.environ.get("PATH", os.defpath), *_SBIN))


def find(name: str) -> str | None:
    """The path of a program, or None."""
    return shutil.which(name, path=search_path())


@dataclass(frozen=True)
class RegistryKind:
    """A registry program; `title` is how a report names it."""

    name: str
    program: str
    version: tuple[str, ...]
    title: str


KINDS = {
    kind.name: kind
    for kind in (
        RegistryKind("docker-registry", "docker-registry", ("--version",), "Debian's docker-registry"),
        RegistryKind("distribution", "registry", ("--version",), "distribution"),
    )
}


@contextlib.contextmanager
def registry(kind: RegistryKind, folder: Path, tls: Tls | None = None) -> Iterator[str]:
    """Serve the images of `folder` until the block ends; yields HOST:PORT."""
    program = find(kind.program)
    if program is None:
        raise BenchmarkError(f"{kind.program} is neither on PATH nor in build/bin")
    folder.mkdir(parents=True, exist_ok=True)
    env = {"PATH": search_path(), "HOME": str(folder), "OTEL_TRACES_EXPORTER": "none"}
    host = f"{tls.name if tls else '127.0.0.1'}:{_free_port()}"
    config, log = folder.with_name(f"{folder.name}-config.json"), folder.with_name(f"{folder.name}.log")
    config.write_text(json.dumps(_config(host, folder, tls)))
    with started([program, "serve", str(config)], log, lambda: _answers(host, tls), env):
        yield host


@contextlib.contextmanager
def started(
    command: list[str], log: Path, ready: Callable[[], T | None], env: Mapping[str, str] | None = None
) -> Iterator[T]:
    """Run a server until the block ends, as `running` does. Raises BenchmarkError where it doesn't start."""
    with contextlib.ExitStack() as stack:
        try:
            answer = stack.enter_context(running(command, log, ready, env=env))
        except pytest.fail.Exception as error:  # how `running` says that a server doesn't start
            raise BenchmarkError(str(error)) from error
        yield answer


def _config(host: str, folder: Path, tls: Tls | None) -> dict[str, object]:
    # JSON is YAML. The cache is that of the configuration that both registries come with. One line of log for
    # each request would cost the machine as much as some requests.
    http: dict[str, object] = {"addr": host, "secret": "benchmark"}
    if tls:
        http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    return {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            "cache": {"blobdescriptor": "inmemory"},
            "filesystem": {"rootdirectory": str(folder), "maxthreads": 100},
            "delete": {"enabled": False},
        },
        "http": http,
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _answers(host: str, tls: Tls | None) -> bool | None:
    context = ssl.create_default_context(cafile=str(tls.authority)) if tls else None
    try:
        urllib.request.urlopen(f"{'https' if tls else 'http'}://{host}/v2/", timeout=5, context=context).close()  # noqa: S310 - its own server
    except OSError:
        return None
    return True


@contextlib.contextmanager
def long_line(host: str, delay: float, log: Path) -> Iterator[str]:
    """Relay to `host` with `delay` seconds in each direction until the block ends; yields the relay's HOST:PORT."""

    def told() -> str | None:
        text = log.read_text()
        return text.strip() if text.endswith("\n") else None

    with started([sys.executable, "-I", "-S", str(_RELAY), host, str(delay)], log, told) as relayed:
        yield relayed
