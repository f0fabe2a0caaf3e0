"""The fault matrix with other programs in replsync's place, as a table: `make faults`, or see `--help`.

It is no test: what a peer does is recorded, not judged. Every program gets its
own defaults, save for what loopback and tests need; skopeo, which tries once
by default, is told to try again.
"""

import argparse
import base64
import itertools
import json
import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from replsync.sandbox.server import SandboxOptions
from tests.faults.kinds import Position
from tests.faults.programs import Job, Program, find_programs, run
from tests.faults.proxy import fault_proxy
from tests.faults.scenario import LARGE_BLOBS, Reader, Site, State, fill_source, fill_target
from tests.faults.table import CELLS, KINDS, Cell, Side
from tests.servers.registry import Credentials, serve_docker_registry
from tests.servers.sandbox import serve_sandbox

USER = Credentials("ci", "correct-horse-battery-staple")
SECONDS = 20.0
"""How long one command may take, by default."""

_numbers = itertools.count(1)


class Outcome(StrEnum):
    """What became of a run, the best first."""

    SURVIVED = "survived"
    FAILED = "failed cleanly"
    HUNG = "out of time"
    LEAKED = "leaked"
    """A credential went to another host, or was printed."""
    WRONG = "wrong"
    """A tag points at something incomplete or wrong, or the program ended well and a tag isn't there."""
    UNREACHED = "–"
    """The program never sends such a request."""


_LETTERS = {
    Outcome.SURVIVED: "✓",
    Outcome.FAILED: "f",
    Outcome.HUNG: "t",
    Outcome.LEAKED: "**leaked**",
    Outcome.WRONG: "**wrong**",
    Outcome.UNREACHED: "–",
}
_WORST = list(Outcome)[:5]


@dataclass(frozen=True)
class Hall:
    """A registry that has everything, and one to copy to, for all runs."""

    source: Site
    target: str

    def try_out(self, one: Program, cell: Cell, seconds: float) -> Outcome:
        """Run a program in a cell."""
        with ExitStack() as stack:
            prefix = f"{one.name}{next(_numbers)}"
            source, target = self.source, Site(self.target, prefix)
            if cell.wants_tokens:
                sandbox = stack.enter_context(serve_sandbox(SandboxOptions(password=USER.password)))
                signed_in = Site(sandbox.host, prefix, USER)
                source, target = (source, signed_in) if cell.side is Side.TARGET else (signed_in, target)
            if source is not self.source:
                fill_source(source)
            fill_target(target)
            behind = target if cell.side is Side.TARGET else source
            proxy = stack.enter_context(fault_proxy(behind.host, [cell.fault], large=LARGE_BLOBS))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            hosts = (source.host, proxy.host) if cell.side is Side.TARGET else (proxy.host, target.host)
            job = Job(hosts[0], source, hosts[1], target, folder)
            ran = run(one, job, _signed_in(folder, {proxy.host: USER} if cell.wants_tokens else {}), seconds)
            if not proxy.rules.hits(cell.fault):
                return Outcome.UNREACHED
            states = set(Reader(target).states(tombstones=False).values())
            if State.WRONG in states or (states != {State.RIGHT} and not any(code != 0 for code in ran.codes)):
                return Outcome.WRONG
            if proxy.elsewhere.leaks or any(secret and secret in ran.output for secret in proxy.secrets):
                return Outcome.LEAKED
            if None in ran.codes:
                return Outcome.HUNG
            return Outcome.SURVIVED if states == {State.RIGHT} and not any(ran.codes) else Outcome.FAILED


def _signed_in(folder: Path, hosts: Mapping[str, Credentials]) -> dict[str, str]:
    auths = {host: {"auth": base64.b64encode(":".join(pair).encode()).decode()} for host, pair in hosts.items()}
    file = folder / "config.json"
    file.write_text(json.dumps({"auths": auths}))
    return {"DOCKER_CONFIG": str(folder), "REGISTRY_AUTH_FILE": str(file)}


@contextmanager
def _hall() -> Iterator[Hall]:
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        full, empty = (stack.enter_context(serve_docker_registry(folder)) for folder in folders)
        source = Site(full.host, "fault-matrix")
        fill_source(source)
        yield Hall(source, empty.host)


def telling(cells: Sequence[Cell]) -> list[Cell]:
    """One cell of several that differ by position alone, and the one in which the registry has done it already."""
    chosen: dict[tuple[object, ...], Cell] = {}
    for cell in cells:
        fault = cell.fault
        is_done = fault.position is Position.AFTER
        key = (cell.side, fault.what, fault.kind, fault.times, is_done)
        if key not in chosen or fault.position is Position.MIDDLE:
            chosen[key] = cell
    return list(chosen.values())


Results = Mapping[str, Mapping[Cell, Outcome]]
"""By the name of the program."""


def summary(results: Results) -> str:
    """A table of how often each program came to which end, over all cells that it reached."""
    lines = ["| program | cells reached | " + " | ".join(_WORST) + " |", "|---" * (len(_WORST) + 2) + "|"]
    for name, found in results.items():
        counts = Counter(found.values())
        reached = sum(counts.values()) - counts[Outcome.UNREACHED]
        lines.append(f"| {name} | {reached} | " + " | ".join(str(counts[one]) for one in _WORST) + " |")
    return "\n".join(lines)


def detail(found: Mapping[Cell, Outcome]) -> str:
    """A table of one program: a row for each fault, a column for each kind of request; the worst of all positions."""
    lines = ["| fault | " + " | ".join(KINDS) + " |", "|---" * (len(KINDS) + 1) + "|"]
    rows: dict[str, dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    for cell, outcome in found.items():
        times = {None: ", always", 1: ""}.get(cell.fault.times, f" × {cell.fault.times}")
        rows[f"{cell.side}: {cell.fault.what}{times}"][cell.fault.kind].append(outcome)
    for name, by_kind in rows.items():
        worst = [_LETTERS[_worst(by_kind[kind])] if by_kind[kind] else "" for kind in KINDS]
        lines.append(f"| {name} | " + " | ".join(worst) + " |")
    return "\n".join(lines)


def _worst(outcomes: Sequence[Outcome]) -> Outcome:
    reached = [one for one in outcomes if one is not Outcome.UNREACHED]
    return max(reached, key=_WORST.index) if reached else Outcome.UNREACHED


def _report(programs: Sequence[Program], results: Results, seconds: float) -> str:
    versions = ", ".join(f"{one.name} {one.said_version()}" for one in programs)
    legend = (
        "✓ survived, f failed cleanly (an exit code other than 0, every tag right or untouched), "
        "t was still at it then, – never sends such a request"
    )
    parts = [
        "# Faults",
        f"{versions}. A command had {seconds:.0f} s. {legend}; of several positions in a request the worst counts.",
        summary(results),
        *(f"## {name}\n\n{detail(found)}" for name, found in results.items()),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Run the matrix and write the table."""
    parser = argparse.ArgumentParser(description="The fault matrix with other programs in replsync's place.")
    parser.add_argument("--out", type=Path, default=Path("build/faults.md"), help="where the table goes")
    parser.add_argument("--only", default="", help="only cells whose name matches this regular expression")
    parser.add_argument("--every-position", action="store_true", help="not only the most telling ones")
    parser.add_argument("--programs", default="", help="names, with commas; by default all that are found")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long one command may take")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    given = parser.parse_args()
    wanted = set(filter(None, given.programs.split(",")))
    programs = [one for one in find_programs() if not wanted or one.name in wanted]
    chosen = [cell for cell in (CELLS if given.every_position else telling(CELLS)) if re.search(given.only, cell.id)]
    results: dict[str, dict[Cell, Outcome]] = {}
    with _hall() as hall, ThreadPoolExecutor(given.jobs) as pool:
        for one in programs:
            tried = pool.map(lambda cell, one=one: hall.try_out(one, cell, given.seconds), chosen)
            results[one.name] = {}
            for cell, outcome in zip(chosen, tried, strict=True):
                results[one.name][cell] = outcome
                sys.stderr.write(f"{one.name} {cell.id}: {outcome}\n")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(_report(programs, results, given.seconds))
    sys.stdout.write(f"{summary(results)}\n\nThe tables are in {given.out}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
