"""Large blobs that go in chunks, and what becomes of them when the registry does something else than hoped for."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web

from replsync.errors import RegistryError, RegistryUnreachable, SignInError
from replsync.oci.digest import sha256
from replsync.registry.chunk_size import ChunkBounds
from replsync.registry.client import RegistryClient
from replsync.registry.persistence import Persistence
from replsync.registry.session import SMALL_BLOB
from tests.registry.answers import asks_bearer, token
from tests.registry.chunk_taker import (
    DATA,
    IN_CHUNKS,
    OTHER,
    ChunkTaker,
    Fault,
    Source,
    Work,
    afterwards,
    broken,
    instead,
    lost,
    sent,
)
from tests.registry.clients import open_client, repository
from tests.registry.scripted import Reply, Scripted, hang, refusal
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox

LOST = refusal(404, "BLOB_UPLOAD_UNKNOWN")


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    """A client that sends in chunks of 100 bytes."""
    async with open_client(settings=IN_CHUNKS) as opened:
        yield opened


@pytest.fixture
def taker(scripted: Scripted) -> ChunkTaker:
    return ChunkTaker(scripted)


async def test_a_large_blob_goes_in_chunks(client: RegistryClient, taker: ChunkTaker) -> None:
    taker.strict = True  # so that each chunk has to go where the answer to the one before says
    source = await sent(client, taker)
    assert taker.methods == "POST PATCH PATCH PATCH PUT"
    assert taker.chunks == ["0-99", "100-199", "200-249"]
    assert [one.body for one in taker.server.asked("PATCH")] == [DATA[:100], DATA[100:200], DATA[200:]]
    (put,) = taker.server.asked("PUT")
    assert put.path == f"/upload/0?at=250&digest={sha256(DATA)}"
    assert (put.body, put.headers["Content-Length"]) == (b"", "0")
    assert source.opened == [0]


async def test_a_blob_of_one_chunk_goes_in_one_request(client: RegistryClient, taker: ChunkTaker) -> None:
    data = DATA[:100]
    await sent(client, taker, data)
    assert taker.methods == "POST PUT"
    assert taker.server.asked("PUT")[0].body == data


async def test_a_registry_that_kept_less_than_was_sent_gets_the_rest(client: RegistryClient, taker: ChunkTaker) -> None:
    async def keep_less(request: web.Request, work: Work) -> Reply:
        answer = await work()
        del taker.sessions[0][160:]
        return Reply(202, b"", {**answer.headers, "Range": "0-159"})

    taker.faults["PATCH", 1] = keep_less
    source = await sent(client, taker)
    assert taker.chunks == ["0-99", "100-199", "160-249"]
    assert source.opened == [0, 160]


@pytest.mark.parametrize("range_", ["0-", "x", "100-199", "0-99", "0-0", "0-200", "0-99999999999999999999"])
async def test_a_registry_that_counts_wrongly_gets_whole_blobs_from_then_on(
    client: RegistryClient, taker: ChunkTaker, range_: str
) -> None:
    async def say(request: web.Request, work: Work) -> Reply:
        answer = await work()
        return Reply(202, b"", {**answer.headers, "Range": range_})

    taker.faults["PATCH", 1] = say
    await sent(client, taker)
    await sent(client, taker, OTHER)
    assert taker.methods == "POST PATCH PATCH POST PUT POST PUT"
    assert [one.body for one in taker.server.asked("PUT")] == [DATA, OTHER]


async def test_a_registry_that_says_nothing_of_how_far_it_is_has_got_all(
    client: RegistryClient, taker: ChunkTaker
) -> None:
    async def say_nothing(request: web.Request, work: Work) -> Reply:
        answer = await work()
        return Reply(202, b"", {"Location": answer.headers["Location"]})

    taker.always["PATCH"] = say_nothing
    await sent(client, taker)
    assert taker.methods == "POST PATCH PATCH PATCH PUT"


async def test_a_registry_that_stands_elsewhere_is_asked_where(client: RegistryClient, taker: ChunkTaker) -> None:
    async def forget_some(request: web.Request, work: Work) -> Reply:
        del taker.sessions[0][60:]
        return await work()

    taker.faults["PATCH", 1] = forget_some  # it answers 416
    source = await sent(client, taker)
    assert taker.methods == "POST PATCH PATCH GET PATCH PATCH PUT"
    assert taker.chunks == ["0-99", "100-199", "60-159", "160-249"]
    assert source.opened == [0, 60]


@pytest.mark.parametrize("fault", [lost, broken, instead(Reply(500))], ids=["lost", "broken", "500"])
async def test_after_a_chunk_without_an_answer_the_session_is_asked(
    client: RegistryClient, taker: ChunkTaker, fault: Fault
) -> None:
    taker.faults["PATCH", 1] = fault
    await sent(client, taker)
    assert taker.methods.startswith("POST PATCH PATCH GET PATCH")
    assert taker.methods.count("POST") == 1
    there = 200 if fault is lost else 100
    assert taker.chunks[2].startswith(f"{there}-")


async def test_a_session_that_has_no_byte_says_0_0_and_is_sent_the_first(
    client: RegistryClient, taker: ChunkTaker
) -> None:
    taker.faults["PATCH", 0] = broken
    await sent(client, taker)
    assert taker.methods.startswith("POST PATCH GET PATCH")
    assert taker.chunks[1] == "0-49"


async def test_where_the_session_died_with_its_answer_a_new_one_begins_in_smaller_chunks(
    client: RegistryClient, taker: ChunkTaker
) -> None:
    taker.strict = True
    taker.faults["PATCH", 1] = lost
    source = await sent(client, taker)
    assert taker.methods.startswith("POST PATCH PATCH GET POST PATCH")
    assert taker.chunks[:3] == ["0-99", "100-199", "0-49"]
    assert source.opened == [0, 0]


@pytest.mark.parametrize(
    "answer",
    [Reply(204), Reply(204, b"", {"Range": "x"}), Reply(204, b"", {"Range": "0-250"}), Reply(403), Reply(401)],
    ids=["no range", "nonsense", "too far", "403", "401"],
)
async def test_where_the_session_does_not_say_how_far_it_is_a_new_one_begins(
    client: RegistryClient, taker: ChunkTaker, answer: Reply
) -> None:
    taker.faults["PATCH", 1] = lost
    taker.faults["GET", 0] = instead(answer)
    await sent(client, taker)
    assert taker.methods.startswith("POST PATCH PATCH GET POST PATCH")


async def test_a_session_that_says_nothing_for_a_moment_is_asked_again(
    client: RegistryClient, taker: ChunkTaker
) -> None:
    taker.faults["PATCH", 1] = lost
    taker.faults["GET", 0] = instead(Reply(502))
    await sent(client, taker)
    assert taker.methods.startswith("POST PATCH PATCH GET GET PATCH")


async def test_a_session_that_is_lost_is_begun_anew(client: RegistryClient, taker: ChunkTaker) -> None:
    taker.faults["PATCH", 1] = instead(LOST)
    source = await sent(client, taker)
    assert taker.methods == "POST PATCH PATCH POST PATCH PATCH PATCH PUT"
    assert source.opened == [0, 0]


async def test_a_session_that_is_always_lost_is_given_up(client: RegistryClient, taker: ChunkTaker) -> None:
    taker.always["PATCH"] = instead(LOST)
    with pytest.raises(RegistryError, match="the registry lost the upload"):
        await Source().send(client, taker.server.host)
    assert taker.methods.count("PATCH") == 4


THREE_CHUNKS = "POST PATCH PATCH PATCH PUT"


@pytest.mark.parametrize("status", [400, 404, 405, 411, 415, 501])
async def test_a_registry_without_chunks_gets_whole_blobs_from_then_on(
    client: RegistryClient, taker: ChunkTaker, status: int
) -> None:
    taker.faults["PATCH", 0] = instead(Reply(status))
    await sent(client, taker)
    await sent(client, taker, OTHER)
    assert taker.methods == "POST PATCH POST PUT POST PUT"


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("status", [400, 404, 405, 411, 415, 501])
async def test_a_registry_that_has_taken_chunks_goes_on_getting_them(
    client: RegistryClient, taker: ChunkTaker, status: int, at: int
) -> None:
    taker.faults["PATCH", at] = instead(Reply(status))  # as a proxy answers while it is started again
    await sent(client, taker)
    await sent(client, taker, OTHER)
    assert taker.methods == f"POST {'PATCH ' * (at + 1)}{THREE_CHUNKS} {THREE_CHUNKS}"


@pytest.mark.parametrize("times", [1, 2])
async def test_a_registry_that_puts_chunks_together_wrongly_twice_gets_whole_blobs_from_then_on(
    client: RegistryClient, taker: ChunkTaker, times: int
) -> None:
    async def damage(request: web.Request, work: Work) -> Reply:
        answer = await work()
        taker.sessions[-1][150] ^= 1
        return answer

    for number in range(times):
        taker.faults["PATCH", 1 + 3 * number] = damage
    await sent(client, taker)
    await sent(client, taker, OTHER)
    rest = f"{THREE_CHUNKS} {THREE_CHUNKS}" if times == 1 else f"{THREE_CHUNKS} POST PUT POST PUT"
    assert taker.methods == f"{THREE_CHUNKS} {rest}"


async def test_where_even_the_whole_blob_is_refused_that_is_the_end(client: RegistryClient, taker: ChunkTaker) -> None:
    taker.always["PUT"] = instead(refusal(400, "DIGEST_INVALID"))
    with pytest.raises(RegistryError, match=r"answered 400 \(DIGEST_INVALID"):
        await Source().send(client, taker.server.host)
    assert taker.methods == f"{THREE_CHUNKS} {THREE_CHUNKS} POST PUT"


@pytest.mark.parametrize("status", [500, 502, 504, 524])
async def test_an_end_that_was_reached_in_spite_of_its_answer_is_found(
    client: RegistryClient, taker: ChunkTaker, status: int
) -> None:
    taker.faults["PUT", 0] = afterwards(Reply(status))
    await sent(client, taker)
    assert taker.methods == "POST PATCH PATCH PATCH PUT HEAD"


async def test_an_end_that_was_reached_without_an_answer_is_found(client: RegistryClient, taker: ChunkTaker) -> None:
    taker.faults["PUT", 0] = lost
    await sent(client, taker)
    assert taker.methods == "POST PATCH PATCH PATCH PUT HEAD"


@pytest.mark.parametrize("fault", [broken, instead(Reply(504)), instead(Reply(524))], ids=["broken", "504", "524"])
async def test_an_end_that_was_not_reached_is_tried_again_without_the_chunks(
    client: RegistryClient, taker: ChunkTaker, fault: Fault
) -> None:
    taker.faults["PUT", 0] = fault
    await sent(client, taker)
    assert taker.methods == "POST PATCH PATCH PATCH PUT HEAD GET PUT"


async def test_an_end_that_is_never_reached_is_given_up(client: RegistryClient, taker: ChunkTaker) -> None:
    taker.always["PUT"] = instead(Reply(524))
    with pytest.raises(RegistryError, match="the registry answered 524") as caught:
        await Source().send(client, taker.server.host)
    assert taker.methods.count("PUT") <= 5
    assert taker.methods.count("PATCH") == 3
    assert caught.value.hint


@pytest.mark.parametrize("lands", [True, False])
async def test_a_large_blob_that_may_land_yet_is_looked_for_a_few_times(scripted: Scripted, lands: bool) -> None:
    data = bytes(SMALL_BLOB + 1)
    taker = ChunkTaker(scripted, blobs=(data,))

    async def land(request: web.Request, work: Work) -> Reply:
        taker.blobs[sha256(data)] = data
        return await work()

    taker.faults["PUT", 0] = instead(Reply(524))
    if lands:
        taker.faults["HEAD", 2] = land
    halves = replace(IN_CHUNKS, chunks=ChunkBounds(smallest=1000, largest=500_001))
    async with open_client(settings=halves) as client:
        await sent(client, taker, data)
    assert taker.methods == "POST PATCH PATCH PUT " + (
        "HEAD HEAD HEAD" if lands else "HEAD HEAD HEAD HEAD HEAD GET PUT"
    )


async def test_a_chunk_that_a_proxy_cut_off_makes_chunks_smaller_for_good(
    client: RegistryClient, taker: ChunkTaker
) -> None:
    taker.faults["PATCH", 1] = instead(Reply(524))
    await sent(client, taker)
    await sent(client, taker, OTHER)
    sizes = [len(one.body) for one in taker.server.asked("PATCH")[2:]]
    assert sum(sizes) == 150 + 250
    assert max(sizes) == 50


async def test_a_whole_blob_that_a_proxy_cut_off_is_sent_in_chunks(client: RegistryClient, taker: ChunkTaker) -> None:
    data = DATA[:100]
    taker.server.on(f"HEAD /v2/app/worker/blobs/{sha256(data)}", Reply(404))
    taker.faults["PUT", 0] = instead(Reply(524))
    await sent(client, taker, data)
    assert taker.methods == "POST PUT HEAD POST PATCH PATCH PUT"
    assert taker.chunks == ["0-49", "50-99"]


async def test_what_is_too_large_is_tried_in_smaller_chunks(client: RegistryClient, taker: ChunkTaker) -> None:
    async def at_most_30(request: web.Request, work: Work) -> Reply:
        if (request.content_length or 0) <= 30:
            return await work()
        taker.server.received[-1].body = await request.read()
        return Reply(413)

    taker.always["PATCH"] = at_most_30
    await sent(client, taker)
    assert [len(one.body) for one in taker.server.asked("PATCH")] == [100, 50, *[25] * 10]


async def test_what_is_too_large_however_small_is_refused(client: RegistryClient, taker: ChunkTaker) -> None:
    taker.always["PATCH"] = instead(Reply(413))
    with pytest.raises(RegistryError, match="the registry answered 413"):
        await Source().send(client, taker.server.host)
    assert len(taker.chunks) <= 6


async def test_a_chunk_that_needs_a_fresh_token_is_sent_again_with_one(
    client: RegistryClient, taker: ChunkTaker
) -> None:
    taker.server.on("GET /token", token("first"), token("second"))
    challenge = asks_bearer(f"http://{taker.server.host}/token")
    taker.faults["POST", 0] = instead(challenge)
    taker.faults["PATCH", 1] = instead(challenge)
    source = await sent(client, taker)
    assert taker.methods == "POST GET POST PATCH PATCH GET PATCH PATCH PUT"
    assert taker.chunks == ["0-99", "100-199", "100-199", "200-249"]
    assert [one.authorization for one in taker.server.asked("PATCH")] == [
        *["Bearer first"] * 2,
        *["Bearer second"] * 2,
    ]
    assert source.opened == [0, 100]


async def test_a_fresh_token_that_is_refused_too_is_the_end(client: RegistryClient, taker: ChunkTaker) -> None:
    taker.server.on("GET /token", token("first"), token("second"), token("third"))
    challenge = asks_bearer(f"http://{taker.server.host}/token")
    taker.faults["POST", 0] = instead(challenge)
    taker.always["PATCH"] = instead(challenge)
    with pytest.raises(SignInError):
        await Source().send(client, taker.server.host)
    assert taker.methods == "POST GET POST PATCH GET PATCH"


async def test_the_least_that_a_registry_wants_in_a_chunk_is_sent(client: RegistryClient, taker: ChunkTaker) -> None:
    taker.post_headers["OCI-Chunk-Min-Length"] = "120"
    await sent(client, taker)
    assert taker.chunks == ["0-119", "120-239", "240-249"]


@pytest.mark.parametrize("least", ["x", "-5", "99999999999999", "²"])
async def test_nonsense_as_the_least_is_ignored(client: RegistryClient, taker: ChunkTaker, least: str) -> None:
    taker.post_headers["OCI-Chunk-Min-Length"] = least
    await sent(client, taker)
    assert taker.chunks[0] == "0-99"


async def test_there_are_as_many_tries_as_it_takes_while_it_gets_ahead(
    client: RegistryClient, taker: ChunkTaker
) -> None:
    taker.always["PATCH"] = lost
    await sent(client, taker)
    assert len(taker.chunks) > IN_CHUNKS.persistence.attempts


async def test_a_registry_may_be_away_for_longer_than_the_tries_of_a_small_request_take(taker: ChunkTaker) -> None:
    persistence = Persistence(attempts=2, first_wait=0.05)
    taker.always["PATCH"] = broken
    async with open_client(settings=replace(IN_CHUNKS, persistence=persistence)) as client:
        sending = asyncio.create_task(Source().send(client, taker.server.host))
        while len(taker.chunks) <= 2 * persistence.attempts:
            await asyncio.sleep(0)
        del taker.always["PATCH"]
        await sending


async def test_tries_that_get_no_further_are_numbered(client: RegistryClient, taker: ChunkTaker) -> None:
    for number in range(1, 100):
        taker.faults["PATCH", number] = broken
    with pytest.raises(RegistryUnreachable):
        await Source().send(client, taker.server.host)
    # The first of them got ahead, before it broke.
    assert taker.methods.count("PATCH") == 2 + IN_CHUNKS.persistence.attempts


async def test_an_upload_that_is_cancelled_between_chunks_leaves_nothing_open(
    client: RegistryClient, taker: ChunkTaker
) -> None:
    async def stuck(request: web.Request, work: Work) -> web.StreamResponse:
        return await hang(request)

    taker.faults["PATCH", 1] = stuck
    source = Source()
    sending = asyncio.create_task(source.send(client, taker.server.host))
    while len(taker.chunks) < 2:
        await asyncio.sleep(0)
    assert source.open == 1
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert source.open == 0
    await sent(client, taker, OTHER)


@pytest.mark.parametrize("server", ["docker-registry", "sandbox"])
async def test_real_registries_take_chunks(
    docker_registry: RegistryServer, sandbox: RunningSandbox, namespace: str, server: str
) -> None:
    place: RegistryServer | RunningSandbox = docker_registry if server == "docker-registry" else sandbox
    source = Source(bytes(range(256)) * 10, part=999)
    there = repository(place.host, f"{namespace}/worker")
    async with open_client({place.host: place.credentials}, settings=IN_CHUNKS) as client:
        await client.upload(there, source.blob, source, source.told.append)
        assert await client.read_small_blob(there, source.blob) == source.data
    assert sum(source.told) == len(source.data)
    assert source.opened == [0]
