"""crane, and the registry in it (go-containerregistry's), on a free loopback port."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import built, running
from tests.servers.registry import RegistryServer, StartOpenRegistry, answers

_SERVING = re.compile(r"serving on port ([0-9]+)")


@pytest.fixture
def start_crane_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartOpenRegistry]:
    """For a second one, which ends with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(_serve(tmp_path_factory.mktemp("crane")))


@pytest.fixture
def crane_registry(start_crane_registry: StartOpenRegistry) -> RegistryServer:
    """A fresh, empty registry: tests couldn't keep apart, as it shows each blob in every repository."""
    return start_crane_registry()


@contextlib.contextmanager
def _serve(folder: Path) -> Iterator[RegistryServer]:
    log, blobs = folder / "log", folder / "blobs"
    blobs.mkdir()
    command = [built("crane"), "registry", "serve", "--address", "127.0.0.1:0", "--disk", str(blobs)]

    def host() -> str | None:
        serving = _SERVING.search(log.read_text())
        return f"127.0.0.1:{serving[1]}" if serving and answers(f"127.0.0.1:{serving[1]}") else None

    with running(command, log, host) as found:
        yield RegistryServer(found)
