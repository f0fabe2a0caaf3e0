"""Tars: what is in them and where, beside Python's own reader, and what is refused."""

import bz2
import contextlib
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.errors import UnsupportedImage
from replsync.sources import tar_index
from replsync.sources.tar_index import Entry, Link, Member, index_tar
from tests.servers.layouts import tar

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "GNU": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def index(data: bytes) -> dict[str, Entry]:
    return index_tar(lambda start, count: data[start : start + count], len(data))


def refused(data: bytes) -> str:
    with pytest.raises(UnsupportedImage) as caught:
        index(data)
    return caught.value.message


def made(*members: tarfile.TarInfo, format: int = tarfile.PAX_FORMAT) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=format) as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return target.getvalue()


def member(name: str, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(info, key, value)
    return info


names = st.lists(st.from_regex(r"[a-zA-Z0-9äß_-]{1,60}", fullmatch=True), min_size=1, max_size=4).map("/".join)


@given(st.dictionaries(names, st.binary(max_size=2000), min_size=1, max_size=8), st.sampled_from(sorted(FORMATS)))
def test_members_are_where_pythons_reader_finds_them(files: dict[str, bytes], format: str) -> None:
    if format == "ustar":
        files = {f"{number}/{len(name)}": data for number, (name, data) in enumerate(files.items())}
    data = tar(files.items(), FORMATS[format])
    found = index(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = {one.name: Member(one.offset_data, one.size) for one in archive}
    assert found == expected
    for name, content in files.items():
        place = found[name]
        assert isinstance(place, Member)
        assert data[place.offset : place.offset + place.size] == content


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_folders_are_passed_over_and_links_are_kept(format: int) -> None:
    data = made(
        member("a", type=tarfile.DIRTYPE),
        member("a/b", size=3),
        member("a/c", type=tarfile.SYMTYPE, linkname="../x/y"),
        member("d", type=tarfile.LNKTYPE, linkname="./a/b"),
        member("e", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        format=format,
    )
    found = index(data)
    assert {name: entry for name, entry in found.items() if isinstance(entry, Link)} == {
        "a/c": Link("x/y"),
        "d": Link("a/b"),
        "e": Link("/etc/passwd"),
    }
    assert list(found) == ["a/b", "a/c", "d", "e"]


def test_names_may_begin_with_a_dot() -> None:
    assert list(index(made(member("./a//b")))) == ["a/b"]


def test_an_archive_without_members_has_none() -> None:
    assert refused(bytes(10240)) == "it is empty, and no tar"
    assert refused(b"") == "it is empty, and no tar"


@pytest.mark.parametrize("name", ["../a", "a/../../b", "a/..", "/a", "..", "//a"])
def test_a_member_outside_of_the_archive_is_refused(name: str) -> None:
    assert "outside of the archive" in refused(made(member(name)))


@pytest.mark.parametrize("second", ["a/b", "./a/b", "a//b"])
def test_a_member_that_is_there_twice_is_refused(second: str) -> None:
    assert "twice" in refused(made(member("a/b"), member(second)))
    assert "twice" in refused(made(member("a/b"), member(second, type=tarfile.SYMTYPE, linkname="c")))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
def test_what_is_no_file_is_refused(kind: bytes) -> None:
    assert "neither a file" in refused(made(member("a", type=kind)))


def test_sparse_files_are_refused() -> None:
    assert "sparse" in refused(made(member("a", type=tarfile.GNUTYPE_SPARSE), format=tarfile.GNU_FORMAT))
    assert "sparse" in refused(made(member("a", pax_headers={"GNU.sparse.major": "1"})))


@pytest.mark.parametrize(
    ("pack", "name"),
    [
        (gzip.compress, "gunzip"),
        (bz2.compress, "bunzip2"),
        (lzma.compress, "unxz"),
        (lambda _: b"\x28\xb5\x2f\xfd", "unzstd"),
    ],
)
def test_a_compressed_archive_has_a_next_move(pack: Callable[[bytes], bytes], name: str) -> None:
    with pytest.raises(UnsupportedImage, match="it is compressed") as caught:
        index(pack(made(member("a"))))
    assert caught.value.hint == f"unpack it by `{name}`, and name the plain tar"


def test_a_member_may_not_be_longer_than_the_file() -> None:
    assert "cut off" in refused(made(member("a", size=1000))[: 512 + 999])
    lying = bytearray(made(member("a")))
    lying[124:136] = b"77777777777\0"
    lying[148:156] = b"%06o\0 " % (sum(lying[:148]) + sum(lying[156:512]) + 256)
    assert "cut off" in refused(bytes(lying))


@pytest.mark.parametrize("size", [b"\x80" + b"\x7f" * 11, b"\xff" * 12, b"-0000000001\0", b"99999999999\0"])
def test_a_size_that_is_none_is_refused(size: bytes) -> None:
    lying = bytearray(made(member("a")))
    lying[124:136] = size
    lying[148:156] = b"%06o\0 " % (sum(lying[:148]) + sum(lying[156:512]) + 256)
    assert refused(bytes(lying))


def test_a_size_beyond_eight_gigabytes_is_read() -> None:
    header = bytearray(made(member("a"), format=tarfile.GNU_FORMAT)[:512])
    header[124:136] = b"\x80" + (2**40).to_bytes(11)
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:512]) + 256)
    end = 512 + 2**40
    found = index_tar(lambda start, count: bytes(header[start : start + count]) if start < 512 else b"", end)
    assert found == {"a": Member(512, 2**40)}


def test_a_pax_header_may_state_the_size() -> None:
    data = made(member("a", size=700, pax_headers={"size": "700", "comment": "x"}), member("b"))
    assert index(data)["a"] == Member(1536, 700)


@pytest.mark.parametrize(
    "record", [b"99 path=x\n", b"path=x\n", b"9 path=x", b"9 path x\n", b"0 a=b\n", b"-1 a=b\n", b"12 size=1x\n\n"]
)
def test_a_broken_pax_header_is_refused(record: bytes) -> None:
    header = bytearray(made(member("x", size=len(record)), member("b"), format=tarfile.USTAR_FORMAT))
    header[156:157] = b"x"
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:512]) + 256)
    header[512 : 512 + len(record)] = record
    assert "pax header" in refused(bytes(header)) or "a size that is none" in refused(bytes(header))


def test_headers_that_speak_of_all_members_say_no_names() -> None:
    def globally(**said: str) -> bytes:
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT, pax_headers=said) as archive:
            archive.addfile(member("a"))
        return target.getvalue()

    assert list(index(globally(comment="0123"))) == ["a"]
    assert "one name or size" in refused(globally(path="b"))


@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g"])
def test_long_names_are_bounded(kind: bytes) -> None:
    data = made(member("a", type=b"0", size=100_000), format=tarfile.USTAR_FORMAT)
    header = bytearray(data)
    header[156:157] = kind
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:512]) + 256)
    assert "more than 65536 bytes" in refused(bytes(header))
    assert "is read up to 1024" in refused(made(member("a" * 2000)))


def test_the_number_of_members_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_index, "MAX_MEMBERS", 3)
    assert len(index(made(*map(member, "abc")))) == 3
    assert "more than 3 members" in refused(made(*map(member, "abcd")))


def test_a_name_without_its_member_is_refused() -> None:
    whole = made(member("a" * 150), format=tarfile.GNU_FORMAT)
    assert "cut off" in refused(whole[:1024] + bytes(1024))


@given(st.binary(max_size=2000))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(UnsupportedImage):
        index(data)


@given(st.data())
def test_a_damaged_tar_is_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(made(member("a" * 120, size=600), member("b", type=tarfile.SYMTYPE, linkname="a"), member("c")))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        header = data.draw(st.sampled_from([0, 1024]))
        whole[header + 148 : header + 156] = b"%06o\0 " % (
            sum(whole[header : header + 148]) + sum(whole[header + 156 : header + 512]) + 256
        )
    with contextlib.suppress(UnsupportedImage):
        found = index(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
        assert all(one.offset + one.size <= len(whole) for one in found.values() if isinstance(one, Member))
