"""Image manifests and indexes, kept as the bytes that were read.

Sources of the rules: OCI image-spec (manifest.md, image-index.md) and Docker's
"Image Manifest Version 2, Schema 2".
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from replsync.errors import UnsupportedImage
from replsync.oci.digest import Digest, parse_digest, sha256
from replsync.oci.platform import Platform

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"

MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES = (OCI_INDEX, DOCKER_LIST)
ACCEPT = ", ".join((*MANIFEST_TYPES, *INDEX_TYPES, DOCKER_SCHEMA1_SIGNED, DOCKER_SCHEMA1))
"""Every type, schema 1 too: so that a registry hands it out and it can be refused by name."""

MAX_SIZE = 4 * 1024 * 1024
"""Bytes; the least that a registry must take, and the most that is read (distribution-spec, push)."""

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+/-]{3,255}")  # RFC 6838, 4.2, loosely
_MAX_BLOB = 2**63 - 1  # descriptor.md: a size is an int64
_KEYS = {"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "digest", "size", "urls"}
_FOLDED = {key.casefold() for key in _KEYS}
_IMAGE_CONFIGS = (OCI_CONFIG, DOCKER_CONFIG)
_HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
_IN_TOTO = "application/vnd.in-toto"
# BuildKit's "Image attestation storage": how an index marks an attestation.
_KIND, _ATTESTATION = "vnd.docker.reference.type", "attestation-manifest"


@dataclass(frozen=True)
class Descriptor:
    """A pointer to content: media type, digest and size in bytes (image-spec, descriptor.md).

    `is_attestation` is what BuildKit's annotation in an index says.
    """

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    has_urls: bool = False
    is_attestation: bool = False

    @property
    def is_config(self) -> bool:
        """Whether it points at the config of an image."""
        return self.media_type in _IMAGE_CONFIGS


@dataclass(frozen=True)
class ImageManifest:
    """One image: its config and its layers, lowest first. `raw` is what goes over the wire."""

    raw: bytes
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def digest(self) -> Digest:
        """sha256 of `raw`."""
        return sha256(self.raw)

    @property
    def is_image(self) -> bool:
        """False for Helm charts and other artifacts, which only share the format."""
        return self.config.media_type in _IMAGE_CONFIGS

    @property
    def is_attestation(self) -> bool:
        """Whether all that is in it are in-toto statements, such as BuildKit's provenance and SBOM."""
        return bool(self.layers) and all(layer.media_type.startswith(_IN_TOTO) for layer in self.layers)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Config and layers, each digest once, in the order in which they are pushed."""
        unique = {blob.digest: blob for blob in (*self.layers, self.config)}
        return tuple(unique.values())


@dataclass(frozen=True)
class ImageIndex:
    """A list of image manifests, one for each platform. `raw` is what goes over the wire."""

    raw: bytes
    media_type: str
    manifests: tuple[Descriptor, ...]
    artifact_type: str | None = None

    @property
    def digest(self) -> Digest:
        """sha256 of `raw`."""
        return sha256(self.raw)

    @property
    def is_image(self) -> bool:
        """False where the index says that it is an artifact of another kind."""
        return self.artifact_type is None


Document = ImageManifest | ImageIndex


def parse_document(raw: bytes, content_type: str) -> Document:
    """Read an image manifest or an index; `content_type` is what the registry called it.

    Raises UnsupportedImage where it is neither, is Docker schema 1, is over
    4 MiB, or where body and Content-Type disagree (CVE-2021-41190).
    """
    media_type = content_type.partition(";")[0].strip()
    if len(raw) > MAX_SIZE:
        raise UnsupportedImage(f"an image manifest of {len(raw)} bytes is over the limit of {MAX_SIZE}")
    try:
        body = json.loads(raw, object_pairs_hook=_each_once)
    except _Twice as error:
        raise UnsupportedImage(f"an image manifest is ambiguous: {error}") from error
    except (ValueError, RecursionError) as error:
        raise UnsupportedImage(f"an image manifest of type {media_type[:100]!r} is not JSON") from error
    if not isinstance(body, dict):
        raise UnsupportedImage("an image manifest is not a JSON object")
    if media_type in (DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED) or body.get("schemaVersion") == 1:
        raise UnsupportedImage(
            "the image is in Docker's schema 1 format, given up in 2017 and not supported",
            hint="pull it with Docker and push it again, which converts it, then use that copy",
        )
    if "manifests" in body and "layers" in body:
        raise UnsupportedImage("an image manifest with both `manifests` and `layers` is ambiguous")
    stated = body.get("mediaType", media_type)
    if stated != media_type:
        raise UnsupportedImage(
            f"the registry calls it {media_type[:100]!r}, but its mediaType is {str(stated)[:100]!r}"
        )
    try:
        _refuse_lookalikes(body)
        if media_type in MANIFEST_TYPES:
            return ImageManifest(
                raw, media_type, _descriptor(body["config"]), tuple(_descriptor(one) for one in body["layers"])
            )
        if media_type in INDEX_TYPES:
            artifact_type = body.get("artifactType")
            if artifact_type is not None and not _MEDIA_TYPE.fullmatch(artifact_type):
                raise ValueError(f"an artifactType of {artifact_type!r}")
            return ImageIndex(
                raw, media_type, tuple(_descriptor(one) for one in body["manifests"]), body.get("artifactType")
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnsupportedImage(
            f"an image manifest of type {media_type!r} is not well-formed: {str(error)[:200]}"
        ) from error
    raise UnsupportedImage(f"{media_type[:100]!r} is not an image")


def refuse_uncopyable(document: Document) -> None:
    """Raise UnsupportedImage where `document` is neither image nor attestation, or has layers kept elsewhere.

    Foreign layers live at URLs of the image's own choosing; fetching those is
    how credentials once leaked (CVE-2020-15157).
    """
    if isinstance(document, ImageManifest) and document.is_attestation:
        return  # it belongs to an image; by itself it is refused where its tree is read
    if not document.is_image:
        kind = document.config.media_type if isinstance(document, ImageManifest) else document.artifact_type
        if kind == _HELM_CONFIG:
            raise UnsupportedImage(
                "it is a Helm chart and no container image",
                hint="charts get to the registry with a release: add the chart to that, and name an image here",
            )
        raise UnsupportedImage(
            f"it is not a container image but an artifact of type {kind!r}", hint="name a container image"
        )
    if isinstance(document, ImageManifest):
        for layer in document.layers:
            if layer.has_urls or "foreign" in layer.media_type or "nondistributable" in layer.media_type:
                raise UnsupportedImage(
                    f"its layer {layer.digest} is a foreign layer, which is not kept in a registry",
                    hint="build the image on a base without foreign layers",
                )


class _Twice(ValueError):
    """A key that is there twice: which one counts, each parser decides by itself."""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict[str, Any]()
    for key, value in pairs:
        if key in found:
            raise _Twice(f"the key {key[:100]!r} is there twice")
        found[key] = value
    return found


def _refuse_lookalikes(data: dict[str, Any]) -> None:
    """Go's parser, so that of registries and runtimes, reads a key in any case, and the last one counts."""
    for key in data.keys() - _KEYS:
        if key.casefold() in _FOLDED:
            raise ValueError(f"the key {key[:100]!r} is read differently by different programs")


def _descriptor(data: Any) -> Descriptor:
    _refuse_lookalikes(data)
    size = data["size"]
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_BLOB:
        raise ValueError(f"a size of {str(size)[:100]!r}")
    media_type = data["mediaType"]
    if not isinstance(media_type, str) or not _MEDIA_TYPE.fullmatch(media_type):
        raise ValueError(f"a media type of {media_type!r}")
    platform = data.get("platform")
    if platform and not all(part.isprintable() for part in platform.values() if isinstance(part, str)):
        raise ValueError("a platform that can't be printed")
    return Descriptor(
        media_type=media_type,
        digest=parse_digest(data["digest"]),
        size=size,
        platform=Platform(
            str(platform.get("os", "")),
            str(platform.get("architecture", "")),
            str(platform.get("variant") or "") or None,
        )
        if platform
        else None,
        has_urls=bool(data.get("urls")),
        is_attestation=_annotations(data).get(_KIND) == _ATTESTATION,
    )


def _annotations(data: dict[str, Any]) -> dict[str, Any]:
    found = data.get("annotations")
    return found if isinstance(found, dict) else {}
