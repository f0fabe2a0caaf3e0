"""Journals for tests of what has nothing to do with them."""

from replsync.plan.action import Action, State


class Unwritten:
    """A journal that keeps nothing."""

    async def writing(self, action: Action, before: State | None) -> None:
        """Keep nothing."""

    async def wrote(self, action: Action, before: State | None, after: State | None) -> None:
        """Keep nothing."""

    async def left(self, action: Action, before: State | None) -> None:
        """Keep nothing."""

    async def failed(self, action: Action, before: State | None, why: str) -> None:
        """Keep nothing."""
