"""`python -m benchmarks.splitting`: split a layer made of this machine's files, beside `gzip -1` on the same tar."""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from replsync.layers.splitting import Limits, part_file, split_layer
from replsync.oci.digest import Digest
from replsync.oci.image_manifest import OCI_LAYER, Descriptor
from replsync.oci.layer_bounds import parts_bound, temporary_disk

_PIECE = 1 << 20
_EVERY = 0.05  # seconds between two looks at the folder


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the layer, run both, print the figures as JSON."""
    options = _options(arguments)
    if options.split:
        _split(Path(options.split[0]), Digest(options.split[1]), options.limit)
        return
    with tempfile.TemporaryDirectory(prefix="replsync-bench-", dir=options.work) as name:
        work = Path(name)
        plain, packed, parts = work / "layer.tar", work / "layer", work / "parts"
        diff_id, files = _make(plain, options.files, options.size, options.limit // 2)
        gzip_seconds = _gzip(plain, packed)
        size = plain.stat().st_size
        plain.unlink()
        parts.mkdir()
        packed = packed.rename(parts / "layer")
        descriptor = Descriptor(OCI_LAYER, diff_id, packed.stat().st_size)
        watched = _Disk(parts)
        begun = time.monotonic()
        command = [sys.executable, "-m", "benchmarks.splitting", f"--limit={options.limit}", "--split"]
        done = subprocess.run([*command, str(packed), diff_id], check=True, stdout=subprocess.PIPE, text=True)
        seconds = time.monotonic() - begun
        figures = {
            "files": files,
            "unpacked": size,
            "packed by gzip -1": descriptor.size,
            "gzip -1, MB/s": round(size / gzip_seconds / 1e6, 1),
            "splitting, MB/s": round(size / seconds / 1e6, 1),
            "splitting, s": round(seconds, 1),
            "temporary disk, peak": watched.stop(),
            "temporary disk, said before": temporary_disk([descriptor]),
            "load": os.getloadavg()[0],
            **json.loads(done.stdout),
        }
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


def _split(layer: Path, diff_id: Digest, limit: int) -> None:
    """Split in this process, whose peak of memory is its own."""
    descriptor = Descriptor(OCI_LAYER, diff_id, layer.stat().st_size)
    parts = split_layer(layer, diff_id, Limits(limit, parts_bound(descriptor)), layer.parent, lambda: False)
    if any(part_file(layer.parent, part.digest).stat().st_size > limit for part in parts):
        raise AssertionError("a part is too large")
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {"parts": [part.size for part in parts], "memory, peak": _peak()}
    sys.stdout.write(json.dumps({**told, "processor, s": round(used.ru_utime + used.ru_stime, 1)}))


def _peak() -> int:
    """Bytes. Not ru_maxrss, which also tells of the process that started this one (proc(5), execve(2))."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _make(path: Path, folder: Path, least: int, largest: int) -> tuple[Digest, int]:
    """Write a tar of the files below `folder`, again and again until it has `least` bytes.

    Files of more than `largest` bytes are left out: a file is never split, and a browser has one of 300 MB.
    """
    files = 0
    with path.open("wb") as file, tarfile.open(fileobj=file, mode="w|", bufsize=_PIECE) as archive:
        for turn in range(1_000):
            for one in _files(folder):
                if file.tell() >= least:
                    break
                if one.stat().st_size > largest:
                    continue
                archive.add(one, f"{turn}/{one.relative_to(folder)}", recursive=False)
                files += 1
    hasher = hashlib.sha256()
    with path.open("rb") as written:
        while piece := written.read(_PIECE):
            hasher.update(piece)
    return Digest(f"sha256:{hasher.hexdigest()}"), files


def _files(folder: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            one = Path(path, name)
            if one.is_file() and not one.is_symlink() and os.access(one, os.R_OK):
                yield one


def _gzip(plain: Path, packed: Path) -> float:
    begun = time.monotonic()
    with packed.open("wb") as file:
        subprocess.run(["gzip", "-1", "-c", plain], stdout=file, check=True)
    return time.monotonic() - begun


class _Disk(threading.Thread):
    """Watches how much a folder has in it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._ended = threading.Event()
        self._peak = 0
        self.start()

    def run(self) -> None:
        while not self._ended.wait(_EVERY):
            with os.scandir(self._folder) as entries:
                self._peak = max(self._peak, sum(entry.stat().st_size for entry in entries if entry.is_file()))

    def stop(self) -> int:
        self._ended.set()
        self.join()
        return self._peak


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.splitting", description=__doc__)
    parser.add_argument("--size", type=float, default=3e9, help="bytes of the tar (default: %(default)g)")
    parser.add_argument("--limit", type=int, default=1_000_000_000, help="bytes of a part (default: %(default)s)")
    parser.add_argument("--files", type=Path, default=Path("/usr/lib"), help="where from (default: %(default)s)")
    parser.add_argument("--work", type=Path, help="a folder with room for three times the size")
    parser.add_argument("--split", nargs=2, metavar=("LAYER", "DIFF_ID"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
