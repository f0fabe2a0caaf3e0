"""What the benchmark says of figures: targets met and missed, and a page."""

from collections import Counter
from dataclasses import replace

from benchmarks.counting import Traffic
from benchmarks.measuring import Run
from benchmarks.peers.crane import Crane
from benchmarks.peers.replsync import Replsync
from benchmarks.peers.skopeo import Skopeo
from benchmarks.report import page
from benchmarks.results import Results
from benchmarks.rounds import Contender, Outcome
from benchmarks.verdicts import best_peer, of_copies
from benchmarks.workloads import Targets, copies

_MB = 10**6


def of(
    targets: Targets,
    wall: float = 1.0,
    cpu: float = 1.0,
    memory: int = 60 * _MB,
    sent: int = 500,
    fault: str | None = None,
) -> Outcome:
    """replsync beside crane, which takes 2 s and 1 s of the processor, and skopeo, which is slower."""
    workload = replace(copies(1)["c"], targets=targets)
    ours = Contender(Replsync(), "replsync apply", runs=[Run(wall, cpu, memory, fault)])
    ours.source, ours.target = Traffic(), Traffic(sent=Counter({"upload": sent, "manifest": 7}))
    crane = Contender(Crane(), "crane copy", runs=[Run(2.0, 1.0, 20 * _MB)])
    skopeo = Contender(Skopeo(), "skopeo copy", runs=[Run(3.0, 0.1, 20 * _MB), Run(0.1, 0.1, 1, "wrong")])
    return Outcome(workload, [ours, skopeo, crane], unique=500)


def missed(found: Outcome) -> list[str]:
    return [verdict.asked for verdict in of_copies(found) if not verdict.met]


def test_the_best_peer_has_the_least_wall_time_of_runs_that_count() -> None:
    found = best_peer(of(Targets()))
    assert found
    assert found.peer.name == "crane"


def test_a_target_is_met_up_to_its_ratio() -> None:
    assert missed(of(Targets(wall=0.5), wall=1.0)) == []
    assert missed(of(Targets(wall=0.5), wall=1.01)) == ["wall at most 0.5 of the best peer's"]
    assert missed(of(Targets(cpu=1.5), cpu=1.5)) == []
    assert missed(of(Targets(cpu=1.5), cpu=1.6)) == ["CPU at most 1.5 of the best peer's"]
    assert missed(of(Targets(), memory=120 * _MB)) == ["memory under 120 MB"]
    assert missed(of(Targets(unique_bytes=True), sent=501)) == ["bytes sent = unique bytes"]


def test_a_run_that_does_not_count_misses_a_target_with_its_reason() -> None:
    verdict = next(of_copies(of(Targets(), fault="bench/r000:1.0.0 is missing")))
    assert (verdict.met, verdict.measured) == (False, "bench/r000:1.0.0 is missing")


def test_a_page_has_each_contender_and_why_runs_do_not_count() -> None:
    results = Results(
        "2026-01-02", {"cores": "2"}, {"crane": "v1"}, "a registry", 3, 1.0, copies=[of(Targets(wall=0.5))]
    )
    text = page(results)
    assert "| c | wall at most 0.5 of the best peer's | 0.50 of crane's | yes |" in text
    assert "| crane copy | 2.00 | 1.00 | 2.00 | 1.00 | 20 |" in text
    assert "- skopeo: 1 of 2 runs don't count: wrong." in text
