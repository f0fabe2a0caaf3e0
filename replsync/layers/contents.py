"""The first reading of a layer: is it what its digest says, and what the order of its members can't tell.

Only directories, whiteouts and hard links are remembered, their headers in a
temporary file: a layer may have millions of files.
"""

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from replsync.errors import UnsupportedImage
from replsync.layers.compressed import Unpacked
from replsync.layers.tar_members import Member, TarReader, shown
from replsync.oci.digest import Digest
from replsync.oci.layer_bounds import headers_bound, unpacked_bound

MAX_REMEMBERED = 256 * 1024 * 1024
"""Bytes of memory, roughly, that what is remembered of a layer may take: about a million directories."""

_WHITEOUT = b".wh."  # image-spec, layer.md, "Whiteouts"
_EACH = 150
_OPAQUE = re.compile(rb"xattr\.(trusted|user)\.overlay\.")


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the header of a member is in the file of headers."""

    offset: int
    length: int


@dataclass(slots=True)
class Contents:
    """What is known of a layer before it is split.

    `directories` has the last header of each directory by path, and None for
    those that are only part of other members' paths. `links` are the hard links
    by the file that they come down to (`root_of`), in their order, each with its place among all members.
    """

    headers: BinaryIO
    digest: Digest | None = None
    directories: dict[bytes, Kept | None] = field(default_factory=dict)
    whiteouts: list[tuple[bytes, Kept]] = field(default_factory=list)
    links: dict[bytes, list[tuple[int, bytes, Kept]]] = field(default_factory=dict)
    root_of: dict[bytes, bytes] = field(default_factory=dict)
    _memory: int = 0
    _written: int = 0

    def header(self, kept: Kept) -> bytes:
        """Return a header that was kept."""
        self.headers.seek(kept.offset)
        return self.headers.read(kept.length)

    def keep(self, member: Member, most: int) -> Kept:
        """Keep the header of a member; all of them may have `most` bytes."""
        kept = Kept(self._written, len(member.raw))
        self._written += kept.length
        if self._written > most:
            raise UnsupportedImage(f"the headers of its directories, whiteouts and hard links have over {most} bytes")
        self.headers.write(member.raw)
        return kept

    def remember(self, path: bytes) -> None:
        """Count what a path takes in memory."""
        self._memory += len(path) + _EACH
        if self._memory > MAX_REMEMBERED:
            raise UnsupportedImage("it has too many directories, whiteouts and hard links (about a million are taken)")


def is_whiteout(member: Member) -> bool:
    """Whether a member says what is gone of the layers below: one file, or all of a directory (opaque)."""
    return member.kind != "global" and member.path.rpartition(b"/")[2].startswith(_WHITEOUT)


def parents(path: bytes) -> Iterator[bytes]:
    """Yield the directories that a path goes through, the nearest first; the root is last."""
    while path:
        path = path.rpartition(b"/")[0]
        yield path


@contextmanager
def read_contents(layer: Path, folder: Path, stopped: Callable[[], bool]) -> Iterator[Contents]:
    """Read the layer once. Raises UnsupportedImage where it can't be split, and Stopped."""
    size = layer.stat().st_size
    with tempfile.TemporaryFile(dir=folder) as headers:
        contents = Contents(headers)
        with Unpacked(layer, unpacked_bound(size), stopped) as tar:
            reader = TarReader(tar)
            for place, member in enumerate(reader):
                _note(contents, place, member, headers_bound(size))
            reader.rest()
            contents.digest = tar.digest
        yield contents


def _note(contents: Contents, place: int, member: Member, most: int) -> None:
    if member.kind == "global":
        return
    for path in parents(member.path):
        if path in contents.directories:
            break
        contents.remember(path)
        contents.directories[path] = None
    if is_whiteout(member):
        contents.remember(member.path)
        contents.whiteouts.append((member.path, contents.keep(member, most)))
    elif member.kind == "directory":
        if _OPAQUE.search(member.raw):
            raise UnsupportedImage(
                f"its directory {shown(member.path)} has attributes of overlayfs, which can't be in several layers",
                hint="build the image anew",
            )
        contents.remember(member.path)
        contents.directories[member.path] = contents.keep(member, most)
    elif member.kind == "link":
        contents.remember(member.path)
        root = contents.root_of.get(member.target, member.target)
        if contents.root_of.setdefault(member.path, root) != root:
            raise twice(member.path)
        contents.links.setdefault(root, []).append((place, member.path, contents.keep(member, most)))


def twice(path: bytes) -> UnsupportedImage:
    """Members that replace each other within a layer can't be told apart once hard links move."""
    return UnsupportedImage(
        f"it has {shown(path)} twice, and hard links to or in place of it", hint="build the image anew"
    )
