"""Archives of `docker save`, of all versions and in all states."""

import gzip
import io
import json
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.errors import UnsupportedImage
from replsync.oci.digest import Digest, sha256
from replsync.oci.image_manifest import DOCKER_LAYER, DOCKER_MANIFEST, ImageManifest, parse_document
from replsync.oci.tombstone import EMPTY_LAYER, EMPTY_TAR
from replsync.sources.saved_archive import SavedImage, read_saved
from tests.servers.command import clean_environment
from tests.sources.archives import (
    Link,
    Members,
    archive,
    config,
    containerd,
    docker_20,
    docker_25,
    hexadecimal,
    layer,
    listing,
)

LAYERS = (layer(a=b"1" * 5000), layer(b=b"2"), layer(c=b"3" * 100_000))
SHAPES: dict[str, Callable[[Sequence[bytes]], Members]] = {
    "Docker 20": docker_20,
    "Docker 25": docker_25,
    "containerd": containerd,
}


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Callable[[Sequence[bytes]], Members]:
    return SHAPES[request.param]


def read(folder: Path, members: Members | bytes) -> SavedImage:
    data = members if isinstance(members, bytes) else archive(members)
    return read_saved(io.BytesIO(data), folder, lambda: False)


def root(saved: SavedImage) -> ImageManifest:
    assert isinstance(saved.tree.root, ImageManifest)
    return saved.tree.root


def packed_layers(saved: SavedImage) -> list[bytes]:
    return [saved.files[one.digest].read_bytes() for one in root(saved).layers]


def refused(folder: Path, members: Members | bytes) -> str:
    with pytest.raises(UnsupportedImage) as caught:
        read(folder, members)
    return caught.value.message


def test_layers_unpack_to_the_tars_that_went_in(tmp_path: Path, shape: Callable[[Sequence[bytes]], Members]) -> None:
    saved = read(tmp_path, shape(LAYERS))
    assert [gzip.decompress(packed) for packed in packed_layers(saved)] == list(LAYERS)


def test_the_config_is_kept_byte_for_byte(tmp_path: Path, shape: Callable[[Sequence[bytes]], Members]) -> None:
    saved = read(tmp_path, shape(LAYERS))
    assert saved.files[root(saved).config.digest].read_bytes() == config(LAYERS)


def test_the_image_manifest_describes_the_files(tmp_path: Path, shape: Callable[[Sequence[bytes]], Members]) -> None:
    saved = read(tmp_path, shape(LAYERS))
    assert parse_document(root(saved).raw, DOCKER_MANIFEST) == root(saved)
    assert {one.media_type for one in root(saved).layers} == {DOCKER_LAYER}
    for blob in root(saved).blobs:
        data = saved.files[blob.digest].read_bytes()
        assert (sha256(data), len(data)) == (blob.digest, blob.size)


def test_the_same_archive_gives_the_same_bytes(tmp_path: Path, shape: Callable[[Sequence[bytes]], Members]) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    one, two = (read(folder, shape(LAYERS)) for folder in folders)
    assert root(one).raw == root(two).raw
    assert packed_layers(one) == packed_layers(two)


def test_the_order_of_members_does_not_matter(tmp_path: Path, shape: Callable[[Sequence[bytes]], Members]) -> None:
    members = shape(LAYERS)
    assert root(read(tmp_path, members[::-1])).raw == root(read(tmp_path, members)).raw


def test_a_layer_that_occurs_twice_is_kept_once(tmp_path: Path, shape: Callable[[Sequence[bytes]], Members]) -> None:
    twice = (LAYERS[0], LAYERS[1], LAYERS[0])
    saved = read(tmp_path, shape(twice))
    assert [gzip.decompress(packed) for packed in packed_layers(saved)] == list(twice)
    assert len(saved.files) == 3


def test_compressed_layers_stay_as_they_are(tmp_path: Path) -> None:
    assert packed_layers(read(tmp_path, containerd(LAYERS))) == [gzip.compress(one, mtime=0) for one in LAYERS]


def test_gzip_of_several_members_is_gzip(tmp_path: Path) -> None:
    plain = LAYERS[2]
    packed = gzip.compress(plain[:70_000]) + gzip.compress(b"") + gzip.compress(plain[70_000:])
    assert packed_layers(read(tmp_path, docker_25([plain], {plain: packed}))) == [packed]


def test_dockers_empty_layer_is_the_one_that_registries_know(tmp_path: Path) -> None:
    assert packed_layers(read(tmp_path, docker_20([EMPTY_TAR]))) == [EMPTY_LAYER]


def test_an_image_without_layers_has_none(tmp_path: Path) -> None:
    assert root(read(tmp_path, docker_20([]))).layers == ()


def test_an_empty_layer_file_is_a_layer(tmp_path: Path) -> None:
    assert [gzip.decompress(packed) for packed in packed_layers(read(tmp_path, docker_20([b""])))] == [b""]


def test_podmans_layers_beside_the_listing_are_found(tmp_path: Path) -> None:
    whole = config(LAYERS[:1])
    members = [("a.tar", LAYERS[0]), ("c.json", whole), listing("c.json", ["a.tar"])]
    assert gzip.decompress(packed_layers(read(tmp_path, members))[0]) == LAYERS[0]


def test_a_hard_link_is_followed_from_the_top(tmp_path: Path) -> None:
    whole = config([LAYERS[0]] * 2)
    members: Members = [
        *(("x/layer.tar", LAYERS[0]), ("y/layer.tar", Link("x/layer.tar", symbolic=False)), ("c.json", whole)),
        listing("c.json", ["x/layer.tar", "y/layer.tar"]),
    ]
    assert len(root(read(tmp_path, members)).layers) == 2


def test_names_may_begin_with_a_dot(tmp_path: Path) -> None:
    members = [(f"./{name}", content) for name, content in docker_20(LAYERS)]
    assert len(root(read(tmp_path, members)).layers) == 3


@pytest.mark.parametrize("name", ["../../evil/layer.tar", "/evil/layer.tar", "x/../../evil/layer.tar"])
def test_names_that_lead_elsewhere_write_nothing_there(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    whole = config(LAYERS[:1])
    saved = read(folder, [(name, LAYERS[0]), ("../c.json", whole), listing("../c.json", [name])])
    assert {path.parent for path in saved.files.values()} == {folder}
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != folder] == []


def test_a_link_out_of_the_archive_reads_nothing_there(tmp_path: Path) -> None:
    secret = tmp_path / "layer.tar"
    secret.write_bytes(LAYERS[0])
    members: Members = [
        *(("x/layer.tar", Link(str(secret))), ("c.json", config(LAYERS[:1]))),
        listing("c.json", ["x/layer.tar"]),
    ]
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "not what `docker save` writes" in refused(folder, members)


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    members: Members = [
        *(("x/layer.tar", Link("../y/layer.tar")), ("y/layer.tar", Link("../x/layer.tar"))),
        *(("c.json", config(LAYERS[:1])), listing("c.json", ["x/layer.tar"])),
    ]
    assert "a circle of links" in refused(tmp_path, members)


def test_zstd_is_refused_by_name(tmp_path: Path) -> None:
    zstd = b"\x28\xb5\x2f\xfd" + bytes(100)
    assert "compressed by zstd" in refused(tmp_path, docker_25(LAYERS[:1], {LAYERS[0]: zstd}))


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(gzip.compress(LAYERS[1]), id="another layer"),
        pytest.param(gzip.compress(LAYERS[0])[:-9], id="cut off"),
        pytest.param(gzip.compress(LAYERS[0])[:-8] + bytes(8), id="a wrong checksum"),
        pytest.param(gzip.compress(LAYERS[0]) + b"more", id="more behind it"),
        pytest.param(b"\x1f\x8b" + bytes(100), id="no gzip"),
        pytest.param(b"\x1f\x8b", id="two bytes"),
    ],
)
def test_a_compressed_layer_that_is_not_what_the_config_names_is_refused(tmp_path: Path, packed: bytes) -> None:
    assert "the exported archive" in refused(tmp_path, docker_25(LAYERS[:1], {LAYERS[0]: packed}))


@pytest.mark.parametrize("diff_ids", [[], ["sha256:" + "0" * 64], None, 5, {}, "x", [5]])
def test_layers_that_the_config_does_not_name_are_refused(tmp_path: Path, diff_ids: object) -> None:
    whole = json.dumps({"rootfs": {"diff_ids": diff_ids}}).encode()
    members = [("x/layer.tar", LAYERS[0]), ("c.json", whole), listing("c.json", ["x/layer.tar"])]
    assert "the exported archive holds other layers than its config names" in refused(tmp_path, members)


def test_layers_in_another_order_are_refused(tmp_path: Path) -> None:
    members = [
        *(("x/layer.tar", LAYERS[0]), ("y/layer.tar", LAYERS[1]), ("c.json", config(LAYERS[:2]))),
        listing("c.json", ["y/layer.tar", "x/layer.tar"]),
    ]
    assert "other layers than its config names" in refused(tmp_path, members)


@pytest.mark.parametrize("name", ["manifest.json", "the config", "a layer"])
def test_an_archive_that_lacks_something_is_refused(tmp_path: Path, name: str) -> None:
    members = docker_20(LAYERS)
    missing = {"manifest.json": "manifest.json", "the config": f"{hexadecimal(config(LAYERS))}.json"}.get(
        name, members[2][0]
    )
    assert "not what `docker save` writes" in refused(tmp_path, [one for one in members if one[0] != missing])


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "5", "[]", "{}", "[5]", "[{}]", "[null]", "[" * 100_000),
        *('[{"Config": 5, "Layers": []}]', '[{"Config": "c.json", "Layers": null}]', '[{"Config": "c.json"}]'),
        *('[{"Config": "c.json", "Layers": [5]}]', '[{"Config": "c.json", "Layers": {"a": 1}}]'),
    ],
)  # fmt: skip
def test_a_listing_of_any_shape_is_refused(tmp_path: Path, text: str) -> None:
    members = [("c.json", config([])), ("manifest.json", text.encode())]
    assert "the exported archive" in refused(tmp_path, members)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "5", "{}", '{"rootfs": 5}', '{"rootfs": {}}', "[" * 100_000])
def test_a_config_of_any_shape_is_refused(tmp_path: Path, text: str) -> None:
    assert "the exported archive" in refused(tmp_path, [("c.json", text.encode()), listing("c.json", [])])


@pytest.mark.parametrize("data", [b"", b"not a tar", bytes(10_240), gzip.compress(archive(docker_20(LAYERS)))])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    assert "not what `docker save` writes" in refused(tmp_path, data)


@given(st.data())
def test_an_archive_that_breaks_off_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = archive(docker_20(LAYERS))
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        end = tar.getmember("manifest.json").offset_data  # what is behind it isn't needed
    cut = data.draw(st.integers(0, end))
    refused(tmp_path_factory.mktemp("folder"), whole[:cut])


def test_reading_stops_when_it_is_told_to(tmp_path: Path) -> None:
    answers = iter([False, True])
    stream = io.BytesIO(archive(docker_20([bytes(20_000_000)])))
    with pytest.raises(UnsupportedImage, match="interrupted"):
        read_saved(stream, tmp_path, lambda: next(answers))
    assert stream.tell() < 15_000_000


def test_a_digest_names_what_zlib_of_this_machine_makes(tmp_path: Path) -> None:
    saved = read(tmp_path, docker_20(LAYERS[:1]))
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    assert root(saved).layers[0].digest == Digest(sha256(packer.compress(LAYERS[0]) + packer.flush()))


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param([[300, False]], id="a layer of 300 MiB"),
        pytest.param([[300, True]], id="a compressed layer of 300 MiB"),
        pytest.param([[3, False]] * 100, id="100 layers of 3 MiB"),
    ],
)
def test_memory_is_bounded(layers: list[list[object]]) -> None:
    program = Path(__file__).with_name("measure_memory.py")
    env = clean_environment(Path.home())
    done = subprocess.run([sys.executable, program, json.dumps(layers)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 60  # MiB
