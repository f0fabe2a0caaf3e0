"""Measure replsync and its peers in turn on one workload."""

import contextlib
import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.content import Image, build
from benchmarks.counting import Traffic, counting
from benchmarks.failing import BenchmarkError
from benchmarks.measuring import Figures, Run, measure, usage_of
from benchmarks.peers.peer import Job, Peer
from benchmarks.peers.replsync import Replsync, ReplsyncPlan
from benchmarks.reading_back import fault_of
from benchmarks.registry_client import RegistryClient
from benchmarks.servers import RegistryKind, long_line, registry
from benchmarks.tls import Tls, loopback_name, make_tls
from benchmarks.workloads import Workload

APP = "bench"
_CLOSE = 1.3  # forms within this ratio to the best are tried once more
SLOW = 5
"""A peer that takes so many times as long as the quickest one has its trial for a figure, and no rounds."""


@dataclass(frozen=True)
class Settings:
    """How to measure. `work` and `data` are folders for what users and servers write; `limit` is seconds for a run."""

    kind: RegistryKind
    rounds: int
    limit: float
    work: Path
    data: Path
    peers: tuple[Peer, ...]
    tell: Callable[[str], None]


@dataclass
class Contender:
    """What came of one program on one workload. `left_out` says why there are no figures."""

    peer: Peer
    form: str = ""
    trials: dict[str, Run] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    source: Traffic | None = None
    target: Traffic | None = None
    left_out: str | None = None

    @property
    def ours(self) -> bool:
        """Whether it is replsync."""
        return isinstance(self.peer, Replsync)

    @property
    def figures(self) -> Figures | None:
        """The medians of the runs that count."""
        return Figures.of(self.runs)


@dataclass
class Outcome:
    """What came of a workload. `unique` is the bytes of the distinct blobs that were to be moved."""

    workload: Workload
    contenders: list[Contender]
    unique: int
    left_out: str | None = None


class Site:
    """The registries of a workload, while it is measured."""

    def __init__(self, workload: Workload, settings: Settings, images: tuple[Image, ...], tls: Tls | None) -> None:
        self._workload, self._settings, self._images, self._tls = workload, settings, images, tls
        self._numbers = itertools.count()
        self.source = ""
        self.target: str | None = None  # where all is in place, one for all

    def run(self, peer: Peer, form: str, limit: float, counts: Contender | None = None) -> Run:
        """Do the job once, and check what came of it. With `counts`, the traffic goes there, and time doesn't count."""
        with contextlib.ExitStack() as stack:
            number = next(self._numbers)
            folder = stack.enter_context(fresh(self._settings.work / f"run{number}"))
            data = stack.enter_context(fresh(self._settings.data / f"run{number}"))
            tls = None if counts else self._tls
            target = self.target or stack.enter_context(registry(self._settings.kind, data / "target", tls))
            seen_source, seen_target = self.source, target
            if counts:
                seen_source, counts.source = stack.enter_context(counting(seen_source))
                seen_target, counts.target = stack.enter_context(counting(seen_target))
            elif self._workload.delay:
                seen_source, seen_target = (
                    stack.enter_context(long_line(host, self._workload.delay, folder / f"line{side}.log"))
                    for side, host in enumerate((seen_source, seen_target))
                )
            own = folder / "home"
            own.mkdir()
            job = Job(seen_source, seen_target, self._images, own, tls.authority if tls else None)
            run = self._work(peer, form, limit, job, data / "servant")
            if run.fault:
                return run
            with contextlib.closing(RegistryClient(target, tls.authority if tls else None)) as reader:
                fault = fault_of(reader, self._images, peer.exact, contents=not self._workload.in_place)
            return replace(run, fault=fault)

    def _work(self, peer: Peer, form: str, limit: float, job: Job, data: Path) -> Run:
        with peer.servant(job, data) as ready:
            command = next(each.command for each in peer.forms(job) if each.name == form)
            before = usage_of(ready.pids) if ready.pids else None
            run = measure(replace(command, env={**command.env, **ready.env}), limit)
            if before is None:
                return run
            after = usage_of(ready.pids)
            return replace(run, cpu=run.cpu + after.cpu - before.cpu, memory=max(run.memory, after.memory))

    def forms(self, peer: Peer) -> list[str]:
        """The names of a peer's ways to do this job."""
        with fresh(self._settings.work / "forms") as folder:
            return [form.name for form in peer.forms(Job("127.0.0.1:1", "127.0.0.1:2", self._images, folder))]


def run_workload(workload: Workload, settings: Settings) -> Outcome:
    """Build the images, choose each contender's best way, measure in rounds, and count the traffic at the end."""
    ours: list[Peer] = [Replsync(), ReplsyncPlan()] if workload.in_place else [Replsync()]
    contenders = [Contender(peer, left_out=peer.cannot(workload.in_place)) for peer in (*ours, *settings.peers)]
    outcome = Outcome(workload, contenders, 0)
    with contextlib.ExitStack() as stack:
        data = stack.enter_context(fresh(settings.data / workload.key))
        tls = None
        if workload.tls:
            name = loopback_name()
            if name is None:
                outcome.left_out = "this machine has no name but localhost that leads to its loopback address"
                return outcome
            tls = make_tls(stack.enter_context(fresh(settings.work / "tls")), name)
        images = _built(settings.kind, data / "source", workload)
        outcome.unique = sum({blob.digest: blob.size for image in images for blob in image.blobs}.values())
        site = Site(workload, settings, images, tls)
        with contextlib.ExitStack() as timed:
            site.source = timed.enter_context(registry(settings.kind, data / "source", tls))
            if workload.in_place:
                shutil.copytree(data / "source", data / "target")
                site.target = timed.enter_context(registry(settings.kind, data / "target", tls))
            _try_forms(site, outcome, settings)
            _measure_in_turn(site, outcome, settings)
            if tls is None:
                _count(site, outcome, settings)
                return outcome
        with registry(settings.kind, data / "source") as site.source:  # the same requests, where they can be read
            _count(site, outcome, settings)
    return outcome


def _built(kind: RegistryKind, folder: Path, workload: Workload) -> tuple[Image, ...]:
    with registry(kind, folder) as host, contextlib.closing(RegistryClient(host)) as client:
        return tuple(build(client, APP, workload.shape))


def _try_forms(site: Site, outcome: Outcome, settings: Settings) -> None:
    for contender in _taking_part(outcome.contenders):
        forms = site.forms(contender.peer)
        _try_once(site, outcome, settings, contender, forms)
        good = {form: run.wall for form, run in contender.trials.items() if run.fault is None}
        if not good:
            contender.left_out = "; ".join(f"{form}: {run.fault}" for form, run in contender.trials.items())
            continue
        close = [form for form, wall in good.items() if wall < _CLOSE * min(good.values())]
        if len(close) > 1 and settings.rounds > 1:
            _try_once(site, outcome, settings, contender, close)
        contender.form = min(good, key=lambda form: contender.trials[form].wall)


def _try_once(site: Site, outcome: Outcome, settings: Settings, contender: Contender, forms: Sequence[str]) -> None:
    """Try each form; of two tries the quicker one is kept."""
    for form in forms:
        best = min((run.wall for run in contender.trials.values() if run.fault is None), default=settings.limit)
        run = site.run(contender.peer, form, min(settings.limit, 1.5 * best + 5))
        settings.tell(f"  {outcome.workload.key} trial: {form}: {_told(run)}")
        before = contender.trials.get(form)
        if before is None or (run.fault is None and run.wall < before.wall):
            contender.trials[form] = run


def _measure_in_turn(site: Site, outcome: Outcome, settings: Settings) -> None:
    everyone = _taking_part(outcome.contenders)
    quickest = min((contender.trials[contender.form].wall for contender in everyone if not contender.ours), default=0)
    slow = [
        contender
        for contender in everyone
        if not contender.ours and contender.trials[contender.form].wall >= SLOW * quickest
    ]
    for contender in slow:
        contender.runs.append(contender.trials[contender.form])
    part = [contender for contender in everyone if contender not in slow]
    for number in range(settings.rounds):
        for contender in (*part[number % len(part) :], *part[: number % len(part)]):
            run = site.run(contender.peer, contender.form, settings.limit)
            contender.runs.append(run)
            settings.tell(f"  {outcome.workload.key} round {number + 1}: {contender.form}: {_told(run)}")


def _count(site: Site, outcome: Outcome, settings: Settings) -> None:
    for contender in _taking_part(outcome.contenders):
        run = site.run(contender.peer, contender.form, settings.limit, contender)
        if run.fault:
            contender.source = contender.target = None
            settings.tell(f"  {outcome.workload.key} count: {contender.form}: {run.fault}")


def _taking_part(contenders: Sequence[Contender]) -> list[Contender]:
    return [contender for contender in contenders if contender.left_out is None]


def _told(run: Run) -> str:
    return run.fault or f"{run.wall:.2f} s, CPU {run.cpu:.2f} s, {run.memory / 1e6:.0f} MB"


@contextlib.contextmanager
def fresh(folder: Path) -> Iterator[Path]:
    """A new folder, which is removed at the end."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise BenchmarkError(f"{folder.name} is there already") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
