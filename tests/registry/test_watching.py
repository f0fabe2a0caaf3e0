"""Whoever watches is told what is waited for, and why."""

import pytest

from replsync.errors import RegistryError
from replsync.oci.reference import Repository
from replsync.registry.blob_upload import from_memory
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.persistence import Persistence
from replsync.registry.watching import why_again
from replsync.sandbox.limits import Limits
from replsync.sandbox.server import SandboxOptions
from tests.registry.answers import IMAGE, MANIFEST, served
from tests.registry.clients import blob_of, open_client, tag
from tests.registry.scripted import Reply, Scripted, reset
from tests.servers.sandbox import StartSandbox

SOON = Settings(persistence=Persistence(attempts=4, first_wait=0.01))
Told = list[tuple[str, float, str]]


async def told_of_reading(scripted: Scripted, *answers: Reply) -> Told:
    """What is told while an image manifest is read that comes behind these answers."""
    told: Told = []
    scripted.on(MANIFEST, *answers, served())
    async with open_client(settings=SOON) as client:
        with client.watched(lambda *one: told.append(one)):
            assert (await client.fetch(tag(scripted.host))).raw == IMAGE.manifest
    return told


async def test_a_wait_before_another_try_is_told(scripted: Scripted) -> None:
    told = await told_of_reading(scripted, Reply(503), Reply(524))
    assert [(host, why) for host, _, why in told] == [
        (scripted.host, f"503 from {scripted.host}"),
        (scripted.host, f"524 from {scripted.host}"),
    ]
    assert all(0 < seconds < 1 for _, seconds, _ in told)


async def test_a_wait_that_the_registry_asks_for_is_told(scripted: Scripted) -> None:
    told = await told_of_reading(scripted, Reply(429, headers={"Retry-After": "0.2"}))
    assert (scripted.host, f"429 from {scripted.host}") in [(host, why) for host, _, why in told]
    assert max(seconds for _, seconds, _ in told) > 0.1


async def test_a_connection_that_broke_is_told_with_its_host(scripted: Scripted) -> None:
    told: Told = []
    scripted.on(MANIFEST, reset, reset, served())  # the first may be overcome by another connection
    async with open_client(settings=SOON) as client:
        with client.watched(lambda *one: told.append(one)):
            await client.fetch(tag(scripted.host))
    assert told
    assert {why for _, _, why in told} == {f"{scripted.host}: the connection broke"}


async def test_nobody_is_told_when_the_block_has_ended(scripted: Scripted, client: RegistryClient) -> None:
    told: Told = []
    with client.watched(lambda *one: told.append(one)):
        pass
    scripted.on(MANIFEST, Reply(503), served())
    await client.fetch(tag(scripted.host))
    assert told == []


async def test_an_upload_that_was_cut_off_tells_that_it_goes_on_in_smaller_pieces(start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(SandboxOptions(limits=Limits(cut_off_size=4_000_000)))
    data = bytes(9_000_000)
    told: Told = []
    async with open_client({sandbox.host: sandbox.credentials}, settings=SOON) as client:
        with client.watched(lambda *one: told.append(one)):
            await client.upload(Repository(sandbox.host, "app/worker"), blob_of(data), from_memory(data))
    assert (sandbox.host, f"524 from {sandbox.host}; then in smaller pieces") in [(host, why) for host, _, why in told]


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("push x to h:1/y: the registry answered 429 (TOOMANY: slow)", "429 from h:1"),
        ("push x: h:1: no answer in time", "h:1: no answer in time"),
        ("push x: the registry answered 413; the next try is in smaller pieces", "413 from h:1"),
        ("push x: not tried, since h:1 answered no other request", "not tried, since h:1 answered no other request"),
    ],
)
def test_the_reason_is_short(message: str, why: str) -> None:
    assert why_again(RegistryError(message), "h:1") == why
