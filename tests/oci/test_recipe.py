"""What is taken away of an index, and that all else stays as it was to the byte."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.errors import UnsupportedImage
from replsync.oci.digest import sha256
from replsync.oci.image_manifest import OCI_INDEX, OCI_MANIFEST, Descriptor, ImageIndex, parse_document
from replsync.oci.platform import Platform, parse_platform
from replsync.oci.recipe import (
    AS_IT_IS,
    Selection,
    Transforms,
    is_doubtful,
    platform_of,
    refuse_other_platforms,
    select,
)

STRIP = Transforms("strip")


def image(platform: str | None, name: str = "image", **more: Any) -> dict[str, Any]:
    """An entry of an index, as BuildKit writes it."""
    digest = sha256(f"{name} {platform}".encode())
    entry: dict[str, Any] = {"mediaType": OCI_MANIFEST, "digest": digest, "size": 7, **more}
    if platform is not None:
        os, architecture, *variant = platform.split("/")
        entry["platform"] = {"architecture": architecture, "os": os, **({"variant": variant[0]} if variant else {})}
    return entry


def attestation(of: dict[str, Any]) -> dict[str, Any]:
    annotations = {"vnd.docker.reference.digest": of["digest"], "vnd.docker.reference.type": "attestation-manifest"}
    return image("unknown/unknown", of["digest"], annotations=annotations)


def index(*entries: dict[str, Any], indent: int | None = 2, **more: Any) -> ImageIndex:
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries, **more}
    read = parse_document(json.dumps(body, indent=indent).encode(), OCI_INDEX)
    assert isinstance(read, ImageIndex)
    return read


def selected(source: ImageIndex, transforms: Transforms) -> Selection:
    return select(source, [entry for entry in source.manifests if entry.is_attestation], transforms)


def platforms(*names: str) -> Transforms:
    return Transforms("strip", tuple(map(parse_platform, names)))


AMD, ARM, ARM6 = image("linux/amd64"), image("linux/arm64/v8"), image("linux/arm/v6")


def test_an_index_without_attestations_stays() -> None:
    source = index(AMD, ARM)
    assert selected(source, STRIP) == Selection(source)
    assert selected(source, Transforms("reject")) == Selection(source)


def test_an_index_left_with_one_image_becomes_that_image() -> None:
    source = index(AMD, attestation(AMD))
    selection = selected(source, STRIP)
    assert isinstance(selection.kept, Descriptor)
    assert selection.kept.digest == AMD["digest"]
    assert selection.notes == ("1 attestation is stripped",)


def test_an_index_of_one_image_of_which_nothing_is_taken_stays_an_index() -> None:
    source = index(AMD)
    assert selected(source, STRIP) == selected(source, platforms("linux/amd64")) == Selection(source)


@pytest.mark.parametrize("indent", [None, 0, 2, 3])
def test_of_an_index_left_with_several_all_else_stays(indent: int | None) -> None:
    annotations = {"annotations": {"manifests": "[]", 'ä"]': "}"}}
    source = index(AMD, attestation(AMD), ARM, attestation(ARM), indent=indent, **annotations)
    selection = selected(source, STRIP)
    assert isinstance(selection.kept, ImageIndex)
    assert selection.kept.raw == index(AMD, ARM, indent=indent, **annotations).raw
    assert selection.notes == ("2 attestations are stripped",)


def test_rejected_attestations_are_no_image() -> None:
    with pytest.raises(UnsupportedImage, match=r"2 attestations .* is `reject`"):
        selected(index(AMD, attestation(AMD), ARM, attestation(ARM)), Transforms("reject"))


def test_attestations_alone_are_no_image() -> None:
    with pytest.raises(UnsupportedImage, match="and no image"):
        selected(index(attestation(AMD)), STRIP)


def test_chosen_platforms_stay() -> None:
    selection = selected(index(AMD, ARM, ARM6, attestation(AMD)), platforms("linux/arm64", "linux/arm/v6"))
    assert isinstance(selection.kept, ImageIndex)
    assert selection.kept.raw == index(ARM, ARM6).raw
    assert selection.notes == (
        "1 attestation is stripped",
        "only linux/arm/v6, linux/arm64; linux/amd64 left out",
    )


def test_several_images_of_one_platform_stay() -> None:
    """As Windows has them, one for each of its versions."""
    one, other = image("windows/amd64", "1809"), image("windows/amd64", "2022")
    selection = selected(index(AMD, one, other), platforms("windows/amd64"))
    assert isinstance(selection.kept, ImageIndex)
    assert selection.kept.raw == index(one, other).raw


def test_a_platform_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UnsupportedImage, match="no image for linux/s390x; it has linux/amd64, linux/arm64/v8"):
        selected(index(AMD, ARM, attestation(AMD)), platforms("linux/amd64", "linux/s390x"))


def test_platforms_cant_be_chosen_where_entries_name_none() -> None:
    with pytest.raises(UnsupportedImage, match="1 of its 2 images name no platform"):
        selected(index(AMD, image(None)), platforms("linux/amd64"))


def test_only_an_unknown_platform_without_the_annotation_is_doubtful() -> None:
    entries = index(AMD, attestation(AMD), image("unknown/unknown"), image(None)).manifests
    assert [is_doubtful(entry) for entry in entries] == [False, False, True, False]


def test_a_platform_that_no_text_can_hold_is_refused() -> None:
    entry = image("linux/amd64") | {"platform": {"os": "\ud800", "architecture": "amd64"}}
    with pytest.raises(UnsupportedImage, match="a platform that can't be printed"):
        index(entry)


def test_other_encodings_of_json_are_refused() -> None:
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [AMD, ARM, attestation(AMD)]}
    source = parse_document(json.dumps(body).encode("utf-16"), OCI_INDEX)
    assert isinstance(source, ImageIndex)
    with pytest.raises(UnsupportedImage, match="not JSON in UTF-8"):
        selected(source, STRIP)


_entries = st.lists(
    st.tuples(st.sampled_from(["linux/amd64", "linux/arm64", "linux/arm/v6", "linux/s390x"]), st.booleans()),
    max_size=6,
    unique_by=lambda entry: entry[0],
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(_entries, st.none() | st.integers(0, 5), st.dictionaries(st.text("xyz"), _json, max_size=3), st.booleans())
def test_what_stays_is_as_if_the_rest_had_never_been_there(
    entries: list[tuple[str, bool]], indent: int | None, annotations: dict[str, Any], first: bool
) -> None:
    made = [(image(platform), attested) for platform, attested in entries]
    with_attestations = [
        one for entry, attested in made for one in ([entry, attestation(entry)] if attested else [entry])
    ]
    if first:
        with_attestations.sort(key=lambda entry: "annotations" not in entry)
    source = index(*with_attestations, indent=indent, annotations=annotations)
    if not made:
        assert selected(source, STRIP) == Selection(source)
        return
    kept = selected(source, STRIP).kept
    if isinstance(kept, ImageIndex):
        assert kept.raw == index(*(entry for entry, _ in made), indent=indent, annotations=annotations).raw
    else:
        assert len(made) == 1
        assert kept.digest == made[0][0]["digest"]
    assert selected(source, AS_IT_IS) == Selection(source)


@given(_entries, st.sets(st.sampled_from(["linux/amd64", "linux/arm64", "linux/arm/v6", "linux/s390x"]), min_size=1))
def test_choosing_gives_just_those_platforms_or_says_what_is_missing(
    entries: list[tuple[str, bool]], wanted: set[str]
) -> None:
    source = index(*(image(platform) for platform, _ in entries))
    there = {platform for platform, _ in entries}
    if not wanted <= there:
        with pytest.raises(UnsupportedImage, match="it has no image for"):
            selected(source, platforms(*wanted))
        return
    kept = selected(source, platforms(*wanted)).kept
    found = kept.manifests if isinstance(kept, ImageIndex) else [kept]
    assert {str(entry.platform) for entry in found} == wanted


@pytest.mark.parametrize(
    ("config", "platform"),
    [
        (b'{"os": "linux", "architecture": "arm", "variant": "v7"}', Platform("linux", "arm", "v7")),
        (b'{"os": "linux", "architecture": "amd64", "variant": ""}', Platform("linux", "amd64")),
        (b'{"os": "linux"}', None),
        (b'{"os": "linux", "architecture": "\\ud800"}', None),
        (b'{"os": 7, "architecture": "amd64"}', None),
        (b"[]", None),
        (b"\xff", None),
        (b"[" * 100_000, None),
    ],
)
def test_a_config_names_its_platform(config: bytes, platform: Platform | None) -> None:
    assert platform_of(config) == platform


def test_an_image_by_itself_is_of_one_platform() -> None:
    amd = Platform("linux", "amd64")
    refuse_other_platforms(amd, [])
    refuse_other_platforms(None, [])
    refuse_other_platforms(amd, [amd])
    with pytest.raises(UnsupportedImage, match="no image for linux/arm64; it has linux/amd64"):
        refuse_other_platforms(amd, [amd, Platform("linux", "arm64")])
    with pytest.raises(UnsupportedImage, match="names no platform"):
        refuse_other_platforms(None, [amd])
