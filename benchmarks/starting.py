"""How long it takes to say anything at all."""

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.content import Shape, build
from benchmarks.measuring import Command, Figures, Run, measure
from benchmarks.peers.peer import Job
from benchmarks.peers.replsync import replsync, write_manifest
from benchmarks.registry_client import RegistryClient
from benchmarks.rounds import APP, Settings, fresh
from benchmarks.servers import registry

BARE, HELP, PLAN = "python -c pass", "replsync --help", "replsync plan, one tag"
TARGETS = {HELP: 150 / 15, PLAN: 450 / 15}
"""What is asked for, as a ratio to a bare interpreter."""

_TIMES = 3  # as many runs for each round: these are short


@dataclass
class Starting:
    """The runs, by what was started."""

    runs: dict[str, list[Run]] = field(default_factory=lambda: {BARE: [], HELP: [], PLAN: []})

    @property
    def figures(self) -> Mapping[str, Figures | None]:
        """The medians."""
        return {name: Figures.of(runs) for name, runs in self.runs.items()}


def run_starting(settings: Settings, scale: float) -> Starting:
    """Start each in turn."""
    outcome = Starting()
    with (
        fresh(settings.data / "starting") as data,
        fresh(settings.work / "starting") as work,
        registry(settings.kind, data / "source") as source,
        registry(settings.kind, data / "target") as target,
    ):
        with contextlib.closing(RegistryClient(source)) as client:
            images = tuple(build(client, APP, Shape(1, 1, (1000,))))
        with contextlib.closing(RegistryClient(target)) as client:
            build(client, APP, Shape(1, 1, (1000,)))
        job = Job(source, target, images, work)
        write_manifest(job, lambda image: f"{source}/{image.repository}")
        commands: Mapping[str, Command] = {
            BARE: job.command(Path(sys.executable), "-c", "pass"),
            HELP: replsync(job, "--help"),
            PLAN: replsync(job, "plan", "--detailed-exitcode"),
        }
        for command in commands.values():  # what is written once, such as byte code, is there then
            measure(command, settings.limit)
        for _ in range((_TIMES if scale == 1 else 1) * settings.rounds):
            for name, command in commands.items():
                outcome.runs[name].append(measure(command, settings.limit))
    for name, figures in outcome.figures.items():
        settings.tell(f"  i: {name}: {f'{1000 * figures.wall:.0f} ms' if figures else outcome.runs[name][0].fault}")
    return outcome
