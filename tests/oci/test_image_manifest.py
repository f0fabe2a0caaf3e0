"""Image manifests and indexes, read from bytes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.errors import UnsupportedImage
from replsync.oci.digest import Digest, digest_of, parse_digest, sha256, short
from replsync.oci.image_manifest import (
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1_SIGNED,
    MAX_SIZE,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    ImageIndex,
    ImageManifest,
    parse_document,
    refuse_uncopyable,
)
from replsync.oci.image_tree import ImageTree
from replsync.oci.platform import Platform

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def descriptor(media_type: str, name: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(name.encode()), "size": len(name), **more}


def image_body(**changes: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, "config"),
        "layers": [descriptor(LAYER, "base"), descriptor(LAYER, "top")],
        **changes,
    }


def image(**changes: Any) -> ImageManifest:
    document = parse_document(json.dumps(image_body(**changes)).encode(), OCI_MANIFEST)
    assert isinstance(document, ImageManifest)
    return document


def index(*entries: dict[str, Any], **changes: Any) -> ImageIndex:
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries), **changes}
    document = parse_document(json.dumps(body).encode(), OCI_INDEX)
    assert isinstance(document, ImageIndex)
    return document


def test_the_bytes_are_kept_as_they_are() -> None:
    raw = b"  " + json.dumps(image_body(), indent=7).encode() + b"\n"
    document = parse_document(raw, OCI_MANIFEST + "; charset=utf-8")
    assert (document.raw, document.digest) == (raw, sha256(raw))


def test_a_blob_that_stands_twice_is_pushed_once() -> None:
    twice = image(layers=[descriptor(LAYER, "same"), descriptor(LAYER, "same")])
    assert [blob.digest for blob in twice.blobs] == [sha256(b"same"), sha256(b"config")]


def test_platforms_are_read_and_may_be_missing() -> None:
    arm = {"os": "linux", "architecture": "arm", "variant": "v7"}
    read = index(descriptor(OCI_MANIFEST, "a", platform=arm), descriptor(OCI_MANIFEST, "b"))
    assert [entry.platform for entry in read.manifests] == [Platform("linux", "arm", "v7"), None]
    assert str(read.manifests[0].platform) == "linux/arm/v7"


@pytest.mark.parametrize(
    ("raw", "content_type", "words"),
    [
        (b"not json", OCI_MANIFEST, "not JSON"),
        (b"[]", OCI_MANIFEST, "not a JSON object"),
        (b"{}", OCI_MANIFEST, "not well-formed"),
        (b"{}", "text/html", "is not an image"),
        (b"[" * 100_000, OCI_MANIFEST, "not JSON"),
        (b" " * (MAX_SIZE + 1), OCI_MANIFEST, "over the limit"),
        (json.dumps({"schemaVersion": 1}).encode(), DOCKER_SCHEMA1_SIGNED, "schema 1"),
        (json.dumps({"schemaVersion": 1}).encode(), "application/json", "schema 1"),
        (json.dumps(image_body()).encode(), DOCKER_MANIFEST, "but its mediaType is"),
        (json.dumps(image_body(manifests=[])).encode(), OCI_MANIFEST, "ambiguous"),
        (json.dumps(image_body(layers=[{"digest": "sha256:../../etc"}])).encode(), OCI_MANIFEST, "not well-formed"),
        (json.dumps(image_body(config=descriptor(OCI_CONFIG, "x") | {"size": -1})).encode(), OCI_MANIFEST, "size"),
        (json.dumps(image_body(config=descriptor(OCI_CONFIG, "x") | {"size": "1"})).encode(), OCI_MANIFEST, "size"),
        (json.dumps(image_body(config=descriptor(OCI_CONFIG, "x") | {"size": True})).encode(), OCI_MANIFEST, "size"),
    ],
)
def test_what_is_no_image_manifest_is_refused(raw: bytes, content_type: str, words: str) -> None:
    with pytest.raises(UnsupportedImage, match=words):
        parse_document(raw, content_type)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["mediaType", "config", "layers", "manifests", "digest", "size", "platform", "schemaVersion"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(json_values, st.sampled_from([OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, "x"]))
def test_foreign_json_raises_nothing_but_unsupported_image(body: object, content_type: str) -> None:
    try:
        parse_document(json.dumps(body).encode(), content_type)
    except UnsupportedImage:
        return


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (image(config=descriptor("application/vnd.cncf.helm.config.v1+json", "chart")), "Helm"),
        (index(artifactType="application/x"), "application/x"),
        (image(layers=[descriptor(LAYER, "x", urls=["https://example.com/x"])]), "foreign layer"),
        (image(layers=[descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "x")]), "foreign layer"),
    ],
)
def test_what_is_never_copied_is_refused_by_name(document: ImageManifest | ImageIndex, words: str) -> None:
    with pytest.raises(UnsupportedImage, match=words):
        refuse_uncopyable(document)


def test_images_are_copied() -> None:
    refuse_uncopyable(image())
    refuse_uncopyable(index(descriptor(OCI_MANIFEST, "a")))


def test_a_tree_is_pushed_from_the_leaves_up_each_document_and_blob_once() -> None:
    one, two = image(), image(layers=[descriptor(LAYER, "base")])

    def entry(document: ImageManifest | ImageIndex) -> dict[str, Any]:
        return {"mediaType": document.media_type, "digest": document.digest, "size": len(document.raw)}

    inner = index(entry(one), entry(two))
    root = index(entry(one), entry(inner))
    tree = ImageTree(root, {document.digest: document for document in (one, two, inner)})
    assert [digest for digest, _ in tree.in_push_order] == [one.digest, two.digest, inner.digest]
    assert [blob.digest for blob in tree.blobs] == [sha256(b"base"), sha256(b"top"), sha256(b"config")]


def test_a_blob_below_an_index_has_the_platform_of_the_first_image_that_needs_it() -> None:
    one, two = image(), image(layers=[descriptor(LAYER, "base"), descriptor(LAYER, "other")])

    def entry(document: ImageManifest | ImageIndex, architecture: str) -> dict[str, Any]:
        platform = {"os": "linux", "architecture": architecture}
        size = len(document.raw)
        return {"mediaType": document.media_type, "digest": document.digest, "size": size, "platform": platform}

    tree = ImageTree(index(entry(one, "amd64"), entry(two, "arm64")), {one.digest: one, two.digest: two})
    assert {blob.digest: str(blob.platform) for blob in tree.blobs} == {
        sha256(b"base"): "linux/amd64",
        sha256(b"top"): "linux/amd64",
        sha256(b"config"): "linux/amd64",
        sha256(b"other"): "linux/arm64",
    }
    assert {blob.platform for blob in ImageTree(one, {}).blobs} == {None}


@pytest.mark.parametrize("size", [-1, 2**63, 10**400])
def test_a_size_that_nothing_has_is_refused(size: int) -> None:
    with pytest.raises(UnsupportedImage, match="a size of"):
        image(layers=[{**descriptor(LAYER, "base"), "size": size}])


def test_a_variant_that_is_no_text_becomes_one() -> None:
    platform = {"os": "linux", "architecture": "arm", "variant": ["v7"]}
    (entry,) = index(descriptor(OCI_MANIFEST, "a", platform=platform)).manifests
    assert str(entry.platform) == "linux/arm/['v7']"


def test_an_image_alone_has_nothing_below_it() -> None:
    tree = ImageTree(image(), {})
    assert tree.in_push_order == ()
    assert len(tree.blobs) == 3


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:12", "md5:" + "0" * 32, "sha256:" + "G" * 64, "sha256:" + "0" * 65]
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a digest"):
        parse_digest(text)


def test_a_digest_is_of_the_algorithm_that_it_names() -> None:
    sha512 = Digest("sha512:" + "0" * 128)
    assert digest_of(b"x", sha512).startswith("sha512:")
    assert parse_digest(sha512) == sha512
    assert short(sha256(b"")) == "e3b0c44298fc"


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps(image_body())[:-1] + ', "layers": []}',
        json.dumps(image_body()).replace('"size"', '"size": 5, "size"', 1),
        json.dumps(image_body(annotations={"a": "1"})).replace('"a"', '"a": "2", "a"'),
        json.dumps(image_body(Layers=[])),
        json.dumps(image_body(**{"layer\u017f": []})),
        json.dumps(image_body(config=descriptor(OCI_CONFIG, "config", Digest=sha256(b"other")))),
    ],
)
def test_what_programs_read_differently_is_refused(raw: str) -> None:
    with pytest.raises(UnsupportedImage, match=r"is there twice|is read differently by different programs"):
        parse_document(raw.encode(), OCI_MANIFEST)


def test_annotations_may_differ_in_case_alone() -> None:
    raw = json.dumps(image_body(annotations={"size": "1", "Size": "2", "SIZE": "3"})).encode()
    assert parse_document(raw, OCI_MANIFEST).raw == raw


@pytest.mark.parametrize("size", [2**63, 10**4000])
def test_a_size_that_no_blob_has_is_refused(size: int) -> None:
    body = image_body(config={**descriptor(OCI_CONFIG, "config"), "size": size})
    with pytest.raises(UnsupportedImage, match=r"a size of '[0-9]{1,100}'"):
        parse_document(json.dumps(body).encode(), OCI_MANIFEST)
