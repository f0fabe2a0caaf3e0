"""A proxy that counts requests and bytes. It stands before registries in a pass of its own, never while time counts."""

import asyncio
import contextlib
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web
from yarl import URL

from benchmarks.failing import BenchmarkError

_PIECE = 1 << 20  # bytes
_DEADLINE = 60  # seconds to start and to stop
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect"}
_KINDS = (
    (re.compile(r"/v2/.+/manifests/"), "manifest"),
    (re.compile(r"/v2/.+/blobs/uploads/"), "upload"),
    (re.compile(r"/v2/.+/blobs/sha256:"), "blob"),
    (re.compile(r"/v2/.+/tags/list"), "tags"),
)


@dataclass
class Traffic:
    """What one registry was asked. Bytes are those of bodies: `sent` to it and `received` from it, by kind."""

    requests: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)


@contextlib.contextmanager
def counting(host: str) -> Iterator[tuple[str, Traffic]]:
    """Serve what the registry at `host` serves, until the block ends; yields HOST:PORT and the count."""
    traffic = Traffic()
    loop = asyncio.new_event_loop()
    started: list[str] = []
    ready, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with _served(host, traffic) as address:
            started.append(address)
            ready.set()
            await stop.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        if not ready.wait(_DEADLINE):
            raise BenchmarkError("the counting proxy didn't start")
        yield started[0], traffic
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_DEADLINE)


@contextlib.asynccontextmanager
async def _served(host: str, traffic: Traffic) -> AsyncIterator[str]:
    timeout = ClientTimeout(total=None, sock_read=_DEADLINE)
    session = ClientSession(
        connector=TCPConnector(limit=0), auto_decompress=False, timeout=timeout, cookie_jar=None, raise_for_status=False
    )
    async with session:

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return await _forward(session, host, traffic, request)

        runner = web.ServerRunner(web.Server(answer), shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
            await site.start()
            address = runner.addresses[0]
            yield f"{address[0]}:{address[1]}"
        finally:
            await runner.cleanup()


async def _forward(session: ClientSession, host: str, traffic: Traffic, request: web.BaseRequest) -> web.StreamResponse:
    kind = next((kind for pattern, kind in _KINDS if pattern.match(request.path)), "other")
    traffic.requests[f"{request.method} {kind}"] += 1

    async def body() -> AsyncIterator[bytes]:
        async for piece in request.content.iter_chunked(_PIECE):
            traffic.sent[kind] += len(piece)
            yield piece

    # The Host stays: the registry makes the addresses of uploads of it.
    headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP]
    url = URL(f"http://{host}{request.raw_path}", encoded=True)
    data = body() if request.body_exists else None
    async with session.request(
        request.method, url, headers=headers, data=data, allow_redirects=False, skip_auto_headers=("User-Agent",)
    ) as answer:
        response = web.StreamResponse(status=answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                response.headers.add(name, value)
        with contextlib.suppress(ConnectionError):  # the client went away: it has its reasons
            await response.prepare(request)
            async for piece in answer.content.iter_chunked(_PIECE):
                traffic.received[kind] += len(piece)
                await response.write(piece)
            await response.write_eof()
        return response
