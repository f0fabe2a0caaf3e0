"""What may stand in front of a registry: TLS with a certificate of our own, and a proxy for CONNECT."""

import asyncio
import contextlib
import ssl
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.process import program

_PART = 65536

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate, and its key."""

    certificate: Path
    key: Path


@dataclass
class ConnectProxy:
    """A running proxy; `asked` has the first line of each request, `signed` what came as Proxy-Authorization."""

    host: str = ""
    asked: list[str] = field(default_factory=list)
    signed: list[str] = field(default_factory=list)


def certificate_for(name: str, folder: Path, days: int = 365) -> Certificate:
    """Make one that holds for so many days."""
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    names = f"subjectAltName=DNS:{name},IP:127.0.0.1"
    what = ["-nodes", "-subj", "/O=Acme Tests", "-addext", names, "-days", str(days)]
    where = ["-keyout", str(made.key), "-out", str(made.certificate)]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command = [program("openssl", "openssl"), "req", "-x509", *kind, *what, *where]
    subprocess.run(command, check=True, capture_output=True)
    return made


@contextlib.contextmanager
def tls_before(upstream: str, certificate: Certificate) -> Iterator[str]:
    """Speak TLS for the server `upstream` (HOST:PORT) until the block ends; yields HOST:PORT."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _join(reader, writer, upstream)

    with _serving(handle, context) as host:
        yield host


@contextlib.contextmanager
def connect_proxy(upstream: str, refuses: str | None = None) -> Iterator[ConnectProxy]:
    """Lead every CONNECT to `upstream`, whichever host it names, or refuse it with this status line."""
    proxy = ConnectProxy()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        proxy.asked.append(head[0])
        proxy.signed += [line for line in head if line.lower().startswith("proxy-authorization:")]
        writer.write(f"HTTP/1.1 {refuses or '200 OK'}\r\n\r\n".encode())
        await writer.drain()
        if refuses is None:
            await _join(reader, writer, upstream)

    with _serving(handle, None) as host:
        proxy.host = host
        yield proxy


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: str) -> None:
    name, _, port = upstream.rpartition(":")
    there, back = await asyncio.open_connection(name, int(port))
    try:
        await asyncio.gather(_pump(reader, back), _pump(there, writer))
    finally:
        back.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(_PART):
        writer.write(part)
        await writer.drain()
    writer.close()


@contextlib.contextmanager
def _serving(handle: Handler, context: ssl.SSLContext | None) -> Iterator[str]:
    started = threading.Event()
    found: list[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # the client went away
            await handle(reader, writer)
        writer.transport.abort()

    async def serve() -> None:
        stop = asyncio.Event()
        server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=context)
        found.append((f"127.0.0.1:{server.sockets[0].getsockname()[1]}", asyncio.get_running_loop(), stop))
        started.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(30)
        yield found[0][0]
    finally:
        for _, loop, stop in found:
            loop.call_soon_threadsafe(stop.set)
        thread.join(30)
