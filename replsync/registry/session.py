"""Requests to one registry: signed, limited in number, tried again where that is safe."""

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace

from replsync.errors import HostUnreachable, RegistryError, RegistryUnreachable, ReplsyncError, SignInError
from replsync.oci.reference import DOCKER_HUB, is_loopback
from replsync.registry.address import host_of, join, origin
from replsync.registry.blotting import repeats
from replsync.registry.chunk_size import ChunkBounds, ChunkSize
from replsync.registry.credentials import Credential, CredentialStore
from replsync.registry.persistence import PASSING, Persistence, persistently
from replsync.registry.places import Places
from replsync.registry.refusal import MAX_ERROR_BODY, failure, named, not_signed_in, read_errors
from replsync.registry.sign_in import (
    Challenge,
    basic_header,
    read_token,
)
from replsync.registry.token_exchange import ask_for_token, usable_challenge
from replsync.registry.transport import Answer, Body, Transport, read_bounded
from replsync.registry.watching import why_again

SMALL_BLOB = 1_000_000
"""Bytes up to which a blob counts as any other request, and is held in memory."""

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-")

Scopes = tuple[str, ...]


def pull(repository: str) -> str:
    """The scope to read from `repository`."""
    return f"repository:{repository}:pull"


def push(repository: str) -> str:
    """The scope to write to `repository`."""
    return f"repository:{repository}:pull,push"


def base_of(host: str, *, plain_http: bool) -> str:
    """Return scheme and host of the registry that images of `host` are in."""
    scheme = "http" if plain_http or is_loopback(host) else "https"
    return f"{scheme}://{'registry-1.docker.io' if host == DOCKER_HUB else host}"


@dataclass(frozen=True)
class _Pass:
    """What signs requests: a value for Authorization (or nothing), the credential behind it, and until when."""

    header: str = field(repr=False)
    credential: Credential | None
    expires_at: float

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": self.header} if self.header else {}


_NO_PASS = _Pass("", None, math.inf)


class Session:
    """The way to one registry's host, and what this run has learnt of it.

    `parallelism` bounds the requests under way at once, `transfers` the large
    blobs; both begin lower and follow how the host is doing. Loopback hosts
    speak http, all others https unless `plain_http`.
    """

    def __init__(
        self,
        host: str,
        transport: Transport,
        credentials: CredentialStore,
        *,
        parallelism: int,
        transfers: int,
        persistence: Persistence,
        chunks: ChunkBounds,
        plain_http: bool,
    ) -> None:
        self.host = host
        self.persistence = persistence
        self.least_rate = transport.limits.least_rate
        self.chunk_size = ChunkSize(chunks)
        self.takes_chunks = True
        self.has_taken_chunks = False
        self.base = base_of(host, plain_http=plain_http)
        self._transport = transport
        self._credentials = credentials
        self._places = Places(parallelism)
        self.downloads = Places(min(transfers, parallelism))
        self.uploads = Places(min(transfers, parallelism))
        self._challenge: Challenge | None = None
        self._passes: dict[Scopes, _Pass] = {}
        self._asking: dict[Scopes, asyncio.Lock] = {}
        self._credentials_used: set[str] = set()
        self._tokens: dict[
            Scopes, tuple[str, ...]
        ] = {}  # the last two of each: what is renewed may still be on its way
        self._answered_at = -math.inf
        self._gave_up: tuple[float, RegistryError] | None = None  # when a call's last try failed, and how

    async def call(
        self,
        operation: str,
        method: str,
        path: str,
        scopes: Scopes,
        *,
        ok: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        limit: int = MAX_ERROR_BODY,
        once: bool = False,
        in_turn: bool = False,
    ) -> Answer:
        """Send a request, again where the failure may pass, and return an answer with a status in `ok`.

        `operation` begins the message of every error: SignInError,
        PermissionDenied, NotFound, RegistryError. `once` is for callers that try
        again themselves, `in_turn` for those that hold a `turn`.
        """

        async def attempt() -> Answer:
            url = self._url(operation, path)

            async def send(signed: dict[str, str]) -> Answer:
                return await self._transport.fetch(method, url, signed, data=data, limit=limit)

            answer = await self._signed(operation, url, scopes, headers or {}, send)
            if answer.status not in ok:
                raise self.failure(operation, answer, scopes)
            # As a tag or a media type it would be shown.
            if repeats(answer.headers, answer.body, self._secrets(scopes)):
                raise RegistryError(f"{operation}: the registry answers with the credential that it was sent")
            return answer

        asked = time.monotonic()
        async with nullcontext() if in_turn else self.turn():
            if once:
                return await attempt()
            return await self._persistently(operation, attempt, asked)

    async def _persistently(self, operation: str, attempt: Callable[[], Awaitable[Answer]], asked: float) -> Answer:
        """Try again and again, but not each call by itself where the host as a whole turns us away.

        What waited while another call used up all its tries shares its fate;
        what comes later gets one try, until the host answers something again.
        """
        begun = time.monotonic()
        persistence = self.persistence
        if self._gave_up:
            gave_up_at, reason = self._gave_up
            if asked < gave_up_at:
                why = f"{self.host} answered no other request in {persistence.attempts} tries"
                message = f"{operation}: not tried, since {why}"
                raise RegistryUnreachable(message, hint=reason.hint, status=reason.status, codes=reason.codes)
            persistence = replace(persistence, attempts=1)
        try:
            return await persistently(persistence, attempt, waiting=self.waits)
        except RegistryError as error:
            is_of_host = isinstance(error, HostUnreachable) or error.status in (429, 503)
            if is_of_host and self._answered_at < begun:
                self._gave_up = time.monotonic(), error
            raise

    @property
    def asked_to_sign_in(self) -> bool:
        """Whether the registry has told how it wants one to sign in."""
        return self._challenge is not None

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Have one of the host's places, for as long as it is held.

        Held around all tries of a call: their clock must not run while others
        have their turn. Whoever has one waits for nothing else, so that nobody waits for ever.
        """
        return self._places.one()

    async def upload(
        self,
        operation: str,
        method: str,
        url: str,
        scopes: Scopes,
        headers: Mapping[str, str],
        body: Body,
        size: int,
        *,
        in_turn: bool,
    ) -> Answer:
        """Send a streamed body, once: whether it arrived is for the caller to find out. Any status is returned.

        `in_turn` is for what has one of the `uploads`: it takes no other place.
        """

        async def send(signed: dict[str, str]) -> Answer:
            return await self._transport.send(method, url, signed, body, size, limit=MAX_ERROR_BODY)

        async with nullcontext() if in_turn else self.turn():
            return await self._signed(operation, url, scopes, headers, send)

    @asynccontextmanager
    async def stream(
        self, operation: str, path: str, scopes: Scopes, start: int, size: int
    ) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """Open a GET of what has `size` bytes, from byte `start` on; gives the byte that the parts really begin at.

        Not tried again: only the caller knows what it has used already. It
        takes no place: whoever reads much has one of `downloads`.
        """
        url = self._url(operation, path)
        asked = {"Range": f"bytes={start}-{size - 1}"} if start else {}  # some take no range without an end
        begun = time.monotonic()
        try:
            async with AsyncExitStack() as stack:
                used = await self._pass(operation, url, scopes)
                response = await stack.enter_async_context(self._transport.open("GET", url, {**asked, **used.headers}))
                head = Answer(response.status, response.headers, b"", str(response.url))
                if fresh := await self._renewed(operation, head, scopes, used):
                    await stack.aclose()
                    signed = {**asked, **fresh.headers}
                    response = await stack.enter_async_context(self._transport.open("GET", url, signed))
                if response.status not in (200, 206) or (response.status == 206 and not start):
                    body = await read_bounded(response, MAX_ERROR_BODY)
                    answer = Answer(response.status, response.headers, body, str(response.url))
                    if response.status in PASSING:
                        self._had_trouble(begun)
                    raise self.failure(operation, answer, scopes)
                first = _first_byte(response.headers.get("Content-Range", "")) if response.status == 206 else 0
                if first is None or first > start:
                    raise RegistryError(f"{operation}: the registry answers with another range than was asked for")
                yield first, self._transport.parts(response)
        except (RegistryError, SignInError) as error:
            if isinstance(error, RegistryUnreachable):
                self._had_trouble(begun)
            raise named(operation, error, self._secrets(scopes)) from error

    def waits(self, seconds: float, error: RegistryError, but: str = "") -> None:
        """Tell whoever watches that this host is tried again in so many seconds, and why; `but` what is other then."""
        self._transport.waiting(self.host, seconds, why_again(error, self.host) + but)

    def _had_trouble(self, begun: float) -> None:
        self._places.had_trouble(begun)
        self.downloads.had_trouble(begun)
        self.uploads.had_trouble(begun)

    async def _watched(self, send: Callable[[dict[str, str]], Awaitable[Answer]], headers: dict[str, str]) -> Answer:
        """Send, and learn how the host is doing."""
        begun = time.monotonic()
        try:
            answer = await send(headers)
        except RegistryUnreachable:
            self._had_trouble(begun)
            raise
        if answer.status in PASSING:
            self._had_trouble(begun)
        else:
            self._answered_at, self._gave_up = time.monotonic(), None
            self._places.went_well(time.monotonic() - begun)
            self.downloads.went_well(0)
            self.uploads.went_well(0)
        return answer

    def failure(self, operation: str, answer: Answer, scopes: Scopes = ()) -> ReplsyncError:
        """Return the error that an answer means; what this session keeps secret is taken out of its words."""
        codes, said = read_errors(answer.body, self._secrets(scopes))
        detail = f" ({said})" if said else ""
        if answer.status in (401, 403) and origin(answer.url) != origin(self.base):
            return RegistryError(
                f"{operation}: {host_of(answer.url)}, where the registry sends to, answered {answer.status}{detail}",
                hint="the registry's storage has a fault: try again later",
                status=answer.status,
                codes=codes,
            )
        if answer.status == 401:
            credential = self._passes.get(scopes, _NO_PASS).credential
            user = repr(credential.username) if credential else "nobody"
            return not_signed_in(operation, self.host, f"the registry answered 401 to {user}{detail}", credential)
        return failure(operation, answer.status, codes, detail, self.host)

    def _secrets(self, scopes: Scopes) -> set[str]:
        """What requests of these scopes are signed with, and nobody must read."""
        return self._credentials_used.union(self._tokens.get(scopes, ()))

    def _url(self, operation: str, path: str) -> str:
        try:
            return join(self.base, path)
        except RegistryError as error:  # a port that can't be, in the reference
            raise named(operation, error) from error

    async def _signed(
        self,
        operation: str,
        url: str,
        scopes: Scopes,
        headers: Mapping[str, str],
        send: Callable[[dict[str, str]], Awaitable[Answer]],
    ) -> Answer:
        """Send with what is known of signing in; on 401 learn from the challenge and send once more."""
        try:
            used = await self._pass(operation, url, scopes)
            answer = await self._watched(send, {**headers, **used.headers})
            if fresh := await self._renewed(operation, answer, scopes, used):
                answer = await self._watched(send, {**headers, **fresh.headers})
            return answer
        except (RegistryError, SignInError) as error:
            raise named(operation, error, self._secrets(scopes)) from error

    async def _renewed(self, operation: str, answer: Answer, scopes: Scopes, used: _Pass) -> _Pass | None:
        """After a 401 of the registry itself: what to sign with instead, None where there is nothing else to try."""
        if answer.status != 401 or origin(answer.url) != origin(self.base):
            return None
        if challenge := usable_challenge(answer.headers):
            self._challenge = challenge
        if self._passes.get(scopes) == used:
            del self._passes[scopes]
        fresh = await self._pass(operation, self.base, scopes)
        return fresh if fresh.header != used.header else None

    async def _pass(self, operation: str, url: str, scopes: Scopes) -> _Pass:
        """Return what signs a request to `url`: nothing, for another origin than the registry's."""
        if self._challenge is None or origin(url) != origin(self.base):
            return _NO_PASS
        async with self._asking.setdefault(scopes, asyncio.Lock()):  # one at a time for each scope
            known = self._passes.get(scopes)
            if known is None or time.monotonic() >= known.expires_at:
                known = await self._ask(operation, self._challenge, scopes)
                self._passes[scopes] = known
        return known

    async def _ask(self, operation: str, challenge: Challenge, scopes: Scopes) -> _Pass:
        """Look the credential up and, where the registry wants a token, exchange it for one."""
        repository = scopes[0].split(":")[1] if scopes else ""
        credential = await self._credentials.find(self.host, repository)
        if credential:
            self._credentials_used |= {credential.password, basic_header(credential).partition(" ")[2]}
        if challenge.scheme == "basic":
            return _Pass(basic_header(credential), credential, math.inf) if credential else _NO_PASS
        answer = await ask_for_token(self._transport, operation, challenge, self.base, self.host, scopes, credential)
        if answer.status != 200:
            raise self.failure(f"ask {host_of(answer.url)} for a token", answer, scopes)
        token = read_token(answer.body, time.monotonic())
        self._tokens[scopes] = (*self._tokens.get(scopes, ())[-1:], token.value)
        return _Pass(f"Bearer {token.value}", credential, token.expires_at)


def _first_byte(content_range: str) -> int | None:
    """Read Content-Range (RFC 9110, 14.4); None where it can't be read."""
    found = _CONTENT_RANGE.match(content_range)
    return int(found[1]) if found else None
