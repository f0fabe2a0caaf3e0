"""The files of an OCI image layout that is a folder (image-spec, image-layout.md)."""

import errno

from replsync.errors import UnsupportedImage
from replsync.sources.file_part import Missing, OpenPart, open_regular, opened_folder, unreadable


class LayoutFolder:
    """A folder. The user's own path may be a link; within the folder none is followed."""

    def __init__(self, path: str) -> None:
        self._path = path

    def open(self, name: str) -> OpenPart:
        """Open a file of the layout; see `Files.open`."""
        whole = f"{self._path}/{name}"
        try:
            with opened_folder(self._path, follow=True) as folder:
                try:
                    return _open(name, whole, folder)
                except FileNotFoundError as error:
                    raise Missing(f"there is no {name}") from error
                except OSError as error:
                    if error.errno in (errno.ELOOP, errno.ENOTDIR):
                        raise UnsupportedImage(
                            f"{name} is a link, or in what is no folder, and links are not followed",
                            hint="copy the layout without links, by `cp -rL`",
                        ) from error
                    raise unreadable(whole, error) from error
        except OSError as error:
            raise unreadable(self._path, error) from error


def _open(name: str, whole: str, folder: int) -> OpenPart:
    first, slash, rest = name.partition("/")
    if not slash:
        return open_regular(name, whole, folder)
    with opened_folder(first, folder) as inner:
        return _open(rest, whole, inner)
