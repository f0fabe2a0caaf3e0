"""What is in a tar, and where: one pass over its headers, of which nothing is unpacked."""

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

from replsync.errors import UnsupportedImage
from replsync.layers import tar_members

MAX_MEMBERS = 100_000
_MAX_HEADERS = 64 * 1024
"""Bytes of a member's headers, its long name and pax header among them."""
_MAX_NAME = 1024
"""Characters: names in layouts have some hundred."""
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_UNPACK = {"gzip": "gunzip", "zstd": "unzstd", "bzip2": "bunzip2", "xz": "unxz"}
_PLAIN = (b"0", b"\0", b"7")


@dataclass(frozen=True)
class Member:
    """A plain file: where its bytes are in the archive."""

    offset: int
    size: int


@dataclass(frozen=True)
class Link:
    """A link, to another member by its whole name, or to a place outside of the archive."""

    target: str


Entry = Member | Link
Read = Callable[[int, int], bytes]
"""Reads so many bytes from a position on; fewer at the end."""


class _Stream:
    """The archive from its beginning, with a place in it."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.place = 0

    def read(self, size: int, /) -> bytes:
        data = self._read(self.place, size)
        self.place += len(data)
        return data

    def skip(self, size: int) -> None:
        self.place += size


def index_tar(read: Read, end: int) -> dict[str, Entry]:
    """Return the files and links of a tar of `end` bytes by their names.

    Raises UnsupportedImage for what is no tar, is compressed or cut off, and for
    members that lead out of it, are there twice, or are sparse.
    """
    refuse_compressed(read(0, tar_members.BLOCK))
    stream = _Stream(read)
    found: dict[str, Entry] = {}
    seen = 0
    for member in tar_members.TarReader(stream, stream.skip, _MAX_HEADERS):
        seen += 1
        if seen > MAX_MEMBERS:
            raise UnsupportedImage(f"the tar has more than {MAX_MEMBERS} members")
        if stream.place + member.size > end:
            raise UnsupportedImage("the tar is cut off: a member says that it is longer than the file")
        if member.kind == "global":
            continue
        name = _inside(_text(member.name))
        entry = _entry(member, name, stream.place)
        if entry is not None:
            if name in found:
                raise UnsupportedImage(f"the tar has the member {_shown(name)} twice")
            found[name] = entry
    if not seen:
        raise UnsupportedImage("it is empty, and no tar")
    return found


def refuse_compressed(start: bytes) -> None:
    """Raise UnsupportedImage where a file that begins like this is compressed."""
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            raise UnsupportedImage(
                f"it is compressed ({name}), and an archive is read in place",
                hint=f"unpack it by `{_UNPACK[name]}`, and name the plain tar",
            )


def _entry(member: tar_members.Member, name: str, start: int) -> Entry | None:
    """What a member is; None for what holds nothing."""
    target = _text(member.linkname)
    if member.is_sparse:
        raise UnsupportedImage(f"the member {_shown(name)} is sparse", hint="write the archive without sparse files")
    match member.kind:
        case "directory":
            return None
        case "file" if member.flag in _PLAIN:
            return None if name.endswith("/") else Member(start, member.size)
        case "link":
            return Link(posixpath.normpath(target))
        case "symlink":
            return Link(posixpath.normpath(posixpath.join(posixpath.dirname(name), target)))
        case _:
            raise UnsupportedImage(f"the member {_shown(name)} is neither a file nor a folder nor a link")


def _inside(name: str) -> str:
    """Return a member's name without what says nothing. Raises UnsupportedImage where it leads out of the archive."""
    if name.startswith("/") or ".." in name.split("/"):
        raise UnsupportedImage(f"the member {_shown(name)} would lie outside of the archive")
    if len(name) > _MAX_NAME:
        raise UnsupportedImage(f"a member's name has {len(name)} characters, and is read up to {_MAX_NAME}")
    return posixpath.normpath(name) + ("/" if name.endswith("/") else "")


def _text(name: bytes) -> str:
    return name.decode(errors="surrogateescape")


def _shown(name: str) -> str:
    return ascii(name[:100])
