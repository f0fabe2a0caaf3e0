"""Sending a blob, where most goes wrong."""

import asyncio
import gc
from collections.abc import AsyncGenerator
from functools import partial

import pytest
from aiohttp import web

from replsync.errors import CorruptBlob, PermissionDenied, RegistryError, RegistryUnreachable, ReplsyncError
from replsync.oci.tag_state import Absent
from replsync.registry.blob_upload import BlobBytes
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.inventory import read_tag
from replsync.registry.persistence import Persistence
from tests.registry.clients import IMPATIENT, blob_of, body_of, open_client, repository, tag, uploads
from tests.registry.scripted import Answer, Reply, Scripted, StartScripted, broken_after, hang, refusal, reset
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox

DATA = blob_of(b"data")
HEAD, POST, PUT = uploads(DATA.digest)
OPENED = Reply(202, b"", {"Location": "/upload?state=a%2Fb"})
PART = bytes(1024 * 1024)
LARGE = blob_of(PART * 16)
"""More than the buffers of a connection hold."""


async def large(start: int) -> AsyncGenerator[bytes, None]:
    assert not start
    for _ in range(16):
        yield PART


class Opened:
    """A body that counts how often it was opened and closed, and breaks as often as it is told to."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.opened = 0
        self.closed = 0

    async def __call__(self, start: int) -> AsyncGenerator[bytes, None]:
        assert not start
        self.opened += 1
        try:
            yield b"da"
            if self.failures:
                raise self.failures.pop(0)
            yield b"ta"
        finally:
            self.closed += 1


async def send(client: RegistryClient, scripted: Scripted, body: BlobBytes | None = None) -> None:
    await client.upload(repository(scripted.host), DATA, body or body_of(b"da", b"ta"))


def puts(scripted: Scripted) -> list[bytes]:
    return [one.body for one in scripted.asked("PUT")]


@pytest.fixture
def target(scripted: Scripted) -> Scripted:
    """A registry that has no blob and takes every one."""
    scripted.on(HEAD, Reply(404))
    scripted.on(POST, OPENED)
    scripted.on(PUT, Reply(201))
    return scripted


async def test_a_blob_is_sent_to_the_location_with_its_query(target: Scripted, client: RegistryClient) -> None:
    await send(client, target)
    (put,) = target.asked("PUT")
    assert put.path == f"/upload?state=a%2Fb&digest={DATA.digest}"
    assert (put.body, put.headers["Content-Length"]) == (b"data", "4")
    assert put.headers["Content-Type"] == "application/octet-stream"


async def test_a_location_without_a_query_gets_one(target: Scripted, client: RegistryClient) -> None:
    target.on(POST, Reply(202, b"", {"Location": f"http://{target.host}/upload"}))
    await send(client, target)
    assert target.asked("PUT")[0].path == f"/upload?digest={DATA.digest}"


@pytest.mark.parametrize("location", ["", "ftp://a.test/", "http://127.0.0.1:99999/"])
async def test_no_location_is_an_error(target: Scripted, client: RegistryClient, location: str) -> None:
    target.on(POST, Reply(202, b"", {"Location": location} if location else {}))
    with pytest.raises(RegistryError, match=f"^push {DATA.digest} .*{target.host} names an address that can't be read"):
        await send(client, target)


@pytest.mark.parametrize("status", [500, 502, 504, 524, 404])
async def test_a_blob_that_landed_is_not_sent_again(target: Scripted, client: RegistryClient, status: int) -> None:
    target.on(HEAD, Reply(200))
    target.on(PUT, Reply(status))
    await send(client, target)
    assert puts(target) == [b"data"]


async def test_a_blob_that_landed_before_the_connection_broke_is_not_sent_again(
    target: Scripted, client: RegistryClient
) -> None:
    async def landed(request: web.Request) -> web.StreamResponse:
        await request.read()
        return await reset(request)

    target.on(HEAD, Reply(200))
    target.on(PUT, landed)
    await send(client, target)
    assert len(puts(target)) == 1


@pytest.mark.parametrize("first", [Reply(500), Reply(524), Reply(404), reset])
async def test_a_blob_that_did_not_land_is_sent_again_whole(
    target: Scripted, client: RegistryClient, first: Answer
) -> None:
    target.on(PUT, first, Reply(201))
    await send(client, target)
    assert puts(target)[-1] == b"data"
    assert [one.method for one in target.received] == ["POST", "PUT", "HEAD", "POST", "PUT"]


async def test_a_look_up_that_fails_is_not_taken_for_a_no(target: Scripted, client: RegistryClient) -> None:
    target.on(HEAD, Reply(500), Reply(200))
    target.on(PUT, Reply(500))
    await send(client, target)
    assert [one.method for one in target.received] == ["POST", "PUT", "HEAD", "HEAD"]


@pytest.mark.parametrize(
    ("request_", "counted"), [(POST, "POST"), (PUT, "PUT"), (HEAD, "HEAD")], ids=["POST", "PUT", "HEAD"]
)
async def test_tries_do_not_multiply(target: Scripted, client: RegistryClient, request_: str, counted: str) -> None:
    target.on(PUT, Reply(500))
    target.on(request_, Reply(500))
    with pytest.raises(RegistryError, match="the registry answered 500"):
        await send(client, target)
    assert len(target.asked(counted)) <= 4


async def test_a_large_blob_gets_its_tries_however_long_it_took(target: Scripted) -> None:
    target.on(PUT, Reply(500), Reply(201))
    async with open_client(settings=Settings(persistence=Persistence(first_wait=0, patience=0))) as client:
        await send(client, target)
    assert len(puts(target)) == 2


@pytest.mark.parametrize(("status", "code"), [(413, "SIZE_INVALID"), (403, "DENIED")])
async def test_a_blob_that_is_refused_is_not_sent_again(
    target: Scripted, client: RegistryClient, status: int, code: str
) -> None:
    target.on(PUT, refusal(status, code))
    with pytest.raises((RegistryError, PermissionDenied), match=f"^push {DATA.digest} .* answered {status} .{code}"):
        await send(client, target)
    assert len(target.received) == 2


async def test_bytes_that_were_damaged_on_the_way_are_sent_once_more(target: Scripted, client: RegistryClient) -> None:
    target.on(PUT, refusal(400, "DIGEST_INVALID"), Reply(201))
    await send(client, target)
    assert [one.method for one in target.received] == ["POST", "PUT", "POST", "PUT"]


async def test_bytes_that_are_refused_twice_are_not_sent_again(target: Scripted, client: RegistryClient) -> None:
    target.on(PUT, refusal(400, "DIGEST_INVALID"))
    with pytest.raises(RegistryError, match=f"^push {DATA.digest} .* answered 400 .DIGEST_INVALID"):
        await send(client, target)
    assert puts(target) == [b"data", b"data"]


async def test_an_answer_before_the_end_of_the_body_is_heard(target: Scripted, client: RegistryClient) -> None:
    async def early(request: web.Request) -> web.StreamResponse:
        return web.Response(status=413, body=b'{"errors": [{"code": "TOO_LARGE", "message": "too large"}]}')

    _, post, _ = uploads(LARGE.digest)
    target.on(post, OPENED)
    target.on(PUT, early)
    with pytest.raises(RegistryError, match=r"answered 413 \(TOO_LARGE: too large\)") as caught:
        await client.upload(repository(target.host), LARGE, large)
    assert caught.value.hint == "make the image's layers smaller"


async def test_a_source_that_breaks_is_left_to_try_again_by_itself(target: Scripted, client: RegistryClient) -> None:
    source = Opened(RegistryUnreachable("read from the source: the connection broke"))
    with pytest.raises(RegistryUnreachable, match=r"^read from the source: the connection broke$"):
        await send(client, target, source)
    assert (source.opened, source.closed) == (1, 1)


async def test_a_source_whose_bytes_were_damaged_is_opened_afresh(target: Scripted, client: RegistryClient) -> None:
    source = Opened(CorruptBlob("read from the source: other bytes"))
    await send(client, target, source)
    assert puts(target)[-1] == b"data"
    assert (source.opened, source.closed) == (2, 2)


async def test_a_source_whose_bytes_are_damaged_twice_is_named(target: Scripted, client: RegistryClient) -> None:
    source = Opened(*(CorruptBlob("read from the source: other bytes") for _ in range(9)))
    with pytest.raises(CorruptBlob, match=r"^read from the source: other bytes$"):
        await send(client, target, source)
    assert (source.opened, source.closed) == (2, 2)


async def test_a_registry_as_a_source_that_keeps_breaking_is_named(
    target: Scripted, start_scripted: StartScripted, client: RegistryClient
) -> None:
    source = await start_scripted()
    source.on(f"GET /v2/app/base/blobs/{DATA.digest}", broken_after(b"da", 4))
    base = repository(source.host, "app/base")
    with pytest.raises(RegistryUnreachable, match=f"^read {DATA.digest} of {base}: the connection broke"):
        await send(client, target, partial(client.read_blob, base, DATA))
    assert len(source.received) == 4


async def test_a_registry_as_a_source_that_stays_broken_is_asked_as_often_as_any(
    target: Scripted, start_scripted: StartScripted, client: RegistryClient
) -> None:
    source = await start_scripted()
    source.on(f"GET /v2/app/base/blobs/{DATA.digest}", Reply(500))
    base = repository(source.host, "app/base")
    with pytest.raises(RegistryError, match=f"read {DATA.digest} of {base}: the registry answered 500"):
        await send(client, target, partial(client.read_blob, base, DATA))
    assert len(source.received) == 4


async def test_a_source_with_other_bytes_leaves_nothing_behind(
    start_scripted: StartScripted, docker_registry: RegistryServer, client: RegistryClient, namespace: str
) -> None:
    source = await start_scripted()
    source.on(f"GET /v2/app/base/blobs/{DATA.digest}", Reply(200, b"evil"))
    base, there = repository(source.host, "app/base"), repository(docker_registry.host, f"{namespace}/worker")
    with pytest.raises(RegistryError):
        await client.upload(there, DATA, partial(client.read_blob, base, DATA))
    assert not await client.has_blob(there, DATA.digest)


@pytest.mark.parametrize("failure", [ReplsyncError("the disk is full"), OSError(28, "No space left"), KeyError("x")])
async def test_a_failure_of_the_source_that_will_not_pass_is_raised_as_it_is(
    target: Scripted, client: RegistryClient, failure: Exception
) -> None:
    source = Opened(failure)
    with pytest.raises(type(failure)) as caught:
        await send(client, target, source)
    assert caught.value is failure
    assert (source.opened, source.closed) == (1, 1)


async def test_a_source_may_be_slow(target: Scripted) -> None:
    async def slow(start: int) -> AsyncGenerator[bytes, None]:
        yield b"da"
        await asyncio.sleep(IMPATIENT.idle * 2)
        yield b"ta"

    async with open_client(limits=IMPATIENT) as client:
        await send(client, target, slow)
    assert puts(target) == [b"data"]


async def test_a_peer_that_stops_reading_is_unreachable(target: Scripted) -> None:
    _, post, _ = uploads(LARGE.digest)
    target.on(post, OPENED)
    target.on(PUT, hang)
    once = Settings(persistence=Persistence(attempts=1))
    async with open_client(limits=IMPATIENT, settings=once) as client:
        with pytest.raises(RegistryUnreachable, match=rf"^push .* to {target.host}/\S+: no answer in time$"):
            await client.upload(repository(target.host), LARGE, large)


async def test_a_peer_that_reads_and_never_answers_is_unreachable(target: Scripted) -> None:
    async def read_and_hang(request: web.Request) -> web.StreamResponse:
        await request.read()
        return await hang(request)

    target.on(PUT, read_and_hang)
    once = Settings(persistence=Persistence(attempts=1))
    async with open_client(limits=IMPATIENT, settings=once) as client:
        with pytest.raises(RegistryUnreachable, match="no answer in time"):
            await send(client, target)


@pytest.mark.parametrize("answer", [reset, Reply(400), hang])
async def test_a_source_is_closed_when_the_peer_fails(target: Scripted, answer: Answer) -> None:
    closed = []

    async def endless(start: int) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield PART
        finally:
            closed.append(True)

    _, post, _ = uploads(LARGE.digest)
    target.on(post, OPENED)
    target.on(PUT, answer)
    once = Settings(persistence=Persistence(attempts=1))
    async with open_client(limits=IMPATIENT, settings=once) as client:
        with pytest.raises(RegistryError):
            await client.upload(repository(target.host), LARGE, endless)
        assert closed == [True]


async def test_with_one_request_at_a_time_a_blob_moves_within_a_registry_that_breaks(target: Scripted) -> None:
    # Neither the stream of a large blob nor its upload may take the one place that the other needs.
    _, post, _ = uploads(LARGE.digest)
    target.on(post, OPENED)
    target.on(f"HEAD /v2/app/worker/blobs/{LARGE.digest}", Reply(404))
    target.on(f"GET /v2/app/base/blobs/{LARGE.digest}", Reply(200, PART * 16))
    target.on(PUT, reset, Reply(201))
    base = repository(target.host, "app/base")
    one = Settings(parallelism=1, persistence=Persistence(first_wait=0))
    async with open_client(settings=one) as client, asyncio.timeout(20):
        await client.upload(repository(target.host), LARGE, partial(client.read_blob, base, LARGE))
    assert puts(target)[-1] == PART * 16


@pytest.mark.parametrize("server", ["docker-registry", "sandbox"])
async def test_an_upload_that_is_cancelled_leaves_nothing_behind(
    docker_registry: RegistryServer, sandbox: RunningSandbox, namespace: str, server: str
) -> None:
    place: RegistryServer | RunningSandbox = docker_registry if server == "docker-registry" else sandbox
    reached, closed = asyncio.Event(), asyncio.Event()

    async def stuck(start: int) -> AsyncGenerator[bytes, None]:
        try:
            yield b"da"
            reached.set()
            await asyncio.Event().wait()
            yield b"ta"
        finally:
            closed.set()

    there = repository(place.host, f"{namespace}/worker")
    async with open_client({place.host: place.credentials}) as client:

        async def push() -> None:
            await client.upload(there, DATA, stuck)
            await client.put(there.tagged("1"), b"{}", "application/json")

        pushing = asyncio.create_task(push())
        await reached.wait()
        pushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pushing
        assert closed.is_set()
        assert not await client.has_blob(there, DATA.digest)
        assert await read_tag(client, there.tagged("1")) == Absent()
    gc.collect()  # what was left open would warn now, and warnings are errors


async def test_an_upload_is_cancelled_while_the_peer_does_not_read(target: Scripted, client: RegistryClient) -> None:
    _, post, _ = uploads(LARGE.digest)
    target.on(post, OPENED)
    target.on(PUT, hang)
    given = 0
    closed = []

    async def counted(start: int) -> AsyncGenerator[bytes, None]:
        nonlocal given
        try:
            async for part in large(start):
                given += 1
                yield part
        finally:
            closed.append(True)

    pushing = asyncio.create_task(client.upload(repository(target.host), LARGE, counted))
    while not given:
        await asyncio.sleep(0)
    pushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pushing
    assert closed == [True]


@pytest.mark.parametrize(
    "answer", [refusal(400, "UNSUPPORTED"), refusal(403, "DENIED"), refusal(404), refusal(405), Reply(500)]
)
async def test_a_mount_that_is_refused_is_no_failure(target: Scripted, client: RegistryClient, answer: Reply) -> None:
    target.on(POST, answer)
    assert not await client.mount(repository(target.host), DATA.digest, repository(target.host, "app/base"))


async def test_a_mount_names_blob_and_repository(target: Scripted, client: RegistryClient) -> None:
    target.on(POST, Reply(201))
    assert await client.mount(repository(target.host), DATA.digest, repository(target.host, "app/base"))
    assert target.received[0].path.partition("?")[2] == f"mount=sha256%3A{DATA.digest[7:]}&from=app%2Fbase"


async def test_a_mount_at_a_registry_that_is_gone_is_a_failure(client: RegistryClient) -> None:
    with pytest.raises(RegistryUnreachable):
        await client.mount(repository("127.0.0.1:1"), DATA.digest, repository("127.0.0.1:1", "app/base"))


async def test_the_tag_of_a_broken_upload_is_absent(target: Scripted, client: RegistryClient) -> None:
    target.on("GET /v2/app/worker/manifests/1", refusal(404, "MANIFEST_UNKNOWN"))
    target.on(PUT, refusal(400, "DIGEST_INVALID"))
    with pytest.raises(RegistryError):
        await send(client, target)
    assert await read_tag(client, tag(target.host)) == Absent()
