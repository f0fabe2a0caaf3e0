"""The model: what a manifest means, and what code may not build."""

import pytest
from pydantic import ValidationError

from replsync.manifest.model import Image, Manifest, Policy, Retired, Tag, Transfer
from replsync.oci.digest import parse_digest
from replsync.oci.source_name import parse_source

A, B = parse_digest("sha256:" + "a" * 64), parse_digest("sha256:" + "b" * 64)


def image(**fields: object) -> Image:
    return Image.model_validate({"name": "worker", "tags": ["1.10"], **fields})


@pytest.mark.parametrize(
    ("source", "tag", "expected"),
    [
        pytest.param(None, {"tag": "1.10"}, None, id="no source at all"),
        pytest.param(None, {"tag": "1.10", "digest": A}, None, id="adopted"),
        pytest.param("ghcr.io/a/w", {"tag": "1.10"}, "ghcr.io/a/w:1.10", id="the image's source, the tag's own name"),
        pytest.param("ghcr.io/a/w", {"tag": "1.10", "digest": A}, f"ghcr.io/a/w:1.10@{A}", id="pinned"),
        pytest.param("ghcr.io/a/w", {"tag": "1.10", "source": "x/y"}, "x/y:1.10", id="the tag's source goes first"),
        pytest.param("ghcr.io/a/w", {"tag": "1.10", "source": "x/y:2"}, "x/y:2", id="with another tag"),
        pytest.param(None, {"tag": "1.10", "source": "x/y:2", "digest": A}, f"x/y:2@{A}", id="with a tag, pinned"),
        pytest.param(None, {"tag": "1.10", "source": f"x/y@{A}"}, f"x/y@{A}", id="with a digest"),
        pytest.param(None, {"tag": "1.10", "source": f"x/y@{A}", "digest": A}, f"x/y@{A}", id="the same digest twice"),
        pytest.param("docker-daemon:w", {"tag": "1.10"}, "docker-daemon:w:1.10", id="the image's daemon source"),
        pytest.param(None, {"tag": "1.10", "source": "docker-daemon:w"}, "docker-daemon:w:1.10", id="the tag's"),
        pytest.param("x/y", {"tag": "1.10", "source": "docker-daemon:w:dev"}, "docker-daemon:w:dev", id="daemon tag"),
        pytest.param("x/y", {"tag": "1.10", "source": f"docker-daemon:{A}"}, f"docker-daemon:{A}", id="image ID"),
        pytest.param("oci:d", {"tag": "1.10"}, "oci:d:1.10", id="the name in a layout"),
        pytest.param("oci:d", {"tag": "1.10", "digest": A}, f"oci:d:1.10@{A}", id="in a layout, pinned"),
        pytest.param("x/y", {"tag": "1.10", "source": "oci-archive:d"}, "oci-archive:d", id="the only one in a layout"),
        pytest.param("x/y", {"tag": "1.10", "source": "oci:d:2"}, "oci:d:2", id="another one in a layout"),
        pytest.param("docker-archive:d:w", {"tag": "1.10"}, "docker-archive:d:w:1.10", id="a name in an archive"),
        pytest.param(
            None,
            {"tag": "1.10", "source": "docker-archive:d:w"},
            "docker-archive:d:w:1.10",
            id="the tag's in an archive",
        ),
        pytest.param(None, {"tag": "1.10", "source": "docker-archive:d"}, "docker-archive:d", id="the only one there"),
        pytest.param(
            "docker-daemon:w", {"tag": "1.10", "source": "x/y", "digest": A}, f"x/y:1.10@{A}", id="not the daemon's"
        ),
    ],
)
def test_a_tag_takes_its_own_source_or_the_images(
    source: str | None, tag: dict[str, object], expected: str | None
) -> None:
    built = image(source=source, tags=[tag])
    assert built.source_of(built.tags[0]) == (parse_source(expected) if expected else None)


@pytest.mark.parametrize(
    ("patterns", "tag", "mutable"),
    [
        ([], "latest", False),
        (["latest"], "latest", True),
        (["latest"], "Latest", False),
        (["latest"], "latest-1", False),
        (["edge-*"], "edge-", True),
        (["edge-*"], "my-edge-1", False),
        (["a", "1.?"], "1.1", True),
        (["1.?"], "1.10", False),
        (["1.[0-9]"], "1.5", True),
        (["1.[!0-9]"], "1.5", False),
        (["*"], "anything", True),
    ],
)
def test_a_tag_is_mutable_where_a_pattern_matches_all_of_it(patterns: list[str], tag: str, mutable: bool) -> None:
    assert image(mutable=patterns).is_mutable(tag) is mutable


def test_a_plain_tag_is_a_tag_with_nothing_else() -> None:
    assert image(tags=["1.10", "latest"]).tags == (Tag(tag="1.10"), Tag(tag="latest"))


def test_code_may_give_a_source_that_is_parsed_already() -> None:
    source = parse_source("ghcr.io/a/w")
    assert image(source=source, tags=[Tag(tag="1", source=source)]) == image(
        source="ghcr.io/a/w", tags=[{"tag": "1", "source": "ghcr.io/a/w"}]
    )


def test_what_is_not_given_has_its_default() -> None:
    manifest = Manifest(version=1, images=(Image(name="worker", tags=(Tag(tag="1.10"),)),))
    assert (manifest.app, manifest.registry, manifest.policy) == (
        None,
        "registry.replicated.com",
        Policy(unlisted="report"),
    )
    assert (manifest.policy.max_layer_size, manifest.transfer.parallelism) == (None, 32)
    built = manifest.images[0]
    assert (built.source, built.mutable, built.retired) == (None, (), ())


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        ({}, (1_000_000, 1_000_000_000)),
        ({"min_chunk_size": "2MB"}, (2_000_000, 1_000_000_000)),
        ({"min_chunk_size": "2GB"}, (2_000_000_000, 2_000_000_000)),
        ({"max_chunk_size": "64KB"}, (64_000, 64_000)),
        ({"max_chunk_size": "2GiB"}, (1_000_000, 2 * 1024**3)),
        ({"min_chunk_size": 1, "max_chunk_size": 64_000}, (1, 64_000)),
        ({"min_chunk_size": "1MB", "max_chunk_size": "1000kB"}, (1_000_000, 1_000_000)),
    ],
)
def test_the_default_of_one_bound_gives_way_to_the_other(given: dict[str, object], sizes: tuple[int, int]) -> None:
    assert Transfer.model_validate(given).chunk_sizes == sizes


def test_code_cannot_build_bounds_that_are_crossed() -> None:
    with pytest.raises(ValidationError, match="more than `max_chunk_size`"):
        Transfer(min_chunk_size=200_000, max_chunk_size=100_000)


def test_a_manifest_is_a_value() -> None:
    one, other = (Manifest(version=1, images=(image(mutable=["a"]),)) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(one, "app", "x")  # noqa: B010 mypy forbids the plain assignment already


def test_a_manifest_survives_json() -> None:
    manifest = Manifest(
        version=1,
        images=(
            image(source="ghcr.io/a/w", tags=[{"tag": "1", "source": "docker-daemon:w:x"}, {"tag": "2", "digest": A}]),
        ),
    )
    assert Manifest.model_validate_json(manifest.model_dump_json(exclude_unset=True)) == manifest


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tags": ["a", "a"]}, "listed twice"),
        ({"tags": ["a"], "retired": [{"tag": "a", "reason": "old"}]}, "both listed and retired"),
        ({"retired": [{"tag": "a", "reason": "old"}, Retired(tag="a", reason="old")]}, "retired twice"),
        ({"tags": []}, "no tags, no retired tags and no source"),
        ({"source": "docker-daemon:w", "tags": [Tag(tag="a", digest=A)]}, "which it takes from the image"),
        ({"source": "docker-archive:d:w", "tags": [Tag(tag="a", digest=A)]}, "an archive of `docker save`, which it"),
        ({"tags": [{"tag": "a", "digest": A, "source": f"oci:d@{B}"}]}, "not the one that the source"),
        ({"tags": [{"tag": "a", "source": f"w@{A}", "digest": B}]}, "not the one that the source"),
    ],
)
def test_code_cannot_build_an_image_that_contradicts_itself(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        image(**fields)


def test_code_cannot_build_a_manifest_with_an_image_listed_twice() -> None:
    with pytest.raises(ValidationError, match="`worker` is listed twice"):
        Manifest(version=1, images=(image(), image()))


def test_code_cannot_build_a_manifest_without_images() -> None:
    with pytest.raises(ValidationError, match="one image at least"):
        Manifest(version=1, images=())


def test_an_image_with_only_a_source_is_allowed() -> None:
    assert image(source="ghcr.io/a/w", tags=[]).tags == ()


def test_a_number_is_no_tag() -> None:
    with pytest.raises(ValidationError, match="valid string"):
        Tag.model_validate({"tag": 1.1})
