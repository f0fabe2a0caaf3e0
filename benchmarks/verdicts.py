"""What was asked for, what was measured, and whether that is enough."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.heads import Heads
from benchmarks.measuring import Figures
from benchmarks.rounds import Contender, Outcome
from benchmarks.starting import BARE, TARGETS, Starting

_MB = 10**6
_HEADS_RATIO, _HEADS_MEMORY = 0.8, 250 * _MB


@dataclass(frozen=True)
class Verdict:
    """One target. `met` is None where it couldn't be measured."""

    workload: str
    asked: str
    measured: str
    met: bool | None


def best_peer(outcome: Outcome) -> Contender | None:
    """The peer with the least wall time."""
    peers = [contender for contender in outcome.contenders if not contender.ours and contender.figures]
    return min(peers, key=lambda contender: _figures(contender).wall, default=None)


def _figures(contender: Contender) -> Figures:
    assert contender.figures, "asked only of who has some"
    return contender.figures


def of_copies(outcome: Outcome) -> Iterator[Verdict]:
    """The targets of a workload that moves images."""
    targets, key = outcome.workload.targets, outcome.workload.key
    ours = [contender for contender in outcome.contenders if contender.ours]
    if outcome.left_out:
        yield Verdict(key, "everything", outcome.left_out, None)
        return
    faults = [run.fault for contender in ours for run in contender.runs if run.fault]
    faults += [contender.left_out for contender in ours if contender.left_out]
    yield Verdict(key, "every run of replsync ends right", faults[0] if faults else "so it was", not faults)
    best, own = best_peer(outcome), ours[0].figures
    if own is None:
        return
    yield from _ratios(outcome, own, best)
    memory = max(contender.figures.memory for contender in ours if contender.figures)
    yield Verdict(key, f"memory under {targets.memory / _MB:.0f} MB", f"{memory / _MB:.0f} MB", memory < targets.memory)
    if targets.unique_bytes:
        sent = ours[0].target.sent["upload"] if ours[0].target else None
        told = "not counted" if sent is None else f"{sent:,} of {outcome.unique:,} B"
        yield Verdict(key, "bytes sent = unique bytes", told, None if sent is None else sent == outcome.unique)


def _ratios(outcome: Outcome, own: Figures, best: Contender | None) -> Iterator[Verdict]:
    targets, key = outcome.workload.targets, outcome.workload.key
    for name, asked in (("wall", targets.wall), ("CPU", targets.cpu)):
        if asked is None:
            continue
        text = f"{name} at most {asked:g} of the best peer's"
        if best is None:
            yield Verdict(key, text, "no peer took part", None)
            continue
        theirs = _figures(best)
        ratio = own.wall / theirs.wall if name == "wall" else own.cpu / theirs.cpu
        yield Verdict(key, text, f"{ratio:.2f} of {best.peer.name}'s", ratio <= asked)


def of_heads(outcome: Heads) -> Iterator[Verdict]:
    """The targets of the plan of many tags."""
    asked = f"at least {_HEADS_RATIO} of wrk's HEADs per second"
    if outcome.left_out or outcome.figures is None or outcome.rate is None:
        faults = [run.fault for run in outcome.runs if run.fault] or ["not measured"]
        yield Verdict("g", asked, outcome.left_out or faults[0], None if outcome.left_out else False)
        return
    most = max(outcome.wrk.values())
    told = f"{outcome.rate:.0f}/s of {most:.0f}/s: {outcome.rate / most:.2f}"
    yield Verdict("g", asked, told, outcome.rate >= _HEADS_RATIO * most)
    memory = outcome.figures.memory
    text = f"memory under {_HEADS_MEMORY / _MB:.0f} MB"
    yield Verdict("g", text, f"{memory / _MB:.0f} MB", memory < _HEADS_MEMORY)


def of_starting(outcome: Starting) -> Iterator[Verdict]:
    """The targets of short commands: as many times a bare interpreter's time as the targets' milliseconds say."""
    figures = outcome.figures
    bare = figures[BARE]
    for name, asked in TARGETS.items():
        own, text = figures[name], f"{name}: at most {asked:g} times `{BARE}`"
        if bare is None or own is None:
            yield Verdict("i", text, outcome.runs[name][0].fault or "not measured", False)
            continue
        told = f"{1000 * own.wall:.0f} ms of {1000 * bare.wall:.0f} ms: {own.wall / bare.wall:.1f}"
        yield Verdict("i", text, told, own.wall <= asked * bare.wall)
