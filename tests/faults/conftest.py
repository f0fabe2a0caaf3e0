"""What the fault matrix needs: a source that is filled once, and a rig for each cell."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.driving import PASSWORD, environment
from tests.faults.fault import Ceiling, Fault
from tests.faults.proxy import fault_proxy
from tests.faults.rig import USER, Prepare, Rig
from tests.faults.scenario import LARGE_BLOBS, Site, fill_source, fill_target, manifest
from tests.faults.table import Side
from tests.servers.registry import RegistryServer, serve_docker_registry
from tests.servers.sandbox import StartSandbox


@pytest.fixture(scope="session")
def full_source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A registry of its own that has all that is to be copied."""
    with serve_docker_registry(tmp_path_factory.mktemp("source")) as server:
        site = Site(server.host, "fault-matrix")
        fill_source(site)
        yield site


@pytest.fixture
def prepare(
    full_source: Site,
    docker_registry: RegistryServer,
    start_sandbox: StartSandbox,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Prepare]:
    """Prepares one cell, which ends with the test."""
    with ExitStack() as stack:

        def start(
            side: Side,
            *faults: Fault,
            tokens: bool = False,
            ceiling: Ceiling | None = None,
            target: str | None = None,
        ) -> Rig:
            source, copies = full_source, Site(target or docker_registry.host, namespace)
            if tokens:
                from replsync.sandbox.server import SandboxOptions

                signed_in = Site(start_sandbox(SandboxOptions(password=PASSWORD)).host, namespace, USER)
                source, copies = (source, signed_in) if side is Side.TARGET else (signed_in, copies)
            if source is not full_source:
                fill_source(source)
            fill_target(copies)
            behind = copies if side is Side.TARGET else source
            proxy = stack.enter_context(fault_proxy(behind.host, faults, large=LARGE_BLOBS, ceiling=ceiling))
            hosts = (proxy.host, source.host) if side is Side.TARGET else (copies.host, proxy.host)
            text = manifest(*hosts, copies.prefix, source.prefix)
            (tmp_path / "replicated-images.yaml").write_text(text)
            env = environment(tmp_path, {proxy.host: USER} if tokens else {})
            return Rig(source, copies, proxy, tmp_path, env, monkeypatch)

        yield start
