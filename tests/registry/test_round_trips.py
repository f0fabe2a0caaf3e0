"""The client against real registries of each kind, the sandbox with its token sign-in among them."""

import gzip
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from replsync.errors import NotFound, RegistryError, UnsupportedImage
from replsync.oci.digest import Digest, sha256
from replsync.oci.image_manifest import OCI_MANIFEST, ImageIndex, parse_document
from replsync.oci.reference import Repository
from replsync.oci.tag_state import Absent, Present
from replsync.registry.client import RegistryClient
from replsync.registry.inventory import read_tag
from replsync.registry.together import together
from tests.registry.clients import blob_of, body_of, open_client
from tests.servers.any_registry import AnyRegistry
from tests.servers.images import BuiltImage, Media, build_image, build_index
from tests.servers.push import Uploader
from tests.servers.sandbox import RunningSandbox

IMAGE = build_image({"a": b"1"}, labels={"who": "tests"})


@dataclass(frozen=True)
class Place:
    """A repository that doesn't exist yet, on a real registry; `other` reads it by other means."""

    kind: str
    client: RegistryClient
    repository: Repository
    other: Uploader

    async def upload(self, image: BuiltImage) -> None:
        await together(
            self.client.upload(self.repository, blob_of(blob), body_of(blob)) for blob in image.blobs.values()
        )


@pytest.fixture
async def place(any_registry: AnyRegistry, namespace: str) -> AsyncIterator[Place]:
    repository = Repository(any_registry.host, f"{namespace}/worker")
    async with open_client({any_registry.host: any_registry.credentials}) as client:
        other = Uploader(repository.host, repository.path, any_registry.credentials)
        yield Place(any_registry.kind, client, repository, other)


def odd(manifest: bytes) -> bytes:
    """The same JSON, written as no program writes it."""
    return b" \n" + json.dumps(json.loads(manifest), indent="\t ", separators=(" ,", " :  ")).encode() + b"\r\n\n"


async def test_an_image_manifest_is_written_byte_for_byte(place: Place) -> None:
    raw = odd(IMAGE.manifest)
    await place.upload(IMAGE)
    await place.client.put(place.repository.tagged("1.0"), raw, IMAGE.media_type)
    answer = place.other.request("GET", f"/v2/{place.repository.path}/manifests/1.0", headers={"Accept": OCI_MANIFEST})
    assert answer.body == raw


@pytest.mark.parametrize("media", ["oci", "docker"])
async def test_an_image_manifest_is_read_byte_for_byte(place: Place, media: Media) -> None:
    image = build_image({"a": b"1"}, media=media)
    raw = odd(image.manifest)
    for digest, blob in image.blobs.items():
        place.other.put_blob(digest, blob)
    place.other.put_manifest("1.0", raw, image.media_type)
    fetched = await place.client.fetch(place.repository.tagged("1.0"))
    assert (fetched.raw, fetched.media_type, fetched.digest) == (raw, image.media_type, sha256(raw))
    assert await place.client.fetch(place.repository.at(sha256(raw))) == fetched


@pytest.mark.parametrize("media", ["oci", "docker"])
async def test_a_head_says_what_a_tag_and_a_digest_point_at(place: Place, media: Media) -> None:
    image = build_image({"a": b"1"}, media=media)
    place.other.put_image("1.0", image)
    for reference in (place.repository.tagged("1.0"), place.repository.at(Digest(image.digest))):
        found = await place.client.head(reference)
        assert found
        assert (found.media_type, found.digest, found.size) == (image.media_type, image.digest, len(image.manifest))


@pytest.mark.parametrize("media", ["oci", "docker"])
async def test_an_index_is_read_with_its_children(place: Place, media: Media) -> None:
    images = [build_image({"a": b"1"}, platform=name, media=media) for name in ("linux/amd64", "linux/arm64/v8")]
    index = build_index(images, media=media)
    place.other.put_image("1.0", index)
    tree = await place.client.tree(place.repository.tagged("1.0"))
    assert isinstance(tree.root, ImageIndex)
    assert tree.root.raw == index.manifest
    assert {digest: document.raw for digest, document in tree.below.items()} == {
        image.digest: image.manifest for image in images
    }


async def test_an_index_is_written_after_its_children(place: Place) -> None:
    index = build_index([IMAGE])
    reference = place.repository.tagged("1.0")
    with pytest.raises(RegistryError, match=r"^push .*answered 40[04] \(MANIFEST_(BLOB_)?UNKNOWN"):
        await place.client.put(reference, index.manifest, index.media_type)
    await place.upload(IMAGE)
    await place.client.put(place.repository.at(Digest(IMAGE.digest)), IMAGE.manifest, IMAGE.media_type)
    await place.client.put(reference, index.manifest, index.media_type)
    assert (await place.client.fetch(reference)).raw == index.manifest


async def test_an_image_manifest_of_some_megabytes(place: Place) -> None:
    raw = json.dumps({**json.loads(IMAGE.manifest), "annotations": {"long": "x" * 3_000_000}}).encode()
    await place.upload(IMAGE)
    await place.client.put(place.repository.tagged("1.0"), raw, IMAGE.media_type)
    assert (await place.client.fetch(place.repository.tagged("1.0"))).raw == raw


async def test_a_wrong_media_type_is_refused_by_the_registry_or_when_it_is_read(place: Place) -> None:
    docker, reference = build_image({"a": b"1"}, media="docker").media_type, place.repository.tagged("1.0")
    await place.upload(IMAGE)

    async def put_and_read() -> None:
        await place.client.put(reference, IMAGE.manifest, docker)
        await place.client.tree(reference)

    said = "the registry answered 400|the registry calls it .*, but its mediaType is"
    with pytest.raises((RegistryError, UnsupportedImage), match=said):
        await put_and_read()


async def test_an_absent_repository_has_nothing(place: Place) -> None:
    assert await place.client.tags(place.repository) == ()
    assert await place.client.head(place.repository.tagged("1.0")) is None
    assert await read_tag(place.client, place.repository.tagged("1.0")) == Absent()
    assert not await place.client.has_blob(place.repository, sha256(b"x"))


async def test_an_absent_tag_is_absent(place: Place) -> None:
    place.other.put_image("1.0", IMAGE)
    reference = place.repository.tagged("2.0")
    assert await place.client.head(reference) is None
    assert await read_tag(place.client, reference) == Absent()
    with pytest.raises(NotFound, match=f"^read {reference}: the registry answered 404 .MANIFEST_UNKNOWN"):
        await place.client.fetch(reference)


async def test_an_absent_digest_is_not_found(place: Place) -> None:
    place.other.put_image("1.0", IMAGE)
    with pytest.raises(NotFound):
        await place.client.fetch(place.repository.at(sha256(b"x")))


async def test_an_absent_blob_is_not_found(place: Place) -> None:
    place.other.put_image("1.0", IMAGE)
    with pytest.raises(NotFound, match="BLOB_UNKNOWN"):
        await place.client.read_small_blob(place.repository, blob_of(b"x"))


async def test_a_present_tag_is_present(place: Place) -> None:
    place.other.put_image("1.0", IMAGE)
    state = await read_tag(place.client, place.repository.tagged("1.0"))
    assert state == Present(Digest(IMAGE.digest), IMAGE.media_type, Digest(IMAGE.config_digest))


async def test_tags_are_sorted(place: Place) -> None:
    for tag in ("b", "A", "a", "1.10", "1.9", "_x"):
        place.other.put_image(tag, IMAGE)
    assert await place.client.tags(place.repository) == ("1.10", "1.9", "A", "_x", "a", "b")


async def test_a_blob_of_several_megabytes_arrives_whole(place: Place) -> None:
    parts = [hashlib.sha512(bytes([number])).digest() * 8192 for number in range(12)]
    data = b"".join(parts)
    await place.client.upload(place.repository, blob_of(data), body_of(*parts))
    read = [part async for part in place.client.read_blob(place.repository, blob_of(data))]
    assert b"".join(read) == data
    assert len(read) > 1


async def test_an_empty_blob_arrives(place: Place) -> None:
    await place.client.upload(place.repository, blob_of(b""), body_of())
    assert await place.client.has_blob(place.repository, sha256(b""))
    assert await place.client.read_small_blob(place.repository, blob_of(b"")) == b""


async def test_a_blob_that_is_there_may_be_sent_again(place: Place) -> None:
    for _ in range(2):
        await place.client.upload(place.repository, blob_of(b"data"), body_of(b"data"))
    assert await place.client.read_small_blob(place.repository, blob_of(b"data")) == b"data"


async def test_wrong_bytes_are_refused_and_not_kept(place: Place) -> None:
    with pytest.raises(RegistryError, match=f"push {blob_of(b'data').digest}.*400.*_INVALID"):
        await place.client.upload(place.repository, blob_of(b"data"), body_of(b"evil"))
    assert not await place.client.has_blob(place.repository, sha256(b"data"))
    assert not await place.client.has_blob(place.repository, sha256(b"evil"))


async def test_a_body_that_ends_early_is_refused_and_not_kept(place: Place) -> None:
    with pytest.raises(RegistryError, match=r"^the source gives fewer bytes than were announced$"):
        await place.client.upload(place.repository, blob_of(b"data"), body_of(b"dat"))
    assert not await place.client.has_blob(place.repository, sha256(b"data"))


@pytest.mark.parametrize("parts", [(b"data and more",), (b"data", b" and more")], ids=["one part", "two parts"])
async def test_a_body_of_more_bytes_than_its_blob_is_refused(place: Place, parts: tuple[bytes, ...]) -> None:
    with pytest.raises(RegistryError, match=r"^the source gives more bytes than were announced$"):
        await place.client.upload(place.repository, blob_of(b"data"), body_of(*parts))


async def test_a_body_of_more_bytes_than_its_blob_is_not_kept_where_they_are_others(place: Place) -> None:
    with pytest.raises(RegistryError, match=r"^the source gives more bytes than were announced$"):
        await place.client.upload(place.repository, blob_of(b"data"), body_of(b"evil and more"))
    assert not await place.client.has_blob(place.repository, sha256(b"data"))
    assert not await place.client.has_blob(place.repository, sha256(b"evil"))


async def test_a_blob_is_mounted_from_a_repository_that_has_it(place: Place) -> None:
    elsewhere = Repository(place.repository.host, f"{place.repository.path}/base")
    await place.client.upload(elsewhere, blob_of(b"data"), body_of(b"data"))
    mounted = await place.client.mount(place.repository, sha256(b"data"), elsewhere)
    assert mounted == (place.kind != "crane_registry")  # which shows each blob in every repository anyway
    assert await place.client.has_blob(place.repository, sha256(b"data"))


async def test_a_blob_is_not_mounted_from_where_it_is_not(place: Place) -> None:
    elsewhere = Repository(place.repository.host, f"{place.repository.path}/base")
    assert not await place.client.mount(place.repository, sha256(b"data"), elsewhere)
    assert not await place.client.has_blob(place.repository, sha256(b"data"))


async def test_a_registry_answers_a_ping(place: Place) -> None:
    await place.client.ping(place.repository.host)


async def test_a_whole_image_goes_over_as_it_is(place: Place) -> None:
    await place.upload(IMAGE)
    await place.client.put(place.repository.tagged("1.0"), IMAGE.manifest, IMAGE.media_type)
    tree = await place.client.tree(place.repository.tagged("1.0"))
    assert tree.root == parse_document(IMAGE.manifest, IMAGE.media_type)
    read = [await place.client.read_small_blob(place.repository, blob) for blob in tree.blobs]
    assert {sha256(blob): blob for blob in read} == IMAGE.blobs
    assert gzip.decompress(read[0])


async def test_the_sandbox_lists_more_tags_than_fit_a_page(sandbox: RunningSandbox) -> None:
    worker = Uploader(sandbox.host, "app/worker", sandbox.credentials)
    worker.put_image("first", IMAGE)
    async with open_client({sandbox.host: sandbox.credentials}) as client:
        repository = Repository(sandbox.host, "app/worker")
        names = [f"t{number:04}" for number in range(1005)]
        await together(client.put(repository.tagged(name), IMAGE.manifest, IMAGE.media_type) for name in names)
        assert await client.tags(repository) == ("first", *names)
    assert [one.path for one in sandbox.answered].count("/v2/app/worker/tags/list") == 2
