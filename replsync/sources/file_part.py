"""Files, and members of archives, read where they are."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from replsync.errors import InvalidInput, UnsupportedImage

MAX_JSON = 4 * 1024 * 1024
"""Bytes of a document that is held in memory; what the distribution-spec says of image manifests."""


@dataclass(frozen=True)
class FilePart:
    """`size` bytes from `offset` on of a file that is open; `name` is for errors. Its methods block."""

    name: str
    descriptor: int
    offset: int
    size: int

    def read(self, start: int, count: int) -> bytes:
        """Return `count` bytes from `start` on, fewer only at the end. Raises UnsupportedImage if it was cut."""
        wanted = max(0, min(count, self.size - start))
        try:
            data = os.pread(self.descriptor, wanted, self.offset + start)
        except OSError as error:
            raise unreadable(self.name, error) from error
        if wanted and not data:
            raise UnsupportedImage(f"{self.name} ends before it should: it was cut off, or changes while it is read")
        return data

    def document(self) -> bytes:
        """Return all of it. Raises UnsupportedImage where it is more than a document has."""
        if self.size > MAX_JSON:
            raise UnsupportedImage(f"{self.name} has {self.size} bytes, and is read up to {MAX_JSON}")
        return b"".join(self.parts(MAX_JSON))

    def parts(self, size: int) -> Iterator[bytes]:
        """Yield all of it, in parts of `size` bytes at most."""
        at = 0
        while at < self.size:
            data = self.read(at, size)
            yield data
            at += len(data)


class Files(Protocol):
    """A folder, or an archive: files by their names in it, which are joined by `/` and lead nowhere else."""

    def open(self, name: str) -> "OpenPart":
        """Open a file. Raises Missing where there is none, InvalidInput and UnsupportedImage. It blocks."""
        ...


class Missing(UnsupportedImage):
    """There is no such file in the folder or archive."""


@dataclass(frozen=True)
class OpenPart:
    """A part, and the file that is to be closed behind it."""

    part: FilePart

    def __enter__(self) -> FilePart:
        return self.part

    def __exit__(self, *_: object) -> None:
        os.close(self.part.descriptor)


def open_regular(path: str, name: str, folder: int | None = None, *, follow: bool = False) -> OpenPart:
    """Open a file at `path`, below the open `folder` where there is one, for reading.

    A symbolic link is refused unless it is to be followed, and what isn't a plain file always is.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags, dir_fd=folder)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise UnsupportedImage(f"{name} is no plain file", hint="name a file: it is read in place")
    return OpenPart(FilePart(name, descriptor, 0, found.st_size))


@contextmanager
def opened_folder(path: str, folder: int | None = None, *, follow: bool = False) -> Iterator[int]:
    """Open a folder, so that files are opened within it wherever its name leads by then."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def unreadable(name: str, error: OSError) -> InvalidInput:
    """Say why a file that the user named can't be read."""
    hint = None
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        hint = "check the source's path: it starts from the manifest's folder"
    elif isinstance(error, PermissionError):
        hint = "let it be read by whoever runs replsync"
    return InvalidInput(f"read {name}: {error.strerror or error}", hint=hint)
