"""Tombstones: their bytes, and how they are known again."""

import gzip
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.oci.digest import Digest, sha256
from replsync.oci.image_manifest import DOCKER_MANIFEST, OCI_INDEX, Descriptor, ImageManifest, parse_document
from replsync.oci.tombstone import (
    EMPTY_LAYER,
    EMPTY_LAYER_DIGEST,
    EMPTY_TAR,
    EMPTY_TAR_DIGEST,
    Epitaph,
    may_be_tombstone,
    read_epitaph,
    tombstone_config,
    tombstone_manifest,
)

EPITAPH = Epitaph("registry.test/myapp/worker:1.9.3", "CVE-2026-1234, use 1.10", sha256(b"x"), OCI_INDEX)


def tombstone() -> ImageManifest:
    image = parse_document(tombstone_manifest(tombstone_config(EPITAPH)), DOCKER_MANIFEST)
    assert isinstance(image, ImageManifest)
    return image


def test_the_empty_layer_is_dockers_own() -> None:
    assert gzip.decompress(EMPTY_LAYER) == EMPTY_TAR
    assert EMPTY_LAYER_DIGEST == "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4"
    assert EMPTY_TAR_DIGEST == "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"


def test_the_bytes_never_change() -> None:
    """A change here would plan every tombstone of every user anew."""
    config = tombstone_config(EPITAPH)
    assert sha256(config) == "sha256:c11fa128c3ab08d9e013b6525e6a6ac27acee0689568afb12e1eb6df9c671804"
    assert (
        sha256(tombstone_manifest(config)) == "sha256:1ce4f26c55acd2b759a5316ecb92f7da11974dc8ed297f4565b6baf88457aea0"
    )


def test_whoever_runs_it_reads_why() -> None:
    config = json.loads(tombstone_config(EPITAPH))
    assert config["config"]["Entrypoint"] == ["registry.test/myapp/worker:1.9.3 was retired: CVE-2026-1234, use 1.10"]
    assert config["config"]["Labels"] == {
        "dev.replsync.tombstone": "1",
        "dev.replsync.tombstone.reason": "CVE-2026-1234, use 1.10",
        "dev.replsync.tombstone.reference": "registry.test/myapp/worker:1.9.3",
        "dev.replsync.tombstone.replaces": sha256(b"x"),
        "dev.replsync.tombstone.replaces.media-type": OCI_INDEX,
    }
    assert config["created"] == "1970-01-01T00:00:00Z"


@given(st.text(min_size=1, max_size=500), st.text(max_size=80))
def test_what_is_written_on_it_is_read_back(reason: str, reference: str) -> None:
    try:
        reason.encode()
        reference.encode()
    except UnicodeEncodeError:
        return
    epitaph = replace(EPITAPH, reason=reason, reference=reference)
    assert read_epitaph(tombstone_config(epitaph)) == epitaph


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"[]",
        b"{}",
        b'{"config":null}',
        b'{"config":{"Labels":{"dev.replsync.tombstone":"1"}}}',
        tombstone_config(EPITAPH).replace(b'"dev.replsync.tombstone":"1"', b'"dev.replsync.tombstone":"0"'),
        tombstone_config(EPITAPH).replace(b"sha256:", b"md5:"),
    ],
)
def test_what_is_no_tombstone_is_not_taken_for_one(config: bytes) -> None:
    assert read_epitaph(config) is None


@given(st.binary(max_size=300))
def test_reading_foreign_bytes_raises_nothing(config: bytes) -> None:
    assert read_epitaph(config) is None


def test_only_an_image_without_content_may_be_one() -> None:
    """One that is built on top of a tombstone inherits its labels, and is an image."""
    image = tombstone()
    assert may_be_tombstone(image)
    layer = Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", Digest("sha256:" + "0" * 64), 5_000)
    assert not may_be_tombstone(replace(image, layers=(*image.layers, layer)))
    assert not may_be_tombstone(replace(image, layers=(layer,)))
    assert not may_be_tombstone(replace(image, config=replace(image.config, media_type="application/x")))
