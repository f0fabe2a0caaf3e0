"""Large blobs and lists of tags at each kind of registry, with connections that break: each answers in its own way."""

import itertools
import random
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

import pytest

from replsync.oci.image_manifest import Descriptor
from replsync.oci.reference import Repository
from replsync.registry import tag_list
from replsync.registry.blob_upload import BlobBytes
from replsync.registry.chunk_size import ChunkBounds
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.persistence import Persistence
from tests.end_to_end.proxy import Asked, Cut, Proxy, Reaction, Script, proxy
from tests.registry.clients import blob_of, open_client
from tests.servers.any_registry import AnyRegistry
from tests.servers.images import build_image, digest_of
from tests.servers.push import Uploader

MB = 1_000_000
SETTINGS = Settings(persistence=Persistence(attempts=4, first_wait=0.01), chunks=ChunkBounds(MB, MB))
DATA = random.Random(4).randbytes(4 * MB + MB // 2)


@dataclass(frozen=True)
class Place:
    """A repository that doesn't exist yet, seen by the client through a proxy; `other` reads it by other means."""

    client: RegistryClient
    repository: Repository
    proxy: Proxy
    other: Uploader

    def methods(self, *methods: str) -> list[str]:
        """The requests for blobs with one of these methods, in order."""
        return [asked.method for asked in self.proxy.asked if asked.method in methods and "/blobs/" in asked.path]

    def digest(self, blob: Descriptor) -> str:
        """The digest of what is there as `blob`."""
        answer = self.other.request("GET", f"/v2/{self.repository.path}/blobs/{blob.digest}")
        assert answer.status == 200, answer
        return digest_of(answer.body)


@pytest.fixture
async def place(any_registry: AnyRegistry, namespace: str) -> AsyncIterator[Place]:
    path, creds = f"{namespace}/worker", any_registry.credentials
    with proxy(any_registry.host, lambda _: None) as seen:
        async with open_client({seen.host: creds}, settings=SETTINGS) as client:
            yield Place(client, Repository(seen.host, path), seen, Uploader(any_registry.host, path, creds))


# What a kind of registry does in its own way, and the client can't cope with yet.
def from_memory(data: bytes) -> BlobBytes:
    async def content(start: int) -> AsyncGenerator[bytes, None]:
        for at in range(start, len(data), 100_000):
            yield data[at : at + 100_000]

    return content


def cut(method: str, number: int) -> Script:
    """Cut the answer to the request of this number, counted from 1, of those for blobs with this method."""
    counted = itertools.count(1)

    def script(asked: Asked) -> Reaction:
        is_one = asked.method == method and "/blobs/" in asked.path
        return Cut() if is_one and next(counted) == number else None

    return script


async def test_a_large_blob_goes_in_chunks(place: Place) -> None:
    blob = blob_of(DATA)
    await place.client.upload(place.repository, blob, from_memory(DATA))
    assert place.digest(blob) == blob.digest
    assert place.methods("PATCH", "PUT") == [*["PATCH"] * 5, "PUT"]


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
async def test_an_upload_goes_on_where_an_answer_is_lost(place: Place, method: str) -> None:
    blob = blob_of(DATA)
    place.proxy.script = cut(method, 2 if method == "PATCH" else 1)
    await place.client.upload(place.repository, blob, from_memory(DATA))
    assert place.digest(blob) == blob.digest
    # Of what was sent not everything is sent again: the chunks stay in use.
    assert len(place.methods("PATCH")) <= 7


async def test_an_upload_in_chunks_begins_anew_where_its_session_is_lost(place: Place) -> None:
    blob, counted = blob_of(DATA), itertools.count(1)

    def cancel(asked: Asked) -> None:
        if asked.method == "PATCH" and next(counted) == 2:
            place.other.request("DELETE", asked.path)  # distribution's way to cancel; crane's registry doesn't know it

    place.proxy.script = cancel
    await place.client.upload(place.repository, blob, from_memory(DATA))
    assert place.digest(blob) == blob.digest
    assert place.methods("PATCH", "PUT")[2:] in ([*["PATCH"] * 3, "PUT"], [*["PATCH"] * 5, "PUT"])


async def test_a_download_goes_on_where_its_connection_breaks(place: Place) -> None:
    blob = blob_of(DATA)
    place.other.put_blob(blob.digest, DATA)
    place.proxy.script = cut("GET", 1)
    parts = [part async for part in place.client.read_blob(place.repository, blob)]
    assert b"".join(parts) == DATA
    assert len(place.methods("GET")) == 2


async def test_all_tags_are_listed_however_the_registry_pages_them(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_list, "_PAGE", 2)
    image = build_image({"a": b"1"})
    tags = ("1", "2", "3", "4", "5")
    for tag in tags:
        place.other.put_image(tag, image)
    assert await place.client.tags(place.repository) == tags
