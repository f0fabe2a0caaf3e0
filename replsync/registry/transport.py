"""HTTP underneath the registry client: sessions, time-outs, redirects, waiting when told to.

Nothing in here knows what a registry is, or signs in; what a server says is
bounded before it is believed.
"""

import asyncio
import email.utils
import io
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from multidict import CIMultiDictProxy
from yarl import URL

from replsync import __version__
from replsync.errors import HostUnreachable, RegistryError, RegistryUnreachable, UntrustedConnection
from replsync.oci.reference import is_loopback
from replsync.registry.address import host_of, join, origin
from replsync.registry.watching import Waiting, nobody

MAX_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_BUFFER = 1024 * 1024
_SLICE = 128 * 1024

_PROXY = "see $HTTPS_PROXY and $HTTP_PROXY; hosts in $NO_PROXY are asked without a proxy"

Body = Callable[[], AsyncIterator[bytes]]
"""Opens the body of a request afresh, so that it can be sent again."""


@dataclass(frozen=True)
class TimeLimits:
    """How long a peer is waited for, in seconds.

    To connect, between two signs of life, and for a whole answer (a stream's
    excepted). A peer that asks for more patience than `retry_after` is asked
    again after that. `least_rate` is in bytes per second: a stream that is
    slower through a whole `idle` counts as broken.
    """

    connect: float = 10.0
    idle: float = 30.0
    answer: float = 300.0
    retry_after: float = 120.0
    least_rate: float = 1000.0


@dataclass(frozen=True)
class Answer:
    """A whole answer. `url` is where it came from in the end; its query may hold secrets: don't print it."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    url: str


class _Bytes(aiohttp.BytesIOPayload):
    """A body that aiohttp doesn't send again by itself, as it does with PUT: first the tag has to be looked at."""

    @property
    def consumed(self) -> bool:
        """Whether aiohttp may not send it again: it never may."""
        return True


class _Streamed(aiohttp.Payload):
    """A body of `size` bytes that is opened each time it is written, and closed by the task that wrote it."""

    def __init__(self, body: Body, size: int, idle: float, all_sent: Callable[[], None]) -> None:
        super().__init__(None, content_type="application/octet-stream")
        self._size: int = size
        self._open = body
        self._idle = idle
        self._all_sent = all_sent
        self._settled = asyncio.Event()
        self._settled.set()
        self.failure: Exception | None = None

    @property
    def consumed(self) -> bool:
        """Keeps aiohttp from sending the body again by itself: first the peer is asked whether it arrived."""
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002 - the signature is aiohttp's
        """Not for a stream."""
        raise TypeError("a streamed body has no text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:  # noqa: ARG002 - the signature is aiohttp's
        """Write the body, whose length is known already."""
        self._settled.clear()
        connection = writer.transport if isinstance(writer, StreamWriter) else None
        try:
            async with aclosing(self._parts()) as parts:
                async for part in parts:
                    async with asyncio.timeout(self._idle):  # the peer's time alone: a source keeps its own
                        await writer.write(part)
            self._all_sent()
        except asyncio.CancelledError:
            if connection:
                connection.abort()  # aiohttp only closes it, which waits until the peer has taken what is on its way
            raise
        finally:
            self._settled.set()

    async def settled(self) -> None:
        """Wait until nothing is written any more, and what was opened is closed."""
        await self._settled.wait()

    async def _parts(self) -> AsyncGenerator[memoryview, None]:
        given = 0
        parts = self._open()
        try:
            async for part in parts:
                given += len(part)
                if given > self._size:
                    break
                view = memoryview(part)  # in slices, so that the clock runs for each of them, not for a whole blob
                for at in range(0, len(view), _SLICE):
                    yield view[at : at + _SLICE]
            if given != self._size:
                raise RegistryError(f"the source gives {given} bytes or more, not the {self._size} that were announced")
        except Exception as error:  # kept, since aiohttp reports it as a lost connection
            self.failure = error
            raise
        finally:
            if isinstance(parts, AsyncGenerator):
                await parts.aclose()


class Transport:
    """One pool of connections for a run. An async context manager. `waiting` is told whenever a host is waited for."""

    def __init__(self, limits: TimeLimits | None = None) -> None:
        self.limits = limits or TimeLimits()
        self.waiting: Waiting = nobody
        self._proxies = getproxies()
        self._not_before: dict[str, tuple[float, str]] = {}  # when a host may be asked again, and why not sooner
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=self._timeout(total=None, read=self.limits.idle),
            # A digest is of the bytes as sent: so nothing is to be compressed on the way.
            headers={"User-Agent": f"replsync/{__version__}", "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_BUFFER,
            # aiohttp would take credentials from ~/.netrc along with proxies: see proxy_for.
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def fetch(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        data: bytes | None = None,
        form: Mapping[str, str] | None = None,
        limit: int,
    ) -> Answer:
        """Send one request and return the whole answer, at most `limit` bytes of it.

        GET and HEAD follow redirects. Raises RegistryUnreachable where no
        answer came, RegistryError where it is larger than `limit`.
        """
        sent = dict(form) if form is not None else _Bytes(io.BytesIO(data)) if data is not None else None
        timeout = self._timeout(total=self.limits.answer, read=self.limits.idle)
        async with self.open(method, url, headers, data=sent, timeout=timeout) as response:
            body = await read_bounded(response, limit)
            return Answer(response.status, response.headers, body, str(response.url))

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body, size: int, *, limit: int
    ) -> Answer:
        """Send a request whose body, of `size` bytes, is streamed; redirects are not followed.

        A peer that takes no byte for `idle` seconds counts as gone. What the
        body itself raises is raised as it is; RegistryError where it has another size.
        """
        timeout = self._timeout(total=None, read=self.limits.answer)
        clock = asyncio.timeout(None)  # runs from when all was sent: an answer in drips is none

        def all_sent() -> None:
            clock.reschedule(asyncio.get_running_loop().time() + self.limits.answer)

        streamed = _Streamed(body, size, self.limits.idle, all_sent)
        try:
            async with clock, self.open(method, url, headers, data=streamed, timeout=timeout) as response:
                answer = await read_bounded(response, limit)
                return Answer(response.status, response.headers, answer, str(response.url))
        except TimeoutError as error:
            raise _unreachable(error, url) from error
        except RegistryUnreachable as error:
            if streamed.failure:
                raise streamed.failure from error
            raise
        finally:
            await streamed.settled()

    def _timeout(self, *, total: float | None, read: float) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=total, sock_connect=self.limits.connect, sock_read=read)

    @asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        data: io.BytesIO | dict[str, str] | aiohttp.Payload | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and hand out the response as soon as its header is there.

        GET and HEAD follow redirects, at most 10; `Authorization` goes to the
        first origin only (CVE-2020-15157), and never from https to http.
        """
        first = origin(url)
        sent = dict(headers)
        for _ in range(MAX_REDIRECTS + 1):
            await self._wait(url)
            try:
                async with asyncio.timeout(None if isinstance(data, _Streamed) else self.limits.answer):
                    response = await self._session.request(
                        method,
                        URL(url, encoded=True),
                        headers=sent,
                        data=data,
                        allow_redirects=False,
                        proxy=self.proxy_for(url),
                        timeout=timeout or self._session.timeout,
                    )
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                raise _unreachable(error, url) from error
            if response.status in _REDIRECTS and method in ("GET", "HEAD"):
                target = response.headers.get("Location", "")
                response.release()
                url = join(url, target)
                if origin(url) != first:
                    sent = {name: value for name, value in sent.items() if name != "Authorization"}
                continue
            try:
                self._note_retry_after(response.status, response.headers, url)
                yield response
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise _unreachable(error, url) from error
            finally:
                # Not release(): the rest of a body that nobody wants isn't waited for.
                response.close() if not response.content.at_eof() else response.release()
            return
        raise RegistryError(f"{host_of(url)} redirects more than {MAX_REDIRECTS} times")

    async def parts(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """Stream the rest of an answer. Raises TimeoutError where it comes too slowly: see `TimeLimits.least_rate`.

        Only the time counts that the peer was waited for, not what the reader does in between.
        """
        waited, received = 0.0, 0
        while True:
            asked = time.monotonic()
            part, _ = await response.content.readchunk()  # as it came: to put parts together costs a copy
            waited += time.monotonic() - asked
            received += len(part)
            if not part and response.content.at_eof():
                return
            if waited >= self.limits.idle:
                if received < self.limits.least_rate * waited:
                    raise TimeoutError
                waited, received = 0.0, 0
            yield part

    async def _wait(self, url: str) -> None:
        """Wait where the host asked for it, whichever request it told so."""
        host = host_of(url)
        while host in self._not_before and (seconds := self._not_before[host][0] - time.monotonic()) > 0:
            self.waiting(host, seconds, self._not_before[host][1])
            await asyncio.sleep(seconds)

    def _note_retry_after(self, status: int, headers: CIMultiDictProxy[str], url: str) -> None:
        if status in (429, 503) and (seconds := retry_after(headers.get("Retry-After"), time.time())) is not None:
            seconds = min(seconds, self.limits.retry_after)
            host = host_of(url)
            until = time.monotonic() + seconds
            if until > self._not_before.get(host, (0.0, ""))[0]:
                self._not_before[host] = until, f"{status} from {host}"

    def proxy_for(self, url: str) -> str | None:
        """Return the proxy that `url` is asked through, by the environment; None where there is none."""
        parts = urlsplit(url)
        # This machine is no business of a proxy's, as for Docker; urllib would need it in $NO_PROXY.
        if not parts.hostname or is_loopback(host_of(url)) or proxy_bypass(parts.hostname):
            return None
        proxy = self._proxies.get(parts.scheme) or self._proxies.get("all")
        return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def retry_after(value: str | None, now: float) -> float | None:
    """Read Retry-After, seconds or a date (RFC 9110, 10.2.3), as seconds from `now`, 0 or more."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if seconds == seconds else None


async def read_bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the rest of an answer. Raises RegistryError where it is more than `limit` bytes."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > limit:
            raise RegistryError(f"{host_of(str(response.url))} sent more than the {limit} bytes that are read")
        parts.append(part)
    return b"".join(parts)


def _unreachable(error: BaseException, url: str) -> RegistryError:
    """Name what went wrong. RegistryUnreachable may pass, and is worth a retry; a RegistryError isn't."""
    host = host_of(url)
    hint = f"check the host name and the network; see whether this answers: {'/'.join(url.split('/')[:3])}/v2/"
    match error:
        case aiohttp.ClientConnectorCertificateError():
            why = f"its certificate is not trusted ({error.certificate_error})"
            return UntrustedConnection(f"{host}: {why}", hint="set SSL_CERT_FILE to the certificate authority's file")
        case aiohttp.ClientConnectorDNSError():
            return HostUnreachable(f"{host}: no such host", hint=hint)
        case aiohttp.ClientSSLError():
            hint = f"if it speaks http only, and the network is trusted: --plain-http {host}"
            return UntrustedConnection(f"{host}: TLS failed", hint=hint)
        case aiohttp.ClientHttpProxyError():
            why = f"its proxy refused the way there ({error.status})"
            return RegistryError(f"{host}: {why}", hint=_PROXY)
        case aiohttp.ClientProxyConnectionError():
            number = error.os_error.errno
            why = os.strerror(number).lower() if number and number > 0 else "can't connect"
            return HostUnreachable(f"{host}: its proxy {error.host}:{error.port}: {why}", hint=_PROXY)
        case aiohttp.ConnectionTimeoutError():
            return HostUnreachable(f"{host}: no connection in time", hint=hint)
        case TimeoutError():
            why = "no answer in time"
            hint = "try again; --timeout gives it longer"
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            why = os.strerror(number).lower() if number and number > 0 else "can't connect"
            return HostUnreachable(f"{host}: {why}", hint=hint)
        case (
            aiohttp.ServerDisconnectedError()
            | aiohttp.ClientOSError()
            | ConnectionError()
            | aiohttp.ClientPayloadError()
        ):
            why = "the connection broke"
            hint = "try again"
        case aiohttp.ClientError() | OSError() | ValueError():
            why = f"the connection failed ({type(error).__name__})"
        case _:
            raise error
    return RegistryUnreachable(f"{host}: {why}", hint=hint)
