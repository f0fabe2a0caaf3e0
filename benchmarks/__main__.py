"""`python -m benchmarks`: measure replsync beside its peers on this machine, and write a page about it."""

import argparse
import contextlib
import datetime
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.failing import BenchmarkError
from benchmarks.heads import run_heads
from benchmarks.machine import machine, versions
from benchmarks.peers.crane import Crane
from benchmarks.peers.docker import Docker
from benchmarks.peers.peer import Peer
from benchmarks.peers.regclient import Regctl, Regsync
from benchmarks.peers.skopeo import Skopeo
from benchmarks.report import page
from benchmarks.results import Results, document
from benchmarks.rounds import Settings, run_workload
from benchmarks.servers import CHECKOUT, KINDS
from benchmarks.starting import run_starting
from benchmarks.workloads import HEADS, STARTING, copies

_PEERS: tuple[Peer, ...] = (Skopeo(), Crane(), Regsync(), Regctl(), Docker())
_REGISTRY = "docker-registry"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with a name that nobody guesses is made in it
_ROOM = 12 * 10**9  # bytes that the largest workload takes, with Docker


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line says."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are stopped, and folders removed, on the way out
    wanted = options.workload or [*copies(1), HEADS, STARTING]
    whole = not options.workload and options.scale == 1 and not options.peers and options.registry == _REGISTRY
    peers = tuple(peer for peer in _PEERS if peer.version() and peer.name in (options.peers or [peer.name]))
    kind = KINDS[options.registry]
    when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d, %H:%M UTC")
    results = Results(when, machine(), versions(kind, peers), kind.title, options.rounds, options.scale)
    with _folder(_room_for_data()) as data, _folder(None) as work:
        settings = Settings(kind, options.rounds, options.limit, work, data, peers, _tell)
        for key in sorted(wanted):
            _tell(f"({key})")
            try:
                _run(key, settings, results)
            except (BenchmarkError, OSError, subprocess.SubprocessError) as error:  # the others may still be measured
                _tell(f"  {error}")
                results.failed[key] = str(error)
            _write(results, options.report or CHECKOUT / "build" / "benchmarks.md", options.json)  # nothing gets lost
    if whole and not options.report:
        _write(results, CHECKOUT / "docs" / "benchmarks.md", options.json)
    for verdict in results.verdicts():
        met = {True: "met", False: "NOT met", None: "not measured"}[verdict.met]
        _tell(f"({verdict.workload}) {verdict.asked}: {verdict.measured}: {met}")


def _run(key: str, settings: Settings, results: Results) -> None:
    scale = results.scale
    if key == HEADS:
        results.heads = run_heads(settings, scale)
    elif key == STARTING:
        results.starting = run_starting(settings, scale)
    else:
        results.copies.append(run_workload(copies(scale)[key], settings))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--workload", type=_among([*copies(1), HEADS, STARTING]), help="only these: a,c")
    parser.add_argument("--rounds", type=_odd, default=3, help="an odd number (default: %(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="below 1: smaller workloads, to try the benchmark")
    parser.add_argument("--peers", type=_among([peer.name for peer in _PEERS]), help="only these: skopeo,crane")
    parser.add_argument("--registry", choices=KINDS, default=_REGISTRY, help="default: %(default)s")
    parser.add_argument("--limit", type=float, default=300, help="seconds for one run (default: %(default)s)")
    parser.add_argument(
        "--report", type=Path, help="the page (default: docs/benchmarks.md after a whole run, or build/)"
    )
    parser.add_argument("--json", type=Path, default=CHECKOUT / "build" / "benchmarks.json", help="the figures")
    return parser.parse_args(arguments)


def _among(known: Sequence[str]) -> Callable[[str], list[str]]:
    def words(text: str) -> list[str]:
        if unknown := set(text.split(",")) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: there are {', '.join(known)}")
        return text.split(",")

    return words


def _odd(text: str) -> int:
    if not text.isdecimal() or int(text) % 2 == 0:
        raise argparse.ArgumentTypeError("an odd number, so that there is a median")
    return int(text)


def _room_for_data() -> Path | None:
    try:
        room = shutil.disk_usage(_SHARED_MEMORY).free
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    available = sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    return _SHARED_MEMORY if min(room, available) > _ROOM else None


@contextlib.contextmanager
def _folder(parent: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="replsync-bench-", dir=parent) as name:
        yield Path(name)


def _write(results: Results, report: Path, figures: Path) -> None:
    for path, text in ((report, page(results)), (figures, document(results))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
