import gzip
import io
import tarfile
from pathlib import Path
from random import Random
from typing import Any, Literal

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from replsync.errors import UnsupportedImage
from replsync.layers.compressed import Stopped
from replsync.layers.splitting import Limits, Part, part_file, split_layer
from replsync.oci.digest import sha256
from replsync.oci.image_manifest import OCI_LAYER, Descriptor
from replsync.oci.layer_bounds import parts_bound
from tests.layers import tars
from tests.layers.overlay import unpacked
from tests.layers.tars import directory, entry, link, symlink

SMALL = 4000


def split(
    plain: bytes, folder: Path, limit: int = SMALL, storage: tars.Storage = "gzip"
) -> tuple[tuple[Part, ...], list[bytes]]:
    """The parts of a layer, and the tars that are in them."""
    folder.mkdir(exist_ok=True)
    layer = folder / "layer"
    layer.write_bytes(tars.stored(plain, storage))
    most = parts_bound(Descriptor(OCI_LAYER, sha256(b""), layer.stat().st_size)) + 2**20
    parts = split_layer(layer, sha256(plain), Limits(limit, most), folder, lambda: False)
    files = [part_file(folder, part.digest).read_bytes() for part in parts]
    unzipped = [gzip.decompress(file) for file in files]
    assert [part.size for part in parts] == [len(file) for file in files]
    assert [part.digest for part in parts] == [sha256(file) for file in files]
    assert [part.diff_id for part in parts] == [sha256(one) for one in unzipped]
    assert all(part.size <= limit for part in parts)
    assert {path.name for path in folder.iterdir()} <= {"layer", *(part.digest[7:] for part in parts)}
    return parts, unzipped


def noise(seed: int, size: int) -> bytes:
    return Random(seed).randbytes(size)


def names(plain: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        return archive.getnames()


FORMATS: tuple[Literal[0, 1, 2], ...] = (0, 1, 2)  # USTAR, GNU, PAX
NAMES = st.sampled_from(["f1", "f2", "f3", "f" + "n" * 120, "fü"])
FOLDERS = st.lists(st.sampled_from(["d1", "d2", "d" + "m" * 110]), max_size=3).map("/".join)
KINDS = ["file", "file", "file", *("directory", "link", "symlink", "fifo", "gone", "opaque", "sparse")]
UIDS = st.sampled_from([0, 1000, 2_000_000])
MODES = st.sampled_from([0o755, 0o700, 0o1777, 0o4755])
XATTRS = st.sampled_from([{}, {"SCHILY.xattr.user.a": "b"}, {"SCHILY.xattr.security.capability": "\1\0"}])


@st.composite
def layers(draw: st.DrawFn) -> bytes:
    """A layer as some tool may write it; what is a directory is never a file."""
    family = draw(st.sampled_from(FORMATS))
    made = io.BytesIO()
    files: list[str] = []
    for number in range(draw(st.integers(0, 30))):
        folder, name = draw(FOLDERS), draw(NAMES)
        path = f"{draw(st.sampled_from(['', './', '/']))}{folder}/{name}" if folder else name
        attributes: dict[str, Any] = {
            "mode": draw(MODES),
            "uid": draw(UIDS),
            "uname": "u",
        }
        kind = draw(st.sampled_from(KINDS))
        one: tars.Entry | bytes
        match kind:
            case "directory":
                one = entry(folder or ".", type=tarfile.DIRTYPE, **attributes)
            case "link" if files:
                one = link(f"{path}{number}", draw(st.sampled_from(files)))
            case "symlink":
                one = entry(f"{path}s", type=tarfile.SYMTYPE, linkname=draw(NAMES), **attributes)
            case "fifo":
                one = entry(f"{path}p", type=tarfile.FIFOTYPE, **attributes)
            case "gone":
                one = entry(f"{folder}/.wh.{name[:20]}")
            case "opaque":
                one = entry(f"{folder}/.wh..wh..opq")
            case "sparse" if family != tarfile.USTAR_FORMAT:
                write = tars.old_sparse if family == tarfile.GNU_FORMAT else tars.new_sparse
                one = write(f"{folder[:60]}/f{number}"[:90].lstrip("/"), draw(st.integers(1, 30)), noise(number, 40))
            case _:
                content = noise(number, draw(st.sampled_from([0, 511, 512, 2000, 3000])))
                one = entry(path, content, **attributes)
        if isinstance(one, bytes):
            made.write(one)
            continue
        member, content = one
        if family == tarfile.PAX_FORMAT:
            member.pax_headers = draw(XATTRS)
            member.mtime = draw(st.sampled_from([1_700_000_000, 1_700_000_000.25]))
        try:
            made.write(member.tobuf(family, "utf-8", "surrogateescape") + tars.padded(content))
        except ValueError:  # a name that USTAR has no room for
            continue
        if kind in ("file", "link"):
            files.append(member.name)
    return made.getvalue() + bytes(1024)


@given(lower=layers(), upper=layers(), storage=st.sampled_from(tars.STORAGES), limit=st.integers(3600, 12_000))
def test_the_unpacked_file_system_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, lower: bytes, upper: bytes, storage: tars.Storage, limit: int
) -> None:
    folder = tmp_path_factory.mktemp("split")
    try:
        parts, inside = split(upper, folder, limit, storage)
    except UnsupportedImage as error:
        if "twice" not in error.message and "can't be split" not in error.message:
            raise
        event(error.message[:9])
        return
    event(f"{len(parts)} parts")
    assert unpacked([lower, *inside]) == unpacked([lower, upper])
    assert split(upper, tmp_path_factory.mktemp("again"), limit, storage)[0] == parts


def test_members_are_copied_to_the_byte(tmp_path: Path) -> None:
    odd = entry("odd", noise(0, 700), mtime=1.5, uid=3_000_000, pax_headers={"SCHILY.xattr.user.x": "y"})
    first, second = tars.tar([odd]), tars.tar([entry("n" * 200, noise(1, 2500))], tarfile.GNU_FORMAT)
    raw = [first[: 1536 + 1024], second[: 512 * 3 + 2560]]
    _, inside = split(b"".join(raw) + bytes(1024), tmp_path, 3000)
    assert inside == [one.rstrip(b"\0").ljust(len(one), b"\0") + bytes(1024) for one in raw]


def test_each_part_has_the_directories_of_its_members_as_they_are_in_the_end(tmp_path: Path) -> None:
    made = [directory("."), directory("a", 0o700), entry("a/1", noise(1, 3000)), entry("a/b/2", noise(2, 3000))]
    plain = tars.tar([*made, directory("a", 0o711), entry("a/3", noise(3, 3000))])
    _, inside = split(plain, tmp_path, 5500)
    assert [names(one) for one in inside] == [[".", "a", "a/1"], [".", "a", "a/b/2"], [".", "a", "a/3"]]
    for one in inside:
        with tarfile.open(fileobj=io.BytesIO(one)) as archive:
            assert archive.getmember("a").mode == 0o711


def test_whiteouts_are_all_in_the_first_part(tmp_path: Path) -> None:
    files = [entry(f"d/{n}", noise(n, 2500)) for n in range(4)]
    plain = tars.tar([directory("d"), *files, entry("d/.wh..wh..opq"), entry("e/.wh.gone")])
    _, inside = split(plain, tmp_path)
    assert names(inside[0])[:3] == ["d", "d/.wh..wh..opq", "e/.wh.gone"]
    assert not any(".wh." in name for one in inside[1:] for name in names(one))


def test_hard_links_go_with_what_they_name(tmp_path: Path) -> None:
    files = [entry(f"{n}", noise(n, 2500)) for n in range(4)]
    plain = tars.tar([*files, link("x/a", "1"), link("y/b", "x/a"), directory("x", 0o700), link("c", "./3")])
    _, inside = split(plain, tmp_path)
    assert [names(one) for one in inside] == [["0"], ["x", "1", "x/a", "y/b"], ["2"], ["3", "c", "x"]]
    assert unpacked(inside) == unpacked([plain])


def test_links_in_a_circle_and_to_other_layers_stay_where_they_are(tmp_path: Path) -> None:
    plain = tars.tar([link("a", "b"), link("b", "a"), link("c", "c"), link("d", "elsewhere"), entry("f", b"1")])
    _, inside = split(plain, tmp_path)
    assert names(inside[0]) == ["a", "b", "c", "d", "f"]


def test_global_headers_are_in_each_part(tmp_path: Path) -> None:
    header = tarfile.TarInfo.create_pax_global_header({"comment": "0123"})
    plain = header + tars.tar([entry("1", noise(1, 3000)), entry("2", noise(2, 3000))])
    _, inside = split(plain, tmp_path)
    assert len(inside) == 2
    assert all(one.startswith(header) for one in inside)


def test_a_file_that_fits_no_part_is_named_with_its_size(tmp_path: Path) -> None:
    plain = tars.tar([entry("small", b"1"), entry("opt/model\x1b[31m.bin", noise(1, 9000)), entry("next", b"2")])
    with pytest.raises(UnsupportedImage) as caught:
        split(plain, tmp_path)
    assert r"/opt/model\x1b[31m.bin" in caught.value.message
    assert "(9,000 bytes)" in caught.value.message
    assert "4,000 bytes" in caught.value.message


def test_a_file_that_fits_only_once_compressed_has_a_part_of_its_own(tmp_path: Path) -> None:
    plain = tars.tar([entry("0", noise(0, 1000)), entry("zeros", bytes(1_000_000)), entry("2", noise(2, 3000))])
    _, inside = split(plain, tmp_path)
    assert [names(one) for one in inside] == [["0"], ["zeros"], ["2"]]


def test_small_files_fill_parts_well(tmp_path: Path) -> None:
    plain = tars.tar([entry(f"{n}", noise(n, 1500)) for n in range(200)])
    parts, _ = split(plain, tmp_path, 50_000)
    assert len(parts) == 7
    assert min(part.size for part in parts[:-1]) > 47_000


def test_an_empty_layer_is_one_part(tmp_path: Path) -> None:
    _, inside = split(bytes(1024), tmp_path)
    assert inside == [bytes(1024)]


def overlay_opaque(name: str) -> tars.Entry:
    """A directory that hides those below it by an attribute instead of a whiteout."""
    member, content = directory(name)
    member.pax_headers = {"SCHILY.xattr.trusted.overlay.opaque": "y"}
    return member, content


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([entry("a", b"1"), entry("a/b", b"2")], "both as a directory and as something else"),
        ([symlink("a", "b"), entry("a/b", b"2")], "both as a directory"),
        ([entry("a", b"1"), link("b", "a"), entry("a", b"2")], "'/a' twice"),
        ([entry("a", b"1"), entry("b", b"1"), link("b", "a")], "'/b' twice"),
        ([entry("a", b"1"), entry("b", b"1"), link("c", "a"), link("c", "b")], "'/c' twice"),
        ([entry(".wh.a", b"something")], "whiteout '/.wh.a' is a file with content"),
        ([entry("usr/a", b"1"), symlink("lib", "usr"), link("b", "lib/a")], "hard link lies behind '/lib'"),
        ([overlay_opaque("a"), entry("a/b", b"2")], "attributes of overlayfs"),
    ],
)
def test_what_can_not_be_told_apart_is_refused(tmp_path: Path, members: list[tars.Entry], said: str) -> None:
    with pytest.raises(UnsupportedImage, match=said):
        split(tars.tar(members), tmp_path)


def test_another_diff_id_than_the_configs_is_refused(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    layer.write_bytes(tars.tar([entry("a")]))
    with pytest.raises(UnsupportedImage, match="the image's config says sha256:"):
        split_layer(layer, sha256(b"other"), Limits(SMALL, 2**20), tmp_path, lambda: False)


def test_parts_that_grow_far_beyond_the_layer_are_refused(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    layer.write_bytes(plain := tars.tar([entry(f"{n}", noise(n, 3000)) for n in range(9)]))
    with pytest.raises(UnsupportedImage, match="far more than the layer itself"):
        split_layer(layer, sha256(plain), Limits(SMALL, 9000), tmp_path, lambda: False)


@pytest.mark.parametrize("pieces", [0, 3, 12, 15])
def test_it_can_be_stopped_in_either_reading(tmp_path: Path, pieces: int) -> None:
    layer = tmp_path / "layer"
    layer.write_bytes(plain := tars.tar([entry("a", bytes(5_000_000)), entry("b", bytes(5_000_000))]))
    left = iter([False] * pieces)
    with pytest.raises(Stopped):
        split_layer(layer, sha256(plain), Limits(SMALL * 10, 2**20), tmp_path, lambda: next(left, True))
