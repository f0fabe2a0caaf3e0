import json
from typing import Any

import pytest

from tests.sandbox.client import OCI_INDEX, OCI_MANIFEST, Client, sha256
from tests.servers.images import BuiltImage, Media, build_image, build_index

NAME = "myapp/worker"
OTHER = "myapp/other"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
MAX_SIZE = 4 * 1024 * 1024

IMAGE = build_image({"hello": b"one"})
OTHER_IMAGE = build_image({"hello": b"two"})


def path(reference: str, name: str = NAME) -> str:
    return f"/v2/{name}/manifests/{reference}"


def changed(image: BuiltImage, **fields: Any) -> bytes:
    return json.dumps(json.loads(image.manifest) | fields).encode()


async def push_blobs(client: Client, name: str, image: BuiltImage) -> None:
    for blob in image.blobs.values():
        await client.push_blob(name, blob)


async def test_a_pushed_manifest_says_where_it_is(client: Client) -> None:
    await push_blobs(client, NAME, IMAGE)
    answer = await client.put_manifest(NAME, "1.0", IMAGE.manifest, IMAGE.media_type)
    assert answer.status == 201
    assert answer.headers["Docker-Content-Digest"] == IMAGE.digest
    assert answer.headers["Location"] == path(IMAGE.digest)


@pytest.mark.parametrize("media", ["oci", "docker"])
@pytest.mark.parametrize("by", ["tag", "digest"])
async def test_a_manifest_comes_back_byte_for_byte(client: Client, media: Media, by: str) -> None:
    image = build_image({"hello": b"one"}, media=media)
    await client.push(NAME, "1.0", image)
    answer = await client.ask("GET", path("1.0" if by == "tag" else image.digest))
    assert (answer.status, answer.body) == (200, image.manifest)
    assert answer.headers["Content-Type"] == image.media_type
    assert answer.headers["Docker-Content-Digest"] == image.digest


@pytest.mark.parametrize("media", ["oci", "docker"])
async def test_an_index_comes_back_byte_for_byte_with_its_children(client: Client, media: Media) -> None:
    children = [build_image({"a": arch.encode()}, platform=f"linux/{arch}", media=media) for arch in ("amd64", "arm64")]
    index = build_index(children, media=media)
    await client.push(NAME, "1.0", index)
    answer = await client.ask("GET", path("1.0"))
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, index.manifest, index.media_type)
    for child in children:
        assert (await client.ask("GET", path(child.digest))).body == child.manifest


async def test_a_head_says_the_same_without_the_manifest(client: Client) -> None:
    await client.push(NAME, "1.0", IMAGE)
    answer = await client.ask("HEAD", path("1.0"))
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(IMAGE.manifest))
    assert answer.headers["Content-Type"] == IMAGE.media_type
    assert answer.headers["Docker-Content-Digest"] == IMAGE.digest


async def test_a_nested_repository_name(anonymous: Client) -> None:
    name = "myapp/stable/manifests/chart"
    client = await anonymous.signed_in(f"repository:{name}:pull,push")
    await client.push(name, "1.0", IMAGE)
    assert (await client.ask("GET", path("1.0", name))).body == IMAGE.manifest


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("reference", ["2.0", sha256(b"nothing")])
async def test_an_unknown_manifest_is_not_found(client: Client, method: str, reference: str) -> None:
    await client.push(NAME, "1.0", IMAGE)
    answer = await client.ask(method, path(reference))
    assert answer.status == 404
    assert method == "HEAD" or answer.code == "MANIFEST_UNKNOWN"


async def test_a_manifest_of_one_repository_is_not_in_another(client: Client) -> None:
    await client.push(NAME, "1.0", IMAGE)
    assert (await client.ask("GET", path(IMAGE.digest, OTHER))).code == "MANIFEST_UNKNOWN"


async def test_a_manifest_pushed_by_digest_gets_no_tag(client: Client) -> None:
    await client.push(NAME, IMAGE.digest, IMAGE)
    assert (await client.ask("GET", path(IMAGE.digest))).body == IMAGE.manifest
    assert (await client.ask("GET", f"/v2/{NAME}/tags/list")).json() == {"name": NAME, "tags": []}


async def test_a_manifest_under_the_wrong_digest_is_refused(client: Client) -> None:
    await push_blobs(client, NAME, IMAGE)
    answer = await client.put_manifest(NAME, OTHER_IMAGE.digest, IMAGE.manifest, IMAGE.media_type)
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    assert (await client.ask("GET", path(OTHER_IMAGE.digest))).status == 404


async def test_what_a_tag_pointed_at_before_stays_readable_by_digest(client: Client) -> None:
    await client.push(NAME, "1.0", IMAGE)
    await client.push(NAME, "1.0", OTHER_IMAGE)
    assert (await client.ask("GET", path("1.0"))).body == OTHER_IMAGE.manifest
    assert (await client.ask("GET", path(IMAGE.digest))).body == IMAGE.manifest


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ([OCI_MANIFEST], 200),
        ([f"{DOCKER_MANIFEST}, {OCI_MANIFEST};q=0.5"], 200),
        ([DOCKER_MANIFEST, OCI_MANIFEST], 200),
        (["*/*"], 200),
        (["application/*"], 200),
        ([], 200),
        ([DOCKER_MANIFEST], 404),
        ([f"{DOCKER_MANIFEST}, {OCI_INDEX}", "text/html"], 404),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_manifest_is_given_only_to_who_accepts_its_type(
    client: Client, method: str, accept: list[str], status: int
) -> None:
    await client.push(NAME, "1.0", IMAGE)
    async with client.http.request(
        method,
        f"http://{client.host}{path('1.0')}",
        headers=[("Authorization", f"Bearer {client.token}"), *(("Accept", one) for one in accept)],
    ) as answer:
        assert answer.status == status


@pytest.mark.parametrize(
    ("manifest", "media_type"),
    [
        (IMAGE.manifest, DOCKER_MANIFEST),
        (IMAGE.manifest, OCI_INDEX),
        (IMAGE.manifest, "application/json"),
        (IMAGE.manifest, ""),
        (changed(IMAGE, mediaType=DOCKER_MANIFEST), OCI_MANIFEST),
        (changed(IMAGE, manifests=[]), OCI_MANIFEST),
        (changed(IMAGE, schemaVersion=1), OCI_MANIFEST),
        (changed(IMAGE, layers=[{"digest": "sha256:../up", "size": 1, "mediaType": "x"}]), OCI_MANIFEST),
        (changed(IMAGE, config=None), OCI_MANIFEST),
        (b'{"schemaVersion": 1, "name": "a", "tag": "b", "fsLayers": []}', SCHEMA1),
        (b"[]", OCI_MANIFEST),
        (b"{", OCI_MANIFEST),
        (b"", OCI_MANIFEST),
        (b"[" * 100_000, OCI_MANIFEST),
    ],
)
async def test_an_invalid_manifest_is_refused(client: Client, manifest: bytes, media_type: str) -> None:
    await push_blobs(client, NAME, IMAGE)
    answer = await client.put_manifest(NAME, "1.0", manifest, media_type)
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
    assert (await client.ask("GET", path("1.0"))).status == 404


async def test_a_manifest_of_the_greatest_size_is_taken(client: Client) -> None:
    await push_blobs(client, NAME, IMAGE)
    empty = changed(IMAGE, annotations={"a": ""})
    manifest = changed(IMAGE, annotations={"a": "x" * (MAX_SIZE - len(empty))})
    assert len(manifest) == MAX_SIZE
    assert (await client.put_manifest(NAME, "1.0", manifest, OCI_MANIFEST)).status == 201


async def test_a_manifest_over_the_greatest_size_is_refused(client: Client) -> None:
    answer = await client.put_manifest(NAME, "1.0", b" " * (MAX_SIZE + 1), OCI_MANIFEST)
    assert (answer.status, answer.code) == (413, "MANIFEST_INVALID")


@pytest.mark.parametrize("absent", ["config", "layer"])
async def test_a_manifest_with_a_missing_blob_is_refused_and_told_which(client: Client, absent: str) -> None:
    (layer,) = IMAGE.layers
    kept, gone = (layer, IMAGE.config) if absent == "config" else (IMAGE.config, layer)
    await client.push_blob(NAME, kept)
    await client.push_blob(OTHER, gone)  # another repository's blob doesn't count
    answer = await client.put_manifest(NAME, "1.0", IMAGE.manifest, IMAGE.media_type)
    assert (answer.status, answer.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert [error["detail"] for error in answer.json()["errors"]] == [{"digest": sha256(gone)}]


async def test_each_missing_blob_is_an_error_of_its_own(client: Client) -> None:
    answer = await client.put_manifest(NAME, "1.0", IMAGE.manifest, IMAGE.media_type)
    assert {error["detail"]["digest"] for error in answer.json()["errors"]} == set(IMAGE.blobs)


async def test_an_index_with_a_missing_child_is_refused(client: Client) -> None:
    index = build_index([IMAGE, OTHER_IMAGE])
    await client.push(NAME, IMAGE.digest, IMAGE)
    await client.push(OTHER, OTHER_IMAGE.digest, OTHER_IMAGE)
    answer = await client.put_manifest(NAME, "1.0", index.manifest, index.media_type)
    assert (answer.status, answer.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert [error["detail"] for error in answer.json()["errors"]] == [{"digest": OTHER_IMAGE.digest}]


async def test_a_blob_is_no_child_of_an_index(client: Client) -> None:
    await client.push_blob(NAME, IMAGE.manifest)
    index = build_index([IMAGE])
    answer = await client.put_manifest(NAME, "1.0", index.manifest, index.media_type)
    assert answer.code == "MANIFEST_BLOB_UNKNOWN"


async def test_a_foreign_layer_may_be_missing(client: Client) -> None:
    await client.push_blob(NAME, IMAGE.config)
    layer = json.loads(IMAGE.manifest)["layers"][0] | {"urls": ["https://example.com/layer"]}
    answer = await client.put_manifest(NAME, "1.0", changed(IMAGE, layers=[layer]), OCI_MANIFEST)
    assert answer.status == 201


async def test_an_artifact_is_taken_as_any_image(client: Client) -> None:
    config = json.loads(IMAGE.manifest)["config"] | {"mediaType": "application/vnd.cncf.helm.config.v1+json"}
    await push_blobs(client, NAME, IMAGE)
    assert (await client.put_manifest(NAME, "1.0", changed(IMAGE, config=config), OCI_MANIFEST)).status == 201


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("tag", [".hidden", "-1", "a" * 129, "..%2Fup", "a%20b"])
async def test_a_malformed_tag_is_refused(client: Client, method: str, tag: str) -> None:
    answer = await client.ask(method, path(tag), IMAGE.manifest, {"Content-Type": OCI_MANIFEST})
    assert (answer.status, answer.code) == (400, "TAG_INVALID")


async def test_a_malformed_digest_is_refused(client: Client) -> None:
    answer = await client.ask("GET", path("sha256:..%2Fup"))
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("reference", ["1.0", IMAGE.digest])
async def test_nothing_can_be_deleted(client: Client, reference: str) -> None:
    await client.push(NAME, "1.0", IMAGE)
    answer = await client.ask("DELETE", path(reference))
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    assert (await client.ask("HEAD", path(reference))).status == 200


@pytest.mark.parametrize("unknown", ["/v2/_catalog", f"/v2/{NAME}", "/v2/a/b/c", "/v1/_ping"])
async def test_what_replicated_lacks_is_not_found(client: Client, unknown: str) -> None:
    answer = await client.ask("GET", unknown)
    assert (answer.status, answer.code) == (404, "UNSUPPORTED")


async def test_a_method_that_a_path_lacks_is_refused(client: Client) -> None:
    answer = await client.ask("PUT", f"/v2/{NAME}/tags/list")
    assert (answer.status, answer.code, answer.headers["Allow"]) == (405, "UNSUPPORTED", "GET,HEAD")
