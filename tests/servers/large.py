"""An image with a large layer of many files, written to disk piece by piece: it is never in memory."""

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tests.servers.hello import hello_binary, native_platform
from tests.servers.images import digest_of

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_PIECE = 1 << 20  # bytes
_LONG = "long" * 40  # with what is in it more than a header without PAX holds
_TIME = 1_600_000_000  # seconds: no file has the time at which the test runs

Fill = Callable[[tarfile.TarFile], None]


@dataclass(frozen=True)
class Large:
    """`layout` is the image's name for skopeo; `layers` are the sizes of its layers in bytes, as they are pushed."""

    layout: str
    digest: str
    layers: tuple[int, ...]


def write_large(folder: Path, size: int, file_size: int, greeting: str) -> Large:
    """Write an OCI image layout (image-spec, image-layout.md) into `folder`, which is made.

    The upper one of its two layers has files of `file_size` random bytes, `size` altogether, and what else a
    layer may have: whiteouts, links far from what they name, owners, modes and long names. The image prints `greeting`.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def upper(tar: tarfile.TarFile) -> None:
        _fill_upper(tar, size, file_size)

    layers = [_write_layer(blobs, fill) for fill in (lambda tar: _fill_base(tar, greeting), upper)]
    os, architecture = native_platform().split("/")
    config = {
        "os": os,
        "architecture": architecture,
        "config": {"Entrypoint": ["/hello"]},
        "history": [{"created_by": "base"}, {"created_by": "a label", "empty_layer": True}, {"created_by": "files"}],
        "rootfs": {"type": "layers", "diff_ids": [diff_id for diff_id, _ in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _write(blobs, config, _CONFIG),
        "layers": [{"mediaType": _LAYER, **blob} for _, blob in layers],
    }
    entry = _write(blobs, manifest, _MANIFEST)
    named = entry | {"annotations": {"org.opencontainers.image.ref.name": "1"}}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    return Large(f"oci:{folder}:1", str(entry["digest"]), tuple(int(str(blob["size"])) for _, blob in layers))


def _fill_base(tar: tarfile.TarFile, greeting: str) -> None:
    _add_folders(tar, "old", "hidden", "data")
    _add(tar, "hello", hello_binary(greeting), mode=0o755)
    for name in ("old/gone", "old/kept", "hidden/below", "data/replaced"):
        _add(tar, name, b"of the base\n")


def _fill_upper(tar: tarfile.TarFile, size: int, file_size: int) -> None:
    _add_folders(tar, "data", "data/sub", f"data/{_LONG}", "hidden", "old")
    _add(tar, "data/first", b"linked to at the end\n", uid=1000, gid=1001)
    generator = random.Random(size)
    for number, start in enumerate(range(0, size, file_size)):
        folder = "data/sub" if number % 2 else "data"
        _add_random(tar, f"{folder}/file-{number:04}", generator, min(file_size, size - start))
    _add(tar, "old/.wh.gone")
    _add(tar, "hidden/.wh..wh..opq")
    _add(tar, "hidden/above", b"in place of what was below\n")
    _add(tar, "data/replaced", b"of the upper layer\n", mode=0o4755, uid=70_000)
    _add(tar, f"data/{_LONG}/ünïcödé", b"a name for PAX\n")
    _add(tar, "data/link", type=tarfile.SYMTYPE, linkname="../hello")
    _add(tar, "data/pipe", type=tarfile.FIFOTYPE, mode=0o600)
    for name in ("data/again", "data/sub/again"):
        _add(tar, name, type=tarfile.LNKTYPE, linkname="data/first")
    _add(tar, "data/sub/same-as-file-0000", type=tarfile.LNKTYPE, linkname="data/file-0000")


def _add(tar: tarfile.TarFile, name: str, content: bytes = b"", **attributes: object) -> None:
    member = _member(name, len(content))
    for key, value in attributes.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content))


def _add_folders(tar: tarfile.TarFile, *names: str) -> None:
    """As builders do for each folder that something is in: else a runtime makes it up, with the time it has then."""
    for name in names:
        _add(tar, name, type=tarfile.DIRTYPE, mode=0o750, mtime=_TIME + len(name))


def _add_random(tar: tarfile.TarFile, name: str, generator: random.Random, size: int) -> None:
    tar.addfile(_member(name, size), _Random(generator))  # type: ignore[arg-type] # all that it does is to read


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, _TIME, 0o644
    return member


class _Random:
    """A file of bytes that no compression makes smaller."""

    def __init__(self, generator: random.Random) -> None:
        self._generator = generator

    def read(self, size: int) -> bytes:
        return self._generator.randbytes(size)


class _Hashed:
    """Hands on what is written, and knows its digest."""

    def __init__(self, target: BinaryIO | gzip.GzipFile) -> None:
        self._target = target
        self._hash = hashlib.sha256()

    def write(self, piece: bytes) -> int:
        self._hash.update(piece)
        return self._target.write(piece)

    def flush(self) -> None:
        self._target.flush()

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def _write_layer(blobs: Path, fill: Fill) -> tuple[str, dict[str, object]]:
    """Write a layer; returns its diff_id, and its digest and size."""
    unnamed = blobs / "unnamed"
    with unnamed.open("wb") as file:
        outer = _Hashed(file)
        with gzip.GzipFile("", "wb", 1, outer, 0) as packed:
            inner = _Hashed(packed)
            with tarfile.open(mode="w|", fileobj=inner, format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
                fill(tar)
    size = unnamed.stat().st_size
    unnamed.rename(blobs / outer.digest.removeprefix("sha256:"))
    return inner.digest, {"digest": outer.digest, "size": size}


def _write(blobs: Path, value: object, media_type: str) -> dict[str, object]:
    content = json.dumps(value).encode()
    (blobs / digest_of(content).removeprefix("sha256:")).write_bytes(content)
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}
