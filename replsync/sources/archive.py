"""The members of a tar, read in place: nothing is unpacked."""

import os
import threading

from replsync.errors import UnsupportedImage
from replsync.sources.file_part import FilePart, Missing, OpenPart, open_regular, unreadable
from replsync.sources.tar_index import Entry, Link, index_tar

_MAX_LINKS = 10


class Archive:
    """A tar whose members are listed when the first is opened. It must not change from then on."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._listing = threading.Lock()
        self._entries: dict[str, Entry] | None = None
        self._identity: tuple[int, ...] = ()

    def open(self, name: str) -> OpenPart:
        """Open a member; see `Files.open`. Links are refused."""
        return self._open(name, follow=False)

    def open_linked(self, name: str) -> OpenPart:
        """Open a member, or the one that a link in the archive leads to: `docker save` writes such."""
        return self._open(name, follow=True)

    def _open(self, name: str, *, follow: bool) -> OpenPart:
        try:
            file = open_regular(self._path, self._path, follow=True)
        except OSError as error:
            raise unreadable(self._path, error) from error
        try:
            entry = self._found(name, file.part, follow=follow)
        except BaseException:
            os.close(file.part.descriptor)
            raise
        return OpenPart(FilePart(f"{name} in {self._path}", file.part.descriptor, *entry))

    def _found(self, name: str, file: FilePart, *, follow: bool) -> tuple[int, int]:
        entries = self._listed(file)
        for _ in range(_MAX_LINKS):
            match entries.get(name):
                case None:
                    raise Missing(f"there is no {name!a} in it")
                case Link(target) if follow:
                    name = target
                case Link():
                    raise UnsupportedImage(
                        f"{name!a} in it is a link, and links are not followed", hint="write the archive without links"
                    )
                case member:
                    return member.offset, member.size
        raise UnsupportedImage(f"a circle of links at {name!a}")

    def _listed(self, file: FilePart) -> dict[str, Entry]:
        found = os.fstat(file.descriptor)
        identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        with self._listing:
            if self._entries is None:
                self._entries = index_tar(file.read, file.size)
                self._identity = identity
        if identity != self._identity:
            raise UnsupportedImage(f"{self._path} has changed since it was looked into", hint="run it again")
        return self._entries
