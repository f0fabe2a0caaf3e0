"""What is remembered of where blobs are, and coroutines that run at once."""

import asyncio

import pytest

from replsync.errors import RegistryError
from replsync.oci.digest import sha256
from replsync.oci.reference import Repository
from replsync.registry.blob_map import MAX_SIBLINGS, BlobMap
from replsync.registry.client import RegistryClient
from replsync.registry.together import together
from tests.registry.clients import blob_of, body_of, repository
from tests.registry.scripted import Reply, Scripted, refusal
from tests.servers.registry import RegistryServer

DIGEST = sha256(b"data")


def has(scripted: Scripted, path: str, status: int = 200) -> None:
    scripted.on(f"HEAD /v2/{path}/blobs/{DIGEST}", Reply(status))


async def test_a_blob_is_asked_for_once(scripted: Scripted, client: RegistryClient) -> None:
    has(scripted, "app/worker")
    blobs = BlobMap(client, ())
    assert [await blobs.has(repository(scripted.host), DIGEST) for _ in range(3)] == [True] * 3
    assert len(scripted.received) == 1


async def test_a_blob_that_was_sent_is_known_without_asking(scripted: Scripted, client: RegistryClient) -> None:
    blobs = BlobMap(client, ())
    assert not await blobs.has(repository(scripted.host), DIGEST)
    blobs.note(repository(scripted.host), DIGEST)
    assert await blobs.has(repository(scripted.host), DIGEST)
    assert len(scripted.received) == 1


async def test_a_registry_that_does_not_say_is_an_error(scripted: Scripted, client: RegistryClient) -> None:
    has(scripted, "app/worker", 500)
    with pytest.raises(RegistryError, match=f"look up {DIGEST} in {repository(scripted.host)}"):
        await BlobMap(client, ()).has(repository(scripted.host), DIGEST)


async def test_a_sibling_that_has_the_blob_is_found(
    docker_registry: RegistryServer, client: RegistryClient, namespace: str
) -> None:
    base, worker = (repository(docker_registry.host, f"{namespace}/{name}") for name in ("base", "worker"))
    await client.upload(base, blob_of(b"data"), body_of(b"data"))
    blobs = BlobMap(client, (worker, base))
    assert await blobs.mountable(worker, DIGEST, None) == base
    assert await blobs.mountable(base, DIGEST, None) is None


async def test_a_sibling_that_fails_is_no_place_to_mount_from(scripted: Scripted, client: RegistryClient) -> None:
    has(scripted, "app/base", 403)
    has(scripted, "app/other")
    siblings = [repository(scripted.host, path) for path in ("app/base", "app/other")]
    assert await BlobMap(client, siblings).mountable(repository(scripted.host), DIGEST, None) == siblings[1]


async def test_the_source_itself_is_mounted_from_if_it_is_of_this_registry(client: RegistryClient) -> None:
    here, beside, elsewhere = repository("a.test"), repository("a.test", "app/base"), repository("b.test")
    blobs = BlobMap(client, ())
    found = [await blobs.mountable(here, DIGEST, source) for source in (beside, here, elsewhere)]
    assert found == [beside, None, None]


async def test_each_of_two_registries_has_a_place_to_mount_from(client: RegistryClient) -> None:
    first, second = (repository(host, "app/base") for host in ("a.test", "b.test"))
    blobs = BlobMap(client, (first, second))
    for one in (first, second):
        blobs.note(one, DIGEST)
    found = [await blobs.mountable(repository(one.host), DIGEST, None) for one in (first, second)]
    assert found == [first, second]


async def test_another_registry_is_no_place_to_mount_from(scripted: Scripted, client: RegistryClient) -> None:
    elsewhere = repository("127.0.0.1:1", "app/base")
    blobs = BlobMap(client, (elsewhere,))
    blobs.note(elsewhere, DIGEST)
    assert await blobs.mountable(repository(scripted.host), DIGEST, None) is None
    assert scripted.received == []


async def test_not_all_of_many_siblings_are_asked(scripted: Scripted, client: RegistryClient) -> None:
    siblings = [repository(scripted.host, f"app/image{number}") for number in range(50)]
    assert await BlobMap(client, siblings).mountable(repository(scripted.host), DIGEST, None) is None
    assert len(scripted.received) == MAX_SIBLINGS


@pytest.fixture
def tagless(scripted: Scripted) -> Repository:
    """A repository that says that it has no tags."""
    scripted.on("GET /v2/app/worker/tags/list", Reply(200, b'{"name": "app/worker", "tags": null}'))
    return repository(scripted.host)


async def test_a_repository_without_tags_is_taken_to_have_no_blob_unasked(
    scripted: Scripted, client: RegistryClient, tagless: Repository
) -> None:
    has(scripted, "app/worker")
    await client.tags(tagless)
    assert not await BlobMap(client, ()).has(tagless, DIGEST)
    assert scripted.asked("HEAD") == []


async def test_a_repository_whose_tags_nobody_asked_for_is_asked(
    scripted: Scripted, client: RegistryClient, tagless: Repository
) -> None:
    has(scripted, "app/worker")
    assert await BlobMap(client, ()).has(tagless, DIGEST)


async def test_a_look_finds_what_a_repository_without_tags_has_all_the_same(
    scripted: Scripted, client: RegistryClient, tagless: Repository
) -> None:
    has(scripted, "app/worker")
    await client.tags(tagless)
    blobs = BlobMap(client, ())
    assert await blobs.look(tagless, DIGEST)
    assert await blobs.has(tagless, DIGEST)
    assert len(scripted.asked("HEAD")) == 1


async def test_what_was_sent_to_a_repository_without_tags_is_known(
    scripted: Scripted, client: RegistryClient, tagless: Repository
) -> None:
    await client.tags(tagless)
    blobs = BlobMap(client, ())
    blobs.note(tagless, DIGEST)
    assert await blobs.has(tagless, DIGEST)
    other = repository(scripted.host, "app/other")
    assert await blobs.mountable(other, DIGEST, None) == tagless
    assert scripted.asked("HEAD") == []


async def test_siblings_without_tags_are_not_asked_and_take_nobodys_turn(
    scripted: Scripted, client: RegistryClient
) -> None:
    empty = [repository(scripted.host, f"app/a{number}") for number in range(MAX_SIBLINGS)]
    for one in empty:
        scripted.on(f"GET /v2/{one.path}/tags/list", refusal(404, "NAME_UNKNOWN"))
        assert await client.tags(one) == ()
    full = repository(scripted.host, "app/b")
    has(scripted, "app/b")
    assert await BlobMap(client, [*empty, full]).mountable(repository(scripted.host), DIGEST, None) == full
    assert len(scripted.asked("HEAD")) == 1


async def test_results_come_in_order() -> None:
    async def after(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    assert await together(after(turns) for turns in (3, 1, 2)) == [3, 1, 2]
    assert await together(after(turns) for turns in range(0)) == []


async def test_the_first_failure_is_raised_itself_and_ends_the_others() -> None:
    ended = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise RegistryError("first")

    with pytest.raises(RegistryError, match=r"^first$"):
        await together([wait(), fail()])
    assert ended.is_set()
