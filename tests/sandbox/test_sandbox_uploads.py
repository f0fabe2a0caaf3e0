import asyncio
import hashlib
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replsync.sandbox import Answered, SandboxOptions, serve
from tests.sandbox.client import Answer, Client, open_client, sha256

NAME = "myapp/worker"
OTHER = "myapp/other"
CONTENT = b"0123456789" * 10
DIGEST = sha256(CONTENT)


async def status(client: Client, location: str) -> tuple[int, str | None]:
    answer = await client.ask("GET", location)
    return answer.status, answer.headers.get("Range")


async def patch(client: Client, location: str, content: bytes, content_range: str | None = None) -> Answer:
    headers = {"Content-Range": content_range} if content_range else {}
    return await client.ask("PATCH", location, content, headers)


async def finish(client: Client, location: str, content: bytes = b"", digest: str = DIGEST) -> Answer:
    return await client.ask("PUT", f"{location}&digest={digest}", content)


async def assert_stored(client: Client, content: bytes = CONTENT) -> None:
    answer = await client.ask("GET", f"/v2/{NAME}/blobs/{sha256(content)}")
    assert (answer.status, answer.body) == (200, content)


async def in_pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@asynccontextmanager
async def connected(client: Client, method: str, location: str) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    """A connection of its own, on which CONTENT is announced and the server waits for it."""
    reader, writer = await asyncio.open_connection(*client.host.split(":"))
    head = f"{method} {location} HTTP/1.1\r\nHost: {client.host}\r\nAuthorization: Bearer {client.token}\r\n"
    writer.write(f"{head}Expect: 100-continue\r\nContent-Length: {len(CONTENT)}\r\n\r\n".encode())
    try:
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def half_sent(client: Client, method: str, location: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """A request with CONTENT that is under way; call what it yields to send the rest and get the status."""
    async with connected(client, method, location) as (reader, writer):
        writer.write(CONTENT[:40])
        await writer.drain()

        async def rest() -> int:
            writer.write(CONTENT[40:])
            return int((await reader.readline()).split()[1])

        yield rest


async def test_a_new_upload_has_a_relative_location_with_a_query(client: Client) -> None:
    answer = await client.ask("POST", f"/v2/{NAME}/blobs/uploads/")
    session = answer.headers["Docker-Upload-UUID"]
    assert answer.status == 202
    assert answer.headers["Location"].startswith(f"/v2/{NAME}/blobs/uploads/{session}?_state=")
    assert answer.headers["Range"] == "0-0"


@pytest.mark.parametrize("query", ["", "?_state=", "?_state=made-up"])
async def test_a_location_without_its_query_is_refused(client: Client, query: str) -> None:
    location = await client.start_upload(NAME)
    answer = await patch(client, location.partition("?")[0] + query, CONTENT)
    assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_INVALID")
    assert (await status(client, location)) == (204, "0-0")


async def test_one_put_uploads_a_blob(client: Client) -> None:
    answer = await finish(client, await client.start_upload(NAME), CONTENT)
    assert answer.status == 201
    assert answer.headers["Location"] == f"/v2/{NAME}/blobs/{DIGEST}"
    assert answer.headers["Docker-Content-Digest"] == DIGEST
    await assert_stored(client)


async def test_a_post_with_a_digest_uploads_a_blob_at_once(client: Client) -> None:
    answer = await client.ask("POST", f"/v2/{NAME}/blobs/uploads/?digest={DIGEST}", CONTENT)
    assert (answer.status, answer.headers["Location"]) == (201, f"/v2/{NAME}/blobs/{DIGEST}")
    await assert_stored(client)


async def test_a_post_with_the_wrong_digest_stores_nothing(client: Client) -> None:
    answer = await client.ask("POST", f"/v2/{NAME}/blobs/uploads/?digest={DIGEST}", CONTENT + b"!")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    assert (await client.ask("HEAD", f"/v2/{NAME}/blobs/{DIGEST}")).status == 404


async def test_chunks_with_content_range_are_joined(client: Client) -> None:
    location = await client.start_upload(NAME)
    first = await patch(client, location, CONTENT[:30], "0-29")
    assert (first.status, first.headers["Range"]) == (202, "0-29")
    second = await patch(client, first.headers["Location"], CONTENT[30:], "30-99")
    assert (second.status, second.headers["Range"]) == (202, "0-99")
    assert (await finish(client, second.headers["Location"])).status == 201
    await assert_stored(client)


async def test_a_chunk_without_content_range_is_added_at_the_end(client: Client) -> None:
    location = await client.start_upload(NAME)
    await patch(client, location, CONTENT[:30])
    assert (await patch(client, location, CONTENT[30:60])).headers["Range"] == "0-59"
    assert (await finish(client, location, CONTENT[60:])).status == 201
    await assert_stored(client)


async def test_a_body_of_unknown_length_is_taken(client: Client) -> None:
    location = await client.start_upload(NAME)
    answer = await client.ask("PATCH", location, in_pieces(CONTENT, 7))
    assert (answer.status, answer.headers["Range"]) == (202, "0-99")
    assert (await finish(client, location)).status == 201


async def test_a_compressed_body_is_stored_as_it_was_sent(client: Client) -> None:
    content = b"\x1f\x8b not really gzip"
    location = await client.start_upload(NAME)
    answer = await client.ask("PUT", f"{location}&digest={sha256(content)}", content, {"Content-Encoding": "gzip"})
    assert answer.status == 201
    await assert_stored(client, content)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("first", [0, 29, 31, 60])
async def test_a_chunk_at_the_wrong_offset_is_refused_and_told_where_to_go_on(
    client: Client, method: str, first: int
) -> None:
    location = await client.start_upload(NAME)
    await patch(client, location, CONTENT[:30], "0-29")
    wrong = {"Content-Range": f"{first}-{first + 9}"}
    answer = await client.ask(method, f"{location}&digest={DIGEST}", b"x" * 10, wrong)
    assert (answer.status, answer.code) == (416, "RANGE_INVALID")
    assert (answer.headers["Location"], answer.headers["Range"]) == (location, "0-29")
    assert (await finish(client, location, CONTENT[30:])).status == 201


async def test_the_last_chunk_may_come_with_content_range(client: Client) -> None:
    location = await client.start_upload(NAME)
    await patch(client, location, CONTENT[:30], "0-29")
    answer = await client.ask("PUT", f"{location}&digest={DIGEST}", CONTENT[30:], {"Content-Range": "30-99"})
    assert answer.status == 201


@pytest.mark.parametrize("content_range", ["bytes 0-9/10", "0-", "-9", "x", "0-9,10-19", "9" * 5000 + "-0"])
async def test_a_malformed_content_range_is_refused(client: Client, content_range: str) -> None:
    location = await client.start_upload(NAME)
    answer = await patch(client, location, b"x" * 10, content_range)
    assert (answer.status, answer.code) == (400, "BLOB_UPLOAD_INVALID")
    assert (await status(client, location)) == (204, "0-0")


@pytest.mark.parametrize("content_range", ["30-38", "30-40", "30-29", "30-0"])
async def test_a_chunk_of_another_length_than_its_content_range_leaves_the_upload_as_it_was(
    client: Client, content_range: str
) -> None:
    location = await client.start_upload(NAME)
    await patch(client, location, CONTENT[:30])
    answer = await patch(client, location, b"x" * 10, content_range)
    assert (answer.status, answer.code) == (400, "SIZE_INVALID")
    assert (await finish(client, location, CONTENT[30:])).status == 201


async def test_the_status_tells_what_was_received(client: Client) -> None:
    location = await client.start_upload(NAME)
    await patch(client, location, CONTENT[:30])
    answer = await client.ask("GET", location)
    assert (answer.status, answer.headers["Range"], answer.headers["Location"]) == (204, "0-29", location)


async def test_an_upload_can_be_cancelled(client: Client) -> None:
    location = await client.start_upload(NAME)
    assert (await client.ask("DELETE", location)).status == 204
    answer = await client.ask("GET", location)
    assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
async def test_a_finished_upload_is_unknown(client: Client, method: str) -> None:
    location = await client.start_upload(NAME)
    await finish(client, location, CONTENT)
    answer = await client.ask(method, f"{location}&digest={DIGEST}")
    assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("session", ["made-up", "..%2F..%2Fsandbox.db", "%00"])
async def test_an_upload_that_never_was_is_unknown(client: Client, session: str) -> None:
    answer = await client.ask("PATCH", f"/v2/{NAME}/blobs/uploads/{session}?_state=x", CONTENT)
    assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")


async def test_an_upload_belongs_to_its_repository(client: Client) -> None:
    location = await client.start_upload(NAME)
    answer = await client.ask("GET", location.replace(NAME, OTHER))
    assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")


async def test_the_wrong_digest_ends_the_upload(client: Client) -> None:
    location = await client.start_upload(NAME)
    answer = await finish(client, location, CONTENT + b"!")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    assert answer.json()["errors"][0]["detail"]["actual"] == sha256(CONTENT + b"!")
    assert (await status(client, location))[0] == 404
    assert (await client.ask("HEAD", f"/v2/{NAME}/blobs/{DIGEST}")).status == 404


@pytest.mark.parametrize("digest", ["", "sha256:abc", "md5:" + "0" * 32, "sha256:../../../etc/passwd"])
async def test_a_malformed_digest_is_refused_and_the_upload_goes_on(client: Client, digest: str) -> None:
    location = await client.start_upload(NAME)
    answer = await finish(client, location, CONTENT, digest)
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    assert (await finish(client, location, CONTENT)).status == 201


async def test_a_sha512_digest_is_taken(client: Client) -> None:
    digest = "sha512:" + hashlib.sha512(CONTENT).hexdigest()
    assert (await finish(client, await client.start_upload(NAME), CONTENT, digest)).status == 201
    assert (await client.ask("GET", f"/v2/{NAME}/blobs/{digest}")).body == CONTENT


async def test_pushing_a_blob_again_is_harmless(client: Client) -> None:
    await client.push_blob(NAME, CONTENT)
    await client.push_blob(NAME, CONTENT)
    await assert_stored(client)


async def test_uploads_of_one_blob_at_a_time_are_harmless(client: Client) -> None:
    await asyncio.gather(*(client.push_blob(NAME, CONTENT) for _ in range(8)))
    await assert_stored(client)


@pytest.mark.parametrize(
    ("first", "second", "statuses"),
    [("PATCH", "DELETE", (202, 204)), ("PUT", "PATCH", (201, 404)), ("PUT", "DELETE", (201, 404))],
)
async def test_a_request_waits_for_the_one_before_it_on_the_same_upload(
    client: Client, first: str, second: str, statuses: tuple[int, int]
) -> None:
    location = await client.start_upload(NAME) + f"&digest={DIGEST}"
    async with (
        half_sent(client, first, location) as finish_first,
        half_sent(client, second, location) as finish_second,
    ):
        assert (await finish_first(), await finish_second()) == statuses


async def test_chunks_sent_at_a_time_do_not_mix(client: Client) -> None:
    location = await client.start_upload(NAME)
    answers = await asyncio.gather(*(patch(client, location, CONTENT, "0-99") for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [202, 416, 416, 416]
    assert (await finish(client, location)).status == 201


async def test_a_mount_makes_a_blob_of_another_repository_visible(client: Client) -> None:
    await client.push_blob(OTHER, CONTENT)
    answer = await client.ask("POST", f"/v2/{NAME}/blobs/uploads/?mount={DIGEST}&from={OTHER}")
    assert (answer.status, answer.headers["Location"]) == (201, f"/v2/{NAME}/blobs/{DIGEST}")
    assert answer.headers["Docker-Content-Digest"] == DIGEST
    await assert_stored(client)


@pytest.mark.parametrize("source", [f"&from={OTHER}", "", "&from=../up", "&from=myapp/unknown"])
async def test_a_mount_of_a_blob_that_is_not_there_becomes_an_upload(client: Client, source: str) -> None:
    answer = await client.ask("POST", f"/v2/{NAME}/blobs/uploads/?mount={DIGEST}{source}")
    assert answer.status == 202
    assert (await finish(client, answer.headers["Location"], CONTENT)).status == 201


async def test_a_mount_without_the_right_to_pull_the_source_becomes_an_upload(client: Client) -> None:
    await client.push_blob(OTHER, CONTENT)
    limited = await client.signed_in(f"repository:{NAME}:pull,push")
    answer = await limited.ask("POST", f"/v2/{NAME}/blobs/uploads/?mount={DIGEST}&from={OTHER}")
    assert answer.status == 202
    assert (await limited.ask("HEAD", f"/v2/{NAME}/blobs/{DIGEST}")).status == 404


async def test_a_mount_of_a_malformed_digest_is_refused(client: Client) -> None:
    answer = await client.ask("POST", f"/v2/{NAME}/blobs/uploads/?mount=sha256:abc&from={OTHER}")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


async def test_what_came_in_before_a_connection_broke_off_is_kept() -> None:
    broken = asyncio.Event()

    def observe(answered: Answered) -> None:
        if answered.status == 499:
            assert (answered.method, answered.received) == ("PATCH", 40)
            broken.set()

    async with serve(SandboxOptions(), observe) as sandbox, open_client(sandbox.host, f"repository:{NAME}:*") as client:
        location = await client.start_upload(NAME)
        async with connected(client, "PATCH", location) as (_, writer):
            writer.write(CONTENT[:40])
        await broken.wait()
        assert await status(client, location) == (204, "0-39")
        assert (await finish(client, location, CONTENT[40:])).status == 201


@settings(max_examples=25)
@given(content=st.binary(max_size=300), sizes=st.lists(st.integers(0, 100), max_size=6), ranged=st.booleans())
def test_any_cut_into_chunks_gives_the_same_blob(content: bytes, sizes: list[int], ranged: bool) -> None:
    async def upload() -> None:
        async with serve(SandboxOptions()) as sandbox, open_client(sandbox.host, f"repository:{NAME}:*") as client:
            location, sent = await client.start_upload(NAME), 0
            for size in sizes:
                chunk = content[sent : sent + size]
                where = f"{sent}-{sent + len(chunk) - 1}" if ranged and chunk else None
                answer = await patch(client, location, chunk, where)
                sent += len(chunk)
                assert (answer.status, answer.headers["Range"]) == (202, f"0-{max(sent - 1, 0)}")
                location = answer.headers["Location"]
            assert (await finish(client, location, content[sent:], sha256(content))).status == 201
            await assert_stored(client, content)

    asyncio.run(upload())
