"""Reading a tar as raw members: every header block is kept as it is, so that a member can be copied to the byte.

Not tarfile: that keeps no blocks, and holds each header in memory at whatever size the tar says.

What a header means is read as Go's archive/tar does, which Docker, containerd
and Podman unpack with. Sources of the rules: pax(1) "ustar Interchange Format"
and "pax Header Block", GNU tar's manual, "Basic Tar Format" and "Sparse Formats".
"""

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from replsync.errors import UnsupportedImage

BLOCK = 512
END = bytes(2 * BLOCK)
"""How a tar ends."""

MAX_HEADERS = 8 * 1024 * 1024
"""Bytes of header blocks that one member of a layer may have. Go's reader takes 1 MiB for each of them."""
_MAX_NAME = 4096  # PATH_MAX of Linux: what is longer can't be unpacked
_MAX_SIZE = 2**63 - 1
_PART = 256 * 1024

Kind = Literal["file", "directory", "link", "symlink", "special", "global"]

_KINDS: dict[bytes, Kind] = {
    b"1": "link",
    b"2": "symlink",
    b"3": "special",
    b"4": "special",
    b"5": "directory",
    b"6": "special",
}
_RECORD = re.compile(rb"([1-9][0-9]{0,7}) ")
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")


class Readable(Protocol):
    """A stream. Fewer bytes than asked for are its end."""

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """One member. `raw` are all of its header blocks, those that extend it first, and `size` the bytes of data behind.

    `path` and `target` (of a hard link) are without `.`, `..` and slashes around; the root is empty. `name` and
    `linkname` are as they are written. A `global` header is one that applies to what follows.
    """

    raw: bytes
    kind: Kind
    path: bytes
    target: bytes
    size: int
    name: bytes = b""
    linkname: bytes = b""
    flag: bytes = b"0"
    is_sparse: bool = False


class TarReader:
    """Reads one member after the other: its headers, then its data, which is skipped where nobody takes it.

    `skip` passes over so many bytes of the stream; without it they are read. A
    member may have `max_headers` bytes of header blocks: each is held in memory.
    """

    def __init__(
        self, stream: Readable, skip: Callable[[int], None] | None = None, max_headers: int = MAX_HEADERS
    ) -> None:
        self._stream = stream
        self._skip = skip
        self._max_headers = max_headers
        self._left = 0

    def __iter__(self) -> Iterator[Member]:
        """Yield each member. Raises UnsupportedImage where this is no tar, or is cut off."""
        while member := self._next():
            yield member

    def data(self) -> Iterator[bytes]:
        """Yield the data of the member that was read last, with what fills its last block."""
        while self._left:
            part = self._stream.read(min(self._left, _PART))
            if not part:
                raise _malformed("it is cut off within a file")
            self._left -= len(part)
            yield part

    def rest(self) -> None:
        """Read on behind the last member, to the end of the stream."""
        while self._stream.read(_PART):
            pass

    def _next(self) -> Member | None:
        if self._skip:
            self._skip(self._left)
            self._left = 0
        for _ in self.data():
            pass
        headers = bytearray()
        records: dict[bytes, bytes] = {}
        long: dict[bytes, bytes] = {}
        while True:
            header = self._block()
            if header is None or header == bytes(BLOCK):
                if headers:
                    raise _malformed("it is cut off behind the first half of a header")
                following = self._block() if header is not None else None
                if following is not None and following != bytes(BLOCK):
                    raise _malformed("there is an empty block within it")
                return None
            _check_sum(header)
            headers += header
            kind = header[156:157]
            if kind not in (b"x", b"L", b"K", b"g"):
                break
            content = self._content(_number(header[124:136]), headers)
            if kind == b"g":
                if len(headers) > BLOCK + padded(len(content)):
                    raise _malformed("a global header stands between the headers of a file")
                if any(key in _MEANINGFUL or key.startswith(b"GNU.sparse.") for key, _ in _records(content)):
                    raise _malformed("a global header gives many files one name or size")
                return Member(bytes(headers), "global", b"", b"", 0)
            if kind == b"x":
                records = dict(_records(content))
            else:
                long[kind] = content.partition(b"\0")[0]
        if kind == b"S":
            self._sparse_blocks(header, headers)
        return self._member(bytes(headers), header, records, long)

    def _member(self, raw: bytes, header: bytes, records: dict[bytes, bytes], long: dict[bytes, bytes]) -> Member:
        name = long.get(b"L") or records.get(b"GNU.sparse.name") or records.get(b"path") or _name(header)
        target = long.get(b"K") or records.get(b"linkpath") or header[157:257].partition(b"\0")[0]
        if len(name) > _MAX_NAME or len(target) > _MAX_NAME:
            raise _malformed(f"a name has more than {_MAX_NAME} bytes")
        said = records.get(b"size")
        size = _decimal(said) if said else _number(header[124:136])
        type_flag = header[156:157]
        kind = _KINDS.get(type_flag, "file")
        if type_flag == b"\0" and name.endswith(b"/"):  # tars older than POSIX
            kind = "directory"
        if kind != "file":
            size = 0  # links of old tars tell the size of what they name, and have no data
        self._left = padded(size)
        is_sparse = type_flag == b"S" or any(key.startswith(b"GNU.sparse.") for key in records)
        path, goal = cleaned(name), cleaned(target) if kind == "link" else b""
        return Member(raw, kind, path, goal, size, name, target, type_flag, is_sparse)

    def _block(self) -> bytes | None:
        block = self._stream.read(BLOCK)
        if not block:
            return None
        if len(block) < BLOCK:
            raise _malformed("it is cut off within a header")
        return block

    def _content(self, size: int, headers: bytearray) -> bytes:
        """Read what an extended header says."""
        filled = padded(size)
        if len(headers) + filled > self._max_headers:
            raise _malformed(f"the headers of one file have more than {self._max_headers} bytes")
        content = self._stream.read(filled)
        if len(content) < filled:
            raise _malformed("it is cut off within a header")
        headers += content
        return content[:size]

    def _sparse_blocks(self, header: bytes, headers: bytearray) -> None:
        """Old GNU sparse files: the map of their holes goes on in blocks behind the header."""
        more = header[482]
        while more:
            more = self._content(BLOCK, headers)[504]


_MEANINGFUL = {b"path", b"linkpath", b"size"}


def padded(size: int) -> int:
    """Bytes that `size` bytes of data take in a tar."""
    return -(-size // BLOCK) * BLOCK


def cleaned(name: bytes) -> bytes:
    """The path that a name stands for, below the root and without slashes around."""
    return posixpath.normpath(b"/" + name).strip(b"/")


def shown(path: bytes) -> str:
    """A path as text that does no harm to a terminal, and of bearable length."""
    text = repr("/" + path.decode(errors="backslashreplace"))
    return text if len(text) <= 300 else f"{text[:300]}…"


def _name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    if header[257:263] == b"ustar\0":  # GNU's own format keeps times where the prefix is
        prefix = header[345:500].partition(b"\0")[0]
        if header[508:512] == b"tar\0":  # star, whose prefix is shorter
            prefix = header[345:476].partition(b"\0")[0]
        if prefix:
            return prefix + b"/" + name
    return name


def _check_sum(header: bytes) -> None:
    said = _number(header[148:156])
    signed = 0
    total = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    if said != total:
        others = header[:148] + header[156:]
        signed = total - 256 * sum(byte > 127 for byte in others)  # some old tars added signed bytes
        if said != signed:
            raise _malformed("a header's check sum is wrong")


def _number(field: bytes) -> int:
    """A number: octal digits, or GNU's base 256, of which the first byte has its highest bit set."""
    if field[0] & 0x80:
        number = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        if field[0] & 0x40 or number > _MAX_SIZE:
            raise _malformed("a header has a number that no size can be")
        return number
    found = _OCTAL.fullmatch(field)
    if not found:
        # Digits may be followed by anything behind a zero byte.
        found = _OCTAL.fullmatch(field.lstrip(b" \0").partition(b"\0")[0])
    if not found:
        raise _malformed("a header has a number that is none")
    return int(found[1] or b"0", 8)


def _decimal(text: bytes) -> int:
    if not re.fullmatch(rb"[0-9]{1,19}", text) or int(text) > _MAX_SIZE:
        raise _malformed("a header has a size that is none")
    return int(text)


def _records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records of a pax header: `length key=value\\n`, the length with itself and the line break."""
    position = 0
    while position < len(content):
        found = _RECORD.match(content, position)
        end = position + int(found[1]) if found else 0
        record = content[found.end() : end] if found else b""
        key, equals, value = record.partition(b"=")
        if not found or end > len(content) or not equals or not key or not value.endswith(b"\n"):
            raise _malformed("a pax header is not well-formed")
        yield key, value[:-1]
        position = end


def _malformed(what: str) -> UnsupportedImage:
    return UnsupportedImage(f"it is no tar, or is damaged: {what}")
