"""Archives in the shapes in which Docker's versions save an image."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """A link to another member."""

    target: str
    symbolic: bool = True


Members = Sequence[tuple[str, bytes | Link]]


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def hexadecimal(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def archive(members: Members) -> bytes:
    """A tar with these members in their order."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if isinstance(content, Link):
                member.type = tarfile.SYMTYPE if content.symbolic else tarfile.LNKTYPE
                member.linkname = content.target
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


def layer(**files: bytes) -> bytes:
    """A layer: the plain tar of some files."""
    return archive(list(files.items()))


def config(layers: Iterable[bytes]) -> bytes:
    """The config of an image with these plain layers."""
    rootfs = {"type": "layers", "diff_ids": [digest(plain) for plain in layers]}
    return json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()


def listing(config_name: str, layer_names: Sequence[str]) -> tuple[str, bytes]:
    entry = {"Config": config_name, "RepoTags": ["worker:dev"], "Layers": list(layer_names)}
    return "manifest.json", json.dumps([entry]).encode()


def docker_20(layers: Sequence[bytes]) -> Members:
    """Docker 20.10: a folder for each layer; one that was there already is a link to it."""
    members: list[tuple[str, bytes | Link]] = []
    names: list[str] = []
    first: dict[bytes, str] = {}
    for number, plain in enumerate(layers):
        folder = hexadecimal(b"%d" % number)
        content: bytes | Link = Link(f"../{first[plain]}") if plain in first else plain
        first.setdefault(plain, f"{folder}/layer.tar")
        names.append(f"{folder}/layer.tar")
        members += [(f"{folder}/VERSION", b"1.0"), (f"{folder}/json", b"{}"), (names[-1], content)]
    whole = config(layers)
    name = f"{hexadecimal(whole)}.json"
    return [*members, (name, whole), listing(name, names), ("repositories", b"{}")]


def docker_25(layers: Sequence[bytes], stored: Mapping[bytes, bytes] | None = None) -> Members:
    """Docker 25 and later: an OCI layout with a manifest.json; `stored` is how a layer is kept, if not plain."""
    kept = [(stored or {}).get(plain, plain) for plain in layers]
    whole = config(layers)
    blobs = {hexadecimal(blob): blob for blob in (*kept, whole, b'{"schemaVersion": 2}')}
    names = [f"blobs/sha256/{hexadecimal(blob)}" for blob in kept]
    return [
        *((f"blobs/sha256/{name}", blob) for name, blob in sorted(blobs.items())),
        ("index.json", b'{"schemaVersion": 2, "manifests": []}'),
        listing(f"blobs/sha256/{hexadecimal(whole)}", names),
        ("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'),
    ]


def containerd(layers: Sequence[bytes]) -> Members:
    """Docker with the containerd image store: layers as they were pulled, most of them compressed."""
    return docker_25(layers, {plain: gzip.compress(plain, mtime=0) for plain in layers})
