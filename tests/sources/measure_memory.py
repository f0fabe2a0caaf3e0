"""Print how many MiB of memory reading an archive takes: `measure_memory.py [[MIB, COMPRESSED], …]`, one for a layer.

A program of its own, since the peak of a process never falls.
"""

import gzip
import hashlib
import io
import json
import resource
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from replsync.sources.saved_archive import read_saved

BLOCK = bytes(1024 * 1024)


class Archive(io.RawIOBase):
    """An archive of zeros that is made while it is read."""

    def __init__(self, layers: list[tuple[int, bool]]) -> None:
        self._parts = written(layers)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._rest or next(self._parts, b"")
        taken = data[: len(view)]
        self._rest = data[len(view) :]
        view[: len(taken)] = taken
        return len(taken)


def written(layers: list[tuple[int, bool]]) -> Iterator[bytes]:
    names, diff_ids = [], []
    for number, (size, compressed) in enumerate(layers):
        names.append(f"{number}/layer.tar")
        tail = b"%d" % number
        hasher = hashlib.sha256()
        for _ in range(size):
            hasher.update(BLOCK)
        hasher.update(tail)
        diff_ids.append(f"sha256:{hasher.hexdigest()}")
        if compressed:
            yield from member(names[-1], packed(size, tail))
        else:
            yield header(names[-1], size * len(BLOCK) + len(tail))
            yield from (BLOCK for _ in range(size))
            yield tail + bytes(-len(tail) % 512)
    yield from member("c.json", json.dumps({"rootfs": {"diff_ids": diff_ids}}).encode())
    yield from member("manifest.json", json.dumps([{"Config": "c.json", "Layers": names}]).encode())
    yield bytes(1024)


def packed(size: int, tail: bytes) -> bytes:
    target = io.BytesIO()
    with gzip.GzipFile(fileobj=target, mode="wb") as file:
        for _ in range(size):
            file.write(BLOCK)
        file.write(tail)
    return target.getvalue()


def member(name: str, content: bytes) -> Iterator[bytes]:
    yield header(name, len(content))
    yield content + bytes(-len(content) % 512)


def header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf()


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux


if __name__ == "__main__":
    before = peak()
    with tempfile.TemporaryDirectory() as folder:
        read_saved(io.BufferedReader(Archive(json.loads(sys.argv[1]))), Path(folder), lambda: False)
    sys.stdout.write(str(peak() - before))
