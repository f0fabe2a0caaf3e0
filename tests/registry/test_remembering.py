"""Image manifests are asked for once in a run, by digest; a tag is asked for each time."""

import json

import pytest

from replsync.errors import NotFound
from replsync.oci.digest import Digest, sha256
from replsync.oci.image_manifest import MAX_SIZE, OCI_MANIFEST, Descriptor
from replsync.registry.client import RegistryClient
from tests.registry.answers import IMAGE, MANIFEST, served
from tests.registry.clients import repository, tag
from tests.registry.scripted import Reply, Scripted, refusal

DIGEST = Digest(IMAGE.digest)
EXACT = f"GET /v2/app/worker/manifests/{DIGEST}"


def methods(scripted: Scripted) -> list[str]:
    return [one.method for one in scripted.received]


async def test_an_image_manifest_is_read_once_by_its_digest(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(EXACT, served())
    reference = repository(scripted.host).at(DIGEST)
    first = await client.fetch(reference)
    assert await client.fetch(reference) is first
    assert methods(scripted) == ["GET"]


async def test_what_was_read_by_tag_is_known_by_digest(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, served())
    first = await client.fetch(tag(scripted.host))
    assert await client.fetch(repository(scripted.host).at(DIGEST)) == first
    assert methods(scripted) == ["GET"]


async def test_what_was_read_needs_no_look_up(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, served())
    await client.fetch(tag(scripted.host))
    found = await client.head(repository(scripted.host).at(DIGEST))
    assert found == Descriptor(OCI_MANIFEST, DIGEST, len(IMAGE.manifest))
    assert methods(scripted) == ["GET"]


async def test_a_tag_is_asked_for_each_time(scripted: Scripted, client: RegistryClient) -> None:
    other = b'{"schemaVersion": 2}'
    scripted.on(MANIFEST, served(), served(other))
    scripted.on("HEAD /v2/app/worker/manifests/1", served(other))
    assert (await client.fetch(tag(scripted.host))).digest == DIGEST
    assert (await client.fetch(tag(scripted.host))).digest == sha256(other)
    found = await client.head(tag(scripted.host))
    assert found
    assert found.digest == sha256(other)
    assert methods(scripted) == ["GET", "GET", "HEAD"]


async def test_another_repository_is_asked_itself(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(EXACT, served())
    scripted.on(f"HEAD /v2/app/other/manifests/{DIGEST}", Reply(404))
    await client.fetch(repository(scripted.host).at(DIGEST))
    assert await client.head(repository(scripted.host, "app/other").at(DIGEST)) is None


async def test_what_was_not_there_is_asked_for_again(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(EXACT, refusal(404, "MANIFEST_UNKNOWN"), served())
    scripted.on(f"HEAD /v2/app/worker/manifests/{DIGEST}", Reply(404))
    reference = repository(scripted.host).at(DIGEST)
    assert await client.head(reference) is None
    with pytest.raises(NotFound):
        await client.fetch(reference)
    assert (await client.fetch(reference)).digest == DIGEST


async def test_the_last_used_are_remembered_within_a_bound_of_bytes(scripted: Scripted, client: RegistryClient) -> None:
    documents = [json.dumps({"n": number, "x": "x" * (MAX_SIZE - 100)}).encode() for number in range(10)]
    exactly = [repository(scripted.host).at(sha256(document)) for document in documents]
    for document in documents:
        scripted.on(f"GET /v2/app/worker/manifests/{sha256(document)}", served(document))
    for reference in exactly[:7]:
        await client.fetch(reference)
    await client.fetch(exactly[0])  # used again: so the second is the one that is used least
    assert len(scripted.received) == 7
    for reference in exactly[7:9]:
        await client.fetch(reference)
    scripted.received.clear()
    for reference in (exactly[0], exactly[2], exactly[8]):
        await client.fetch(reference)
    assert scripted.received == []
    await client.fetch(exactly[1])
    assert len(scripted.received) == 1
