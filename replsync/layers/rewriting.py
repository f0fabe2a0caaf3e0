"""Image manifests, configs and indexes of split images: pure functions from bytes to bytes."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from replsync.errors import UnsupportedImage
from replsync.oci.digest import Digest, parse_digest, sha256
from replsync.oci.image_manifest import DOCKER_LAYER, OCI_LAYER, Descriptor, ImageIndex, ImageManifest
from replsync.oci.made_from import BUILD_INPUTS, SPLIT_LIMIT, SPLIT_SEAL, SPLIT_SOURCE, split_seal

if TYPE_CHECKING:
    from replsync.layers.splitting import Part

MAX_LAYERS = 127
"""Docker's own limit (layer.ErrMaxDepthExceeded): an image with more can't be pulled."""

_DOCKER = "application/vnd.docker."


def diff_ids_of(config: bytes, manifest: ImageManifest) -> tuple[Digest, ...]:
    """Return the digest of the tar of each layer. Raises UnsupportedImage where the config doesn't tell."""
    try:
        diff_ids = tuple(parse_digest(one) for one in json.loads(config)["rootfs"]["diff_ids"])
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise UnsupportedImage("its config doesn't say what its layers are unpacked (rootfs.diff_ids)") from error
    if len(diff_ids) != len(manifest.layers):
        raise UnsupportedImage(f"it has {len(manifest.layers)} layers, and its config names {len(diff_ids)}")
    return diff_ids


def split_config(
    config: bytes,
    manifest: ImageManifest,
    parts: Mapping[Digest, Sequence["Part"]],
    source: Digest,
    limit: int,
    *,
    is_built: bool = False,
) -> bytes:
    """Return `config` with the parts in place of their layers, and labels that say what was split and how.

    What a build's label says stays only where it `is_built` here: elsewhere it tells of an earlier image, by which
    this one isn't known.
    """
    try:
        data = json.loads(config)
        inner = data.get("config") or {}
        labels = {key: text for key, text in (inner.get("Labels") or {}).items() if is_built or key != BUILD_INPUTS}
        data["config"] = inner | {"Labels": labels | {SPLIT_SOURCE: source, SPLIT_LIMIT: str(limit)}}
        counts = [len(parts.get(layer.digest, (None,))) for layer in manifest.layers]
        if sum(counts) > MAX_LAYERS:
            raise UnsupportedImage(
                f"split it would have {sum(counts)} layers, and {MAX_LAYERS} are the most that Docker takes",
                hint="raise policy.max_layer_size",
            )
        data["rootfs"]["diff_ids"] = [
            diff_id
            for layer, own in zip(manifest.layers, data["rootfs"]["diff_ids"], strict=True)
            for diff_id in ([part.diff_id for part in parts[layer.digest]] if layer.digest in parts else [own])
        ]
        if isinstance(data.get("history"), list):
            data["history"] = _history(data["history"], counts)
        data["config"]["Labels"][SPLIT_SEAL] = split_seal(data)
        return json.dumps(data).encode()
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UnsupportedImage("its config is not well-formed, so that it can't be split") from error


def split_manifest(manifest: ImageManifest, parts: Mapping[Digest, Sequence["Part"]], config: bytes) -> bytes:
    """Return the image manifest with the parts in place of their layers; all else stays, Docker's media types too."""
    data = json.loads(manifest.raw)
    data["config"] |= {"digest": sha256(config), "size": len(config)}
    data["config"].pop("data", None)  # descriptor.md: the content itself, embedded
    layers = []
    for written, layer in zip(data["layers"], manifest.layers, strict=True):
        if layer.digest in parts:
            media_type = DOCKER_LAYER if layer.media_type.startswith(_DOCKER) else OCI_LAYER
            layers += [{"mediaType": media_type, "size": one.size, "digest": one.digest} for one in parts[layer.digest]]
        else:
            layers.append(written)
    data["layers"] = layers
    return json.dumps(data).encode()


def split_index(index: ImageIndex, replaced: Mapping[Digest, bytes]) -> bytes:
    """Return the index with other image manifests in place of those with these digests; all else stays."""
    data = json.loads(index.raw)
    for entry in data["manifests"]:
        if raw := replaced.get(entry["digest"]):
            entry |= {"digest": sha256(raw), "size": len(raw)}
            entry.pop("data", None)
    return json.dumps(data).encode()


def large_layers(manifest: ImageManifest, limit: int) -> tuple[Descriptor, ...]:
    """The layers of more than `limit` bytes, each once."""
    return tuple({layer.digest: layer for layer in manifest.layers if layer.size > limit}.values())


def _history(history: Sequence[Any], counts: Sequence[int]) -> list[Any]:
    """One entry for each layer that isn't empty, as before; a history that doesn't fit its layers stays as it is."""
    filled = [entry for entry in history if not entry.get("empty_layer")]
    if len(filled) != len(counts):
        return list(history)
    written: list[Any] = []
    left = iter(counts)
    for entry in history:
        written.append(entry)
        if entry.get("empty_layer"):
            continue
        count = next(left)
        kept = {"created": entry["created"]} if "created" in entry else {}
        written += [kept | {"created_by": f"replsync split: part {n} of {count}"} for n in range(2, count + 1)]
    return written
