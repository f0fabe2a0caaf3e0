"""Images as registries have them: the image manifest, or an index with everything below it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from replsync.errors import UnsupportedImage
from replsync.oci.digest import Digest
from replsync.oci.image_manifest import (
    Document,
    ImageIndex,
    ImageManifest,
    parse_document,
    refuse_uncopyable,
)
from replsync.oci.image_tree import ImageTree
from replsync.oci.recipe import AS_IT_IS, Selection, Transforms, is_doubtful, refuse_unfit, select
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


@dataclass(frozen=True)
class TransformedTree:
    """An image as it is to be pushed, and the source's own; `notes` say what was taken away of that."""

    tree: ImageTree
    source: Document
    notes: tuple[str, ...] = ()


async def read_tree(fetch: Fetch, reference: Reference) -> ImageTree:
    """Read an image and, where it is an index, every image manifest below it; see `read_transformed`."""
    return (await read_transformed(fetch, reference, AS_IT_IS)).tree


async def read_transformed(fetch: Fetch, reference: Reference, transforms: Transforms) -> TransformedTree:
    """Read an image and, where it is an index, every image manifest below it that is to be pushed.

    Which platform an image by itself is for stands in its config, which is not
    read here. Raises UnsupportedImage where any of them is of a kind that is never
    copied, or `transforms` want what isn't there; NotFound and RegistryError as `fetch` does.
    """
    source = await _document(fetch, reference)
    try:
        selection = await _selected(fetch, reference, source, transforms)
    except UnsupportedImage as error:
        raise UnsupportedImage(f"{reference}: {error.message}", hint=error.hint) from error
    if selection is None:
        return TransformedTree(await _below(fetch, reference, source), source)
    kept = selection.kept
    root = kept if isinstance(kept, ImageIndex) else await _document(fetch, reference.repository.at(kept.digest))
    return TransformedTree(await _below(fetch, reference, root), source, selection.notes)


async def _selected(fetch: Fetch, reference: Reference, source: Document, transforms: Transforms) -> Selection | None:
    """What stays of an index; None for an image by itself, and where all of it stays unlooked at."""
    if transforms.attestations == "keep" and not transforms.platforms:
        return None
    if not isinstance(source, ImageIndex):
        refuse_unfit(source, transforms)
        return None
    doubtful = [entry for entry in source.manifests if is_doubtful(entry)]
    read = await together(_document(fetch, reference.repository.at(entry.digest)) for entry in doubtful)
    found = [
        entry
        for entry, document in zip(doubtful, read, strict=True)
        if isinstance(document, ImageManifest) and document.is_attestation
    ]
    return select(source, [entry for entry in source.manifests if entry.is_attestation or entry in found], transforms)


async def _below(fetch: Fetch, reference: Reference, root: Document) -> ImageTree:
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
