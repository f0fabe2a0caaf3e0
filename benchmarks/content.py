"""Images to move: layers of random bytes, which no compression makes smaller, the same on each run."""

import hashlib
import json
import random
import tarfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.registry_client import RegistryClient

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_PIECE = 1 << 20  # bytes
_AT_ONCE = 8


@dataclass(frozen=True)
class Blob:
    """A blob in a registry."""

    digest: str
    size: int


@dataclass(frozen=True)
class Image:
    """An image in a registry. `blobs` are its layers and its config, the config last."""

    repository: str
    tag: str
    digest: str
    blobs: tuple[Blob, ...]

    @property
    def config(self) -> Blob:
        """The config: its digest is Docker's image ID."""
        return self.blobs[-1]


@dataclass(frozen=True)
class Shape:
    """What is built: `repositories` with `tags` each, all on the same base layers of these sizes in bytes.

    `own_layer` is the size of the layer that each image has for itself; without one, the images of a
    repository share their config, too, and differ in an annotation.
    """

    repositories: int
    tags: int
    base: tuple[int, ...]
    own_layer: int | None = None

    @property
    def images(self) -> int:
        """How many images there are."""
        return self.repositories * self.tags


@dataclass
class Layer:
    """A gzipped tar of one file of `size` random bytes. Digests and length are known once `pieces` has ended."""

    seed: int
    size: int
    blob: Blob | None = None
    diff_id: str = ""

    def pieces(self) -> Iterator[bytes]:
        """The layer, piece by piece: a big one is never in memory."""
        whole, inner, length = hashlib.sha256(), hashlib.sha256(), 0
        packer = zlib.compressobj(0, zlib.DEFLATED, 31)  # stored, in gzip's frame: random bytes only grow
        for piece in self._tar():
            inner.update(piece)
            packed = packer.compress(piece)
            whole.update(packed)
            length += len(packed)
            if packed:
                yield packed
        rest = packer.flush()
        whole.update(rest)
        length += len(rest)
        self.blob = Blob(f"sha256:{whole.hexdigest()}", length)
        self.diff_id = f"sha256:{inner.hexdigest()}"
        yield rest

    def _tar(self) -> Iterator[bytes]:
        member = tarfile.TarInfo(f"data-{self.seed}")
        member.size = self.size
        yield member.tobuf(tarfile.USTAR_FORMAT)
        source = random.Random(self.seed)
        for at in range(0, self.size, _PIECE):
            yield source.randbytes(min(_PIECE, self.size - at))
        yield bytes(-self.size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)


def build(client: RegistryClient, prefix: str, shape: Shape) -> list[Image]:
    """Push what `shape` describes to repositories `PREFIX/r000` and so on; tags are `1.0.0` and so on."""
    names = [f"{prefix}/r{number:03}" for number in range(shape.repositories)]
    bases = [_push(client, names[0], Layer(1_000_000 + number, size)) for number, size in enumerate(shape.base)]

    def repository(number: int) -> list[Image]:
        name = names[number]
        for layer in bases if number else ():
            client.mount(name, _blob(layer).digest, names[0])
        return [_image(client, name, number * shape.tags + tag, tag, bases, shape) for tag in range(shape.tags)]

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [image for images in pool.map(repository, range(shape.repositories)) for image in images]


def _image(client: RegistryClient, name: str, seed: int, number: int, bases: list[Layer], shape: Shape) -> Image:
    layers = list(bases)
    if shape.own_layer is not None:
        layers.append(_push(client, name, Layer(seed, shape.own_layer)))
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": {"image": name if shape.own_layer is None else f"{name}:{number}"}},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [{"created_by": "benchmarks"} for _ in layers],
        }
    )
    if shape.own_layer is not None or number == 0:
        client.put_blob(name, config)
    blobs = (*map(_blob, layers), Blob(digest_of(config), len(config)))
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(_CONFIG, blobs[-1]),
            "layers": [_descriptor(_LAYER, blob) for blob in blobs[:-1]],
            "annotations": {"org.opencontainers.image.version": f"1.{number}.0"},
        }
    )
    image = Image(name, f"1.{number}.0", digest_of(manifest), blobs)
    client.put_manifest(name, image.tag, manifest, MANIFEST)
    return image


def digest_of(data: bytes) -> str:
    """`sha256:…` of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _push(client: RegistryClient, repository: str, layer: Layer) -> Layer:
    client.put_pieces(repository, layer.pieces(), lambda: _blob(layer).digest)
    return layer


def _blob(layer: Layer) -> Blob:
    assert layer.blob, "a layer has a digest once it was read"
    return layer.blob


def _descriptor(media_type: str, blob: Blob) -> dict[str, object]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
