"""The results as a page."""

from collections.abc import Iterator, Sequence

from benchmarks.heads import Heads
from benchmarks.measuring import Run
from benchmarks.results import Results
from benchmarks.rounds import SLOW, Contender, Outcome
from benchmarks.starting import BARE, Starting
from benchmarks.verdicts import best_peer
from benchmarks.workloads import HEADS, STARTING

_MET = {True: "yes", False: "**no**", None: "not measured"}

_HOW = f"""\
## How it is measured

- Every run is a process of its own, whose time, processor time (user and system, with all its descendants) and peak
  memory (the largest process of them) come from `wait4`. Where xargs has several programs run at once, their memory
  adds up; the table shows one. With `docker`, the daemon's time and memory count.
- Registries and clients share the machine. What the registries keep lies in memory where the machine has a large enough
  `/dev/shm`, so that no disk is measured; what clients write, replsync's journal above all, lies on the disk.
- The target is fresh for each run, but for those with nothing to do. Contenders take turns, and each round begins with
  another one. Ratios of medians are what counts: absolute figures say more about the machine.
- Each peer first tries several ways to do the work, those that are near each other twice; the quickest takes part in
  the rounds. A way that is clearly slower is stopped. A peer that takes {SLOW} times as long as the quickest one
  has that one trial for a figure.
- After each run the target is read back by a reader that is none of the contenders: image manifests byte for byte (with
  `docker`, configs), and every blob's content. A run that left something else doesn't count.
- Requests, and the bytes of their bodies, are counted by a proxy in a run of its own, which isn't timed, and without
  TLS in all workloads.
- Latency comes from a relay before each registry, which holds back all bytes for that time and new connections for a
  handshake. It doesn't limit bandwidth, nor does it imitate TCP's slow start.
"""


def page(results: Results) -> str:
    """The page, in Markdown."""
    return "\n".join(_lines(results)).rstrip() + "\n"


def _lines(results: Results) -> Iterator[str]:
    yield "# Benchmarks"
    yield ""
    yield f"Written by `make bench` on {results.when}; the next run writes it anew. Rounds: {results.rounds}."
    if results.scale != 1:
        yield f"**At {results.scale:g} of the size: a trial of the benchmark, no measurement.**"
    yield ""
    yield "| | |"
    yield "|---|---|"
    for name, value in {**results.machine, **results.versions}.items():
        yield f"| {_cell(name)} | {_cell(value)} |"
    yield f"| registry | {_cell(results.registry)}, `filesystem` storage, blob descriptors cached in memory |"
    yield ""
    yield "## What was asked for"
    yield ""
    yield "| workload | asked | measured | met |"
    yield "|---|---|---|---|"
    for verdict in results.verdicts():
        yield f"| {verdict.workload} | {verdict.asked} | {_cell(verdict.measured)} | {_MET[verdict.met]} |"
    for key, reason in results.failed.items():
        yield f"| {key} | everything | {_cell(reason)} | not measured |"
    yield ""
    sections = {outcome.workload.key: _copies(outcome) for outcome in results.copies}
    if results.heads:
        sections[HEADS] = _heads(results.heads)
    if results.starting:
        sections[STARTING] = _starting(results.starting)
    for key in sorted(sections):
        yield from sections[key]
    yield _HOW


def _copies(outcome: Outcome) -> Iterator[str]:
    yield f"## ({outcome.workload.key}) {outcome.workload.title}"
    yield ""
    if outcome.left_out:
        yield f"Left out: {outcome.left_out}."
        yield ""
        return
    if not outcome.workload.in_place:
        yield f"{outcome.unique:,} bytes in distinct blobs."
        yield ""
    best = best_peer(outcome)
    yield "| | wall, s | of the best peer's | runs, s | CPU, s | memory, MB | requests | received, MB | sent, MB |"
    yield "|---|--:|--:|---|--:|--:|--:|--:|--:|"
    for contender in outcome.contenders:
        if contender.left_out is None and contender.figures:
            yield _row(contender, best)
    yield ""
    if remarks := [remark for contender in outcome.contenders for remark in _remarks(contender)]:
        yield from (*remarks, "")


def _row(contender: Contender, best: Contender | None) -> str:
    figures, theirs = contender.figures, best.figures if best else None
    assert figures, "only contenders with figures have a row"
    ratio = f"{figures.wall / theirs.wall:.2f}" if theirs else ""
    source, target = contender.source, contender.target
    requests = f"{source.requests.total() + target.requests.total():,}" if source and target else ""
    received = _mb(source.received.total() + target.received.total()) if source and target else ""
    sent = _mb(target.sent.total()) if target else ""
    runs = " ".join(f"{wall:.2f}" for wall in figures.walls)
    return (
        f"| {contender.form} | {figures.wall:.2f} | {ratio} | {runs} | {figures.cpu:.2f} "
        f"| {figures.memory / 1e6:.0f} | {requests} | {received} | {sent} |"
    )


def _remarks(contender: Contender) -> Iterator[str]:
    name = contender.peer.name
    if contender.left_out:
        yield f"- {name} is left out: {_cell(contender.left_out)}."
    if faults := [run.fault for run in contender.runs if run.fault]:
        yield f"- {name}: {len(faults)} of {len(contender.runs)} runs don't count: {_cell(faults[0])}."
    others = {form: run for form, run in contender.trials.items() if form != contender.form}
    if others and not contender.left_out:
        chosen = contender.trials[contender.form]
        tried = "; ".join(f"{form} {_trial(run)}" for form, run in others.items())
        yield f"- {name}, tried before the rounds: {contender.form} {_trial(chosen)}; {_cell(tried)}."


def _trial(run: Run) -> str:
    return f"({run.fault})" if run.fault else f"{run.wall:.2f} s"


def _heads(heads: Heads) -> Iterator[str]:
    yield f"## (g) plan of {heads.tags:,} tags"
    yield ""
    if heads.left_out or heads.figures is None or heads.rate is None:
        yield f"Not measured: {heads.left_out or _faults(heads.runs)}."
        yield ""
        return
    figures = heads.figures
    yield "Sources and target are repositories of one registry, so that it answers every HEAD. wrk asks for the same"
    yield "image manifests by GET, since it waits for a body after HEAD, too; the registry does the same work for both."
    yield ""
    yield "| | HEADs per second | wall, s | runs, s | CPU, s | memory, MB | requests |"
    yield "|---|--:|--:|---|--:|--:|--:|"
    runs = " ".join(f"{wall:.2f}" for wall in figures.walls)
    yield (
        f"| replsync plan --detailed-exitcode | {heads.rate:.0f} | {figures.wall:.2f} | {runs} | {figures.cpu:.2f} "
        f"| {figures.memory / 1e6:.0f} | {heads.requests:,}, {heads.heads:,} of them such HEADs |"
    )
    for connections, rate in heads.wrk.items():
        yield f"| wrk, {connections} connections | {rate:.0f} | | | | | |"
    yield ""


def _starting(starting: Starting) -> Iterator[str]:
    yield "## (i) `--help`, and a plan of one tag"
    yield ""
    yield f"| | wall, ms | of `{BARE}` | CPU, ms | memory, MB |"
    yield "|---|--:|--:|--:|--:|"
    bare = starting.figures[BARE]
    for name, figures in starting.figures.items():
        if figures and bare:
            yield (
                f"| {name} | {1000 * figures.wall:.0f} | {figures.wall / bare.wall:.1f} | {1000 * figures.cpu:.0f} "
                f"| {figures.memory / 1e6:.0f} |"
            )
        else:
            yield f"| {name} | {_cell(_faults(starting.runs[name]))} | | | |"
    yield ""


def _faults(runs: Sequence[Run]) -> str:
    return next((run.fault for run in runs if run.fault), "no run")


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
