"""The manifest's section `transfer`: it is used by every command, and the command line goes before it."""

import threading
from pathlib import Path
from typing import Any

import pytest

from replsync.cli.options import Connection, EngineName
from replsync.cli.workspace import settings_of
from replsync.manifest.model import Transfer
from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Asked, Proxy, Reaction
from tests.end_to_end.workplace import Workplace
from tests.servers.images import build_image
from tests.servers.push import push
from tests.servers.registry import RegistryServer

IMAGE = build_image({"a": b"b"})
TAGS = [str(number) for number in range(6)]


def connection(parallelism: int | None) -> Connection:
    return Connection((Path("f"),), EngineName.REGISTRY, parallelism, 30, ("registry.test",))


@pytest.mark.parametrize(
    ("given", "transfer", "parallelism"), [(None, {}, 32), (None, {"parallelism": 3}, 3), (7, {"parallelism": 3}, 7)]
)
def test_the_command_line_goes_before_the_manifest(
    given: int | None, transfer: dict[str, Any], parallelism: int
) -> None:
    settings = settings_of(connection(given), [Transfer.model_validate(transfer)])
    assert settings.parallelism == parallelism
    assert settings.plain_http == {"registry.test"}


def test_chunks_have_the_manifests_bounds() -> None:
    chunks = settings_of(connection(None), [Transfer.model_validate({"min_chunk_size": "2MB"})]).chunks
    assert (chunks.smallest, chunks.largest) == (2_000_000, 1_000_000_000)
    chunks = settings_of(connection(None), [Transfer.model_validate({"max_chunk_size": "100kB"})]).chunks
    assert (chunks.smallest, chunks.largest) == (100_000, 100_000)


def test_of_several_manifests_the_most_careful_counts_for_all() -> None:
    several = [
        Transfer.model_validate(one)
        for one in ({"parallelism": 9}, {"parallelism": 3, "max_chunk_size": "2MB"}, {"min_chunk_size": "3MB"})
    ]
    settings = settings_of(connection(None), several)
    assert settings.parallelism == 3
    assert (settings.chunks.smallest, settings.chunks.largest) == (2_000_000, 2_000_000)
    assert settings_of(connection(7), several).parallelism == 7
    chunks = settings_of(connection(None), several[::2]).chunks
    assert (chunks.smallest, chunks.largest) == (3_000_000, 1_000_000_000)


class Meeting:
    """Whether two look-ups of tags are ever under way at once: each waits for another one to come, so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._barrier = threading.Barrier(2, timeout=seconds)
        self.happened = False

    def __call__(self, asked: Asked) -> Reaction:
        if asked.method == "HEAD" and "/manifests/" in asked.path and not self.happened:
            try:
                self._barrier.wait()
                self.happened = True
            except threading.BrokenBarrierError:
                pass
        return None


@pytest.fixture
def target(docker_registry: RegistryServer, start_proxy: StartProxy) -> Proxy:
    """A registry whose script the test chooses."""
    return start_proxy(docker_registry.host)


def has_met(workplace: Workplace, target: Proxy, *args: str, seconds: float = 20) -> bool:
    meeting = Meeting(seconds)
    target.script = meeting
    done = workplace.run(*args)
    assert done.returncode == 0, done.stdout + done.stderr
    return meeting.happened


@pytest.fixture
def existing(workplace: Workplace, docker_registry: RegistryServer) -> Workplace:
    """A workplace whose tags exist."""
    for tag in TAGS:
        push(docker_registry.host, f"{workplace.app}/worker", tag, IMAGE)
    return workplace


def test_a_plan_asks_as_many_at_once_as_the_manifest_says(existing: Workplace, target: Proxy) -> None:
    worker = {"name": "worker", "tags": TAGS}
    existing.write(target.host, worker)
    assert has_met(existing, target, "plan")
    existing.write(target.host, worker, transfer={"parallelism": 1})
    assert not has_met(existing, target, "plan", seconds=0.3)
    assert has_met(existing, target, "plan", "--parallelism", "2")


def test_a_saved_plan_is_carried_out_with_the_manifests_settings(
    workplace: Workplace, target: Proxy, source: RegistryServer
) -> None:
    for tag in TAGS:
        push(source.host, "acme/worker", tag, IMAGE)
    worker = {"name": "worker", "source": f"{source.host}/acme/worker", "tags": TAGS}
    workplace.write(target.host, worker, transfer={"parallelism": 1})
    assert workplace.run("plan", "--out", "plan.json").returncode == 0
    assert not has_met(workplace, target, "apply", "plan.json", seconds=0.3)
    assert has_met(workplace, target, "apply", "plan.json", "--parallelism", "2")
