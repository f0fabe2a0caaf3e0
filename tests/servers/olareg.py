"""olareg, a small registry by others that is strict about the specification, on a free loopback port."""

import contextlib
import secrets
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import built, running
from tests.servers.registry import RegistryServer, StartOpenRegistry

_TRIES = 5


@pytest.fixture(scope="session")
def olareg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """One olareg for all tests: they keep apart by the names of their repositories (see `namespace`)."""
    with contextlib.ExitStack() as stack:
        yield _start(stack, tmp_path_factory)


@pytest.fixture
def start_olareg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartOpenRegistry]:
    """For another olareg, empty, which ends with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda: _start(stack, tmp_path_factory)


def _start(stack: contextlib.ExitStack, folders: pytest.TempPathFactory) -> RegistryServer:
    # It doesn't say which port it got for port 0. Between choosing one and taking it, somebody else may.
    for _ in range(_TRIES):
        folder = folders.mktemp("olareg")
        try:
            return stack.enter_context(_serve(folder, _free_port()))
        except pytest.fail.Exception:
            if "address already in use" not in (folder / "log").read_text():
                raise
    pytest.fail(f"olareg: {_TRIES} free ports were taken by somebody else", pytrace=False)


@contextlib.contextmanager
def _serve(folder: Path, port: int) -> Iterator[RegistryServer]:
    host, name = f"127.0.0.1:{port}", secrets.token_hex(8)
    # It sends the warning with each answer (distribution-spec, "Warnings"): so one sees that it is this olareg.
    command = [built("olareg"), "serve", "--addr", "127.0.0.1", "--port", str(port), "--dir", str(folder / "data")]
    with running([*command, "--warning", name], folder / "log", lambda: True if name in _warning(host) else None):
        yield RegistryServer(host)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _warning(host: str) -> str:
    try:
        with urllib.request.urlopen(f"http://{host}/v2/", timeout=5) as answer:
            return str(answer.headers.get("Warning", ""))
    except OSError:
        return ""
