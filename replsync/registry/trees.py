"""Images as registries have them: the image manifest, or an index with everything below it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from replsync.errors import UnsupportedImage
from replsync.oci.digest import Digest
from replsync.oci.image_manifest import Document, ImageIndex, parse_document, refuse_uncopyable
from replsync.oci.image_tree import ImageTree
from replsync.oci.reference import Reference
from replsync.registry.together import together

MAX_TREE = 64 * 1024 * 1024
"""Bytes of all the image manifests below an index, which are held in memory."""
_MAX_DEPTH = 4
_MAX_DOCUMENTS = 1000


@dataclass(frozen=True)
class Fetched:
    """The bytes of an image manifest or index as the registry has them, not looked into; `digest` is theirs."""

    raw: bytes
    media_type: str
    digest: Digest

    def parse(self) -> Document:
        """Read the bytes. Raises UnsupportedImage."""
        return parse_document(self.raw, self.media_type)


Fetch = Callable[[Reference], Awaitable[Fetched]]


async def read_tree(fetch: Fetch, reference: Reference) -> ImageTree:
    """Read an image and, where it is an index, every image manifest below it.

    Raises UnsupportedImage where any of them is of a kind that is never
    copied, NotFound and RegistryError as `fetch` does.
    """
    root = await _document(fetch, reference)
    below: dict[Digest, Document] = {}
    level = [root]
    held = 0

    async def child(digest: Digest) -> Document:
        nonlocal held
        document = await _document(fetch, reference.repository.at(digest))
        held += len(document.raw)
        if held > MAX_TREE:
            raise UnsupportedImage(f"{reference}: an index of image manifests of more than {MAX_TREE} bytes")
        return document

    for _ in range(_MAX_DEPTH + 1):
        children = {child.digest for index in level if isinstance(index, ImageIndex) for child in index.manifests}
        new = sorted(children - below.keys())
        if len(below) + len(new) > _MAX_DOCUMENTS:
            raise UnsupportedImage(f"{reference}: an index of more than {_MAX_DOCUMENTS} image manifests")
        read = await together(map(child, new))
        below.update(zip(new, read, strict=True))
        if not children:
            return ImageTree(root, below)
        level = [below[digest] for digest in sorted(children)]
    raise UnsupportedImage(f"{reference}: indexes within indexes, more than {_MAX_DEPTH} deep")


async def _document(fetch: Fetch, reference: Reference) -> Document:
    try:
        document = (await fetch(reference)).parse()
        refuse_uncopyable(document)
    except UnsupportedImage as error:
        raise UnsupportedImage(f"{reference}: {error.message}", hint=error.hint) from error
    return document
