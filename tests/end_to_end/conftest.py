"""What the tests of the whole program share: a place to run it in, a second registry, and one that misbehaves."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.end_to_end.proxy import Proxy, Script, proxy
from tests.end_to_end.workplace import Workplace
from tests.servers.command import RunReplsync
from tests.servers.registry import RegistryServer, StartRegistry


class StartProxy(Protocol):
    """Starts a proxy in front of `upstream` (HOST:PORT), which ends with the test."""

    def __call__(self, upstream: str | None, script: Script = ...) -> Proxy: ...


@pytest.fixture
def workplace(tmp_path: Path, run_replsync: RunReplsync, namespace: str) -> Workplace:
    """An empty folder of a user without any configuration."""
    return Workplace(tmp_path, namespace, run_replsync)


@pytest.fixture
def source(start_docker_registry: StartRegistry) -> RegistryServer:
    """A registry to copy from, empty."""
    return start_docker_registry()


@pytest.fixture
def start_proxy() -> Iterator[StartProxy]:
    """For a registry that misbehaves on cue."""
    with contextlib.ExitStack() as stack:

        def start(upstream: str | None, script: Script = lambda _: None) -> Proxy:
            return stack.enter_context(proxy(upstream, script))

        yield start
