"""HEADs for each second: a plan of many tags, beside what wrk gets from the same registry."""

import contextlib
import shutil
import statistics
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.content import Image, build
from benchmarks.counting import counting
from benchmarks.failing import BenchmarkError
from benchmarks.measuring import Command, Figures, Run, measure
from benchmarks.peers.peer import Job
from benchmarks.peers.replsync import replsync, write_manifest
from benchmarks.registry_client import ACCEPT, RegistryClient
from benchmarks.rounds import APP, Settings, fresh
from benchmarks.servers import find, registry, search_path
from benchmarks.workloads import heads_shape

UPSTREAM = "upstream"
CONNECTIONS = (32, 64)
_SCRIPT = Path(__file__).with_name("walk.lua")
_SECONDS = 10
_REPOSITORIES = "docker/registry/v2/repositories"


@dataclass
class Heads:
    """What came of it. `heads` is how many HEADs of image manifests the plan makes, as counted by a proxy;
    `requests` all that it makes; `wrk` has the medians of requests for each second, by connections."""

    tags: int
    heads: int = 0
    requests: int = 0
    runs: list[Run] = field(default_factory=list)
    wrk: dict[int, float] = field(default_factory=dict)
    left_out: str | None = None

    @property
    def figures(self) -> Figures | None:
        """The medians of replsync's runs."""
        return Figures.of(self.runs)

    @property
    def rate(self) -> float | None:
        """replsync's HEADs for each second of the whole process."""
        return self.heads / self.figures.wall if self.figures else None


def run_heads(settings: Settings, scale: float) -> Heads:
    """Measure in turn: the plan, and wrk with each number of connections, for the same tags of the same registry."""
    shape = heads_shape(scale)
    outcome = Heads(shape.images)
    if find("wrk") is None:
        outcome.left_out = "wrk is not installed"
        return outcome
    with fresh(settings.data / "heads") as data, fresh(settings.work / "heads") as work:
        with registry(settings.kind, data / "registry") as host, contextlib.closing(RegistryClient(host)) as client:
            images = tuple(build(client, APP, shape))
        # The sources are the same images under other names, so that every HEAD goes to one registry.
        repositories = data / "registry" / _REPOSITORIES
        shutil.copytree(repositories / APP, repositories / UPSTREAM)
        with registry(settings.kind, data / "registry") as host:
            _measure(outcome, settings, host, images, work, max(1, round(_SECONDS * min(1, 10 * scale))))
    return outcome


def _measure(
    outcome: Heads, settings: Settings, host: str, images: tuple[Image, ...], work: Path, seconds: int
) -> None:
    urls = work / "urls"
    paths = [
        f"/v2/{name}/manifests/{image.tag}"
        for image in images
        for name in (image.repository, image.repository.replace(APP, UPSTREAM, 1))
    ]
    urls.write_text("\n".join(paths) + "\n")
    rates: dict[int, list[float]] = {connections: [] for connections in CONNECTIONS}
    for number in range(settings.rounds):
        run = measure(_plan(host, images, work / f"plan{number}"), settings.limit)
        outcome.runs.append(run)
        told = run.fault or f"{run.wall:.2f} s, CPU {run.cpu:.2f} s, {run.memory / 1e6:.0f} MB"
        settings.tell(f"  g round {number + 1}: replsync plan: {told}")
        for connections in CONNECTIONS:
            rate = _wrk(host, urls, connections, seconds, work)
            rates[connections].append(rate)
            settings.tell(f"  g round {number + 1}: wrk, {connections} connections: {rate:.0f}/s")
    outcome.wrk = {connections: statistics.median(found) for connections, found in rates.items()}
    with counting(host) as (counted, traffic):
        run = measure(_plan(counted, images, work / "counted"), settings.limit)
        if run.fault:
            raise BenchmarkError(f"the plan of {outcome.tags} tags, counted: {run.fault}")
        outcome.heads, outcome.requests = traffic.requests["HEAD manifest"], traffic.requests.total()


def _plan(host: str, images: tuple[Image, ...], folder: Path) -> Command:
    folder.mkdir()
    job = Job(host, host, images, folder)
    write_manifest(job, lambda image: f"{host}/{image.repository.replace(APP, UPSTREAM, 1)}")
    return replsync(job, "plan", "--detailed-exitcode")  # 0: every tag was found, and is as it should be


def _wrk(host: str, urls: Path, connections: int, seconds: int, folder: Path) -> float:
    argv: tuple[str, ...] = ("wrk", "-t", "2", "-c", str(connections), "-d", f"{seconds}s", "-s", str(_SCRIPT))
    argv = (*argv, "-H", f"Accept: {ACCEPT}", f"http://{host}", "--", str(urls))
    command = Command(argv, folder, {"PATH": search_path()})
    run = measure(command, seconds + 30)
    output = (folder / "output.log").read_text()
    figures = [line.split()[1:] for line in output.splitlines() if line.startswith("figures ")]
    if run.fault or not figures or figures[0][2] != "0":
        raise BenchmarkError(f"wrk: {run.fault or output[-500:]}")
    return int(figures[0][0]) / (int(figures[0][1]) / 1e6)
