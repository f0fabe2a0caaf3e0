"""How often what failed is tried again, and what is worth it."""

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from replsync.errors import RegistryError, RegistryUnreachable

T = TypeVar("T")

PASSING = frozenset({408, 429, 500, 502, 503, 504, 520, 522, 524})
"""The statuses that may be gone on the next try."""
MAX_WAIT = 15.0
"""Seconds between two tries, at most."""

_OVERLOOKED = "MANIFEST_BLOB_UNKNOWN"  # distribution-spec, "Error Codes"


@dataclass(frozen=True)
class Persistence:
    """How often a request is tried at most.

    In seconds: the longest wait before the second try, which doubles with each
    further one; and after how long no further try begins. What has much to
    lose, as a large blob on its way, is tried on as long as `outage` besides.
    """

    attempts: int = 5
    first_wait: float = 0.5
    patience: float = 60.0

    @property
    def outage(self) -> float:
        """Seconds for which a registry may be away while a large blob is on its way."""
        return 60 * self.first_wait if self.attempts > 1 else 0.0

    def is_enough(self, fruitless: int, ahead_at: float) -> bool:
        """Whether so many tries in a row came to nothing, and the last success is so long ago, that it's the end."""
        return fruitless >= self.attempts and time.monotonic() - ahead_at >= self.outage


def is_passing(error: BaseException) -> bool:
    """Whether the failure may be gone on the next try: no answer, 408, 429, most 5xx, and a blob that is overlooked.

    Image manifests are put when all blobs are there; a registry that says
    otherwise is writing a link to one of them anew, or lags behind itself.
    """
    if isinstance(error, RegistryUnreachable):
        return True
    return isinstance(error, RegistryError) and (error.status in PASSING or _OVERLOOKED in error.codes)


async def persistently(
    persistence: Persistence,
    attempt: Callable[[], Awaitable[T]],
    *,
    progress: Callable[[], int] | None = None,
    waiting: Callable[[float, RegistryError], None] = lambda *_: None,
) -> T:
    """Return what `attempt` returns, tried again where its failure may pass, with jittered exponential back-off.

    `progress` is for what may take any time and many tries, such as a large
    blob: only those count that got it no further than it was, and `outage` has to be over, too.
    `waiting` is told before each wait how many seconds it takes, and what failed.
    """
    furthest = progress() if progress else 0
    fruitless = 0
    ahead_at = time.monotonic()
    first: RegistryError | None = None

    async def next_try() -> T:
        nonlocal furthest, fruitless, first, ahead_at
        try:
            if first is not None:
                error, first = first, None
                raise error
            return await attempt()
        except RegistryError:
            reached = progress() if progress else furthest
            if reached > furthest:
                furthest, fruitless, ahead_at = reached, 0, time.monotonic()
            else:
                fruitless += 1
            raise

    try:
        return await attempt()  # almost always the only one: tenacity would take as long as the request itself
    except RegistryError as error:
        if not is_passing(error):
            raise
        first = error
    patience = tenacity.stop_after_delay(persistence.patience)

    def is_enough(state: tenacity.RetryCallState) -> bool:
        if progress:
            return persistence.is_enough(fruitless, ahead_at)
        return fruitless >= persistence.attempts or patience(state)

    def tell(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if state.next_action and isinstance(error, RegistryError):
            waiting(state.next_action.sleep, error)

    return await tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(is_passing),
        stop=is_enough,
        wait=lambda _: backoff(persistence, fruitless),
        before_sleep=tell,
        reraise=True,
    )(next_try)


def backoff(persistence: Persistence, fruitless: int) -> float:
    """Return how many seconds to wait after so many tries in a row that came to nothing: exponential, jittered."""
    longest = min(persistence.first_wait * 2 ** max(fruitless - 1, 0), MAX_WAIT)
    return random.uniform(longest / 2, longest)
