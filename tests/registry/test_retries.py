"""What is tried again, how often, and how long anything may take."""

import asyncio
import email.utils
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web

from replsync.errors import NotFound, PermissionDenied, RegistryError, RegistryUnreachable, SignInError
from replsync.oci.image_manifest import OCI_MANIFEST
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.persistence import Persistence
from replsync.registry.together import together
from replsync.registry.transport import TimeLimits, Transport
from tests.registry.answers import IMAGE, MANIFEST, served
from tests.registry.clients import IMPATIENT, PATIENT, blob_of, open_client, repository, tag
from tests.registry.scripted import Answer, Reply, Scripted, StartScripted, broken_after, hang, refusal, reset

PUT = "PUT /v2/app/worker/manifests/1"
DATA = blob_of(b"data")
BLOB = f"GET /v2/app/worker/blobs/{DATA.digest}"
ONCE = Settings(persistence=Persistence(attempts=1))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520, 522, 524])
async def test_what_may_pass_is_tried_again(scripted: Scripted, client: RegistryClient, status: int) -> None:
    scripted.on(MANIFEST, Reply(status), Reply(status), served())
    assert (await client.fetch(tag(scripted.host))).raw == IMAGE.manifest


@pytest.mark.parametrize("answer", [reset, broken_after(b"{", 100)])
async def test_a_connection_that_breaks_is_tried_again(
    scripted: Scripted, client: RegistryClient, answer: Answer
) -> None:
    scripted.on(MANIFEST, answer, answer, served())
    assert (await client.fetch(tag(scripted.host))).raw == IMAGE.manifest


async def test_an_image_manifest_is_written_again_whole(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(PUT, Reply(500), reset, Reply(201))
    await client.put(tag(scripted.host), IMAGE.manifest, OCI_MANIFEST)
    assert [one.body for one in scripted.received] == [IMAGE.manifest, b"", IMAGE.manifest]


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 413, 416, 418, 501])
async def test_what_will_not_pass_is_not_tried_again(scripted: Scripted, client: RegistryClient, status: int) -> None:
    scripted.on(MANIFEST, Reply(status))
    with pytest.raises((RegistryError, PermissionDenied), match=f"the registry answered {status}"):
        await client.fetch(tag(scripted.host))
    assert len(scripted.received) == 1


async def test_absent_is_not_tried_again(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, refusal(404, "MANIFEST_UNKNOWN"))
    with pytest.raises(NotFound):
        await client.fetch(tag(scripted.host))
    assert len(scripted.received) == 1


async def test_there_are_as_many_tries_as_settings_say(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, Reply(500))
    with pytest.raises(RegistryError):
        await client.fetch(tag(scripted.host))
    assert len(scripted.received) == 4


async def test_a_connection_that_always_breaks_is_given_up(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, reset)
    with pytest.raises(RegistryUnreachable, match=r"^read 127\.0\.0\.1:\d+/\S+: the connection broke$"):
        await client.fetch(tag(scripted.host))
    assert len(scripted.received) <= 8  # aiohttp connects anew once in each of the four tries


async def test_no_try_begins_after_patience_has_run_out(scripted: Scripted) -> None:
    scripted.on(MANIFEST, Reply(500))
    settings = Settings(persistence=Persistence(attempts=1000, first_wait=0, patience=0.1))
    async with open_client(settings=settings) as client:
        with pytest.raises(RegistryError):
            await client.fetch(tag(scripted.host))
    assert 1 < len(scripted.received) < 1000


async def test_a_small_blob_is_read_again_when_it_breaks_off(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(BLOB, broken_after(b"da", 4), Reply(500), Reply(200, b"data"))
    assert await client.read_small_blob(repository(scripted.host), DATA) == b"data"


@pytest.mark.parametrize("operation", ["fetch", "read"])
async def test_a_server_that_never_answers_is_unreachable(scripted: Scripted, operation: str) -> None:
    scripted.on(MANIFEST, hang)
    scripted.on(BLOB, hang)
    async with open_client(settings=ONCE, limits=IMPATIENT) as client:
        asking = (
            client.fetch(tag(scripted.host))
            if operation == "fetch"
            else client.read_small_blob(repository(scripted.host), DATA)
        )
        with pytest.raises(RegistryUnreachable, match=r"^read .*: no answer in time$") as caught:
            await asking
    assert caught.value.hint == "try again; --timeout gives it longer"


async def dripping(request: web.Request) -> web.StreamResponse:
    """One byte in a tenth of a second, without end."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x")
        await asyncio.sleep(0.1)


async def test_a_server_that_answers_in_drips_is_unreachable(scripted: Scripted) -> None:
    scripted.on(MANIFEST, dripping)
    async with open_client(settings=ONCE, limits=IMPATIENT) as client:
        with pytest.raises(RegistryUnreachable, match="no answer in time"):
            await client.fetch(tag(scripted.host))


async def test_a_blob_may_take_longer_than_an_answer(scripted: Scripted) -> None:
    data = b"x" * 9

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in data:
            await response.write(b"x")
            await asyncio.sleep(0.1)
        return response

    scripted.on(f"GET /v2/app/worker/blobs/{blob_of(data).digest}", slow)
    async with open_client(settings=ONCE, limits=replace(IMPATIENT, least_rate=1)) as client:
        assert await client.read_small_blob(repository(scripted.host), blob_of(data)) == data


async def test_a_server_that_says_no_http_is_unreachable(scripted: Scripted) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server, open_client(settings=ONCE) as client:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(RegistryError, match=f"^read 127.0.0.1:{port}/app/worker:1: "):
            await client.fetch(tag(f"127.0.0.1:{port}"))


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_holds_for_other_requests_to_the_host(scripted: Scripted, status: int) -> None:
    scripted.on(MANIFEST, Reply(status, b"", {"Retry-After": "0.3"}))
    scripted.on("GET /v2/app/other/manifests/1", served())
    async with open_client(settings=ONCE) as client:
        with pytest.raises(RegistryError):
            await client.fetch(tag(scripted.host))
        begun = time.monotonic()
        await client.fetch(tag(scripted.host, path="app/other"))
    assert time.monotonic() - begun > 0.25


async def test_retry_after_may_be_a_date(scripted: Scripted) -> None:
    date = email.utils.formatdate(time.time() + 2, usegmt=True)  # in whole seconds: one to two from now
    scripted.on(MANIFEST, Reply(429, b"", {"Retry-After": date}), served())
    begun = time.monotonic()
    async with open_client() as client:
        await client.fetch(tag(scripted.host))
    assert time.monotonic() - begun > 0.9


@pytest.mark.parametrize("value", ["86400", "inf", "1e999", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_no_host_is_waited_for_longer_than_settings_say(scripted: Scripted, value: str) -> None:
    scripted.on(MANIFEST, Reply(429, b"", {"Retry-After": value}), served())
    async with open_client(limits=replace(PATIENT, retry_after=0.3)) as client, asyncio.timeout(5):
        begun = time.monotonic()
        await client.fetch(tag(scripted.host))
    assert time.monotonic() - begun > 0.25


async def test_retry_after_is_no_matter_of_another_host(scripted: Scripted, start_scripted: StartScripted) -> None:
    other = await start_scripted()
    scripted.on(MANIFEST, Reply(429, b"", {"Retry-After": "100"}))
    other.on(MANIFEST, served())
    async with open_client(settings=ONCE) as client:
        with pytest.raises(RegistryError, match="the registry answered 429") as caught:
            await client.fetch(tag(scripted.host))
        async with asyncio.timeout(5):
            await client.fetch(tag(other.host))
    assert caught.value.hint
    assert "--parallelism" in caught.value.hint


async def test_retry_after_with_another_status_is_not_obeyed(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, Reply(500, b"", {"Retry-After": "100"}), served())
    async with asyncio.timeout(5):
        await client.fetch(tag(scripted.host))


async def test_waiting_for_retry_after_is_not_waiting_for_the_server(scripted: Scripted) -> None:
    scripted.on("GET /busy", Reply(429, b"", {"Retry-After": "0.6"}))
    scripted.on("PUT /upload", Reply(201))

    async def body() -> AsyncIterator[bytes]:
        yield b"data"

    async with Transport(TimeLimits(connect=0.2, idle=0.2, answer=0.2)) as transport:
        await transport.fetch("GET", f"http://{scripted.host}/busy", {}, limit=100)
        answer = await transport.send("PUT", f"http://{scripted.host}/upload", {}, body, 4, limit=100)
    assert answer.status == 201


async def test_requests_at_once_are_as_many_as_settings_say(scripted: Scripted) -> None:
    under_way = 0
    most = 0

    async def counting(request: web.Request) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return web.Response(body=IMAGE.manifest, content_type=OCI_MANIFEST)

    scripted.on(MANIFEST, counting)
    async with open_client(settings=Settings(parallelism=3)) as client:
        await together(client.fetch(tag(scripted.host)) for _ in range(20))
    assert most == 3


async def test_one_failure_ends_what_runs_beside_it(scripted: Scripted) -> None:
    scripted.on(MANIFEST, Reply(401))
    scripted.on("GET /v2/app/other/manifests/1", hang)
    async with open_client(limits=PATIENT) as client, asyncio.timeout(5):
        with pytest.raises(SignInError):
            await together(client.fetch(tag(scripted.host, path=path)) for path in ("app/other", "app/worker"))


async def test_a_request_that_is_cancelled_ends(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, hang)
    asking = asyncio.create_task(client.fetch(tag(scripted.host)))
    while not scripted.received:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
