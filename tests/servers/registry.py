"""distribution on a free loopback port: Debian's docker-registry, which is version 2, and version 3."""

import contextlib
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from tests.servers.process import built, program, running


class Credentials(NamedTuple):
    """A user name and a password."""

    username: str
    password: str


TESTER = Credentials("tester", "correct horse")
# TESTER's password by bcrypt, cost 5.
_HTPASSWD = "tester:$2b$05$replsyncreplsyncreplsuMLxKjBxcN5avm76zT2pTuYkpLoUzixm\n"
_LISTENING = re.compile(r"listening on (127\.0\.0\.1:[0-9]+)")


@dataclass(frozen=True)
class RegistryServer:
    """A registry that speaks plain http. `credentials` is who may sign in; None where nobody has to."""

    host: str
    credentials: Credentials | None = None


class StartOpenRegistry(Protocol):
    """Starts one more registry without sign-in, empty, which ends with the test."""

    def __call__(self) -> RegistryServer: ...


class StartRegistry(Protocol):
    """Starts one more registry, empty, which ends with the test; with `schema1` version 2 takes that format, too."""

    def __call__(self, *, htpasswd: bool = False, schema1: bool = False) -> RegistryServer: ...


@pytest.fixture(scope="session")
def docker_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """One registry for all tests: they keep apart by the names of their repositories (see `namespace`)."""
    with _serve(_docker_registry(), tmp_path_factory.mktemp("registry"), htpasswd=False) as server:
        yield server


@pytest.fixture
def start_docker_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartRegistry]:
    """For a second registry, a fresh one, or one with Basic sign-in (`htpasswd`: TESTER may come in)."""
    with _starting(_docker_registry, tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """One distribution 3 for all tests, as `docker_registry` is."""
    with _serve(_distribution(), tmp_path_factory.mktemp("distribution"), htpasswd=False) as server:
        yield server


@pytest.fixture
def start_distribution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartRegistry]:
    """For another distribution 3, as `start_docker_registry` is."""
    with _starting(_distribution, tmp_path_factory) as start:
        yield start


def serve_docker_registry(folder: Path) -> contextlib.AbstractContextManager[RegistryServer]:
    """Run Debian's, with its data in `folder`, until the block ends: where there are no fixtures."""
    return _serve(_docker_registry(), folder, htpasswd=False)


def _docker_registry() -> str:
    return program("docker-registry", "docker-registry")


def _distribution() -> str:
    return built("registry")


@contextlib.contextmanager
def _starting(find: Callable[[], str], folders: pytest.TempPathFactory) -> Iterator[StartRegistry]:
    with contextlib.ExitStack() as stack:

        def start(*, htpasswd: bool = False, schema1: bool = False) -> RegistryServer:
            folder = folders.mktemp("registry")
            return stack.enter_context(_serve(find(), folder, htpasswd=htpasswd, schema1=schema1))

        yield start


@contextlib.contextmanager
def _serve(path: str, folder: Path, *, htpasswd: bool, schema1: bool = False) -> Iterator[RegistryServer]:
    log = folder / "log"
    command = [path, "serve", str(_configure(folder, htpasswd, schema1))]
    env = os.environ | {"OTEL_TRACES_EXPORTER": "none"}  # version 3 looks for a collector of traces otherwise

    def host() -> str | None:
        listening = _LISTENING.search(log.read_text())
        return listening[1] if listening and answers(listening[1]) else None

    with running(command, log, host, env=env) as found:
        yield RegistryServer(found, TESTER if htpasswd else None)


def _configure(folder: Path, htpasswd: bool, schema1: bool) -> Path:
    # The registry takes YAML, which JSON is too. Port 0: the system chooses one, and the log tells which.
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": False}},
        "http": {"addr": "127.0.0.1:0", "secret": "tests"},
    }
    if htpasswd:
        users = folder / "htpasswd"
        users.write_text(_HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(users)}}
    if schema1:
        config["compatibility"] = {"schema1": {"enabled": True}}
    path = folder / "config.yml"
    path.write_text(json.dumps(config))
    return path


def answers(host: str) -> bool:
    """Whether a registry answers there, be it that one has to sign in."""
    try:
        urllib.request.urlopen(f"http://{host}/v2/", timeout=5).close()
    except urllib.error.HTTPError as error:
        with error:
            return error.code == 401
    except OSError:
        return False
    return True
