"""Requests at once become fewer when a host is in trouble, and more when it answers quickly."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from replsync.errors import RegistryError
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.persistence import Persistence
from replsync.registry.session import SMALL_BLOB
from tests.registry.answers import IMAGE, MANIFEST, served
from tests.registry.clients import IMPATIENT, PATIENT, blob_of, body_of, open_client, repository, tag
from tests.registry.scripted import Answer, Handler, Reply, Scripted, StartScripted, hang, reset

ONCE = Settings(persistence=Persistence(attempts=1))


@dataclass
class Gate:
    """Answers that wait until the gate is opened; `waiting` is how many do, `most` how many did at once."""

    answer: Answer = field(default_factory=served)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    most: int = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await self.opened.wait()
        self.waiting -= 1
        if isinstance(self.answer, Reply):
            return web.Response(status=self.answer.status, body=self.answer.body, headers=self.answer.headers)
        return await self.answer(request)


@asynccontextmanager
async def asking(
    client: RegistryClient, scripted: Scripted, number: int, gate: Gate, wanted: int
) -> AsyncIterator[None]:
    """Ask for so many at once, and wait until so many of them are under way; none is left when the block ends."""
    paths = [f"app/{number}" for number in range(number)]
    for path in paths:
        scripted.on(f"GET /v2/{path}/manifests/1", gate)
    asked = [asyncio.create_task(client.fetch(tag(scripted.host, path=path))) for path in paths]
    async with asyncio.timeout(20):
        while gate.waiting < wanted:
            await asyncio.sleep(0.01)
        yield
        gate.opened.set()
        await asyncio.gather(*asked, return_exceptions=True)


@pytest.mark.parametrize(
    "trouble",
    [Reply(429), Reply(503), Reply(500), Reply(524), reset, hang],
    ids=["429", "503", "500", "524", "reset", "hang"],
)
async def test_trouble_halves_the_requests_at_once(scripted: Scripted, trouble: Answer) -> None:
    limits = IMPATIENT if trouble is hang else PATIENT
    async with open_client(settings=ONCE, limits=limits) as client:
        async with asking(client, scripted, 8, Gate(trouble), 8):
            pass
        gate = Gate()
        async with asking(client, scripted, 12, gate, 4):
            pass
    assert gate.most <= 5  # the answers that came make one more


async def test_what_the_registry_refuses_for_good_is_no_trouble(scripted: Scripted) -> None:
    async with open_client(settings=ONCE) as client:
        async with asking(client, scripted, 8, Gate(Reply(404)), 8):
            pass
        async with asking(client, scripted, 8, Gate(), 8):
            pass


async def test_trouble_of_one_host_is_none_of_anothers(scripted: Scripted, start_scripted: StartScripted) -> None:
    other = await start_scripted()
    async with open_client(settings=ONCE) as client:
        async with asking(client, scripted, 8, Gate(Reply(503)), 8):
            pass
        async with asking(client, other, 8, Gate(), 8):
            pass


async def test_quick_answers_make_more_requests_at_once_up_to_what_settings_say(scripted: Scripted) -> None:
    async with open_client(settings=Settings(parallelism=12)) as client:
        warm = Gate()
        warm.opened.set()
        async with asking(client, scripted, 40, warm, 0):
            pass
        gate = Gate()
        async with asking(client, scripted, 40, gate, 12):
            pass
    assert gate.most == 12


async def test_all_that_is_asked_for_is_answered_after_a_burst_of_trouble(scripted: Scripted) -> None:
    async with open_client(settings=Settings(persistence=Persistence(attempts=5, first_wait=0))) as client:
        for number in range(30):
            scripted.on(f"GET /v2/app/{number}/manifests/1", Reply(429), Reply(503), reset, served())
        async with asyncio.timeout(30):
            found = await asyncio.gather(
                *(client.fetch(tag(scripted.host, path=f"app/{number}")) for number in range(30))
            )
    assert {one.raw for one in found} == {IMAGE.manifest}


async def test_retry_after_of_one_request_holds_back_all_kinds_of_requests_to_the_host(scripted: Scripted) -> None:
    begun: list[tuple[str, float]] = []

    def noted(reply: Reply) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            begun.append((request.method, time.monotonic()))
            await request.read()
            return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

        return handler

    data = bytes(SMALL_BLOB + 1)
    blob, small, there = blob_of(data), blob_of(b"data"), repository(scripted.host)
    scripted.on("GET /v2/app/busy/manifests/1", noted(Reply(429, b"", {"Retry-After": "0.5"})))
    scripted.on(MANIFEST, noted(served()))
    scripted.on(f"HEAD /v2/app/worker/blobs/{blob.digest}", noted(Reply(404)))
    scripted.on(f"GET /v2/app/worker/blobs/{blob.digest}", noted(Reply(200, data)))
    scripted.on("POST /v2/app/worker/blobs/uploads/", noted(Reply(202, b"", {"Location": "/upload"})))
    scripted.on("PUT /upload", noted(Reply(201)))

    async def read(client: RegistryClient) -> None:
        assert b"".join([part async for part in client.read_blob(there, blob)]) == data

    async with open_client(settings=ONCE) as client:
        with pytest.raises(RegistryError, match="429"):
            await client.fetch(tag(scripted.host, path="app/busy"))
        await asyncio.gather(
            client.fetch(tag(scripted.host)),
            client.has_blob(there, blob.digest),
            client.upload(there, small, body_of(b"data")),
            read(client),
        )
    (_, first), *others = begun
    assert sorted(method for method, _ in others) == ["GET", "GET", "HEAD", "POST", "PUT"]
    assert min(at for _, at in others) - first > 0.45
