"""Splitting a layer into several that are smaller, which unpacked one over the other give the same file system.

Members are copied to the byte, so that extended attributes, holes, owners and
times stay. Their order stays too, but for two things: whiteouts come first,
since an opaque one in a later part would hide what an earlier part has, and
hard links follow what they name, since a link reaches no other layer. Each
part repeats the directories that its members are in: else a runtime would make
those up.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO

from replsync.errors import UnsupportedImage
from replsync.layers.compressed import Packer, Unpacked, packed_bound
from replsync.layers.contents import Contents, Kept, is_whiteout, parents, read_contents, twice
from replsync.layers.tar_members import END, Member, TarReader, padded, shown
from replsync.oci.digest import Digest
from replsync.oci.layer_bounds import unpacked_bound

_MAX_GLOBAL = 64 * 1024
_UNFINISHED = "part"
_TAIL = 192
"""The most bytes that the end of a tar, which is zeros, and that of a gzip take."""


@dataclass(frozen=True)
class Part:
    """One of the layers that a layer was split into: its digest, that of its tar, and its size in bytes."""

    digest: Digest
    diff_id: Digest
    size: int


@dataclass(frozen=True)
class Limits:
    """Bytes: of each part, and of all of them together."""

    part: int
    all: int


def split_layer(
    layer: Path, diff_id: Digest, limits: Limits, folder: Path, stopped: Callable[[], bool]
) -> tuple[Part, ...]:
    """Write the parts of the file `layer` into `folder`, each named by the hexadecimal digits of its digest.

    The same layer and limit give the same parts. `stopped` is asked between
    pieces of the layer. Raises UnsupportedImage where the layer isn't what `diff_id` says or can't be
    split, OSError, and Stopped.
    """
    with read_contents(layer, folder, stopped) as contents:
        if contents.digest != diff_id:
            raise UnsupportedImage(
                f"it is {contents.digest} unpacked, and the image's config says {diff_id}", hint="build the image anew"
            )
        with Unpacked(layer, unpacked_bound(layer.stat().st_size), stopped) as tar:
            return _Splitting(contents, limits, folder).run(TarReader(tar))


class _Splitting:
    """The second reading."""

    def __init__(self, contents: Contents, limits: Limits, folder: Path) -> None:
        self._contents = contents
        self._limits = limits
        self._folder = folder
        self._parts: list[Part] = []
        self._part: _OpenPart | None = None
        self._global = b""
        self._linked: set[bytes] = set()
        self._ways = {way for root in contents.links for way in parents(root)}

    def run(self, reader: TarReader) -> tuple[Part, ...]:
        """Write all parts."""
        try:
            for path, kept in self._contents.whiteouts:
                self._add(path, self._contents.header(kept))
            for place, member in enumerate(reader):
                self._place(place, member, reader)
            self._close(self._part or self._open())
        finally:
            if self._part:
                self._part.file.close()
        return tuple(self._parts)

    def _place(self, place: int, member: Member, reader: TarReader) -> None:
        contents = self._contents
        if member.kind == "global":
            self._apply_to_all(member)
        elif is_whiteout(member):
            if member.size:
                raise UnsupportedImage(f"its whiteout {shown(member.path)} is a file with content")
        elif member.kind == "directory":
            # What stands for it in a part is its last header, so that once is enough.
            if not self._part or member.path not in self._part.directories:
                kept = contents.directories[member.path]
                self._add(member.path, contents.header(kept) if kept else member.raw)
                if self._part:
                    self._part.directories.add(member.path)
        elif member.path in contents.directories:
            raise UnsupportedImage(
                f"it has {shown(member.path)} both as a directory and as something else", hint="build the image anew"
            )
        elif member.path in self._ways:
            raise UnsupportedImage(
                f"the target of a hard link lies behind {shown(member.path)}, which is no directory",
                hint="build the image anew",
            )
        elif member.kind == "link":
            # It stands behind its target already, or that isn't in this layer.
            if contents.root_of[member.path] not in self._linked:
                self._add(member.path, member.raw)
        else:
            if member.path in contents.root_of or member.path in self._linked:
                raise twice(member.path)
            links = [(path, kept) for at, path, kept in contents.links.get(member.path, ()) if at > place]
            if links:
                self._linked.add(member.path)
            self._add(member.path, member.raw, links, member.size, reader.data())

    def _apply_to_all(self, member: Member) -> None:
        """A global pax header goes to the head of each part that is yet to come, too."""
        self._global += member.raw
        if len(self._global) > _MAX_GLOBAL:
            raise UnsupportedImage(f"its global pax headers have more than {_MAX_GLOBAL} bytes")
        if self._part and self._fits(self._part, packed_bound(len(member.raw))):
            self._part.packer.write(member.raw)
        elif self._part:
            self._close(self._part)

    def _add(
        self,
        path: bytes,
        header: bytes,
        links: Sequence[tuple[bytes, Kept]] = (),
        size: int = 0,
        data: Iterable[bytes] = (),
    ) -> None:
        """Write a member with its links and the directories that they are in, to a new part where it may not fit."""
        paths = (path, *(name for name, _ in links))
        part = self._part or self._open()
        missing = self._missing(part, paths)
        behind = sum(packed_bound(kept.length) for _, kept in links)
        bound = packed_bound(len(header)) + packed_bound(padded(size)) + behind
        bound += sum(packed_bound(kept.length) for kept in missing.values() if kept)
        if part.is_filled and not self._fits(part, bound):
            self._close(part)
            part = self._open()
            missing = self._missing(part, paths)
        for kept in missing.values():
            if kept:
                part.packer.write(self._contents.header(kept))
        part.directories.update(missing)
        part.packer.write(header)
        for piece in data:
            part.packer.write(piece)
            if part.packer.least > self._limits.part:
                raise self._too_large(path, size)
        for _, kept in links:
            part.packer.write(self._contents.header(kept))
        part.is_filled = True
        if not self._fits(part, 0):
            raise self._too_large(path, size)

    def _fits(self, part: "_OpenPart", bound: int) -> bool:
        most = self._limits.part - _TAIL - bound
        if part.packer.most > most:
            part.packer.measure()
        return part.packer.most <= most

    def _missing(self, part: "_OpenPart", paths: Iterable[bytes]) -> dict[bytes, Kept | None]:
        """The directories that these paths go through and that the part doesn't have yet, upper ones first."""
        found: dict[bytes, Kept | None] = {}
        for path in paths:
            way = list(takewhile(lambda one: one not in part.directories and one not in found, parents(path)))
            found.update((one, self._contents.directories[one]) for one in reversed(way))
        return found

    def _open(self) -> "_OpenPart":
        file = (self._folder / _UNFINISHED).open("wb")
        self._part = _OpenPart(file, Packer(file))
        self._part.packer.write(self._global)
        return self._part

    def _close(self, part: "_OpenPart") -> None:
        part.packer.write(END)
        digest, diff_id, size = part.packer.finish()
        part.file.close()
        self._part = None
        if size > self._limits.part:
            raise AssertionError("a part has more bytes than it can have")
        (self._folder / _UNFINISHED).replace(part_file(self._folder, digest))
        self._parts.append(Part(digest, diff_id, size))
        if sum(one.size for one in self._parts) > self._limits.all:
            raise UnsupportedImage(
                f"its parts have more than {self._limits.all:,} bytes, far more than the layer itself",
                hint="compress the image's layers with gzip",
            )

    def _too_large(self, path: bytes, size: int) -> UnsupportedImage:
        return UnsupportedImage(
            f"its file {shown(path)} ({size:,} bytes) can't be split, "
            f"and has more than {self._limits.part:,} bytes also when it is compressed and alone",
            hint="make the file smaller, or raise policy.max_layer_size",
        )


@dataclass
class _OpenPart:
    """A part that is being written, and the directories that it has already."""

    file: BinaryIO
    packer: Packer
    directories: set[bytes] = field(default_factory=set)
    is_filled: bool = False


def part_file(folder: Path, digest: Digest) -> Path:
    """Where a part is."""
    return folder / digest.partition(":")[2]
