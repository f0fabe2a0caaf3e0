"""Faults as data: what goes wrong, with which kind of request, where in it, and how often."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tests.faults.kinds import Kind, Position


class What(StrEnum):
    """What goes wrong."""

    RESET = "reset"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    UNNOTICED = "corrupt-unnoticed"
    """A changed byte that leaves an image manifest well-formed, so that a registry takes it."""
    SLOW = "slow"
    UNAUTHORIZED = "401"
    BUSY_SECONDS = "429-seconds"
    BUSY_DATE = "429-date"
    BUSY_ABSURD = "429-absurd"
    S500 = "500"
    S502 = "502"
    S503 = "503"
    S504 = "504"
    S524 = "524"
    S416 = "416"
    LOST = "lost-session"
    LYING_DIGEST = "lying-digest"
    LYING_THERE = "lying-there"
    LYING_ABSENT = "lying-absent"
    MOUNT_202 = "mount-202"
    MOUNT_400 = "mount-400"
    MOUNT_403 = "mount-403"
    MOUNT_405 = "mount-405"
    RANGE_SHORT = "range-short"
    RANGE_LONG = "range-long"
    LOOP = "redirect-loop"
    ELSEWHERE = "redirect-elsewhere"


@dataclass(frozen=True)
class Fault:
    """`times` is how many matching requests it hits, None all; the first `skip` of them are left alone."""

    what: What
    kind: Kind
    position: Position = Position.FIRST
    times: int | None = 1
    skip: int = 0

    @property
    def waits_for_the_answer(self) -> bool:
        """Whether the registry's answer decides if it is one: what isn't there can't be made out to be missing."""
        return self.what in (What.LYING_DIGEST, What.LYING_THERE, What.LYING_ABSENT, What.ELSEWHERE)


@dataclass(frozen=True)
class Ceiling:
    """A proxy's limits: no request longer than `seconds`, else 524; `rate` in bytes per second and connection."""

    seconds: float
    rate: float


class Rules:
    """The faults of a proxy, and how often each was injected. Any thread may ask."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._faults = tuple(faults)
        self._lock = threading.Lock()
        self._seen = dict.fromkeys(self._faults, 0)
        self._hits = dict.fromkeys(self._faults, 0)

    def take(self, kind: Kind) -> Fault | None:
        """The fault for the next request of this kind, counted as injected unless it `waits_for_the_answer`."""
        with self._lock:
            matching = [fault for fault in self._faults if fault.kind is kind]
            for fault in matching:
                self._seen[fault] += 1
            for fault in matching:
                if self._seen[fault] > fault.skip and self._is_left(fault):
                    self._hits[fault] += not fault.waits_for_the_answer
                    return fault
        return None

    def confirm(self, fault: Fault) -> bool:
        """Count one that waited for the answer; False where another request was first."""
        with self._lock:
            is_left = self._is_left(fault)
            self._hits[fault] += is_left
            return is_left

    def _is_left(self, fault: Fault) -> bool:
        return fault.times is None or self._hits[fault] < fault.times

    def hits(self, fault: Fault) -> int:
        """How often it was injected."""
        with self._lock:
            return self._hits[fault]
