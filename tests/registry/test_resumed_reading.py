"""Large blobs that go on where a connection broke."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from replsync.errors import CorruptBlob, NotFound, RegistryError, RegistryUnreachable
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.persistence import Persistence
from replsync.registry.session import SMALL_BLOB
from tests.registry.answers import asks_bearer, token
from tests.registry.clients import AT_ONCE, IMPATIENT, blob_of, open_client, repository
from tests.registry.scripted import Answer, Handler, Reply, Scripted, hang, refusal, reset, serve_scripted
from tests.servers.push import Uploader
from tests.servers.registry import RegistryServer

DATA = b"".join(number.to_bytes(4, "big") for number in range(SMALL_BLOB // 4 + 1000))
"""Of which no four bytes are there twice, in step, and more than is read at once."""
BLOB = blob_of(DATA)
GET = f"GET /v2/app/worker/blobs/{BLOB.digest}"
HALF = len(DATA) // 2


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Break the connection, but only after what was sent."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def part(start: int = 0, end: int = len(DATA), data: bytes = DATA, *, then: Handler | None = None) -> Handler:
    """Answer with a part of the blob, or with all, and go wrong after `end`, if it isn't the end."""

    async def handler(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Length": str(len(data) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        await response.prepare(request)
        for at in range(start, end, 65536):
            await response.write(data[at : min(at + 65536, end)])
        if end < len(data):
            return await (then or hang_up)(request)
        return response

    return handler


async def read(client: RegistryClient, scripted: Scripted) -> bytes:
    return b"".join([part async for part in client.read_blob(repository(scripted.host), BLOB)])


def asked(scripted: Scripted) -> list[str | None]:
    return [one.headers.get("Range") for one in scripted.asked("GET /v2/app/worker/blobs/")]


async def test_a_blob_that_breaks_off_is_read_on(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(GET, part(end=HALF), part(HALF))
    assert await read(client, scripted) == DATA
    assert asked(scripted) == [None, f"bytes={HALF}-{len(DATA) - 1}"]


async def test_each_break_goes_on_from_where_it_was(scripted: Scripted, client: RegistryClient) -> None:
    breaks = [0, *range(100_000, 700_000, 100_000), len(DATA)]
    scripted.on(GET, *(part(start, end) for start, end in pairwise(breaks)))
    assert await read(client, scripted) == DATA
    assert len(scripted.received) > AT_ONCE.persistence.attempts


async def test_a_break_after_the_last_byte_is_none(scripted: Scripted, client: RegistryClient) -> None:
    async def unfinished(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(DATA)
        await asyncio.sleep(0.1)
        return await reset(request)

    scripted.on(GET, unfinished)
    assert await read(client, scripted) == DATA
    assert len(scripted.received) == 1


async def test_a_server_without_ranges_sends_the_beginning_again_and_it_is_skipped(
    scripted: Scripted, client: RegistryClient
) -> None:
    scripted.on(GET, part(end=HALF), part())
    assert await read(client, scripted) == DATA


async def test_a_range_that_begins_earlier_is_skipped_up_to_what_is_missing(
    scripted: Scripted, client: RegistryClient
) -> None:
    scripted.on(GET, part(end=HALF), part(HALF - 1001))
    assert await read(client, scripted) == DATA


@pytest.mark.parametrize("said", ["bytes 600000-", "bytes */1004000", "", "nonsense", "items 500000-1003999/1004000"])
async def test_another_range_than_was_asked_for_is_refused(
    scripted: Scripted, client: RegistryClient, said: str
) -> None:
    scripted.on(GET, part(end=HALF), Reply(206, DATA[HALF:], {"Content-Range": said}))
    with pytest.raises(RegistryError, match=f"^read {BLOB.digest} of .*another range than was asked for$"):
        await read(client, scripted)


async def test_a_part_is_refused_where_all_was_asked_for(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(GET, Reply(206, DATA, {"Content-Range": f"bytes 0-{len(DATA) - 1}/{len(DATA)}"}))
    with pytest.raises(RegistryError, match="the registry answered 206"):
        await read(client, scripted)


async def test_where_a_range_is_refused_all_of_it_is_asked_for_and_the_beginning_skipped(
    scripted: Scripted, client: RegistryClient
) -> None:
    scripted.on(GET, part(end=HALF), refusal(416, "RANGE_INVALID"), Reply(200, DATA))
    assert await read(client, scripted) == DATA
    assert asked(scripted) == [None, f"bytes={HALF}-{len(DATA) - 1}", None]


@pytest.mark.parametrize("status", [403, 404, 400])
async def test_a_rest_that_is_refused_is_not_asked_for_again(
    scripted: Scripted, client: RegistryClient, status: int
) -> None:
    scripted.on(GET, part(end=HALF), refusal(status, "DENIED"))
    with pytest.raises(Exception, match=f"^read {BLOB.digest} of .* answered {status}"):
        await read(client, scripted)
    assert len(scripted.received) == 2


async def test_a_blob_that_is_gone_meanwhile_is_not_found(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(GET, part(end=HALF), refusal(404, "BLOB_UNKNOWN"))
    with pytest.raises(NotFound):
        await read(client, scripted)


@pytest.mark.parametrize("at", [10, HALF - 1, HALF, len(DATA) - 1])
async def test_a_damaged_byte_on_either_side_of_a_break_is_found(
    scripted: Scripted, client: RegistryClient, at: int
) -> None:
    damaged = bytearray(DATA)
    damaged[at] ^= 1
    scripted.on(GET, part(end=HALF, data=bytes(damaged)), part(HALF, data=bytes(damaged)))
    with pytest.raises(CorruptBlob, match="is not the blob"):
        await read(client, scripted)
    assert asked(scripted) == [None, f"bytes={HALF}-{len(DATA) - 1}"]


@pytest.mark.parametrize("rest", [DATA[HALF:-1], DATA[HALF:] + b"x"], ids=["less", "more"])
async def test_a_rest_of_another_size_is_found(scripted: Scripted, client: RegistryClient, rest: bytes) -> None:
    headers = {"Content-Range": f"bytes {HALF}-{len(DATA) - 1}/{len(DATA)}"}
    scripted.on(GET, part(end=HALF), Reply(206, rest, headers))
    with pytest.raises(CorruptBlob, match="is not the blob"):
        await read(client, scripted)


@pytest.mark.parametrize("rest", [DATA[HALF:-1], DATA[HALF:] + b"x"], ids=["less", "more"])
async def test_what_is_read_from_the_middle_has_its_size_checked(
    scripted: Scripted, client: RegistryClient, rest: bytes
) -> None:
    scripted.on(GET, Reply(206, rest, {"Content-Range": f"bytes {HALF}-{len(DATA) - 1}/{len(DATA)}"}))
    with pytest.raises(CorruptBlob, match="is not the blob"):
        [part async for part in client.read_blob(repository(scripted.host), BLOB, HALF)]


@pytest.mark.parametrize("answer", [reset, Reply(503), Reply(429)], ids=["reset", "503", "429"])
async def test_tries_in_a_row_without_a_byte_are_numbered(
    scripted: Scripted, client: RegistryClient, answer: Answer
) -> None:
    scripted.on(GET, part(end=HALF), answer)
    with pytest.raises(RegistryError, match=f"^read {BLOB.digest} of "):
        await read(client, scripted)
    assert len(set(asked(scripted)[1:])) == 1
    attempts = AT_ONCE.persistence.attempts
    assert attempts <= len(scripted.received) <= 2 * attempts  # aiohttp connects anew once by itself


async def test_a_token_that_expires_in_the_middle_is_renewed(scripted: Scripted, client: RegistryClient) -> None:
    challenge = asks_bearer(f"http://{scripted.host}/token")
    scripted.on("GET /token", token("first"), token("second"))
    scripted.on(GET, challenge, part(end=HALF), challenge, part(HALF))
    assert await read(client, scripted) == DATA
    used = [(one.authorization, one.headers.get("Range")) for one in scripted.asked("GET /v2/app/worker/blobs/")]
    rest = f"bytes={HALF}-{len(DATA) - 1}"
    assert used == [(None, None), ("Bearer first", None), ("Bearer first", rest), ("Bearer second", rest)]


async def test_a_range_is_asked_of_the_storage_that_a_registry_redirects_to(
    scripted: Scripted, client: RegistryClient
) -> None:
    scripted.on(GET, Reply(307, b"", {"Location": "/storage"}))
    scripted.on("GET /storage", part(end=HALF), part(HALF))
    assert await read(client, scripted) == DATA
    assert [one.headers.get("Range") for one in scripted.asked("GET /storage")] == [
        None,
        f"bytes={HALF}-{len(DATA) - 1}",
    ]


async def test_a_server_that_hangs_in_the_middle_is_left(scripted: Scripted) -> None:
    scripted.on(GET, part(end=HALF, then=hang), part(HALF))
    async with open_client(limits=IMPATIENT) as client:
        assert await read(client, scripted) == DATA
    assert asked(scripted) == [None, f"bytes={HALF}-{len(DATA) - 1}"]


async def trickle(request: web.Request) -> web.StreamResponse:
    """Send what is asked for, ten bytes in each twentieth of a second."""
    start = int(request.headers.get("Range", "bytes=0-")[6:].partition("-")[0])
    headers = {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"} if start else {}
    response = web.StreamResponse(status=206 if start else 200, headers=headers)
    await response.prepare(request)
    for at in range(start, len(DATA), 10):
        await response.write(DATA[at : at + 10])
        await asyncio.sleep(0.05)
    return response


async def test_a_server_that_trickles_is_left_for_a_try_that_may_be_faster(scripted: Scripted) -> None:
    scripted.on(GET, trickle, part())
    async with open_client(limits=replace(IMPATIENT, least_rate=100_000)) as client:
        assert await read(client, scripted) == DATA
    assert len(scripted.received) == 2


async def test_a_server_that_always_trickles_is_given_up(scripted: Scripted) -> None:
    scripted.on(GET, trickle)
    async with open_client(limits=replace(IMPATIENT, least_rate=100_000)) as client, asyncio.timeout(20):
        with pytest.raises(RegistryUnreachable, match=f"^read {BLOB.digest} of .*: no answer in time$"):
            await read(client, scripted)
    assert len(scripted.received) == AT_ONCE.persistence.attempts


async def test_a_slow_reader_is_not_blamed_on_the_server(scripted: Scripted) -> None:
    scripted.on(GET, part())
    async with (
        open_client(limits=replace(IMPATIENT, least_rate=10**9)) as client,
        aclosing(client.read_blob(repository(scripted.host), BLOB)) as parts,
    ):
        got = [await anext(parts)]
        await asyncio.sleep(IMPATIENT.idle * 3)
        got += [part async for part in parts]
    assert b"".join(got) == DATA
    assert len(scripted.received) == 1


async def test_a_blob_can_be_read_from_anywhere(docker_registry: RegistryServer, namespace: str) -> None:
    uploader = Uploader(docker_registry.host, f"{namespace}/worker")
    uploader.put_blob(BLOB.digest, DATA)
    there = repository(docker_registry.host, f"{namespace}/worker")
    async with open_client() as client:
        for start in (0, 1, HALF, len(DATA) - 1, len(DATA)):
            read = b"".join([part async for part in client.read_blob(there, BLOB, start)])
            assert read == DATA[start:]


async def test_what_is_read_no_further_is_closed(scripted: Scripted, client: RegistryClient) -> None:
    ended = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(DATA))})
        await response.prepare(request)
        await response.write(DATA[:HALF])
        try:
            return await hang(request)
        finally:
            ended.set()

    scripted.on(GET, endless)
    async with aclosing(client.read_blob(repository(scripted.host), BLOB)) as parts:
        await anext(parts)
    async with asyncio.timeout(5):
        await ended.wait()


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 5000), st.booleans()), max_size=6))
def test_however_often_it_breaks_the_bytes_are_those_of_the_blob(breaks: list[tuple[int, bool]]) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        start = int(request.headers.get("Range", "bytes=0-")[6:].partition("-")[0])
        if not breaks:
            return await part(start)(request)
        number, knows_ranges = breaks.pop()
        return await part(start if knows_ranges else 0, min(start + number, len(DATA)))(request)

    async def check() -> None:
        often = Settings(persistence=Persistence(attempts=10, first_wait=0))
        async with serve_scripted() as server, open_client(settings=often) as client:
            server.on(GET, answer)
            assert await read(client, server) == DATA

    asyncio.run(check())
