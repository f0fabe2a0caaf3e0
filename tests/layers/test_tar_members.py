import io
import tarfile
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.errors import UnsupportedImage
from replsync.layers.compressed import Unpacked
from replsync.layers.tar_members import TarReader, shown
from tests.layers import tars
from tests.layers.tars import entry


def read(plain: bytes) -> list[tuple[str, bytes, int]]:
    return [(one.kind, one.path, one.size) for one in TarReader(io.BytesIO(plain))]


@given(plain=st.binary(max_size=3000))
def test_foreign_bytes_are_read_or_refused(plain: bytes) -> None:
    with suppress(UnsupportedImage):
        read(plain)


@given(data=st.data(), format=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_damaged_tars_are_read_or_refused(data: st.DataObject, format: int) -> None:
    members = [entry("n" * 150, b"1" * 600, pax_headers={"SCHILY.xattr.user.a": "b"}), tars.link("b", "n" * 150)]
    plain = bytearray(tars.tar(members, format))
    for _ in range(data.draw(st.integers(1, 3))):
        plain[data.draw(st.integers(0, len(plain) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        tars.with_sum(plain)
    with suppress(UnsupportedImage):
        read(bytes(plain))


@given(
    name=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300),
    size=st.integers(0, 2000),
    format=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_it_reads_what_tarfile_writes(name: str, size: int, format: int) -> None:
    plain = tars.tar([entry(name, bytes(size)), entry("last", b"1")], format)
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        sizes = [member.size for member in archive]
    read_members = read(plain)
    assert [size for _, _, size in read_members] == sizes
    assert read_members[-1][1] == b"last"
    kept = b"".join(one.raw + b"".join(reader.data()) for reader in [TarReader(io.BytesIO(plain))] for one in reader)
    assert plain.startswith(kept)


def test_sizes_of_pax_headers_count() -> None:
    member = entry("a", bytes(600), pax_headers={"size": "600"})[0]
    member.size = 0
    plain = member.tobuf(tarfile.PAX_FORMAT) + bytes(1024) + tars.tar([entry("b")])
    assert read(plain) == [("file", b"a", 600), ("file", b"b", 0)]


def test_numbers_in_base_256_are_read() -> None:
    header = bytearray(tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\x80" + (600).to_bytes(11, "big")
    assert read(bytes(tars.with_sum(header)) + bytes(1024)) == [("file", b"a", 600)]


def test_links_of_old_tars_tell_a_size_and_have_no_data() -> None:
    header = bytearray(tars.link("a", "b")[0].tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = b"%011o\0" % 5000
    assert read(bytes(tars.with_sum(header)) + tars.tar([entry("b")]))[-1] == ("file", b"b", 0)


@pytest.mark.parametrize("write", [tars.old_sparse, tars.new_sparse])
@pytest.mark.parametrize("holes", [1, 4, 5, 25, 26, 100])
def test_sparse_files_are_one_member_by_their_own_name(write: object, holes: int) -> None:
    made = tars.old_sparse if write is tars.old_sparse else tars.new_sparse
    plain = made("d/sparse", holes, b"x" * 100) + tars.tar([entry("b")])
    assert [(kind, path) for kind, path, _ in read(plain)] == [("file", b"d/sparse"), ("file", b"b")]


def _lying(field: bytes) -> bytes:
    header = bytearray(tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = field.ljust(12, b"\0")
    return bytes(tars.with_sum(header)) + bytes(2048)


def _pax(content: bytes, kind: bytes = b"x") -> bytes:
    header = bytearray(tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = b"%011o\0" % len(content)
    header[156:157] = kind
    return bytes(tars.with_sum(header)) + tars.padded(content) + tars.tar([entry("b")])


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        (_lying(b"77777777777"), "cut off within a file"),
        (_lying(b"\xff" * 12), "number that no size can be"),
        (_lying(b"\x80" + b"\x7f" * 11), "number that no size can be"),
        (_lying(b"12x"), "number that is none"),
        (_pax(b"9 path=b\n" * 2 + b"99 size=1\n"), "pax header is not well-formed"),
        (_pax(b"x"), "pax header is not well-formed"),
        (_pax(b"12 size=-12\n"), "size that is none"),
        (_pax(b"30 size=99999999999999999999\n\n"), "size that is none"),
        (_pax(b"10 path=b\n", b"g"), "gives many files one name"),
        (_pax(b"x" * 5000, b"L"), "a name has more than 4096 bytes"),
        (_pax(b"\0" * 9_000_000), "have more than 8388608 bytes"),
        (tars.tar([entry("a")])[:300], "cut off within a header"),
        (bytes(512) + tars.tar([entry("a")]), "an empty block within it"),
        (_pax(b"11 path=ab\n")[:1024], "first half of a header"),
        (b"x" * 1024, "number that is none"),
        (bytes(9) + b"x" + bytes(1014), "check sum is wrong"),
    ],
)
def test_hostile_tars_are_refused(plain: bytes, said: str) -> None:
    with pytest.raises(UnsupportedImage, match=said):
        read(plain)


def test_names_do_no_harm_to_a_terminal() -> None:
    assert shown(b"a\x1b[31m\xff\n") == r"'/a\x1b[31m\\xff\n'"
    assert len(shown(b"x" * 4000)) < 310


@pytest.mark.parametrize("storage", tars.STORAGES)
def test_each_way_to_store_a_layer_is_read(tmp_path: Path, storage: tars.Storage) -> None:
    (tmp_path / "layer").write_bytes(tars.stored(plain := bytes(range(256)) * 5000, storage))
    with Unpacked(tmp_path / "layer", len(plain), lambda: False) as unpacked:
        assert unpacked.read(2 * len(plain)) == plain
        assert unpacked.read(1) == b""


@pytest.mark.parametrize("storage", [storage for storage in tars.STORAGES if storage != "plain"])
@pytest.mark.parametrize("cut", [1, 3, 9, 500, 20_000])
def test_layers_that_are_cut_off_are_refused(tmp_path: Path, storage: tars.Storage, cut: int) -> None:
    (tmp_path / "layer").write_bytes(tars.stored(Random(1).randbytes(50_000), storage)[:-cut])
    refuse_damaged(tmp_path / "layer")


@pytest.mark.parametrize("storage", [storage for storage in tars.STORAGES if storage != "plain"])
def test_layers_with_something_behind_are_refused(tmp_path: Path, storage: tars.Storage) -> None:
    (tmp_path / "layer").write_bytes(tars.stored(Random(1).randbytes(50_000), storage) + b"behind")
    refuse_damaged(tmp_path / "layer")


def test_damage_within_gzip_is_found_by_its_check_sum(tmp_path: Path) -> None:
    data = tars.stored(Random(1).randbytes(50_000), "gzip")
    (tmp_path / "layer").write_bytes(data[:40] + b"x" + data[41:])
    refuse_damaged(tmp_path / "layer")


def refuse_damaged(layer: Path) -> None:
    with Unpacked(layer, 10**9, lambda: False) as unpacked, pytest.raises(UnsupportedImage, match="damaged"):
        unpacked.read(10**6)


@pytest.mark.parametrize("bomb", [tars.stored(bytes(10**7), "gzip"), tars.stored(bytes(10**7), "zstd")])
def test_bombs_are_refused(tmp_path: Path, bomb: bytes) -> None:
    (tmp_path / "layer").write_bytes(bomb)
    most = "more than 1000000 bytes unpacked"
    with Unpacked(tmp_path / "layer", 10**6, lambda: False) as unpacked, pytest.raises(UnsupportedImage, match=most):
        unpacked.read(10**7)
