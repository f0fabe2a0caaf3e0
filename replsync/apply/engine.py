"""What moves images: the protocol that both engines stand behind."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from replsync.oci.digest import Digest
from replsync.oci.reference import Reference
from replsync.oci.source_name import SourceName
from replsync.oci.tag_state import Resolved


@dataclass(frozen=True)
class Destination:
    """The tag to write, and what it points at until then: None for nothing.

    `announce` is to be called when all else is done, right before the tag is
    looked at for the last time and written. It raises ReplsyncError where it must not be.
    """

    reference: Reference
    before: Digest | None
    announce: Callable[[], Awaitable[None]]


Sent = Callable[[int], None]
"""Told how many bytes were sent since it was last called."""


class Engine(Protocol):
    """Writes to the target. Each call is safe to repeat."""

    async def identify(self, name: SourceName) -> Resolved:
        """Say what would be pushed. Raises ReplsyncError where the source can't be read."""
        ...

    async def push(self, name: SourceName, target: Destination, sent: Sent) -> None:
        """Make `target` the image of this source.

        Raises ChangedMeanwhile, and leaves the tag alone, where somebody else has written it; ReplsyncError.
        """
        ...

    async def bury(self, config: bytes, target: Destination) -> None:
        """Make `target` the tombstone with this config. Raises as `push` does."""
        ...
