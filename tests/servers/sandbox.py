"""The project's own sandbox on a free loopback port, in a thread, so that any test can use it."""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.servers.registry import Credentials

if TYPE_CHECKING:
    from replsync.sandbox import Answered, SandboxOptions

_DEADLINE = 30  # seconds


@dataclass(frozen=True)
class RunningSandbox:
    """A sandbox that speaks plain http. `answered` grows with each request that it answers."""

    host: str
    credentials: Credentials
    answered: "list[Answered]"


class StartSandbox(Protocol):
    """Starts a sandbox, which ends with the test. Without options, its data go with it."""

    def __call__(self, options: "SandboxOptions | None" = None) -> RunningSandbox: ...


@pytest.fixture
def start_sandbox() -> Iterator[StartSandbox]:
    """For a second sandbox, or one with options."""
    # Imported here: only tests that use it should wait for aiohttp.
    from replsync.sandbox.server import SandboxOptions

    with contextlib.ExitStack() as stack:

        def start(options: SandboxOptions | None = None) -> RunningSandbox:
            return stack.enter_context(serve_sandbox(options or SandboxOptions()))

        yield start


@pytest.fixture
def sandbox(start_sandbox: StartSandbox) -> RunningSandbox:
    """A fresh, empty sandbox."""
    return start_sandbox()


@contextlib.contextmanager
def serve_sandbox(options: "SandboxOptions") -> Iterator[RunningSandbox]:
    """Run a sandbox until the block ends."""
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    with ThreadPoolExecutor(1) as pool:
        answered: list[Answered] = []
        done = pool.submit(asyncio.run, _until_stopped(options, answered, started))
        either: tuple[Future[Any], ...] = (started, done)
        concurrent.futures.wait(either, _DEADLINE, concurrent.futures.FIRST_COMPLETED)
        if not started.done():
            done.result(0)  # raises what went wrong
        host, loop, stop = started.result(0)
        try:
            yield RunningSandbox(host, Credentials("tests", options.password), answered)
        finally:
            loop.call_soon_threadsafe(stop.set)
            done.result(_DEADLINE)


async def _until_stopped(
    options: "SandboxOptions",
    answered: "list[Answered]",
    started: "Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]]",
) -> None:
    from replsync.sandbox.server import serve

    stop = asyncio.Event()
    async with serve(options, answered.append) as running:
        started.set_result((running.host, asyncio.get_running_loop(), stop))
        await stop.wait()
