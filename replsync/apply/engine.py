"""What moves images: the protocol that both engines stand behind."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from replsync.oci.reference import Reference
from replsync.oci.source_name import SourceName
from replsync.oci.tag_state import Resolved

Guard = Callable[[], Awaitable[None]]
"""Looks at the tag once more, right before it is written; raises ReplsyncError where it must not be."""

Sent = Callable[[int], None]
"""Told how many bytes were sent since it was last called."""


class Engine(Protocol):
    """Writes to the target. Each call is safe to repeat."""

    async def identify(self, name: SourceName) -> Resolved:
        """Say what would be pushed. Raises ReplsyncError where the source can't be read."""
        ...

    async def push(self, name: SourceName, target: Reference, sent: Sent, guard: Guard) -> None:
        """Make `target` the image of this source. Raises ReplsyncError."""
        ...

    async def bury(self, config: bytes, target: Reference, guard: Guard) -> None:
        """Make `target` the tombstone with this config. Raises ReplsyncError."""
        ...
