"""The benchmark's long line: it brings all bytes, late, for many connections at once."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.servers import long_line

DELAY = 0.03  # seconds


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """A server that sends back what it gets, and closes when its client has said all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024) as server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


async def said_through(host: str, text: bytes) -> bytes:
    name, _, port = host.rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(port))

    async def say() -> None:
        writer.write(text)
        await writer.drain()
        writer.write_eof()

    _, answer = await asyncio.gather(say(), reader.read(-1))
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_line_takes_its_time_for_the_handshake_and_each_way(tmp_path: Path) -> None:
    async with echo() as server:
        with long_line(server, DELAY, tmp_path / "log") as host:
            start = time.monotonic()
            assert await said_through(host, b"hello") == b"hello"
            assert time.monotonic() - start >= 4 * DELAY


async def test_a_line_carries_many_connections_at_once(tmp_path: Path) -> None:
    async with echo() as server:
        with long_line(server, DELAY, tmp_path / "log") as host:
            texts = [b"%d" % number * 1000 for number in range(300)]
            assert await asyncio.gather(*(said_through(host, text) for text in texts)) == texts


async def test_a_line_brings_more_than_may_be_under_way_at_once(tmp_path: Path) -> None:
    text = bytes(range(256)) * (1 << 17)  # 32 MiB
    async with echo() as server:
        with long_line(server, DELAY, tmp_path / "log") as host:
            answer = await said_through(host, text)
    assert (len(answer), hashlib.sha256(answer).digest()) == (len(text), hashlib.sha256(text).digest())
