"""What every source of images can do."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from replsync.oci.digest import Digest
from replsync.oci.image_manifest import Descriptor
from replsync.oci.image_tree import ImageTree
from replsync.oci.recipe import Transforms
from replsync.oci.reference import Repository
from replsync.oci.source_name import SourceName
from replsync.oci.tag_state import Resolved
from replsync.registry.trees import Kept


@dataclass(frozen=True)
class Content:
    """What an image is made of: `total` bytes; `blobs` is None where they exist only once it is exported.

    `repository` is the one that holds the blobs, None where the source is no registry.
    """

    total: int
    blobs: tuple[Descriptor, ...] | None
    repository: Repository | None = None


def offered(source: SourceName, kept: Kept, transforms: Transforms) -> Resolved:
    """Return what would be pushed of `source`, which is named with its digest, where `kept` stays of it."""
    digest = kept.source.digest
    if kept.is_whole:
        return Resolved(source, digest)
    # Whoever chose platforms wants just those, also where the tag has all of them by now.
    whole = None if transforms.platforms else digest
    return Resolved(source, kept.root.digest, whole=whole, transforms=transforms, notes=kept.notes)


class OpenImage(Protocol):
    """An image that can be read: its image manifests at once, its blobs as streams."""

    @property
    def tree(self) -> ImageTree:
        """The image manifests."""
        ...

    @property
    def repository(self) -> Repository | None:
        """The registry's repository that holds the blobs; None where the source is no registry."""
        ...

    def read(self, blob: Descriptor, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Open a stream of the blob's bytes from byte `start` on, as often as it is called."""
        ...


class ImageSource(Protocol):
    """One image of one source."""

    async def identify(self, held: Digest | None = None) -> Resolved:
        """Say what would be pushed, from names and image manifests alone.

        `held` is what its tag holds already: where that is the whole image as
        the source has it, nothing need be pushed, and nothing more is read.
        Raises ReplsyncError where the image is missing, can't be read, or can't be made what is wanted.
        """
        ...

    async def content(self) -> Content | None:
        """Say what a copy would have to move; None where it has to be made before that.

        Raises UnsupportedImage for what is never copied, or can't be made.
        """
        ...

    def open(self) -> AbstractAsyncContextManager[OpenImage]:
        """Make the image readable."""
        ...
