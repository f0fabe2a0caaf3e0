"""A server that answers as a test says, for what real registries don't do on demand."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import pytest
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Reply:
    """A whole answer. The request's body is read before it is sent."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Reply | Handler


@dataclass
class Received:
    """A request; `path` with its query, as it came; `body` as far as it was read."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def authorization(self) -> str | None:
        return self.headers.get("Authorization")


class Scripted:
    """Each `METHOD /path` has a list of answers; the last one is given again and again. Without any: 404, in HTML."""

    def __init__(self) -> None:
        self.host = ""
        self.received: list[Received] = []
        self._script: dict[str, list[Answer]] = {}

    def on(self, request: str, *answers: Answer) -> None:
        """Answer `METHOD /path` (queries don't count) so."""
        self._script[request] = list(answers)

    def asked(self, prefix: str) -> list[Received]:
        """The requests whose `METHOD /path?query` begins so, in order."""
        return [one for one in self.received if f"{one.method} {one.path}".startswith(prefix)]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        received = Received(request.method, request.raw_path, request.headers)
        self.received.append(received)
        answers = self._script.get(f"{request.method} {request.rel_url.raw_path}", [Reply(404, b"<html>no</html>")])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Reply):
            received.body = await request.read()
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        return await answer(request)


async def hang(request: web.Request) -> web.StreamResponse:
    """Read nothing of the body, and never answer."""
    await asyncio.Event().wait()
    raise AssertionError("never")


async def reset(request: web.Request) -> web.StreamResponse:
    """Break the connection."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def broken_after(part: bytes, length: int) -> Handler:
    """Promise `length` bytes, send `part`, and break the connection."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(length)})
        await response.prepare(request)
        await response.write(part)
        await asyncio.sleep(0)
        return await reset(request)

    return handler


def refusal(status: int, *codes: str, message: str = "", headers: Mapping[str, str] | None = None) -> Reply:
    """An error in the form that registries share."""
    errors = [{"code": code, "message": message or code.lower()} for code in codes]
    body = json.dumps({"errors": errors}).encode()
    return Reply(status, body, {"Content-Type": "application/json", **(headers or {})})


class StartScripted(Protocol):
    """Starts one more server, which ends with the test."""

    async def __call__(self) -> Scripted: ...


@asynccontextmanager
async def serve_scripted() -> AsyncIterator[Scripted]:
    server = Scripted()
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        server.host = f"127.0.0.1:{port}"
        yield server
    finally:
        await runner.cleanup()


@pytest.fixture
async def start_scripted() -> AsyncIterator[StartScripted]:
    """For a second server."""
    async with AsyncExitStack() as stack:

        async def start() -> Scripted:
            return await stack.enter_async_context(serve_scripted())

        yield start


@pytest.fixture
async def scripted(start_scripted: StartScripted) -> Scripted:
    """A server without a script yet."""
    return await start_scripted()
