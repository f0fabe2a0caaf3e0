"""A proxy in front of a real registry that does to chosen requests what networks and servers do on bad days."""

import asyncio
import base64
import concurrent.futures
import contextlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.faults.elsewhere import Elsewhere
from tests.faults.exchange import Exchange, RegistryHungUp, Seen
from tests.faults.fault import Ceiling, Fault, Rules
from tests.faults.injecting import Injector
from tests.faults.kinds import Classifier, Kind
from tests.faults.wire import BrokenMessage, Request, Wire, listening_socket

_CONNECTIONS = 128
_DEADLINE = 30  # seconds to start and to stop

Serve = Callable[[Wire], Awaitable[None]]


@dataclass
class FaultProxy:
    """A running proxy. `seen` grows with each request; `secrets` are the credentials and tokens that went through."""

    upstream: str
    rules: Rules
    elsewhere: Elsewhere
    host: str = ""
    seen: list[Seen] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)

    @property
    def counts(self) -> Counter[Kind]:
        """How many requests of each kind it got."""
        return Counter(one.kind for one in list(self.seen))


@contextlib.contextmanager
def fault_proxy(
    upstream: str,
    faults: Iterable[Fault] = (),
    *,
    large: Collection[str] = (),
    ceiling: Ceiling | None = None,
    seed: int = 0,
) -> Iterator[FaultProxy]:
    """Serve in front of `upstream` (HOST:PORT) on a free loopback port, in a thread, until the block ends.

    `large` are the digests of blobs that are told from others.
    """
    running = FaultProxy(upstream, Rules(faults), Elsewhere(upstream))
    server = _Server(running, Injector(running.rules, running.elsewhere, seed), Classifier(large), ceiling)
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(asyncio.run, server.run(started))
        either: tuple[Future[Any], ...] = (started, done)
        concurrent.futures.wait(either, _DEADLINE, concurrent.futures.FIRST_COMPLETED)
        if not started.done():
            done.result(0)  # raises what went wrong
        loop, stop = started.result(0)
        try:
            yield running
        finally:
            loop.call_soon_threadsafe(stop.set)
            done.result(_DEADLINE)


class _Server:
    """Both ports, and the connections to them."""

    def __init__(self, proxy: FaultProxy, injector: Injector, classifier: Classifier, ceiling: Ceiling | None) -> None:
        self._proxy = proxy
        self._injector = injector
        self._classifier = classifier
        self._ceiling = ceiling
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, started: "Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]") -> None:
        """Serve until told to stop."""
        stop = asyncio.Event()
        places = asyncio.Semaphore(_CONNECTIONS)
        own, self._proxy.host = await self._listen(self._serve, places)
        other, self._proxy.elsewhere.host = await self._listen(self._proxy.elsewhere.serve, places)
        started.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()
        own.close()
        other.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self, serve: Serve, places: asyncio.Semaphore) -> tuple[asyncio.Server, str]:
        async def served(wire: Wire) -> None:
            try:
                async with places:  # the rest waits
                    await serve(wire)
            finally:
                wire.drop()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(served(Wire(reader, writer)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        listener = listening_socket()
        server = await asyncio.start_server(accept, sock=listener)
        return server, f"127.0.0.1:{listener.getsockname()[1]}"

    async def _serve(self, client: Wire) -> None:
        with contextlib.suppress(BrokenMessage, OSError):
            while head := await client.read_head():
                request = Request(head.start, head.headers)
                self._keep_secret(request)
                kind = self._classifier.kind_of(request)
                exchange = Exchange(client, request, kind, self._proxy.upstream, self._proxy.host, self._ceiling)
                self._proxy.seen.append(exchange.seen)
                try:
                    await self._in_time(exchange)
                finally:
                    exchange.drop_upstream()
                if not exchange.keeps_alive:
                    await client.end()
                    return

    async def _in_time(self, exchange: Exchange) -> None:
        try:
            async with asyncio.timeout(self._ceiling.seconds if self._ceiling else None):
                await self._answer(exchange)
        except RegistryHungUp:
            await exchange.refuse(502, "")
        except TimeoutError:
            if exchange.is_answering:
                raise BrokenMessage("out of time in the middle of an answer") from None
            exchange.drop_upstream()
            await exchange.refuse(524, "")

    async def _answer(self, exchange: Exchange) -> None:
        if fault := self._proxy.rules.take(exchange.kind):
            await self._injector.inject(exchange, fault)
            return
        await exchange.forward()
        if exchange.kind is Kind.TOKEN:
            head, body = await exchange.hear()
            with contextlib.suppress(ValueError, AttributeError):
                self._proxy.secrets.add(str(json.loads(body).get("token", "")))
            await exchange.say(head, body)
        else:
            await exchange.pass_on()

    def _keep_secret(self, request: Request) -> None:
        scheme, _, value = request.get("Authorization").partition(" ")
        if value:
            self._proxy.secrets.add(value)
        if scheme.lower() == "basic":
            with contextlib.suppress(ValueError):
                self._proxy.secrets.add(base64.b64decode(value).decode().partition(":")[2])
