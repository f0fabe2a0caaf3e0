"""Images in a registry."""

import asyncio
import json

import pytest

from replsync.errors import NotFound, UnsupportedImage
from replsync.oci.digest import Digest
from replsync.oci.image_manifest import OCI_INDEX
from replsync.oci.recipe import Recipe, Transforms
from replsync.oci.reference import Repository
from replsync.oci.source_name import RegistrySource, pinned
from replsync.oci.tag_state import Resolved
from replsync.registry.client import RegistryClient
from replsync.sources.by_name import Sources
from replsync.sources.registry_image import RegistryImage
from tests.registry.answers import served
from tests.registry.clients import tag
from tests.registry.scripted import Reply, Scripted
from tests.servers.images import build_image, build_index
from tests.servers.push import Uploader
from tests.servers.registry import RegistryServer

IMAGE = build_image({"a": b"1"})
OTHER = build_image({"b": b"2"})


@pytest.fixture
def there(docker_registry: RegistryServer, namespace: str) -> Uploader:
    """A repository with IMAGE as `1`."""
    uploader = Uploader(docker_registry.host, f"{namespace}/worker")
    uploader.put_image("1", IMAGE)
    return uploader


def named(there: Uploader, name: str = "1") -> RegistrySource:
    return RegistrySource(Repository(there.host, there.repository).tagged(name))


async def test_an_image_is_known_by_its_digest(there: Uploader, client: RegistryClient) -> None:
    source = RegistryImage(client, named(there))
    digest = Digest(IMAGE.digest)
    assert await source.identify() == Resolved(pinned(named(there), digest), digest)


async def test_a_missing_image_is_not_found(there: Uploader, client: RegistryClient) -> None:
    missing = named(there, "2")
    with pytest.raises(NotFound, match=f"^look up {missing.reference}: the registry has no such image$"):
        await RegistryImage(client, missing).identify()
    with pytest.raises(NotFound):
        await RegistryImage(client, missing).content()


async def test_the_content_of_an_index_is_all_its_blobs_once(there: Uploader, client: RegistryClient) -> None:
    index = build_index([IMAGE, OTHER, build_image({"a": b"1"}, platform="linux/arm64")])
    there.put_image("index", index)
    content = await RegistryImage(client, named(there, "index")).content()
    blobs = {digest: blob for image in index.images for digest, blob in image.blobs.items()}
    assert content.blobs is not None
    assert {blob.digest for blob in content.blobs} == set(blobs)
    assert content.total == sum(map(len, blobs.values()))


async def test_blobs_can_be_read_as_often_as_one_likes(there: Uploader, client: RegistryClient) -> None:
    async with RegistryImage(client, named(there)).open() as image:
        assert image.repository == named(there).reference.repository
        for _ in range(2):
            read = [b"".join([part async for part in image.read(blob)]) for blob in image.tree.blobs]
            assert read == [IMAGE.layers[0], IMAGE.config]


async def test_a_tag_that_moves_does_not_change_what_was_looked_at(there: Uploader, client: RegistryClient) -> None:
    source = RegistryImage(client, named(there))
    await source.identify()
    there.put_image("1", OTHER)
    async with source.open() as image:
        assert image.tree.root.digest == IMAGE.digest
    assert (await source.identify()).digest == IMAGE.digest


async def test_what_was_opened_first_is_what_is_identified_later(there: Uploader, client: RegistryClient) -> None:
    source = RegistryImage(client, named(there))
    await source.content()
    there.put_image("1", OTHER)
    assert (await source.identify()).digest == IMAGE.digest


async def test_a_digest_is_read_whatever_its_tag_points_at(there: Uploader, client: RegistryClient) -> None:
    exact = pinned(named(there), Digest(IMAGE.digest))
    there.put_image("1", OTHER)
    source = RegistryImage(client, exact)
    assert (await source.tree()).root.digest == IMAGE.digest
    assert await source.identify() == Resolved(exact, Digest(IMAGE.digest))


async def test_an_image_is_asked_for_once_by_many_at_once(scripted: Scripted, client: RegistryClient) -> None:
    index = build_index([IMAGE])
    scripted.on("HEAD /v2/app/worker/manifests/1", served(index.manifest, OCI_INDEX))
    scripted.on(f"GET /v2/app/worker/manifests/{index.digest}", served(index.manifest, OCI_INDEX))
    scripted.on(f"GET /v2/app/worker/manifests/{IMAGE.digest}", served())
    source = RegistryImage(client, RegistrySource(tag(scripted.host)))
    await asyncio.gather(source.identify(), source.content(), source.identify(), source.tree())
    assert [one.method for one in scripted.received] == ["HEAD", "GET", "GET"]


async def test_a_failed_look_up_is_not_remembered(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on("HEAD /v2/app/worker/manifests/1", Reply(404), served())
    source = RegistryImage(client, RegistrySource(tag(scripted.host)))
    with pytest.raises(NotFound):
        await source.identify()
    assert (await source.identify()).digest == IMAGE.digest


async def test_an_index_without_any_image_is_none(scripted: Scripted, client: RegistryClient) -> None:
    empty = build_index([])
    scripted.on("GET /v2/app/worker/manifests/1", served(empty.manifest, OCI_INDEX))
    with pytest.raises(UnsupportedImage, match="an index without any image"):
        await RegistryImage(client, RegistrySource(tag(scripted.host))).content()


async def test_entries_that_have_to_be_looked_at_are_bounded(scripted: Scripted, client: RegistryClient) -> None:
    unknown = {"os": "unknown", "architecture": "unknown"}
    entry = json.loads(build_index([IMAGE]).manifest)["manifests"][0] | {"platform": unknown}
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry] * 1001}
    scripted.on("GET /v2/app/worker/manifests/1", served(json.dumps(body).encode(), OCI_INDEX))
    source = RegistryImage(client, RegistrySource(tag(scripted.host)), Transforms("strip"))
    with pytest.raises(UnsupportedImage, match="more than 1000 entries"):
        await source.content()


async def test_a_helm_chart_is_no_image(scripted: Scripted, client: RegistryClient) -> None:
    chart = json.loads(IMAGE.manifest)
    chart["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
    answer = served(json.dumps(chart).encode())
    scripted.on("GET /v2/app/worker/manifests/1", answer)
    with pytest.raises(UnsupportedImage, match="a Helm chart and no container image"):
        await RegistryImage(client, RegistrySource(tag(scripted.host))).content()


async def test_sources_of_one_name_are_one_source(client: RegistryClient) -> None:
    sources = Sources(client)
    name = RegistrySource(tag("registry.example.com"))
    assert sources.of(Recipe(name)) is sources.of(Recipe(name))
