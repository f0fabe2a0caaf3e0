"""`index.json` of an OCI image layout, and the choice of an image in it (image-spec, image-layout.md)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from replsync.errors import UnsupportedImage
from replsync.oci.digest import Digest, short
from replsync.oci.image_manifest import (
    DOCKER_CONFIG,
    INDEX_TYPES,
    OCI_CONFIG,
    OCI_INDEX,
    Descriptor,
    ImageIndex,
    parse_document,
)
from replsync.oci.reference import parse_reference
from replsync.oci.source_name import LayoutSource

_REF_NAME = "org.opencontainers.image.ref.name"
# What containerd and BuildKit write beside it: there `ref.name` is the tag alone.
_FULL_NAME = "io.containerd.image.name"
_NAMED = 10


@dataclass(frozen=True)
class Entry:
    """An image of the layout, and what it is called there: whole names, or tags alone."""

    image: Descriptor
    names: tuple[str, ...]

    def is_called(self, name: str) -> bool:
        """Whether `name` is its whole name, also in Docker's short form, or its tag."""
        wanted = _in_full(name)
        return any(name in (own, _tag(own)) or (wanted is not None and wanted == _in_full(own)) for own in self.names)


def read_index(data: bytes) -> tuple[Entry, ...]:
    """Return what `index.json` lists, attestations and other artifacts left out. Raises UnsupportedImage."""
    try:
        body = json.loads(data)
        media_type = body.get("mediaType", OCI_INDEX)
        index = parse_document(data, media_type if isinstance(media_type, str) else "")
        if not isinstance(index, ImageIndex) or index.media_type not in INDEX_TYPES:
            raise UnsupportedImage("index.json is no index")
        # parse_document made sure that these are mappings.
        return tuple(
            Entry(image, _names(entry))
            for image, entry in zip(index.manifests, body["manifests"], strict=True)
            # crane calls an image by the type of its config here.
            if not image.is_attestation and entry.get("artifactType") in (None, OCI_CONFIG, DOCKER_CONFIG)
        )
    except UnsupportedImage as error:
        raise UnsupportedImage(f"index.json: {error.message}", hint=error.hint) from error
    except (ValueError, AttributeError, RecursionError) as error:
        raise UnsupportedImage("index.json is not JSON, or no object") from error


def check_layout(data: bytes) -> None:
    """Raise UnsupportedImage where the file `oci-layout` is not of version 1."""
    try:
        version = json.loads(data)["imageLayoutVersion"]
        major = str(version).partition(".")[0]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise UnsupportedImage("its file oci-layout is not that of an OCI image layout") from error
    if major != "1":
        raise UnsupportedImage(f"it is an OCI image layout of version {str(version)[:50]!r}, expected 1")


def choose(entries: Sequence[Entry], source: LayoutSource) -> Descriptor:
    """Return the image that `source` names. Raises UnsupportedImage where there is none, or not one alone."""
    found = [entry for entry in entries if source.name is None or entry.is_called(source.name)]
    images = {entry.image.digest: entry.image for entry in found}
    if not entries:
        raise UnsupportedImage("there is no image in it")
    if source.digest is not None:
        if source.digest in images:
            return images[source.digest]
        if images:
            there = ", ".join(sorted(map(short, images))[:_NAMED])
            raise UnsupportedImage(f"it has another image, {there}, than {source.digest}, which is wanted")
    if len(images) == 1:
        (image,) = images.values()
        return image
    if not images:
        raise UnsupportedImage(f"it has no image {source.name!r}; {_listed(entries)}", hint=_hint(source))
    if source.name is None:
        raise UnsupportedImage(f"it has {len(images)} images, so that one must be named; {_listed(entries)}")
    raise UnsupportedImage(f"it has {len(images)} images {source.name!r}: name one in full; {_listed(found)}")


def _hint(source: LayoutSource) -> str:
    alone = LayoutSource(source.path, is_archive=source.is_archive)
    return f"name one that is there; or give the tag a source of its own, {alone}, if it is the only image"


def _listed(entries: Sequence[Entry]) -> str:
    names = sorted({entry.names[-1] for entry in entries if entry.names})
    unnamed = sum(not entry.names for entry in entries)
    said = [repr(name[:150]) for name in names[:_NAMED]]
    if len(names) > _NAMED:
        said.append(f"{len(names) - _NAMED} more")
    if unnamed:
        said.append(f"{unnamed} without a name")
    return f"there {'is' if len(entries) == 1 else 'are'} {', '.join(said)}"


def _names(entry: dict[str, object]) -> tuple[str, ...]:
    annotations = entry.get("annotations")
    if not isinstance(annotations, dict):
        return ()
    found = (annotations.get(key) for key in (_REF_NAME, _FULL_NAME))
    return tuple(dict.fromkeys(name for name in found if isinstance(name, str) and name))


def _in_full(name: str) -> str | None:
    """The name as a reference with its tag; None where it isn't one, or has none, as a tag alone."""
    try:
        reference = parse_reference(name)
    except ValueError:
        return None
    return str(reference) if reference.tag else None


def _tag(name: str) -> str | None:
    try:
        return parse_reference(name).tag
    except ValueError:
        return None


def blob_name(digest: Digest) -> str:
    """Where a blob is in a layout."""
    return f"blobs/{digest.replace(':', '/')}"
