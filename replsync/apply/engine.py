"""What moves images: the protocol that both engines stand behind."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from replsync.oci.digest import Digest
from replsync.oci.recipe import Recipe
from replsync.oci.reference import Reference
from replsync.oci.tag_state import Resolved
from replsync.plan.action import State


@dataclass(frozen=True)
class Destination:
    """The tag to write, and what it points at until then: None for nothing.

    `expected` is what was planned: what can be compared of it is, before anything is sent.
    `announce` is to be called when all else is done, right before the tag is
    looked at for the last time and written. It raises ReplsyncError where it must not be.
    """

    reference: Reference
    before: Digest | None
    announce: Callable[[], Awaitable[None]]
    expected: State | None = None


Sent = Callable[[int], None]
"""Told how many bytes were sent since it was last called."""

Waits = Callable[[str], AbstractContextManager[None]]
"""Told what is waited for, in words; entered as long as that takes."""


def untold(_why: str) -> AbstractContextManager[None]:
    """Tell nobody what is waited for."""
    return nullcontext()


class Engine(Protocol):
    """Writes to the target. Each call is safe to repeat."""

    async def identify(self, recipe: Recipe, held: Digest | None = None) -> Resolved:
        """Say what would be pushed; see `ImageSource.identify`."""
        ...

    async def push(self, recipe: Recipe, target: Destination, sent: Sent, waits: Waits = untold) -> None:
        """Make `target` the image of this recipe.

        Raises ChangedMeanwhile, and leaves the tag alone, where somebody else has written it; ReplsyncError.
        """
        ...

    async def bury(self, config: bytes, target: Destination) -> None:
        """Make `target` the tombstone with this config. Raises as `push` does."""
        ...
