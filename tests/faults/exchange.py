"""One request on its way through the proxy: as far as it goes, and what comes back."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.faults.fault import Ceiling, What
from tests.faults.kinds import WITH_BODY, Kind, Position
from tests.faults.wire import LAST_CHUNK, BrokenMessage, Head, Request, Response, Wire, as_chunk, response

_ONE_HOP = ("Connection", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade", "Expect", "Host")
_NAMING = ("location", "www-authenticate", "link")
_TINY = 1024  # bytes in one go where a rate holds


@dataclass
class Seen:
    """A request that the proxy got, what was done to it, and what was answered (0: nothing)."""

    kind: Kind
    method: str
    path: str
    fault: What | None = None
    status: int = 0


class RegistryHungUp(BrokenMessage):
    """The registry ended the connection before it answered: it does where it answers early, and its answer is lost."""


class Incoming:
    """A body that is read up to some byte, and then further."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self.offset = 0
        self.is_done = False

    async def read(self, until: int | None = None) -> AsyncIterator[bytes]:
        """The pieces up to the byte at `until`, or to the end."""
        while until is None or self.offset < until:
            piece = self._rest or await anext(self._pieces, b"")
            if not piece:
                self.is_done = True
                return
            most = len(piece) if until is None else until - self.offset
            piece, self._rest = piece[:most], piece[most:]
            self.offset += len(piece)
            yield piece

    async def whole(self) -> bytes:
        """All that is left."""
        return b"".join([piece async for piece in self.read()])


class Exchange:
    """A request from `client`, for the registry at `upstream`; the proxy itself is `own`."""

    def __init__(
        self, client: Wire, request: Request, kind: Kind, upstream: str, own: str, ceiling: Ceiling | None
    ) -> None:
        self.client = client
        self.request = request
        self.kind = kind
        self.seen = Seen(kind, request.method, request.path)
        self.upstream = upstream
        self.own = own
        self.keeps_alive = request.get("Connection").lower() != "close"
        self.is_answering = False
        self._ceiling = ceiling
        self._body = Incoming(client.read_body(request))
        self._length = request.length or 0
        self._registry: Wire | None = None
        self._hearing: asyncio.Task[Head | None] | None = None

    @property
    def has_body(self) -> bool:
        """Whether positions are those of the request's body."""
        return self.kind in WITH_BODY and self.request.has_body

    async def measure(self) -> None:
        """Find out where the middle of the body is; one in chunks has to be read for it."""
        if self.request.is_chunked:
            await self.whole_body()

    async def whole_body(self) -> bytes:
        """Read the body before it is sent on."""
        await self.go_on()
        whole = await self._body.whole()
        self._length = len(whole)
        self._body = Incoming(_pieces_of(whole))
        return whole

    def offset(self, position: Position) -> int:
        """How many bytes of the request's body are before `position`."""
        return offset_in(self._length, position)

    async def go_on(self) -> None:
        """Tell a client that waits for it that its body is wanted (RFC 9110, 10.1.1)."""
        if "100-continue" in self.request.get("Expect").lower():
            self.request = Request(self.request.start, self.request.without("Expect").headers)
            await self.client.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def forward(self, until: int | None = None, *, change: tuple[int, int] | None = None, path: str = "") -> None:
        """Send the request on, its body as far as the byte at `until`; `change` is an offset and what is put there."""
        await self.go_on()
        head = self.request.without(*_ONE_HOP)
        head.start = f"{self.request.method} {path or self.request.path} HTTP/1.1"
        head.headers += [("Host", self.upstream), ("Connection", "close")]
        self._registry = await Wire.connect(self.upstream)
        await self._registry.write(head.encode())
        self._hearing = asyncio.create_task(self._registry.read_head())
        has_answered = False
        async for piece in self._body.read(until):
            start = self._body.offset - len(piece)
            sent = changed(piece, change[0] - start, change[1]) if change else piece
            await self._pace(len(piece))
            await asyncio.sleep(0)  # for an answer to come in
            has_answered = has_answered or self._hearing.done()
            if not has_answered:
                with contextlib.suppress(BrokenMessage):  # the client goes on sending all the same
                    await self._registry.write(as_chunk(sent) if head.is_chunked else sent)
        if head.is_chunked and until is None and not has_answered:
            with contextlib.suppress(BrokenMessage):
                await self._registry.write(LAST_CHUNK)

    async def hear(self) -> tuple[Response, bytes]:
        """The whole answer to what was forwarded, with its length in place of other framing."""
        head, registry = await self._answer()
        body = b""
        if head.has_body(self.request.method):
            body = b"".join([piece async for piece in registry.read_body(head, to_the_end=True)])
            headers = [*head.without("Content-Length", "Transfer-Encoding").headers, ("Content-Length", str(len(body)))]
            head = Response(head.start, headers)
        return head, body

    async def pass_on(self) -> None:
        """Send the answer to what was forwarded back to the client, as it comes."""
        head, registry = await self._answer()
        self._begin(head)
        if not head.has_body(self.request.method):
            await self.client.write(head.encode())
            return
        out = head
        if as_chunks := head.length is None:
            kept = head.without("Transfer-Encoding").headers
            out = Response(head.start, [*kept, ("Transfer-Encoding", "chunked")])
        await self.client.write(out.encode())
        async for piece in registry.read_body(head, to_the_end=True):
            step = _TINY if self._ceiling else len(piece)
            for part in (piece[start : start + step] for start in range(0, len(piece), step)):
                await self.client.write(as_chunk(part) if as_chunks else part)
                await self._pace(len(part))
        if as_chunks:
            await self.client.write(LAST_CHUNK)

    async def say(self, head: Response, body: bytes = b"") -> None:
        """Answer the client. Where it still sends a body, the connection ends after that."""
        if self.request.has_body and not self._body.is_done:
            self.keeps_alive = False
        if not self.keeps_alive:
            head = Response(head.start, [*head.headers, ("Connection", "close")])
        self._begin(head)
        await self.client.write(head.encode() + (body if head.has_body(self.request.method) else b""))

    async def refuse(self, status: int, code: str, *headers: tuple[str, str]) -> None:
        """Answer with an error in the form that registries share; without `code`, as a proxy on the way would."""
        if code:
            errors = [{"code": code, "message": code.lower().replace("_", " ")}]
            body, kind = json.dumps({"errors": errors}).encode(), "application/json"
        else:
            body, kind = f"<html><h1>{status}</h1></html>".encode(), "text/html"
        await self.say(*response(status, [("Content-Type", kind), *headers], body))

    async def ask(self, method: str) -> None:
        """Send another request about the same path, on the client's behalf, and wait for its answer."""
        head = Request(f"{method} {self.request.path} HTTP/1.1", [("Host", self.upstream), ("Connection", "close")])
        head.headers += [("Authorization", value) for value in [self.request.get("Authorization")] if value]
        registry = await Wire.connect(self.upstream)
        try:
            await registry.write(head.encode())
            await registry.read_head()
        finally:
            registry.drop()

    def drop_upstream(self) -> None:
        """Hang up on the registry."""
        if self._hearing:
            self._hearing.cancel()
            self._hearing = None
        if self._registry:
            self._registry.drop()
            self._registry = None

    async def _answer(self) -> tuple[Response, Wire]:
        assert self._registry
        assert self._hearing
        head = await self._hearing
        if head is None:
            raise RegistryHungUp("no answer")
        own = [
            (name, value.replace(f"//{self.upstream}", f"//{self.own}") if name.lower() in _NAMING else value)
            for name, value in head.without("Connection", "Keep-Alive").headers
        ]
        return Response(head.start, own), self._registry

    def _begin(self, head: Response) -> None:
        self.is_answering = True
        self.seen.status = head.status

    async def _pace(self, size: int) -> None:
        if self._ceiling:
            await asyncio.sleep(size / self._ceiling.rate)


def offset_in(length: int, position: Position) -> int:
    """Where `position` is in `length` bytes."""
    match position:
        case Position.FIRST:
            return 0
        case Position.MIDDLE:
            return length // 2
        case Position.LAST:
            return max(length - 1, 0)
        case Position.AFTER:
            return length


def changed(data: bytes, at: int, value: int) -> bytes:
    """`data` with another byte at `at`, if that is in there: `value`, or one near it."""
    if not 0 <= at < len(data):
        return data
    return data[:at] + bytes([value if data[at] != value else value ^ 0x01]) + data[at + 1 :]


async def _pieces_of(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data
