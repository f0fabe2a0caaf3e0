"""How far a run is, as it is told: bytes, rate, what is left, what waits and why. It shows nothing itself."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from replsync.manifest.byte_size import size_text
from replsync.plan.action import Action
from replsync.plan.document import Plan
from replsync.plan.report import Outcome
from replsync.render.harmless import clean

_WINDOW = 30.0
"""Seconds over which the rate is taken."""
_WAITS_SHOWN = 3


class Course:
    """Collects what is told of a run, and its outcomes, so that an interruption leaves them.

    A watcher of the executor (`apply.executor.Watcher`), and told of waits and questions as
    `registry.watching` has it. Without a `plan` one is only being made. `clock` is in seconds.
    """

    def __init__(self, plan: Plan | None, outcomes: list[Outcome], clock: Callable[[], float] = time.monotonic) -> None:
        self.plan = plan
        self.outcomes = outcomes
        self.count = len(plan.writes) if plan else 0
        self.sent_bytes = 0
        self._planned = plan.upload if plan else 0
        self._is_known = plan is not None and all(action.bytes for action in plan.writes)
        self._clock = clock
        self._samples = deque([(clock(), 0)])
        self._hosts: dict[str, tuple[float, str]] = {}
        self._held: dict[str, Counter[Action]] = {}
        self._questions: dict[str, list[int]] = {}

    def begun(self, action: Action) -> None:
        """Work on this action begins."""

    def sent(self, action: Action, size: int) -> None:  # noqa: ARG002 - for those that show each action
        """So many bytes more were sent for it."""
        self.sent_bytes += size
        now = self._clock()
        if now - self._samples[-1][0] >= 1:
            self._samples.append((now, self.sent_bytes))
            while len(self._samples) > 2 and now - self._samples[1][0] > _WINDOW:
                self._samples.popleft()

    @contextmanager
    def waits(self, action: Action, why: str) -> Iterator[None]:
        """It waits for this until the block ends."""
        held = self._held.setdefault(why, Counter())
        held[action] += 1
        try:
            yield
        finally:
            held[action] -= 1
            if not held[action]:
                del held[action]

    def ended(self, outcome: Outcome) -> None:
        """It is done, or it failed."""
        self.outcomes.append(outcome)

    def waiting(self, host: str, seconds: float, why: str) -> None:
        """A host isn't asked for so many seconds; that which takes longest counts."""
        until = self._clock() + seconds
        if until > self._hosts.get(host, (0.0, ""))[0]:
            self._hosts[host] = until, why

    def is_waited_for(self, host: str) -> bool:
        """Whether it is known already that this host isn't asked now."""
        return self._hosts.get(host, (0.0, ""))[0] > self._clock()

    def asked(self, of: str, more: int, answered: int) -> None:
        """So many more questions are to be asked, so many more were answered."""
        found = self._questions.setdefault(of, [0, 0])
        found[0] += answered
        found[1] += more

    def tick(self) -> None:
        """Some time has passed."""

    @property
    def total(self) -> int:
        """Bytes to send in all, as far as is known. More may be sent than was planned: what another tag failed to."""
        return max(self._planned, self.sent_bytes)

    @property
    def rate(self) -> float:
        """Bytes a second, of late."""
        begun, before = self._samples[0]
        return (self.sent_bytes - before) / max(self._clock() - begun, 0.001)

    @property
    def seconds_left(self) -> float | None:
        """Until all is sent, if it goes on like this; None where nobody can say."""
        if not self._is_known or not self.rate or self.total == self.sent_bytes:
            return None
        return (self.total - self.sent_bytes) / self.rate

    @property
    def waited_for(self) -> list[str]:
        """What is waited for now, a sentence for each."""
        now = self._clock()
        hosts = [(until - now, why) for until, why in self._hosts.values() if until > now]
        said = [f"retry in {math.ceil(seconds)} s: {clean(why)}" for seconds, why in sorted(hosts)][:_WAITS_SHOWN]
        for why, held in self._held.items():
            if held:
                said.append(f"{len(held):,} tag{' waits' if len(held) == 1 else 's wait'} {why}")
        return said

    @property
    def questions(self) -> str:
        """How many of its questions were answered: `asked 120 of 2,000 tags`; empty before the first."""
        counts = [f"{answered:,} of {more:,} {of}" for of, (answered, more) in self._questions.items() if more]
        return f"asked {', '.join(counts)}" if counts else ""

    @property
    def answered(self) -> dict[str, dict[str, int]]:
        """For each kind of question how many were answered, of how many."""
        return {of: {"answered": answered, "of": more} for of, (answered, more) in self._questions.items()}

    @property
    def line(self) -> str:
        """All of it in one line."""
        if self.plan is None:
            return "; ".join([self.questions or "asking the registries", *self.waited_for])
        of = f" of {size_text(self.total)}" if self._is_known else ""
        parts = [f"{size_text(self.sent_bytes)}{of} sent"] if self.sent_bytes or self.total else []
        if self.sent_bytes:
            parts.append(f"{size_text(int(self.rate))}/s")
        if self.seconds_left is not None:
            parts.append(f"{time_text(self.seconds_left)} left")
        moved = [", ".join(parts)] if parts else []
        return "; ".join([f"{len(self.outcomes):,} of {self.count:,} tags", *moved, *self.waited_for])


def time_text(seconds: float) -> str:
    """Return a time for people: `50 s`, `3 min`, `2 h 5 min`."""
    if seconds < 100:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60:,} h {minutes % 60} min"
