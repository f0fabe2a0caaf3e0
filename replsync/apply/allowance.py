"""Bytes that may be held in memory at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Allowance:
    """Lets who wants to hold bytes wait until there is room for them; `most` is for all together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = most
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def of(self, size: int) -> AsyncIterator[None]:
        """Hold so many bytes as long as the block lasts; what is larger than all waits until nothing else is held."""
        size = min(size, self._most)
        while size > self._free:
            self._freed.clear()
            await self._freed.wait()
        self._free -= size
        try:
            yield
        finally:
            self._free += size
            self._freed.set()
