"""Images in archives of `docker save`: which is meant, what it is known by, and what is refused."""

import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.errors import InvalidInput, NoRoom, ReplsyncError, UnsupportedImage
from replsync.oci.digest import parse_digest
from replsync.oci.image_manifest import DOCKER_LAYER, ImageManifest
from replsync.oci.platform import parse_platform
from replsync.oci.recipe import Transforms
from replsync.oci.reference import parse_reference
from replsync.oci.source_name import SavedSource
from replsync.oci.tag_state import Resolved
from replsync.sources.archive import Archive
from replsync.sources.saved_image import SavedFileImage, choose, read_listing
from tests.servers.images import BuiltImage, build_image
from tests.servers.layouts import saved
from tests.sources.archives import (
    Link,
    Members,
    archive,
    config,
    containerd,
    digest,
    docker_20,
    docker_25,
    layer,
    listing,
)

ONE = build_image({"a": b"1" * 100_000})
TWO = build_image({"b": b"2"}, base=ONE, platform="linux/arm64")
PLAIN = (layer(a=b"1" * 5000), layer(b=b"2"), layer(a=b"1" * 5000))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "saved.tar"


def put(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def source_of(path: Path, name: str | None = None) -> SavedSource:
    return SavedSource(str(path), parse_reference(name) if name else None)


def image_of(path: Path, name: str | None = None, **transforms: Any) -> SavedFileImage:
    return SavedFileImage(Archive(str(path)), source_of(path, name), Transforms(**transforms))


async def refused(path: Path, name: str | None = None, **transforms: Any) -> ReplsyncError:
    with pytest.raises(ReplsyncError) as caught:
        await image_of(path, name, **transforms).identify()
    return caught.value


async def refused_when_opened(path: Path) -> ReplsyncError:
    async def opened() -> None:
        async with image_of(path).open():
            pass

    with pytest.raises(ReplsyncError) as caught:
        await opened()
    return caught.value


async def layers_of(image: SavedFileImage) -> list[bytes]:
    async with image.open() as opened:
        root = opened.tree.root
        assert isinstance(root, ImageManifest)
        assert {one.media_type for one in root.layers} <= {DOCKER_LAYER}
        return [gzip.decompress(b"".join([part async for part in opened.read(blob)])) for blob in root.layers]


@pytest.mark.parametrize("write", [docker_20, docker_25, containerd])
async def test_the_only_image_needs_no_name(path: Path, write: Any) -> None:
    put(path, archive(write(PLAIN)))
    image = image_of(path)
    resolved = await image.identify()
    assert (resolved.digest, resolved.config) == (None, digest(config(PLAIN)))
    assert await layers_of(image) == list(PLAIN)


@pytest.mark.parametrize(("name", "image"), [("acme/one:1", ONE), ("ghcr.io/acme/two:2", TWO)])
async def test_one_of_several_is_named(path: Path, name: str, image: BuiltImage) -> None:
    put(path, saved({"acme/one:1": ONE, "ghcr.io/acme/two:2": TWO}))
    found = image_of(path, name)
    assert await found.identify() == Resolved(source_of(path, name), None, parse_digest(image.config_digest))
    assert await layers_of(found) == [gzip.decompress(one) for one in image.layers]


async def test_only_the_layers_of_the_image_are_packed(path: Path) -> None:
    put(path, saved({"acme/one:1": ONE, "acme/two:2": TWO}))
    async with image_of(path, "acme/one:1").open() as opened:
        assert len(opened.saved.files) == len(ONE.blobs)


async def test_the_size_is_that_of_the_members(path: Path) -> None:
    put(path, saved({"acme/one:1": ONE}))
    content = await image_of(path).content()
    plain = sum(len(gzip.decompress(one)) for one in ONE.layers)
    assert (content.total, content.blobs, content.repository) == (plain + len(ONE.config), None, None)


async def test_several_images_have_to_be_named(path: Path) -> None:
    put(path, saved({"acme/one:1": ONE, "acme/two:2": TWO}))
    error = await refused(path)
    assert error.message == (
        f"docker-archive:{path}: it has 2 images, so that one must be named; there is 'acme/one:1', 'acme/two:2'"
    )
    error = await refused(path, "acme/one:2")
    assert "it has no image docker.io/acme/one:2; there is" in error.message
    assert error.hint is not None
    assert f"docker-archive:{path}, if it has one image" in error.hint


async def test_other_platforms_are_refused(path: Path) -> None:
    put(path, saved({"acme/two:2": TWO}))
    arm, amd = parse_platform("linux/arm64"), parse_platform("linux/amd64")
    assert (await image_of(path, platforms=(arm,)).identify()).config == TWO.config_digest
    assert "no image for linux/amd64; it has linux/arm64" in (await refused(path, platforms=(amd,))).message


async def test_what_is_not_there_is_refused_with_a_next_move(path: Path) -> None:
    error = await refused(path)
    assert isinstance(error, InvalidInput)
    assert error.message == f"read {path}: No such file or directory"


async def test_a_compressed_archive_is_refused_with_a_next_move(path: Path) -> None:
    put(path, gzip.compress(saved({"acme/one:1": ONE})))
    error = await refused(path)
    assert error.message == f"docker-archive:{path}: it is compressed (gzip), and an archive is read in place"
    assert error.hint == "unpack it by `gunzip`, and name the plain tar"


@pytest.mark.parametrize("missing", ["manifest.json", "the config", "a layer"])
async def test_an_archive_that_lacks_something_is_refused(path: Path, missing: str) -> None:
    members = docker_20(PLAIN[:1])
    config_name = next(name for name, _ in members if name.endswith(".json") and len(name) > 60)
    gone = {"manifest.json": "manifest.json", "the config": config_name}.get(missing, members[2][0])
    put(path, archive([one for one in members if one[0] != gone]))
    assert f"there is no {gone!r} in it" in (await refused(path)).message


async def test_links_lead_nowhere_but_into_the_archive(path: Path, tmp_path: Path) -> None:
    (tmp_path / "layer.tar").write_bytes(PLAIN[0])
    for target in (str(tmp_path / "layer.tar"), "../../layer.tar", "layer.tar"):
        members: Members = [
            ("x/layer.tar", Link(target)),
            ("c.json", config(PLAIN[:1])),
            listing("c.json", ["x/layer.tar"]),
        ]
        put(path, archive(members))
        assert isinstance(await refused(path), UnsupportedImage)


async def test_links_in_a_circle_are_refused(path: Path) -> None:
    members: Members = [
        *(("x/layer.tar", Link("../y/layer.tar")), ("y/layer.tar", Link("../x/layer.tar"))),
        *(("c.json", config(PLAIN[:1])), listing("c.json", ["x/layer.tar"])),
    ]
    put(path, archive(members))
    assert "a circle of links" in (await refused(path)).message


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (gzip.compress(PLAIN[1]), "other layers than its config names"),
        (gzip.compress(PLAIN[0])[:-9], "cut off"),
        (gzip.compress(PLAIN[0])[:-8] + bytes(8), "not what `docker save` writes"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "compressed by zstd"),
        (PLAIN[1], "other layers than its config names"),
    ],
)
async def test_a_layer_that_is_not_the_configs_is_refused(path: Path, stored: bytes, words: str) -> None:
    put(path, archive(docker_25(PLAIN[:1], {PLAIN[0]: stored})))
    assert words in (await refused_when_opened(path)).message


async def test_no_room_is_told(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(path, saved({"acme/one:1": ONE}))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    error = await refused_when_opened(path)
    assert isinstance(error, NoRoom)
    assert error.hint is not None
    assert "TMPDIR" in error.hint


async def test_nothing_is_left_behind(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    put(path, saved({"acme/one:1": ONE}))
    async with image_of(path).open():
        assert list(temporary.iterdir())
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "5", "{}", "[5]", "[{}]", "[null]", "[" * 100_000, "\xff"),
        *('[{"Config": 5, "Layers": []}]', '[{"Config": "c.json", "Layers": null}]', '[{"Config": "c.json"}]'),
        *('[{"Config": "c", "Layers": [5]}]', '[{"Config": "c", "Layers": {"a": 1}}]'),
        *('[{"Config": "c", "Layers": [], "RepoTags": "x"}]', '[{"Config": "c", "Layers": [], "RepoTags": [5]}]'),
        json.dumps([{"Config": "c", "Layers": ["a"] * 1001}]),
    ],
)  # fmt: skip
def test_a_listing_of_any_other_shape_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedImage, match=r"manifest\.json is not what"):
        read_listing(text.encode("latin-1"))


def test_an_image_may_have_no_name() -> None:
    for names in ("null", "[]"):
        (listed,) = read_listing(b'[{"Config": "c", "Layers": ["./a/x.tar"], "RepoTags": %s}]' % names.encode())
        assert (listed.names, listed.layers) == ((), ("a/x.tar",))
    with pytest.raises(UnsupportedImage, match="there is no image in it"):
        choose(read_listing(b"[]"), SavedSource("a"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
ENTRIES = st.lists(
    st.dictionaries(st.sampled_from(["Config", "Layers", "RepoTags"]), JSON | st.lists(st.text())) | JSON
)


@given(ENTRIES)
def test_any_json_is_read_or_refused(entries: list[Any]) -> None:
    with contextlib.suppress(UnsupportedImage):
        choose(read_listing(json.dumps(entries).encode()), SavedSource("a", parse_reference("worker:1")))


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(UnsupportedImage):
        read_listing(data)
