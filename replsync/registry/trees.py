"""Images as registries have them: the image manifest, or an index with everything below it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from replsync.errors import UnsupportedImage
from replsync.oci.digest import Digest
from replsync.oci.image_manifest import (
    INDEX_TYPES,
    Descriptor,
    Document,
    ImageIndex,
    ImageManifest,
    parse_document,
    refuse_uncopyable,
)
from replsync.oci.image_tree import ImageTree
from replsync.oci.made_from import MAX_CONFIG
from replsync.oci.recipe import (
    Selection,
    Transforms,
    is_doubtful,
    platform_of,
    refuse_attestation,
    refuse_other_platforms,
    select,
)
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


class Name(Protocol):
    """What names an image where it is kept; it is written in errors."""

    def beside(self, digest: Digest) -> Self:
        """The name of another image manifest, or index, that is kept in the same place."""
        ...


N = TypeVar("N", bound=Name)
Fetch = Callable[[N], Awaitable[Fetched]]
ReadConfig = Callable[[Descriptor], Awaitable[bytes]]
"""Reads the config of an image, of which the size was looked at."""


@dataclass(frozen=True)
class Kept:
    """What a source has, and what stays of it: that itself, an index made of it, or one of its entries."""

    source: Document
    root: Document | Descriptor
    notes: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is taken away."""
        return self.root is self.source


async def read_kept(fetch: Fetch[N], reference: N, transforms: Transforms, read_config: ReadConfig) -> Kept:
    """Read an image manifest, or an index without what is below it, and say what stays of it.

    The config is read of an image by itself, where platforms are chosen: it
    names its own. Raises UnsupportedImage for what is never copied, or where
    `transforms` want what isn't there; NotFound and RegistryError as `fetch` does.
    """
    source = await _document(fetch, reference)
    if isinstance(source, ImageIndex) and not source.manifests:
        raise UnsupportedImage(f"{reference}: it is an index without any image", hint="name another source")
    try:
        selection = await _selected(fetch, reference, source, transforms)
        if selection is None and isinstance(source, ImageManifest) and transforms.platforms:
            await _refuse_other_platforms(source, transforms, read_config)
    except UnsupportedImage as error:
        raise UnsupportedImage(f"{reference}: {error.message}", hint=error.hint) from error
    return Kept(source, selection.kept, selection.notes) if selection else Kept(source, source)


async def read_tree(fetch: Fetch[N], reference: N, kept: Kept | None = None) -> ImageTree:
    """Read an image and, where it is an index, every image manifest below it; of what stays, where that is named.

    Raises UnsupportedImage where any of them is of a kind that is never
    copied, NotFound and RegistryError as `fetch` does.
    """
    root = kept.root if kept else await _document(fetch, reference)
    if isinstance(root, Descriptor):
        root = await _document(fetch, reference.beside(root.digest))
    return await _below(fetch, reference, root)


async def _selected(fetch: Fetch[N], reference: N, source: Document, transforms: Transforms) -> Selection | None:
    """What stays of an index; None for an image by itself, and where all of it stays unlooked at."""
    refuse_attestation(source)
    if not isinstance(source, ImageIndex) or (transforms.attestations == "keep" and not transforms.platforms):
        return None
    unclear = [entry for entry in source.manifests if is_doubtful(entry) or entry.media_type in INDEX_TYPES]
    if len(unclear) > _MAX_DOCUMENTS:
        raise UnsupportedImage(f"an index with more than {_MAX_DOCUMENTS} entries of which nobody says what they are")
    read = await together(_document(fetch, reference.beside(entry.digest)) for entry in unclear)
    attestations = [entry for entry in source.manifests if entry.is_attestation]
    for entry, document in zip(unclear, read, strict=True):
        if isinstance(document, ImageManifest) and document.is_attestation:
            attestations.append(entry)
        elif isinstance(document, ImageIndex) and any(inner.is_attestation for inner in document.manifests):
            raise UnsupportedImage(
                f"an index within it, {document.digest}, holds attestations, and only those at the top can be stripped",
                hint="build it with --provenance=false --sbom=false",
            )
    return select(source, attestations, transforms)


async def _refuse_other_platforms(image: ImageManifest, transforms: Transforms, read_config: ReadConfig) -> None:
    if image.config.size > MAX_CONFIG:
        raise UnsupportedImage(f"its config has {image.config.size} bytes, and is read up to {MAX_CONFIG}")
    refuse_other_platforms(platform_of(await read_config(image.config)), transforms.platforms)


async def _below(fetch: Fetch[N], reference: N, root: Document) -> ImageTree:
    below: dict[Digest, Document] = {}
    level = [root]
    held = 0

    async def child(digest: Digest) -> Document:
        nonlocal held
        document = await _document(fetch, reference.beside(digest))
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


async def _document(fetch: Fetch[N], reference: N) -> Document:
    try:
        document = (await fetch(reference)).parse()
        refuse_uncopyable(document)
    except UnsupportedImage as error:
        raise UnsupportedImage(f"{reference}: {error.message}", hint=error.hint) from error
    return document
