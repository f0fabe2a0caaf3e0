"""Small images built from nothing: the same arguments give the same bytes, and no Docker is needed."""

import gzip
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.servers.docker import DockerDaemon

Media = Literal["oci", "docker"]

_TYPES: Mapping[Media, Mapping[str, str]] = {
    "oci": {
        "index": "application/vnd.oci.image.index.v1+json",
        "manifest": "application/vnd.oci.image.manifest.v1+json",
        "config": "application/vnd.oci.image.config.v1+json",
        "layer": "application/vnd.oci.image.layer.v1.tar+gzip",
    },
    "docker": {
        "index": "application/vnd.docker.distribution.manifest.list.v2+json",
        "manifest": "application/vnd.docker.distribution.manifest.v2+json",
        "config": "application/vnd.docker.container.image.v1+json",
        "layer": "application/vnd.docker.image.rootfs.diff.tar.gzip",
    },
}


@dataclass(frozen=True)
class BuiltImage:
    """An image of one platform. `blobs` has the layers, lowest first, and the config, by digest."""

    manifest: bytes
    media_type: str
    config: bytes
    blobs: Mapping[str, bytes]
    platform: str

    @property
    def digest(self) -> str:
        """The digest of the image manifest."""
        return digest_of(self.manifest)

    @property
    def config_digest(self) -> str:
        """The digest of the config: Docker's image ID."""
        return digest_of(self.config)

    @property
    def layers(self) -> list[bytes]:
        """The layers as pushed, lowest first."""
        return [self.blobs[layer["digest"]] for layer in json.loads(self.manifest)["layers"]]


@dataclass(frozen=True)
class BuiltIndex:
    """An image of several platforms."""

    manifest: bytes
    media_type: str
    images: tuple[BuiltImage, ...]

    @property
    def digest(self) -> str:
        """The digest of the index."""
        return digest_of(self.manifest)


def digest_of(data: bytes) -> str:
    """`sha256:…` of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def build_image(
    files: Mapping[str, bytes],
    *,
    platform: str = "linux/amd64",
    labels: Mapping[str, str] | None = None,
    media: Media = "oci",
    entrypoint: Sequence[str] | None = None,
    base: BuiltImage | None = None,
) -> BuiltImage:
    """Build an image of one layer that holds `files`, all executable; with `base`, on top of its layers."""
    types = _TYPES[media]
    tar = _tar(files)
    layers = [*(base.layers if base else []), gzip.compress(tar, mtime=0)]
    diff_ids = [*(json.loads(base.config)["rootfs"]["diff_ids"] if base else []), digest_of(tar)]
    inner = {"Labels": dict(labels) if labels else None, "Entrypoint": list(entrypoint) if entrypoint else None}
    config = _json(
        {
            **_platform(platform),
            "config": {key: value for key, value in inner.items() if value},
            "created": "1970-01-01T00:00:00Z",
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "tests"} for _ in diff_ids],
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": types["manifest"],
            "config": _descriptor(types["config"], config),
            "layers": [_descriptor(types["layer"], layer) for layer in layers],
        }
    )
    blobs = {digest_of(blob): blob for blob in (*layers, config)}
    return BuiltImage(manifest, types["manifest"], config, blobs, platform)


def build_index(images: Sequence[BuiltImage], *, media: Media = "oci") -> BuiltIndex:
    """Build an index of `images`, in their order."""
    types = _TYPES[media]
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": types["index"],
            "manifests": [
                _descriptor(image.media_type, image.manifest) | {"platform": _platform(image.platform)}
                for image in images
            ],
        }
    )
    return BuiltIndex(manifest, types["index"], tuple(images))


def load_into(daemon: DockerDaemon, image: BuiltImage, name: str) -> str:
    """Put `image` into the daemon as `name`, by `docker load`; returns its image ID."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        archive.write(docker_archive(image, name))
        archive.flush()
        daemon.cli("load", "--input", archive.name)
    return image.config_digest


def docker_archive(image: BuiltImage, name: str) -> bytes:
    """The archive that `docker save` would write for `image` (its layers are not compressed)."""
    layers = {f"layer{number}.tar": gzip.decompress(layer) for number, layer in enumerate(image.layers)}
    config = f"{image.config_digest.removeprefix('sha256:')}.json"
    table = [{"Config": config, "RepoTags": [name], "Layers": list(layers)}]
    return _tar({config: image.config, **layers, "manifest.json": _json(table)})


def _tar(files: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    # The format without extensions, so that nothing of this machine gets in.
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            member = tarfile.TarInfo(name.removeprefix("/"))
            member.size = len(files[name])
            member.mode = 0o755
            archive.addfile(member, io.BytesIO(files[name]))
    return target.getvalue()


def _platform(name: str) -> dict[str, str]:
    return dict(zip(("os", "architecture", "variant"), name.split("/"), strict=False))


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
