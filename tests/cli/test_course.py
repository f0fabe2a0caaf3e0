"""How far a run is, and what waits, by a clock of the test's own."""

from dataclasses import replace

import pytest

from replsync.cli.course import Course, time_text
from replsync.oci.tag_state import Absent
from replsync.plan.action import Action, ByteCount
from replsync.plan.document import Plan
from replsync.plan.report import Done
from tests.plan.situations import action, digest, listing, resolved


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def creating(tag: str, size: int | None) -> Action:
    made = action(listing(), Absent(), resolved("E"))
    count = None if size is None else ByteCount(size, size)
    return replace(made, reference=made.reference.repository.tagged(tag), bytes=count)


ONE, TWO = creating("1", 3_000_000), creating("2", 1_000_000)


def course(*actions: Action) -> tuple[Course, Clock]:
    clock = Clock()
    return Course(Plan("replsync test", "2026-01-01T00:00:00Z", (), actions), [], clock), clock


def test_bytes_rate_and_time_left_are_told() -> None:
    run, clock = course(ONE, TWO)
    clock.now += 2
    run.sent(ONE, 1_000_000)
    run.ended(Done(TWO, digest("E")))
    assert run.line == "1 of 2 tags; 1.0 MB of 4.0 MB sent, 500.0 kB/s, 6 s left"


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    run, clock = course(ONE, TWO)
    run.sent(ONE, 1_000_000)
    for _ in range(60):
        clock.now += 1
        run.sent(ONE, 10_000)
    assert run.rate == pytest.approx(10_000, rel=0.05)


def test_where_a_size_is_unknown_nobody_can_say_how_long_it_takes() -> None:
    run, clock = course(ONE, creating("2", None))
    clock.now += 2
    run.sent(ONE, 1_000_000)
    assert run.line == "0 of 2 tags; 1.0 MB sent, 500.0 kB/s"


def test_more_bytes_than_were_planned_are_no_less_than_all() -> None:
    run, clock = course(TWO)
    clock.now += 1
    run.sent(TWO, 1_500_000)
    assert run.line == "0 of 1 tags; 1.5 MB of 1.5 MB sent, 1.5 MB/s"


def test_a_wait_counts_down_until_it_is_over() -> None:
    run, clock = course(ONE)
    run.waiting("registry.test", 8, "429 from registry.test")
    run.waiting("registry.test", 2, "503 from registry.test")  # another request, which waits for less
    assert run.line.endswith("; retry in 8 s: 429 from registry.test")
    clock.now += 5.5
    assert run.waited_for == ["retry in 3 s: 429 from registry.test"]
    assert run.is_waited_for("registry.test")
    clock.now += 2.5
    assert run.waited_for == []
    assert not run.is_waited_for("registry.test")


def test_the_words_of_a_registry_are_made_harmless() -> None:
    run, _ = course(ONE)
    run.waiting("registry.test", 1, "::error::\x1b[2J")
    assert run.waited_for == ["retry in 1 s: :\N{REPLACEMENT CHARACTER}:error::\N{REPLACEMENT CHARACTER}[2J"]


def test_tags_that_wait_for_the_same_are_counted_and_each_once() -> None:
    run, _ = course(ONE, TWO)
    why = "for another tag's layer"
    with run.waits(ONE, why), run.waits(ONE, why):
        with run.waits(TWO, why):
            assert run.waited_for == [f"2 tags wait {why}"]
        assert run.waited_for == [f"1 tag waits {why}"]
    assert run.waited_for == []


def test_while_a_plan_is_made_the_questions_are_counted() -> None:
    run = Course(None, [], Clock())
    assert run.line == "asking the registries"
    run.asked("tags", 2000, 0)
    for _ in range(120):
        run.asked("tags", 0, 1)
    assert run.line == "asked 120 of 2,000 tags"
    run.asked("images", 7, 0)
    run.waiting("registry.test", 1, "429 from registry.test")
    assert run.line == "asked 120 of 2,000 tags, 0 of 7 images; retry in 1 s: 429 from registry.test"
    assert run.answered == {"tags": {"answered": 120, "of": 2000}, "images": {"answered": 0, "of": 7}}


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (99.5, "100 s"), (100, "2 min"), (5900, "99 min"), (7500, "2 h 5 min")]
)
def test_times_are_told_as_people_do(seconds: float, text: str) -> None:
    assert time_text(seconds) == text
