"""How much of a blob goes into one request, so that no request runs long.

A proxy in front of a registry gives one request some time (100 s is common) or
some size, and answers 524, 504 or 413 past it. So large blobs go in chunks
that follow the measured speed, and become smaller where a request was cut off.
"""

from dataclasses import dataclass

FIRST = 16_000_000
"""Bytes of a host's first request, when its speed isn't known."""

_GROWTH = 8
"""How many times larger than any before a request may be: one quick answer is no measurement."""


@dataclass(frozen=True)
class ChunkBounds:
    """Bounds in bytes of one request of a chunked upload, and how many seconds one should take."""

    smallest: int = 1_000_000
    largest: int = 1_000_000_000
    seconds: float = 5.0


class ChunkSize:
    """The size of the next request to one host, learnt from the requests so far."""

    def __init__(self, bounds: ChunkBounds) -> None:
        self._bounds = bounds
        self._ceiling = bounds.largest
        self._tried = 0
        self._next = max(min(FIRST, bounds.largest), bounds.smallest)

    def of(self, left: int, at_least: int = 0) -> int:
        """Return the bytes of the next request where `left` are left to send.

        `at_least` is what the registry wants in every request but the last
        (distribution-spec, `OCI-Chunk-Min-Length`); it goes before all else.
        """
        size = max(self._next, at_least)
        # A small rest is no request of its own, where that doesn't matter.
        return left if left <= size + size // 8 and left <= max(self._ceiling, at_least) else size

    def took(self, size: int, seconds: float) -> None:
        """Learn from a request that was answered."""
        self._tried = max(self._tried, size)
        if size < self._bounds.smallest and size < self._next:
            return  # too little to tell the speed
        wanted = size * self._bounds.seconds / max(seconds, 0.001)
        self._set(min(wanted, self._tried * _GROWTH))

    def was_cut_off(self, size: int, seconds: float, *, for_good: bool) -> bool:
        """Learn from a request that was cut off after so many seconds: the next is half of it at most.

        `for_good` where a proxy said that it was too much, so that no later
        one is larger either. False where requests are as small as they may get.
        """
        if size <= self._bounds.smallest:
            return False
        half = max(size // 2, self._bounds.smallest)
        if for_good:
            self._ceiling = min(self._ceiling, half)
        self._tried = min(self._tried, half)
        self._set(min(self._next, half, size * self._bounds.seconds / max(seconds, 0.001)))
        return True

    def _set(self, size: float) -> None:
        self._next = int(max(min(size, self._ceiling), min(self._bounds.smallest, self._ceiling)))
