"""How many things go on at once with one host: a number that follows how the host is doing."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_START = 8
_QUICK = 0.25
"""Seconds within which an answer counts as quick, however quick others were."""
_QUICK_TIMES = 3
"""How many times the quickest answer still counts as quick: what is far away is not slow."""


class Places:
    """Places for what may go on at once, `most` at most.

    Their number begins low, doubles with each round of quick answers until
    there was trouble, then grows by one a round; trouble halves it, once for
    all that was under way together (additive increase, multiplicative decrease, as in TCP).
    """

    def __init__(self, most: int, *, start: int = _START, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._limit = float(min(start, most))
        self._taken = 0
        self._waiting: OrderedDict[asyncio.Future[None], Callable[[], int] | None] = OrderedDict()
        self._wanted = 0  # how many of them say by how many they are wanted
        self._quickest = float("inf")
        self._calm = True
        self._cut_at = -float("inf")

    @property
    def limit(self) -> int:
        """How many places there are now."""
        return int(self._limit)

    @asynccontextmanager
    async def one(self, wanted_by: Callable[[], int] | None = None) -> AsyncIterator[None]:
        """Have a place for as long as the block lasts.

        Who came first goes first; but of those that say how many others they
        are `wanted_by`, whoever is wanted by the most when a place is free.
        """
        await self._take(wanted_by)
        try:
            yield
        finally:
            self._taken -= 1
            self._wake()

    def went_well(self, seconds: float) -> None:
        """Learn that an answer came after so many seconds."""
        self._quickest = min(self._quickest, seconds)
        is_quick = seconds <= max(_QUICK, _QUICK_TIMES * self._quickest)
        if is_quick and self._limit < self._most and self._waiting:
            self._limit = min(self._limit + (1 if self._calm else 1 / self._limit), self._most)
            self._wake()

    def had_trouble(self, begun: float) -> None:
        """Learn that what began at `begun` (on the clock) was refused for now, or got no answer."""
        if begun < self._cut_at:
            return  # it began before the number was last cut: that was for it, too
        self._calm = False
        self._limit = max(1.0, self._limit / 2)
        self._cut_at = self._clock()

    async def _take(self, wanted_by: Callable[[], int] | None) -> None:
        if self._taken < self.limit and not self._waiting:
            self._taken += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = wanted_by
        self._wanted += wanted_by is not None
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._remove(turn)
            elif not turn.cancelled():  # the place was given just now: somebody else can have it
                self._taken -= 1
                self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting and self._taken < self.limit:
            first = next(iter(self._waiting)) if not self._wanted else max(self._waiting, key=self._want)
            self._remove(first)
            if not first.done():  # else it was cancelled, and will say so in a moment
                self._taken += 1
                first.set_result(None)

    def _want(self, turn: asyncio.Future[None]) -> int:
        wanted_by = self._waiting[turn]
        return wanted_by() if wanted_by else 0

    def _remove(self, turn: asyncio.Future[None]) -> None:
        self._wanted -= self._waiting.pop(turn) is not None
