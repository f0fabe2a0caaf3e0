"""Images in files: OCI image layouts (image-spec, image-layout.md) and archives of `docker save`."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.servers.images import BuiltImage, BuiltIndex, digest_of

REF_NAME = "org.opencontainers.image.ref.name"

Images = Mapping[str | None, BuiltImage | BuiltIndex]
"""Images by their names in a layout."""
Members = Iterable[tuple[str, bytes]]


def layout(images: Images, entries: Iterable[Mapping[str, Any]] = ()) -> dict[str, bytes]:
    """The files of a layout with these images, and `entries` more in its index."""
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
    listed = [*map(dict, entries)]
    for name, image in images.items():
        annotations = {"annotations": {REF_NAME: name}} if name else {}
        listed.append({**descriptor(image), **annotations})
        for blob in blobs(image):
            files[path_of(digest_of(blob))] = blob
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": listed}).encode()
    return files


def blobs(image: BuiltImage | BuiltIndex) -> Iterable[bytes]:
    """All that an image is made of, its image manifests too."""
    yield image.manifest
    for one in image.images if isinstance(image, BuiltIndex) else (image,):
        yield one.manifest
        yield from one.blobs.values()


def descriptor(image: BuiltImage | BuiltIndex) -> dict[str, Any]:
    """How an index names an image."""
    return {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}


def path_of(digest: str) -> str:
    """Where a blob is in a layout."""
    return f"blobs/{digest.replace(':', '/')}"


def write_layout(folder: Path, images: Images, entries: Iterable[Mapping[str, Any]] = ()) -> None:
    """Write a layout into `folder`."""
    for name, data in layout(images, entries).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def layout_archive(images: Images) -> bytes:
    """A layout in a tar."""
    return tar(layout(images).items())


def saved(images: Mapping[str, BuiltImage]) -> bytes:
    """What `docker save` writes of these images, by their names."""
    files: dict[str, bytes] = {}
    table = []
    for name, image in images.items():
        layers = [gzip.decompress(layer) for layer in image.layers]
        config = f"{image.config_digest.removeprefix('sha256:')}.json"
        paths = [f"{digest_of(plain).removeprefix('sha256:')}/layer.tar" for plain in layers]
        files |= {config: image.config, **dict(zip(paths, layers, strict=True))}
        table.append({"Config": config, "RepoTags": [name], "Layers": paths})
    return tar([*files.items(), ("manifest.json", json.dumps(table).encode())])


def tar(members: Members, format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar with these files."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=format) as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return target.getvalue()
