"""Reading what `docker save` writes, as a stream, into blobs that a registry takes.

The format is Docker's image specification v1.2 ("Combined Image JSON +
Filesystem Changeset Format"): layers and configs in any order, and
`manifest.json`, which says what is what, at the end. Layers are plain tars;
they are compressed on the way, one at a time, so that the disk holds the
compressed image and memory holds next to nothing.
"""

import hashlib
import json
import posixpath
import tarfile
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO

from replsync.errors import UnsupportedImage
from replsync.oci.digest import Digest, sha256
from replsync.oci.image_manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    Descriptor,
    ImageManifest,
    parse_document,
)
from replsync.oci.image_tree import ImageTree
from replsync.oci.tombstone import EMPTY_LAYER, EMPTY_LAYER_DIGEST, EMPTY_TAR_DIGEST

_PART = 1024 * 1024
_MAX_JSON = 4 * 1024 * 1024
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class SavedImage:
    """An image out of an archive: its image manifest, and a file for each of its blobs."""

    tree: ImageTree
    files: dict[Digest, Path]


@dataclass(frozen=True)
class _Layer:
    blob: Descriptor
    diff_id: Digest


def read_saved(stream: IO[bytes], folder: Path, stopped: Callable[[], bool]) -> SavedImage:
    """Read the archive's one image, its blobs into `folder`.

    `stopped` is asked between parts. Raises UnsupportedImage where the archive
    is not what `docker save` writes, or its layers are not those that the config names.
    """
    layers: dict[str, _Layer] = {}
    documents: dict[str, bytes] = {}
    links: dict[str, str] = {}
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=_PART) as archive:
            for member in archive:
                name = posixpath.normpath(member.name)
                if member.issym() or member.islnk():
                    base = posixpath.dirname(name) if member.issym() else ""
                    links[name] = posixpath.normpath(posixpath.join(base, member.linkname))
                elif member.isreg() and (content := archive.extractfile(member)):
                    start = content.read(_MAX_JSON)
                    if name.endswith(".tar") or name.startswith("blobs/"):
                        rest = iter(partial(content.read, _PART), b"")
                        layers[name] = _store_layer(_parts(start, rest, stopped), folder, start)
                    if start[:1] in (b"{", b"[") and len(start) < _MAX_JSON:  # not layers: memory is for little
                        documents[name] = start
        entries = json.loads(documents["manifest.json"])
        entry = entries[0]
        config = documents[posixpath.normpath(entry["Config"])]
        chosen = [layers[_follow(posixpath.normpath(name), links)] for name in entry["Layers"]]
        diff_ids = json.loads(config)["rootfs"]["diff_ids"]
    except (tarfile.TarError, zlib.error, LookupError, TypeError, ValueError, EOFError, RecursionError) as error:
        raise UnsupportedImage(f"the exported archive is not what `docker save` writes: {error!r}") from error
    return _checked(config, diff_ids, chosen, folder)


def pack(
    config: bytes,
    names: Sequence[str],
    open_layer: Callable[[str], Generator[bytes, None, None]],
    folder: Path,
    stopped: Callable[[], bool],
) -> SavedImage:
    """Write the blobs of an image with this config and the layers of these names into `folder`.

    `open_layer` yields a layer's bytes. Raises UnsupportedImage where the layers are not those that the config names.
    """
    layers: dict[str, _Layer] = {}
    try:
        diff_ids = json.loads(config)["rootfs"]["diff_ids"]
        for name in dict.fromkeys(names):
            with closing(open_layer(name)) as content:
                start = next(content, b"")
                layers[name] = _store_layer(_parts(start, content, stopped), folder, start)
    except (zlib.error, LookupError, TypeError, ValueError, EOFError, RecursionError) as error:
        raise UnsupportedImage(f"the archive is not what `docker save` writes: {error!r}") from error
    return _checked(config, diff_ids, [layers[name] for name in names], folder)


def _checked(config: bytes, diff_ids: object, layers: Sequence[_Layer], folder: Path) -> SavedImage:
    if diff_ids != [layer.diff_id for layer in layers]:
        raise UnsupportedImage("the exported archive holds other layers than its config names")
    return _assemble(config, [layer.blob for layer in layers], folder)


def _assemble(config: bytes, layers: list[Descriptor], folder: Path) -> SavedImage:
    digest = sha256(config)
    path = _path(folder, digest)
    path.write_bytes(config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {"mediaType": DOCKER_CONFIG, "size": len(config), "digest": digest},
        "layers": [{"mediaType": one.media_type, "size": one.size, "digest": one.digest} for one in layers],
    }
    raw = json.dumps(manifest, indent=3).encode()
    root = parse_document(raw, DOCKER_MANIFEST)
    if not isinstance(root, ImageManifest):
        raise AssertionError("an image manifest was written")
    return SavedImage(ImageTree(root, {}), {blob.digest: _path(folder, blob.digest) for blob in root.blobs})


def _store_layer(parts: Iterator[bytes], folder: Path, start: bytes) -> _Layer:
    """Write one layer, compressed, to the file named by its digest."""
    if start.startswith(_ZSTD):
        raise UnsupportedImage("a layer is compressed by zstd, which is not supported where `docker save` wrote it")
    compressed = start.startswith(_GZIP)
    # A fixed level and no time stamp: the same layer gives the same bytes each time.
    packer = None if compressed else zlib.compressobj(6, zlib.DEFLATED, 31)
    plain = _Unpacked() if compressed else hashlib.sha256()
    packed = hashlib.sha256()
    size = 0
    temporary = folder / "layer.part"
    with temporary.open("wb") as file:
        for part in parts:
            plain.update(part)
            out = packer.compress(part) if packer else part
            packed.update(out)
            size += file.write(out)
        rest = packer.flush() if packer else b""
        packed.update(rest)
        size += file.write(rest)
    diff_id = Digest(f"sha256:{plain.hexdigest()}")
    digest = Digest(f"sha256:{packed.hexdigest()}")
    if diff_id == EMPTY_TAR_DIGEST and packer:  # Docker's own empty layer, which registries know by this digest
        temporary.write_bytes(EMPTY_LAYER)
        digest, size = EMPTY_LAYER_DIGEST, len(EMPTY_LAYER)
    temporary.replace(_path(folder, digest))
    return _Layer(Descriptor(DOCKER_LAYER, digest, size), diff_id)


class _Unpacked:
    """sha256 of what is inside of gzip, which may have several members (RFC 1952, 2.2)."""

    def __init__(self) -> None:
        self._hasher = hashlib.sha256()
        self._member = zlib.decompressobj(31)

    def update(self, data: bytes, /) -> None:
        """Go on with `data`. Raises zlib.error where it is not gzip."""
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(31)
            self._hasher.update(self._member.decompress(data, _PART))
            data = self._member.unconsumed_tail or self._member.unused_data

    def hexdigest(self) -> str:
        """The digest. Raises EOFError where the last member is cut off."""
        self._hasher.update(self._member.flush())
        if not self._member.eof:
            raise EOFError("a layer's gzip is cut off")
        return self._hasher.hexdigest()


def _parts(start: bytes, content: Iterator[bytes], stopped: Callable[[], bool]) -> Iterator[bytes]:
    for part in chain([start] if start else [], content):
        if stopped():
            raise EOFError("interrupted")
        yield part


def _follow(name: str, links: dict[str, str]) -> str:
    for _ in range(10):
        if name not in links:
            return name
        name = links[name]
    raise ValueError(f"a circle of links at {name}")


def _path(folder: Path, digest: Digest) -> Path:
    return folder / digest.partition(":")[2]
