"""Tombstones: the empty image that takes a retired tag's place, and says why.

A tombstone is known by the labels in its config, not by its digest, so that
one pushed by a Docker daemon, which may write its image manifest anew, is
known too.
"""

import json
from dataclasses import dataclass

from replsync.oci.digest import Digest, parse_digest, sha256
from replsync.oci.image_manifest import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, ImageManifest

LABEL = "dev.replsync.tombstone"

# Docker's own empty layer: a tar of 1,024 zero bytes, and its gzip as Docker
# writes it. Some registries refuse an image without layers, this one they know.
EMPTY_TAR = bytes(1024)
EMPTY_TAR_DIGEST = sha256(EMPTY_TAR)
EMPTY_LAYER = bytes.fromhex("1f8b080000096e8800ff621805a360148c5800080000ffff2eafb5ef00040000")
EMPTY_LAYER_DIGEST = sha256(EMPTY_LAYER)

_MAX_EMPTY_LAYER = 1024
_MAX_CONFIG = 64 * 1024
MAX_TOMBSTONE = _MAX_EMPTY_LAYER + _MAX_CONFIG
"""Bytes of blobs that a tombstone has at most."""


@dataclass(frozen=True)
class Epitaph:
    """What a tombstone says: the `host/path:tag` it stands at, what it replaced, and why."""

    reference: str
    reason: str
    replaces: Digest
    replaces_media_type: str


def tombstone_config(epitaph: Epitaph) -> bytes:
    """Return the config of the tombstone: the same `epitaph` gives the same bytes.

    The Entrypoint is a sentence: a runtime that starts the image prints it,
    since it finds no such executable.
    """
    epoch = "1970-01-01T00:00:00Z"
    labels = {
        LABEL: "1",
        f"{LABEL}.reason": epitaph.reason,
        f"{LABEL}.reference": epitaph.reference,
        f"{LABEL}.replaces": epitaph.replaces,
        f"{LABEL}.replaces.media-type": epitaph.replaces_media_type,
    }
    sentence = f"{epitaph.reference} was retired: {epitaph.reason}"
    return _canonical(
        {
            "architecture": "amd64",
            "config": {"Entrypoint": [sentence], "Labels": labels},
            "created": epoch,
            "history": [{"created": epoch, "created_by": "replsync tombstone"}],
            "os": "linux",
            "rootfs": {"diff_ids": [EMPTY_TAR_DIGEST], "type": "layers"},
        }
    )


def tombstone_manifest(config: bytes) -> bytes:
    """Return the Docker schema 2 image manifest of the tombstone with this `config`."""
    return _canonical(
        {
            "config": {"digest": sha256(config), "mediaType": DOCKER_CONFIG, "size": len(config)},
            "layers": [{"digest": EMPTY_LAYER_DIGEST, "mediaType": DOCKER_LAYER, "size": len(EMPTY_LAYER)}],
            "mediaType": DOCKER_MANIFEST,
            "schemaVersion": 2,
        }
    )


def may_be_tombstone(image: ImageManifest) -> bool:
    """Whether it is worth reading the config: one layer too small to hold anything.

    An image built on top of a tombstone inherits its labels, but has more in it.
    """
    return (
        len(image.layers) == 1
        and image.layers[0].size <= _MAX_EMPTY_LAYER
        and image.config.size <= _MAX_CONFIG
        and image.is_image
    )


def read_epitaph(config: bytes) -> Epitaph | None:
    """Return what the tombstone with this `config` says; None where it is no tombstone."""
    try:
        labels = json.loads(config)["config"]["Labels"]
        if labels[LABEL] != "1":
            return None
        epitaph = Epitaph(
            reference=str(labels[f"{LABEL}.reference"]),
            reason=str(labels[f"{LABEL}.reason"]),
            replaces=parse_digest(labels[f"{LABEL}.replaces"]),
            replaces_media_type=str(labels[f"{LABEL}.replaces.media-type"]),
        )
        tombstone_config(epitaph)  # half a surrogate pair is JSON, and can't be written again
        return epitaph
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _canonical(data: object) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
