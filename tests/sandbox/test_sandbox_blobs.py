import pytest

from tests.sandbox.client import Client, sha256

NAME = "myapp/worker"
CONTENT = b"0123456789" * 10
BLOB = f"/v2/{NAME}/blobs/{sha256(CONTENT)}"


@pytest.fixture
async def pushed(client: Client) -> Client:
    """A client of a sandbox that has CONTENT as a blob of NAME."""
    await client.push_blob(NAME, CONTENT)
    return client


async def test_a_blob_comes_with_its_digest_and_length(pushed: Client) -> None:
    answer = await pushed.ask("GET", BLOB)
    assert (answer.status, answer.body) == (200, CONTENT)
    assert answer.headers["Docker-Content-Digest"] == sha256(CONTENT)
    assert answer.headers["Content-Length"] == "100"
    assert answer.headers["Content-Type"] == "application/octet-stream"


async def test_a_head_says_the_same_without_the_blob(pushed: Client) -> None:
    get, head = await pushed.ask("GET", BLOB), await pushed.ask("HEAD", BLOB)
    names = ("Docker-Content-Digest", "Content-Length", "Content-Type", "Accept-Ranges")
    assert (head.status, head.body) == (200, b"")
    assert {name: head.headers[name] for name in names} == {name: get.headers[name] for name in names}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_unknown_blob_is_not_found(client: Client, method: str) -> None:
    answer = await client.ask(method, BLOB)
    assert answer.status == 404
    assert method == "HEAD" or answer.code == "BLOB_UNKNOWN"


async def test_a_blob_of_one_repository_is_not_in_another(pushed: Client) -> None:
    answer = await pushed.ask("GET", BLOB.replace(NAME, "myapp/other"))
    assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")


@pytest.mark.parametrize(
    ("asked", "content_range", "body"),
    [
        ("bytes=0-9", "bytes 0-9/100", CONTENT[:10]),
        ("bytes=95-", "bytes 95-99/100", CONTENT[95:]),
        ("bytes=-5", "bytes 95-99/100", CONTENT[95:]),
        ("bytes=90-1000", "bytes 90-99/100", CONTENT[90:]),
        ("bytes=-1000", "bytes 0-99/100", CONTENT),
    ],
)
async def test_a_part_of_a_blob(pushed: Client, asked: str, content_range: str, body: bytes) -> None:
    answer = await pushed.ask("GET", BLOB, headers={"Range": asked})
    assert (answer.status, answer.headers["Content-Range"], answer.body) == (206, content_range, body)


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=200-300", "bytes=9-5", "bytes=0-1,5-6", "bytes=-", "lines=1-2"])
async def test_a_range_that_the_blob_does_not_have_is_refused(pushed: Client, asked: str) -> None:
    answer = await pushed.ask("GET", BLOB, headers={"Range": asked})
    assert (answer.status, answer.code) == (416, "RANGE_INVALID")
    assert answer.headers["Content-Range"] == "bytes */100"


async def test_an_empty_blob(client: Client) -> None:
    digest = await client.push_blob(NAME, b"")
    assert (await client.ask("GET", f"/v2/{NAME}/blobs/{digest}")).body == b""
    answer = await client.ask("GET", f"/v2/{NAME}/blobs/{digest}", headers={"Range": "bytes=-5"})
    assert (answer.status, answer.code) == (416, "RANGE_INVALID")


async def test_a_blob_cannot_be_deleted(pushed: Client) -> None:
    answer = await pushed.ask("DELETE", BLOB)
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    assert (await pushed.ask("HEAD", BLOB)).status == 200


@pytest.mark.parametrize("digest", ["sha256:abc", "sha256:..%2F..%2F..%2Fetc%2Fpasswd", "latest", "sha256:" + "A" * 64])
async def test_a_malformed_digest_is_refused(client: Client, digest: str) -> None:
    answer = await client.ask("GET", f"/v2/{NAME}/blobs/{digest}")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("name", ["..%2F..", "a/..%2Fb", "UPPER", "a//b", "a%00", "-a", "a" * 256])
async def test_a_malformed_repository_name_is_refused(client: Client, name: str) -> None:
    answer = await client.ask("GET", f"/v2/{name}/blobs/{sha256(CONTENT)}")
    assert (answer.status, answer.code) == (400, "NAME_INVALID")


async def test_an_escaped_slash_is_a_slash(pushed: Client) -> None:
    assert (await pushed.ask("GET", BLOB.replace(NAME, "myapp%2Fworker"))).body == CONTENT
