"""What the store holds, told for people: each tag with what stands behind it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from replsync.errors import UnsupportedImage
from replsync.oci.digest import Digest
from replsync.oci.image_manifest import Descriptor, Document, ImageIndex, ImageManifest, parse_document
from replsync.oci.tombstone import may_be_tombstone, read_epitaph
from replsync.sandbox.store import Store, StoredManifest

MAX_REPOSITORIES = 100
MAX_TAGS = 200
"""Of one repository: a page of more helps nobody, and takes its time."""

_MAX_CONFIG = 1_000_000  # bytes that are read of a config
_HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"

Kind = Literal["image", "tombstone", "chart", "artifact"]


@dataclass(frozen=True)
class Tagged:
    """A tag: `size` is in bytes of all that a pull of every platform takes, `note` what else there is to know."""

    tag: str
    kind: Kind
    digest: Digest
    size: int
    platforms: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Contents:
    """A repository: its first MAX_TAGS tags, how many there are, and how many images are left that have none.

    `left` doesn't count the parts of an index; None where there are too many tags to look.
    """

    repository: str
    tags: tuple[Tagged, ...]
    total: int
    left: int | None


def contents(store: Store, repository: str) -> Contents:
    """Look at a repository."""
    tags = store.tags(repository, "", -1)
    shown = tuple(_tagged(store, repository, tag) for tag in tags[:MAX_TAGS])
    left = _left(store, repository, tags) if len(tags) == len(shown) else None
    return Contents(repository, shown, len(tags), left)


def _left(store: Store, repository: str, tags: Iterable[str]) -> int:
    untagged = store.untagged(repository)
    tagged = [stored for tag in tags if (stored := store.manifest(repository, tag))]
    indexes = [document for one in (*untagged, *tagged) if isinstance(document := _parsed(one), ImageIndex)]
    parts = {entry.digest for index in indexes for entry in index.manifests}
    return sum(one.digest not in parts for one in untagged)


def _tagged(store: Store, repository: str, tag: str) -> Tagged:
    stored = store.manifest(repository, tag)
    assert stored  # a tag has one
    document = _parsed(stored)
    if document is None:
        return Tagged(tag, "artifact", stored.digest, len(stored.raw), note="cannot be read")
    if not isinstance(document, ImageManifest):
        images = [image for one in document.manifests if (image := _image(store, repository, one))]
        platforms = tuple(str(one.platform) for one in document.manifests if one.platform)
        kind: Kind = "image" if document.is_image else "artifact"
        return Tagged(tag, kind, stored.digest, _size(images), platforms, document.artifact_type or "")
    size = _size([document])
    if not document.is_image:
        media_type = document.config.media_type
        is_chart = media_type == _HELM_CONFIG
        return Tagged(
            tag, "chart" if is_chart else "artifact", stored.digest, size, note="" if is_chart else media_type
        )
    config = _config(store, repository, document)
    epitaph = read_epitaph(config) if may_be_tombstone(document) else None
    if epitaph:
        return Tagged(tag, "tombstone", stored.digest, size, note=epitaph.reason)
    return Tagged(tag, "image", stored.digest, size, _platform(config))


def _image(store: Store, repository: str, entry: Descriptor) -> ImageManifest | None:
    stored = store.manifest(repository, entry.digest)
    document = _parsed(stored) if stored else None
    return document if isinstance(document, ImageManifest) else None


def _parsed(stored: StoredManifest) -> Document | None:
    try:
        return parse_document(stored.raw, stored.media_type)
    except UnsupportedImage:  # kept by an earlier version, which took it
        return None


def _size(images: Iterable[ImageManifest]) -> int:
    """Bytes of all blobs, each counted once."""
    sizes = {blob.digest: blob.size for image in images for blob in image.blobs}
    return sum(sizes.values())


def _config(store: Store, repository: str, image: ImageManifest) -> bytes:
    path = store.blob(repository, image.config.digest)
    if path is None or path.stat().st_size > _MAX_CONFIG:
        return b""
    return path.read_bytes()


def _platform(config: bytes) -> tuple[str, ...]:
    try:
        body: dict[str, Any] = json.loads(config)
        parts = [body["os"], body["architecture"], body.get("variant")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()
    return ("/".join(str(part) for part in parts if part),)
