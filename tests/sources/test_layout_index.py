"""`index.json`: what it lists, how an image is chosen by name, and garbage."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.errors import UnsupportedImage
from replsync.oci.digest import Digest
from replsync.oci.source_name import LayoutSource
from replsync.sources.layout_index import blob_name, check_layout, choose, read_index
from tests.servers.images import build_image, build_index
from tests.servers.layouts import REF_NAME, descriptor

ONE, TWO = build_image({"a": b"1"}), build_image({"b": b"2"})
BOTH = build_index([ONE, TWO])
FULL = "io.containerd.image.name"


def index(*entries: Any, **more: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "manifests": entries, **more}).encode()


def entry(image: Any, **annotations: str) -> dict[str, Any]:
    return {**descriptor(image), "annotations": annotations}


def called(image: Any, name: str, full: str | None = None) -> dict[str, Any]:
    return {**descriptor(image), "annotations": {REF_NAME: name, **({FULL: full} if full else {})}}


def chosen(data: bytes, name: str | None = None, digest: str | None = None) -> str:
    return choose(read_index(data), LayoutSource("dist", name, Digest(digest) if digest else None)).digest


def refused(data: bytes, name: str | None = None, digest: str | None = None) -> UnsupportedImage:
    with pytest.raises(UnsupportedImage) as caught:
        chosen(data, name, digest)
    return caught.value


@pytest.mark.parametrize("image", [ONE, BOTH])
def test_the_only_image_needs_no_name(image: Any) -> None:
    assert chosen(index(descriptor(image))) == image.digest
    assert chosen(index(called(image, "1.10"))) == image.digest
    assert chosen(index(called(image, "1.10"), called(image, "latest"))) == image.digest


@pytest.mark.parametrize(
    ("listed", "name"),
    [
        (("1.10", None), "1.10"),
        (("ghcr.io/acme/worker:1.10", None), "1.10"),
        (("ghcr.io/acme/worker:1.10", None), "ghcr.io/acme/worker:1.10"),
        (("localhost/worker:1.10", None), "1.10"),
        (("1.10", "docker.io/acme/worker:1.10"), "1.10"),
        (("1.10", "docker.io/acme/worker:1.10"), "acme/worker:1.10"),
        (("1.10", "docker.io/library/worker:1.10"), "worker:1.10"),
        (("worker:1.10", None), "docker.io/library/worker:1.10"),
        (("some name", None), "some name"),
    ],
)
def test_an_image_is_found_by_its_name_or_its_tag(listed: tuple[str, str | None], name: str) -> None:
    data = index(called(TWO, "other", "docker.io/acme/other:2"), called(ONE, *listed))
    assert chosen(data, name) == ONE.digest


def test_a_name_that_several_have_is_ambiguous() -> None:
    data = index(called(ONE, "1", "docker.io/acme/api:1"), called(TWO, "1", "docker.io/acme/worker:1"))
    error = refused(data, "1")
    assert error.message == (
        "it has 2 images '1': name one in full; there are 'docker.io/acme/api:1', 'docker.io/acme/worker:1'"
    )
    assert chosen(data, "acme/worker:1") == TWO.digest


def test_several_images_have_to_be_named() -> None:
    error = refused(index(called(ONE, "1"), called(TWO, "2"), descriptor(BOTH)))
    assert error.message == "it has 3 images, so that one must be named; there are '1', '2', 1 without a name"


def test_a_name_that_is_not_there_is_told_with_those_that_are() -> None:
    error = refused(index(called(ONE, "1")), "2")
    assert error.message == "it has no image '2'; there is '1'"
    assert error.hint is not None
    assert "oci:dist, if it is the only image" in error.hint
    assert "and 5 more" in refused(index(*(called(ONE, str(number)) for number in range(15))), "x").message.replace(
        ", 5 more", " and 5 more"
    )


def test_the_only_image_of_another_name_is_never_taken_for_a_tag() -> None:
    assert "no image '1.9'" in refused(index(called(ONE, "1.10")), "1.9").message
    assert "no image '1.9'" in refused(index(descriptor(ONE)), "1.9").message


def test_a_digest_chooses_and_is_held_against_the_name() -> None:
    data = index(called(ONE, "1"), called(TWO, "2"))
    assert chosen(data, "1", ONE.digest) == ONE.digest
    assert chosen(data, None, TWO.digest) == TWO.digest
    assert "another image" in refused(data, "2", ONE.digest).message
    assert "another image" in refused(index(called(ONE, "1")), None, TWO.digest).message


def test_attestations_and_artifacts_are_no_images() -> None:
    attestation = entry(TWO, **{"vnd.docker.reference.type": "attestation-manifest"})
    artifact = {**descriptor(BOTH), "artifactType": "application/vnd.dev.cosign"}
    assert chosen(index(descriptor(ONE), attestation, artifact)) == ONE.digest


def test_an_index_without_images_is_refused() -> None:
    assert refused(index()).message == "there is no image in it"


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"null", b"[]", b"5", b'"x"', b"{}", b"\xff", b"[" * 100_000),
        *(b'{"manifests": null}', b'{"manifests": [5]}', b'{"manifests": {"a": 1}}', b'{"manifests": [{}]}'),
        b'{"manifests": [], "manifests": []}',
        b'{"manifests": [], "mediaType": 5}',
        b'{"manifests": [], "mediaType": "application/vnd.oci.image.manifest.v1+json"}',
        index({**descriptor(ONE), "digest": "sha256:../../etc/passwd"}),
        index({**descriptor(ONE), "digest": "md5:" + "a" * 32}),
        index({**descriptor(ONE), "size": -1}),
        index({**descriptor(ONE), "size": True}),
        index({**descriptor(ONE), "size": 10**30}),
        b'{"schemaVersion": 1, "manifests": []}',
    ],
)
def test_an_index_of_any_other_shape_is_refused(data: bytes) -> None:
    assert refused(data).message.startswith("index.json")


@pytest.mark.parametrize("annotations", [5, [], "x", {REF_NAME: 5}, {REF_NAME: ""}, {REF_NAME: None}, None])
def test_annotations_of_any_other_shape_are_no_names(annotations: Any) -> None:
    (found,) = read_index(index({**descriptor(ONE), "annotations": annotations}))
    assert found.names == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
FIELDS = st.sampled_from(["mediaType", "digest", "size", "annotations", "artifactType", "platform", "urls"])


@given(st.lists(st.dictionaries(FIELDS, JSON).map(lambda own: {**called(ONE, "1"), **own}) | JSON), st.text())
def test_any_json_is_read_or_refused(entries: list[Any], name: str) -> None:
    with contextlib.suppress(UnsupportedImage):
        chosen(index(*entries), name)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (read_index, check_layout):
        with contextlib.suppress(UnsupportedImage):
            read(data)


def test_only_version_1_of_layouts_is_read() -> None:
    check_layout(b'{"imageLayoutVersion": "1.0.0"}')
    check_layout(b'{"imageLayoutVersion": "1.1.0"}')
    for data in (b'{"imageLayoutVersion": "2.0.0"}', b"{}", b"[]", b"null", b"5", b"x", b"[" * 100_000):
        with pytest.raises(UnsupportedImage, match="OCI image layout"):
            check_layout(data)


def test_a_blob_lies_below_its_algorithm() -> None:
    assert blob_name(Digest(ONE.digest)) == "blobs/" + ONE.digest.replace(":", "/")
