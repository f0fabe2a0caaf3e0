"""Layers as they are stored: read from gzip, zstd or plain tar, and written as gzip.

gzip goes through ISA-L, which packs as well as `gzip -1` and six times as
fast. Its bytes are the same for the same input on the same kind of processor.
"""

import hashlib
import io
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

from isal import igzip, igzip_threaded, isal_zlib

from replsync.errors import UnsupportedImage
from replsync.oci.digest import Digest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_DAMAGED: tuple[type[Exception], ...] = (EOFError, isal_zlib.error, zstd.ZstdError, igzip.BadGzipFile)  # type: ignore[assignment] # its stubs call the class an exception
_LEVEL = 2
_PART = 256 * 1024
_BUFFER = 1024 * 1024


class Stopped(Exception):
    """The work was told to end."""


class Unpacked(AbstractContextManager["Unpacked"]):
    """A layer's file as the tar that is in it; `digest` is that of what was read so far.

    `stopped` is asked between parts. Reading raises UnsupportedImage where the
    compressed data is damaged or cut off, or has more than `most` bytes in it, and Stopped.
    """

    def __init__(self, path: Path, most: int, stopped: Callable[[], bool]) -> None:
        self._file = path.open("rb")
        self._through = _Through(_opened(self._file), most, stopped)
        self._buffered = io.BufferedReader(self._through, _BUFFER)

    def __exit__(self, *_: object) -> None:
        self._buffered.close()
        self._file.close()

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes; fewer at the end."""
        return self._buffered.read(size)

    @property
    def digest(self) -> Digest:
        """sha256 of the tar, once it is read to its end: the layer's diff_id."""
        return Digest(f"sha256:{self._through.hasher.hexdigest()}")


class _Through(io.RawIOBase):
    def __init__(self, source: Any, most: int, stopped: Callable[[], bool]) -> None:
        self.hasher = hashlib.sha256()
        self._source = source
        self._most = most
        self._left = most
        self._stopped = stopped

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if self._stopped():
            raise Stopped
        try:
            count = int(self._source.readinto(buffer))
        except _DAMAGED as error:
            raise UnsupportedImage(f"its compressed data is damaged: {error}") from error
        self._left -= count
        if self._left < 0:
            raise UnsupportedImage(f"it has more than {self._most} bytes unpacked, which no sound layer has")
        self.hasher.update(memoryview(buffer)[:count])
        return count

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


def _opened(file: BinaryIO) -> Any:
    """What is in a file tells how to read it: media types are known to lie."""
    magic = file.read(4)
    file.seek(0)
    if magic.startswith(_GZIP):
        # In a thread of its own: one unpacks while the other packs.
        return igzip_threaded.open(file, "rb", threads=1)  # type: ignore[no-untyped-call] # its stubs end here
    if magic == _ZSTD or (magic[1:] == b"\x2a\x4d\x18" and magic[0] & 0xF0 == 0x50):  # RFC 8878, 3.1.2: skippable
        return zstd.ZstdFile(file)
    return file


class Packer:
    """Writes one gzip file: a single member with no time and no name in it, so that its bytes don't depend on when.

    `least` and `most` are bounds of what the file would have if it ended here.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._deflater = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, 31)
        self._waiting = bytearray()
        self._packed = hashlib.sha256()
        self._plain = hashlib.sha256()
        self.least = 0
        self.most = packed_bound(0)

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self._waiting += data
        self.most += packed_bound(len(data))
        self._pack(_PART)

    def measure(self) -> None:
        """Bring `least` and `most` together; costs a few bytes."""
        self._pack()
        self._out(self._deflater.flush(isal_zlib.Z_SYNC_FLUSH))
        self.most = self.least + packed_bound(0)

    def finish(self) -> tuple[Digest, Digest, int]:
        """End the file. Return its digest, that of what is in it, and its size in bytes."""
        self._pack()
        self._out(self._deflater.flush())
        return (
            Digest(f"sha256:{self._packed.hexdigest()}"),
            Digest(f"sha256:{self._plain.hexdigest()}"),
            self.least,
        )

    def _pack(self, least: int = 1) -> None:
        # In pieces of one size, whatever the sizes of what was written.
        while len(self._waiting) >= least:
            piece = bytes(self._waiting[:_PART])
            del self._waiting[:_PART]
            self._plain.update(piece)
            self._out(self._deflater.compress(piece))

    def _out(self, data: bytes) -> None:
        self._packed.update(data)
        self.least += self._file.write(data)


def packed_bound(size: int) -> int:
    """The most bytes that `size` bytes take in gzip, appended to others: deflate stores what doesn't get smaller."""
    return size + size // 512 + 64
