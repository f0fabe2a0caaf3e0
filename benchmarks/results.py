"""All that came of a run of the benchmark, and as a document for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from benchmarks.counting import Traffic
from benchmarks.heads import Heads
from benchmarks.measuring import Run
from benchmarks.rounds import Contender, Outcome
from benchmarks.starting import Starting
from benchmarks.verdicts import Verdict, of_copies, of_heads, of_starting


@dataclass
class Results:
    """`when` is a date and a time in UTC; `failed` has what a workload couldn't be measured for, by its key."""

    when: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    registry: str
    rounds: int
    scale: float
    copies: list[Outcome] = field(default_factory=list)
    heads: Heads | None = None
    starting: Starting | None = None
    failed: dict[str, str] = field(default_factory=dict)

    def verdicts(self) -> list[Verdict]:
        """All targets that have to do with what was run."""
        found = [verdict for outcome in self.copies for verdict in of_copies(outcome)]
        found += of_heads(self.heads) if self.heads else ()
        found += of_starting(self.starting) if self.starting else ()
        return sorted(found, key=lambda verdict: verdict.workload)


def document(results: Results) -> str:
    """The results as JSON."""
    heads, starting = results.heads, results.starting
    whole = {
        "format": "replsync.benchmarks/1",
        "when": results.when,
        "machine": dict(results.machine),
        "versions": dict(results.versions),
        "registry": results.registry,
        "rounds": results.rounds,
        "scale": results.scale,
        "verdicts": [asdict(verdict) for verdict in results.verdicts()],
        "failed": results.failed,
        "workloads": {outcome.workload.key: _outcome(outcome) for outcome in results.copies},
        "heads": asdict(heads) if heads else None,
        "starting": {name: _runs(runs) for name, runs in starting.runs.items()} if starting else None,
    }
    return json.dumps(whole, indent=1) + "\n"


def _outcome(outcome: Outcome) -> dict[str, object]:
    return {
        "title": outcome.workload.title,
        "unique_bytes": outcome.unique,
        "left_out": outcome.left_out,
        "contenders": [_contender(contender) for contender in outcome.contenders],
    }


def _contender(contender: Contender) -> dict[str, object]:
    return {
        "name": contender.peer.name,
        "form": contender.form,
        "left_out": contender.left_out,
        "trials": {form: asdict(run) for form, run in contender.trials.items()},
        "runs": _runs(contender.runs),
        "source": _traffic(contender.source),
        "target": _traffic(contender.target),
    }


def _runs(runs: Sequence[Run]) -> list[dict[str, object]]:
    return [asdict(run) for run in runs]


def _traffic(traffic: Traffic | None) -> dict[str, dict[str, int]] | None:
    if traffic is None:
        return None
    return {"requests": dict(traffic.requests), "sent": dict(traffic.sent), "received": dict(traffic.received)}
