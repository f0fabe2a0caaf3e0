"""What is in a tar, and where: one pass over its headers, of which nothing is unpacked.

POSIX ustar and pax (IEEE Std 1003.1, "pax Interchange Format"), and GNU's long
names. Not tarfile: that holds each header of an archive in memory, at whatever
size the archive says.
"""

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

from replsync.errors import UnsupportedImage

_BLOCK = 512
MAX_MEMBERS = 100_000
_MAX_EXTENSION = 64 * 1024
"""Bytes of a long name, or of a pax header."""
_MAX_NAME = 1024
"""Characters: names in layouts have some hundred."""
_MAX_SIZE = 2**63 - 1
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_UNPACK = {"gzip": "gunzip", "zstd": "unzstd", "bzip2": "bunzip2", "xz": "unxz"}


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


@dataclass
class _Extension:
    """What headers in front of a member say of it."""

    name: str | None = None
    target: str | None = None
    size: int | None = None


def index_tar(read: Read, end: int) -> dict[str, Entry]:
    """Return the files and links of a tar of `end` bytes by their names.

    Raises UnsupportedImage for what is no tar, is compressed or cut off, and for
    members that lead out of it, are there twice, or are sparse.
    """
    refuse_compressed(read(0, _BLOCK))
    found: dict[str, Entry] = {}
    extension = _Extension()
    at = seen = 0
    while True:
        header = read(at, _BLOCK)
        if not header.strip(b"\0"):
            if at == 0:
                raise UnsupportedImage("it is empty, and no tar")
            if extension != _Extension():
                raise UnsupportedImage("the tar is cut off behind the name of a member")
            return found
        seen += 1
        if seen > MAX_MEMBERS:
            raise UnsupportedImage(f"the tar has more than {MAX_MEMBERS} members")
        _check_sum(header, at)
        kind, size = header[156:157], _number(header[124:136])
        start = at + _BLOCK
        if kind in (b"x", b"g", b"L", b"K"):
            _extend(extension, kind, _small(read, start, size))
        else:
            name = _inside(extension.name or _name(header))
            size = size if extension.size is None else extension.size
            target = _text(header[157:257]) if extension.target is None else extension.target
            entry, size = _entry(kind, name, start, size, target)
            if entry is not None:
                if name in found:
                    raise UnsupportedImage(f"the tar has the member {_shown(name)} twice")
                found[name] = entry
            extension = _Extension()
        at = start + -(-size // _BLOCK) * _BLOCK
        if start + size > end:
            raise UnsupportedImage("the tar is cut off: a member says that it is longer than the file")


def refuse_compressed(start: bytes) -> None:
    """Raise UnsupportedImage where a file that begins like this is compressed."""
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            raise UnsupportedImage(
                f"it is compressed ({name}), and an archive is read in place",
                hint=f"unpack it by `{_UNPACK[name]}`, and name the plain tar",
            )


def _entry(kind: bytes, name: str, start: int, size: int, target: str) -> tuple[Entry | None, int]:
    """What a member is, None for what holds nothing, and how many bytes it has in the archive."""
    match kind:
        case b"0" | b"\0" | b"7":
            return (None, size) if name.endswith("/") else (Member(start, size), size)
        case b"5":
            return None, size
        case b"1":
            return Link(posixpath.normpath(target)), 0
        case b"2":
            return Link(posixpath.normpath(posixpath.join(posixpath.dirname(name), target))), 0
        case b"S":
            raise UnsupportedImage(
                f"the member {_shown(name)} is sparse", hint="write the archive without sparse files"
            )
        case _:
            raise UnsupportedImage(f"the member {_shown(name)} is neither a file nor a folder nor a link")


def _extend(extension: _Extension, kind: bytes, data: bytes) -> None:
    match kind:
        case b"L":
            extension.name = _text(data)
        case b"K":
            extension.target = _text(data)
        case _:
            said = _records(data)
            if any(key.startswith("GNU.sparse.") for key in said):
                raise UnsupportedImage("a member is sparse", hint="write the archive without sparse files")
            if kind == b"g":
                if said.keys() & {"path", "linkpath", "size"}:
                    raise UnsupportedImage("the tar says one name or size of all its members")
                return
            extension.name = said.get("path", extension.name)
            extension.target = said.get("linkpath", extension.target)
            extension.size = _decimal(said["size"]) if "size" in said else extension.size


def _records(data: bytes) -> dict[str, str]:
    """The records of a pax header: `LENGTH KEY=VALUE`, each ended by a newline."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        length, blank, _ = data[at : at + 12].partition(b" ")
        size = _decimal(length.decode("ascii", "replace"))
        record = data[at : at + size]
        key, equals, value = record[len(length) + 1 : -1].partition(b"=")
        if not blank or not equals or len(record) != size or not record.endswith(b"\n"):
            raise _broken("a pax header")
        found[key.decode(errors="replace")] = value.decode(errors="surrogateescape")
        at += size
    return found


def _small(read: Read, start: int, size: int) -> bytes:
    if size > _MAX_EXTENSION:
        raise UnsupportedImage(f"a member's name or pax header has {size} bytes, and is read up to {_MAX_EXTENSION}")
    data = read(start, size)
    if len(data) != size:
        raise UnsupportedImage("the tar is cut off")
    return data


def _name(header: bytes) -> str:
    name = _text(header[0:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _inside(name: str) -> str:
    """Return a member's name without what says nothing. Raises UnsupportedImage where it leads out of the archive."""
    if name.startswith("/") or ".." in name.split("/"):
        raise UnsupportedImage(f"the member {_shown(name)} would lie outside of the archive")
    if len(name) > _MAX_NAME:
        raise UnsupportedImage(f"a member's name has {len(name)} characters, and is read up to {_MAX_NAME}")
    return posixpath.normpath(name) + ("/" if name.endswith("/") else "")


def _check_sum(header: bytes, at: int) -> None:
    if len(header) < _BLOCK:
        raise UnsupportedImage("the tar is cut off")
    blank = header[:148] + b" " * 8 + header[156:]
    stated = _number(header[148:156])
    # Old programs summed up signed bytes.
    if stated != sum(blank) and stated != sum(byte - 256 if byte > 127 else byte for byte in blank):
        raise UnsupportedImage("it is no tar" if at == 0 else "the tar is damaged: a header has a wrong checksum")


def _number(field: bytes) -> int:
    """Octal digits, or GNU's base 256 for what is more than they can say."""
    if field[0] == 0x80:
        number = int.from_bytes(field[1:])
    else:
        digits = field.strip(b"\0 ")
        if not digits:
            return 0
        try:
            number = int(digits, 8)
        except ValueError as error:
            raise _broken("a number") from error
    if not 0 <= number <= _MAX_SIZE:
        raise _broken("a number")
    return number


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) > _MAX_SIZE:
        raise _broken("a number")
    return int(text)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="surrogateescape")


def _shown(name: str) -> str:
    return ascii(name[:100])


def _broken(what: str) -> UnsupportedImage:
    return UnsupportedImage(f"it is no tar, or is damaged: {what} in it can't be read")
