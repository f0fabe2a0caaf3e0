"""The way to a host, step by step: its addresses, a connection, TLS. For finding out where it ends."""

import asyncio
import os
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Secured:
    """What TLS came to: its version, who issued the certificate, and until when that holds, in seconds since 1970."""

    version: str
    issuer: str
    ends_at: float


async def addresses_of(name: str, port: int) -> tuple[str, ...]:
    """Look a host up, and return its addresses in the system's order.

    In a thread that nobody waits for: the system's resolver can't be
    interrupted. Raises OSError where there are none.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[tuple[str, ...]] = loop.create_future()

    def settle(outcome: tuple[str, ...] | OSError) -> None:
        if found.done():
            return
        if isinstance(outcome, OSError):
            found.set_exception(outcome)
        else:
            found.set_result(outcome)

    def look() -> None:
        outcome: tuple[str, ...] | OSError
        try:
            entries = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
            outcome = tuple(dict.fromkeys(str(entry[4][0]) for entry in entries))
        except OSError as error:
            outcome = error
        except UnicodeError:
            outcome = OSError("no name that can be looked up")
        with suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=look, daemon=True).start()
    return await found


@asynccontextmanager
async def connection_to(addresses: Iterable[str], port: int) -> AsyncIterator[tuple[str, asyncio.StreamWriter]]:
    """Connect to the first of `addresses` that takes it; gives that address, too. Raises OSError of the last."""
    failure = OSError("no address")
    for address in addresses:
        try:
            _, writer = await asyncio.open_connection(address, port)
        except OSError as error:
            failure = error
            continue
        try:
            yield address, writer
        finally:
            writer.transport.abort()
        return
    raise failure


async def secure(writer: asyncio.StreamWriter, name: str) -> Secured:
    """Make TLS of a connection to the host `name`, trusting whom replsync trusts. Raises ssl.SSLError and OSError."""
    await writer.start_tls(ssl.create_default_context(), server_hostname=name)
    secured = writer.get_extra_info("ssl_object")
    certificate = secured.getpeercert()
    issuer = {key: value for part in certificate.get("issuer", ()) for key, value in part}
    return Secured(
        str(secured.version()),
        str(issuer.get("organizationName") or issuer.get("commonName") or "nobody that is named"),
        float(ssl.cert_time_to_seconds(certificate["notAfter"])),
    )


def why_not_trusted(error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    """Say what is wrong with a certificate, and what to do about it."""
    message = error.verify_message.rstrip(".")
    said = f"the certificate is not trusted: {message[:1].lower()}{message[1:]}"
    lower = message.lower()
    if "expired" in lower or "not yet valid" in lower:
        return said, "if this machine's clock is right, whoever runs the registry has to renew its certificate"
    if "mismatch" in lower:
        return said, "name the registry as its certificate does"
    file = os.environ.get("SSL_CERT_FILE")
    if file and not os.path.isfile(file):  # noqa: PTH113 - OpenSSL looks at it in the same way, and says nothing
        return said, f"SSL_CERT_FILE is {file}, and there is no such file"
    return said, (
        "set SSL_CERT_FILE to a file with the certificate of the authority that issued it, or with the registry's own "
        "where it is self-signed"
    )


def date_of(seconds: float) -> str:
    """Return the day of a time in seconds since 1970, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
