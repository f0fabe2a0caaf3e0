"""Running a command's coroutine until it is done or told to stop."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns. SIGTERM, as CI sends it to cancel a job, ends it as Ctrl-C does: KeyboardInterrupt.

    Not by way of SIGINT, which a shell has its background jobs ignore.
    """
    try:
        return asyncio.run(_stoppable(work))
    except asyncio.CancelledError as error:
        raise KeyboardInterrupt from error


async def _stoppable(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task
