"""HTTP/1.1 on raw streams: heads and bodies as they come, and the ways in which a connection ends."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Self

_MAX_HEAD = 64 * 1024
_PIECE = 16 * 1024
_RECEIVE = 32 * 1024  # bytes that the system keeps for a reader: a sender is to feel that nobody reads
_SETTLE = 0.02  # seconds for what was written to reach the peer before the connection breaks
_LINGER = 2.0  # seconds for the peer to hang up after an orderly close


@dataclass
class Head:
    """A start line and headers, in their order."""

    start: str
    headers: list[tuple[str, str]]

    def get(self, name: str) -> str:
        """The value of a header; empty where there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def without(self, *names: str) -> Self:
        """A copy that lacks these headers."""
        dropped = {name.lower() for name in names}
        return type(self)(self.start, [(key, value) for key, value in self.headers if key.lower() not in dropped])

    def encode(self) -> bytes:
        """The bytes, with the empty line that ends them."""
        lines = [self.start, *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    @property
    def length(self) -> int | None:
        """The body's bytes as announced; None where they aren't."""
        value = self.get("Content-Length")
        return int(value) if value.isdecimal() else None

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return "chunked" in self.get("Transfer-Encoding").lower()


class Request(Head):
    """The head of a request."""

    @property
    def method(self) -> str:
        """GET, for one."""
        return self.start.split(" ")[0]

    @property
    def path(self) -> str:
        """The path with its query, as it came."""
        return self.start.split(" ")[1]

    @property
    def has_body(self) -> bool:
        """Whether a body follows."""
        return self.is_chunked or bool(self.length)


class Response(Head):
    """The head of an answer."""

    @property
    def status(self) -> int:
        """200, for one."""
        return int(self.start.split(" ")[1])

    def has_body(self, method: str) -> bool:
        """Whether a body follows the answer to a request by `method` (RFC 9112, 6.3)."""
        return method != "HEAD" and self.status not in (204, 304)


class BrokenMessage(Exception):
    """The peer said something that is no HTTP, or hung up in the middle."""


class _Reader(asyncio.StreamReader):
    """Keeps what came before a reset: a server that answers early resets who goes on sending."""

    def set_exception(self, exc: Exception) -> None:
        self.feed_eof()


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, host: str) -> Self:
        """Open a connection to HOST:PORT."""
        name, _, port = host.rpartition(":")
        loop = asyncio.get_running_loop()
        reader = _Reader(limit=_MAX_HEAD, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.create_connection(lambda: protocol, name, int(port))
        return cls(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    async def read_head(self) -> Head | None:
        """The next head; None where the peer has hung up in between. Raises BrokenMessage."""
        try:
            raw = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                return None
            raise BrokenMessage("half a head") from error
        except (asyncio.LimitOverrunError, ConnectionError) as error:
            raise BrokenMessage("no head") from error
        start, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        pairs = [line.partition(":") for line in lines]
        return Head(start, [(name.strip(), value.strip()) for name, _, value in pairs])

    async def read_body(self, head: Head, *, to_the_end: bool = False) -> AsyncIterator[bytes]:
        """The body's bytes without its framing; `to_the_end` of the connection where no length is announced."""
        try:
            if head.is_chunked:
                while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
                    async for piece in self._read(size):
                        yield piece
                    await self._reader.readexactly(2)
                while await self._reader.readuntil(b"\r\n") != b"\r\n":
                    pass
            elif head.length is not None:
                async for piece in self._read(head.length):
                    yield piece
            elif to_the_end:
                while piece := await self._reader.read(_PIECE):
                    yield piece
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError) as error:
            raise BrokenMessage("half a body") from error

    async def _read(self, size: int) -> AsyncIterator[bytes]:
        while size:
            piece = await self._reader.read(min(size, _PIECE))
            if not piece:
                raise BrokenMessage("half a body")
            size -= len(piece)
            yield piece

    async def write(self, data: bytes) -> None:
        """Send. Raises BrokenMessage where the peer is gone."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError as error:
            raise BrokenMessage("the peer hung up") from error

    async def drip(self, data: bytes, pause: float) -> None:
        """Send a byte, wait for `pause` seconds, and so on."""
        for byte in data:
            await self.write(bytes([byte]))
            await asyncio.sleep(pause)

    async def sip(self, pause: float) -> None:
        """Take in a byte, wait for `pause` seconds, and so on, until the peer hangs up."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(1):
                await asyncio.sleep(pause)

    async def reset(self) -> None:
        """Break the connection: the peer gets RST, after what was written before."""
        await asyncio.sleep(_SETTLE)
        connection = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.drop()

    async def end(self) -> None:
        """Close in order: the peer gets FIN, and what it still sends is read, since unread bytes would make it RST."""
        with contextlib.suppress(OSError, TimeoutError, BrokenMessage):
            if self._writer.can_write_eof():
                self._writer.write_eof()
            async with asyncio.timeout(_LINGER):
                while await self._reader.read(_PIECE):
                    pass
        self.drop()

    def drop(self) -> None:
        """Let go of it, whatever is under way."""
        self._writer.transport.abort()


def listening_socket() -> socket.socket:
    """A free loopback port, with small buffers."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE)
    listener.bind(("127.0.0.1", 0))
    return listener


def as_chunk(piece: bytes) -> bytes:
    """`piece` in the framing of chunked bodies."""
    return b"%x\r\n%s\r\n" % (len(piece), piece)


LAST_CHUNK = b"0\r\n\r\n"


def response(status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> tuple[Response, bytes]:
    """An answer of our own, with its length."""
    head = Response(f"HTTP/1.1 {status} Fault", [*headers, ("Content-Length", str(len(body)))])
    return head, body
