"""Layers for tests: members that tarfile writes, and those that it can only read."""

import gzip
import io
import sys
import tarfile
from collections.abc import Iterable
from typing import Literal

from isal import igzip

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Storage = Literal["plain", "gzip", "gzip members", "zstd", "zstd frames"]
STORAGES: tuple[Storage, ...] = ("plain", "gzip", "gzip members", "zstd", "zstd frames")

Entry = tuple[tarfile.TarInfo, bytes]


def tar(entries: Iterable[Entry], format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar with these members in their order."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=format) as archive:
        for member, content in entries:
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def entry(name: str, content: bytes = b"", **attributes: object) -> Entry:
    """A member: a file, where no `type` says otherwise."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mtime = 1_700_000_000
    for key, value in attributes.items():
        setattr(member, key, value)
    return member, content


def directory(name: str, mode: int = 0o755) -> Entry:
    return entry(name, type=tarfile.DIRTYPE, mode=mode)


def link(name: str, target: str) -> Entry:
    return entry(name, type=tarfile.LNKTYPE, linkname=target)


def symlink(name: str, target: str) -> Entry:
    return entry(name, type=tarfile.SYMTYPE, linkname=target)


def stored(plain: bytes, storage: Storage) -> bytes:
    """A tar as a registry keeps it."""
    half = len(plain) // 2
    match storage:
        case "plain":
            return plain
        case "gzip":
            return gzip.compress(plain, mtime=0)
        case "gzip members":
            return gzip.compress(plain[:half], mtime=0) + igzip.compress(plain[half:], mtime=0)
        case "zstd":
            return zstd.compress(plain)
        case "zstd frames":
            return zstd.compress(plain[:half]) + zstd.compress(plain[half:])


def old_sparse(name: str, holes: int, piece: bytes) -> bytes:
    """A file in GNU's old sparse format, `piece` behind each of its holes; tarfile reads those and writes none."""
    spots = [(4096 * (number + 1), len(piece)) for number in range(holes)]
    content = piece * holes
    header = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"%011o\0" % len(content)
    header[156:157] = b"S"
    header[386:482] = b"".join(map(spot, spots[:4])).ljust(96, b"\0")
    header[482] = len(spots) > 4
    header[483:495] = b"%011o\0" % (4096 * (holes + 1) + len(piece))
    with_sum(header)
    blocks = bytearray()
    rest = spots[4:]
    while rest:
        block = bytearray(b"".join(map(spot, rest[:21])).ljust(512, b"\0"))
        rest = rest[21:]
        block[504] = bool(rest)
        blocks += block
    return bytes(header + blocks) + padded(content)


def new_sparse(name: str, holes: int, piece: bytes) -> bytes:
    """A file in the sparse format 1.0 of GNU tar, whose map stands before its data."""
    spots = [(4096 * (number + 1), len(piece)) for number in range(holes)]
    table = b"%d\n" % holes + b"".join(b"%d\n%d\n" % one for one in spots)
    member = tarfile.TarInfo(f"GNUSparseFile.0/{name}")
    content = padded(table) + piece * holes
    member.size = len(content)
    member.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": name,
        "GNU.sparse.realsize": str(4096 * holes + len(piece)),
    }
    return member.tobuf(tarfile.PAX_FORMAT) + padded(content)


def spot(one: tuple[int, int]) -> bytes:
    return b"%011o\0%011o\0" % one


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def with_sum(header: bytearray) -> bytearray:
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    return header
