"""HTTP underneath the registry client: sessions, time-outs, redirects, waiting when told to.

Nothing in here knows what a registry is, or signs in; what a server says is
bounded before it is believed.
"""

import asyncio
import email.utils
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from replsync import __version__
from replsync.errors import RegistryError, RegistryUnreachable

MAX_REDIRECTS = 10
MAX_RETRY_AFTER = 120.0
"""Seconds; a server that asks for more is asked again after this."""

_REDIRECTS = (301, 302, 303, 307, 308)
_BUFFER = 1024 * 1024

Body = Callable[[], AsyncIterator[bytes]]
"""Opens the body of a request afresh, so that it can be sent again."""


@dataclass(frozen=True)
class TimeLimits:
    """Seconds: to connect, between two signs of life, and for the answer to a body that was sent."""

    connect: float = 10.0
    idle: float = 30.0
    answer: float = 300.0


@dataclass(frozen=True)
class Answer:
    """A whole answer. `url` is where it came from in the end; its query may hold secrets: don't print it."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    url: str


def origin(url: str) -> tuple[str, str]:
    """Scheme and host with port: what a credential is bound to."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return parts.scheme, f"{parts.hostname}:{port}"


def host_of(url: str) -> str:
    """Host and port of `url`, for messages: never its path or query."""
    return urlsplit(url).netloc.rpartition("@")[2]


class Transport:
    """One pool of connections for a run. An async context manager."""

    def __init__(self, limits: TimeLimits | None = None) -> None:
        self.limits = limits or TimeLimits()
        self._proxies = getproxies()
        self._not_before: dict[str, float] = {}
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.limits.connect, sock_read=self.limits.idle),
            headers={"User-Agent": f"replsync/{__version__}"},
            auto_decompress=False,  # a digest is of the bytes as sent
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_BUFFER,
            # aiohttp would take credentials from ~/.netrc along with proxies: see _proxy.
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
        async with self.open(method, url, headers, data=data if form is None else dict(form)) as response:
            body = await _read(response, limit)
            return Answer(response.status, response.headers, body, str(response.url))

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: Body, *, limit: int) -> Answer:
        """Send a request whose body is streamed; redirects are not followed.

        A peer that takes no byte for `idle` seconds counts as gone. What the
        body itself raises is raised as it is.
        """
        loop = asyncio.get_running_loop()
        broken: list[BaseException] = []

        try:
            async with asyncio.timeout(self.limits.connect + self.limits.idle) as deadline:

                async def watched() -> AsyncIterator[bytes]:
                    try:
                        async for part in body():
                            yield part
                            deadline.reschedule(loop.time() + self.limits.idle)
                    except Exception as error:  # kept, since aiohttp reports it as a lost connection
                        broken.append(error)
                        raise
                    deadline.reschedule(loop.time() + self.limits.answer)

                timeout = aiohttp.ClientTimeout(
                    total=None, sock_connect=self.limits.connect, sock_read=self.limits.answer
                )
                async with self.open(method, url, headers, data=watched(), timeout=timeout) as response:
                    answer = await _read(response, limit)
                    return Answer(response.status, response.headers, answer, str(response.url))
        except TimeoutError as error:
            raise _unreachable(error, url) from error
        except RegistryUnreachable as error:
            if broken:
                raise broken[0] from error
            raise

    @asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        data: bytes | dict[str, str] | AsyncIterator[bytes] | None = None,
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
                response = await self._session.request(
                    method,
                    URL(url, encoded=True),
                    headers=sent,
                    data=data,
                    allow_redirects=False,
                    proxy=self._proxy(url),
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

    async def _wait(self, url: str) -> None:
        """Wait where the host asked for it, whichever request it told so."""
        while (seconds := self._not_before.get(host_of(url), 0.0) - time.monotonic()) > 0:
            await asyncio.sleep(seconds)

    def _note_retry_after(self, status: int, headers: CIMultiDictProxy[str], url: str) -> None:
        if status in (429, 503) and (seconds := retry_after(headers.get("Retry-After"), time.time())) is not None:
            self._not_before[host_of(url)] = time.monotonic() + seconds

    def _proxy(self, url: str) -> str | None:
        parts = urlsplit(url)
        if not parts.hostname or proxy_bypass(parts.hostname):
            return None
        return self._proxies.get(parts.scheme) or self._proxies.get("all")


def join(base: str, location: str) -> str:
    """Return the URL that `location`, perhaps relative, names from `base`.

    Raises RegistryError where it leads from https to http, or to no URL at all.
    """
    try:
        url = str(URL(base, encoded=True).join(URL(location, encoded=True)))
        parts = urlsplit(url)
    except ValueError as error:
        raise RegistryError(f"{host_of(base)} sends to an address that can't be read") from error
    if not location or parts.scheme not in ("http", "https") or not parts.hostname:
        raise RegistryError(f"{host_of(base)} sends to an address that can't be read")
    if base.startswith("https:") and parts.scheme != "https":
        raise RegistryError(f"{host_of(base)} sends from https to http ({host_of(url)}), which is not followed")
    return url


def retry_after(value: str | None, now: float) -> float | None:
    """Read Retry-After, seconds or a date (RFC 9110, 10.2.3), as seconds from `now`, 0 to 120."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER) if seconds == seconds else None


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
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
            return RegistryError(f"{host}: {why}", hint="set SSL_CERT_FILE to the certificate authority's file")
        case aiohttp.ClientConnectorDNSError():
            why = "no such host"
        case aiohttp.ClientSSLError():
            hint = f"if it speaks http only, and the network is trusted: --plain-http {host}"
            return RegistryError(f"{host}: TLS failed", hint=hint)
        case TimeoutError():
            why = "no answer in time"
            hint = "try again; --timeout gives it longer"
        case aiohttp.ClientConnectorError():
            why = error.os_error.strerror or "can't connect"
        case aiohttp.ServerDisconnectedError() | ConnectionResetError() | aiohttp.ClientPayloadError():
            why = "the connection broke"
            hint = "try again"
        case aiohttp.ClientError() | OSError() | ValueError():
            why = f"the connection failed ({type(error).__name__})"
        case _:
            raise error
    return RegistryUnreachable(f"{host}: {why}", hint=hint)
