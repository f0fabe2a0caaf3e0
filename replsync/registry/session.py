"""Requests to one registry: signed, limited in number, tried again where that is safe."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field

import aiohttp
import tenacity

from replsync.errors import RegistryError, RegistryUnreachable, ReplsyncError, SignInError
from replsync.oci.reference import DOCKER_HUB, is_loopback
from replsync.registry.address import host_of, join, origin
from replsync.registry.blotting import repeats
from replsync.registry.credentials import Credential, CredentialStore
from replsync.registry.refusal import MAX_ERROR_BODY, failure, named, not_signed_in, read_errors
from replsync.registry.sign_in import (
    MAX_TOKEN_ANSWER,
    Challenge,
    basic_header,
    may_send,
    parse_challenges,
    read_token,
    token_request,
    token_server,
)
from replsync.registry.transport import Answer, Body, Transport, read_bounded

_PASSING = {408, 429, 500, 502, 503, 504, 520, 522, 524}
_OVERLOOKED = "MANIFEST_BLOB_UNKNOWN"  # distribution-spec, "Error Codes"
_MAX_WAIT = 15.0  # seconds between two tries

Scopes = tuple[str, ...]


def pull(repository: str) -> str:
    """The scope to read from `repository`."""
    return f"repository:{repository}:pull"


def push(repository: str) -> str:
    """The scope to write to `repository`."""
    return f"repository:{repository}:pull,push"


def is_passing(error: BaseException) -> bool:
    """Whether the failure may be gone on the next try: no answer, 408, 429, most 5xx, and a blob that is overlooked.

    Image manifests are put when all blobs are there; a registry that says
    otherwise is writing a link to one of them anew, or lags behind itself.
    """
    if isinstance(error, RegistryUnreachable):
        return True
    return isinstance(error, RegistryError) and (error.status in _PASSING or _OVERLOOKED in error.codes)


@dataclass(frozen=True)
class Persistence:
    """How often a request is tried at most.

    In seconds: the longest wait before the second try, which doubles with each
    further one; and after how long no further try begins.
    """

    attempts: int = 5
    first_wait: float = 0.5
    patience: float = 60.0


def retrying(persistence: Persistence, *, patient: bool = False) -> tenacity.AsyncRetrying:
    """The policy of retries: jittered exponential back-off. `patient` is for what may take any time: attempts count."""
    stop: tenacity.stop.stop_base = tenacity.stop_after_attempt(persistence.attempts)
    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(is_passing),
        stop=stop if patient else stop | tenacity.stop_after_delay(persistence.patience),
        wait=tenacity.wait_random_exponential(multiplier=persistence.first_wait, max=_MAX_WAIT),
        reraise=True,
    )


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
    """The way to one registry's host.

    `parallelism` bounds the requests under way at once. Loopback hosts speak
    http, all others https unless `plain_http`.
    """

    def __init__(
        self,
        host: str,
        transport: Transport,
        credentials: CredentialStore,
        *,
        parallelism: int,
        persistence: Persistence,
        plain_http: bool,
    ) -> None:
        self.host = host
        self.persistence = persistence
        scheme = "http" if plain_http or is_loopback(host) else "https"
        self.base = f"{scheme}://{'registry-1.docker.io' if host == DOCKER_HUB else host}"
        self._transport = transport
        self._credentials = credentials
        self._slots = asyncio.Semaphore(parallelism)
        self._challenge: Challenge | None = None
        self._passes: dict[Scopes, _Pass] = {}
        self._asking: dict[Scopes, asyncio.Lock] = {}
        self._secrets: set[str] = set()

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
            if repeats(answer.headers, answer.body, self._secrets):  # as a tag or a media type it would be shown
                raise RegistryError(f"{operation}: the registry answers with the credential that it was sent")
            return answer

        async with nullcontext() if in_turn else self.turn():
            return await attempt() if once else await retrying(self.persistence)(attempt)

    def turn(self) -> asyncio.Semaphore:
        """Have one of the host's places, for as long as it is held.

        Held around all tries of a call: their clock must not run while others have their turn.
        """
        return self._slots

    async def upload(
        self, operation: str, method: str, url: str, scopes: Scopes, headers: Mapping[str, str], body: Body, size: int
    ) -> Answer:
        """Send a streamed body, once: whether it arrived is for the caller to find out. Any status is returned."""

        async def send(signed: dict[str, str]) -> Answer:
            return await self._transport.send(method, url, signed, body, size, limit=MAX_ERROR_BODY)

        return await self._signed(operation, url, scopes, headers, send)

    @asynccontextmanager
    async def stream(self, operation: str, path: str, scopes: Scopes) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a GET whose body the caller reads. Not tried again: only the caller knows what it has used already."""
        url = self._url(operation, path)
        try:
            async with self._slots, AsyncExitStack() as stack:
                used = await self._pass(operation, url, scopes)
                response = await stack.enter_async_context(self._transport.open("GET", url, used.headers))
                head = Answer(response.status, response.headers, b"", str(response.url))
                if fresh := await self._renewed(operation, head, scopes, used):
                    await stack.aclose()
                    response = await stack.enter_async_context(self._transport.open("GET", url, fresh.headers))
                if response.status != 200:
                    body = await read_bounded(response, MAX_ERROR_BODY)
                    answer = Answer(response.status, response.headers, body, str(response.url))
                    raise self.failure(operation, answer, scopes)
                yield response
        except (RegistryError, SignInError) as error:
            raise named(operation, error, self._secrets) from error

    def failure(self, operation: str, answer: Answer, scopes: Scopes = ()) -> ReplsyncError:
        """Return the error that an answer means; what this session keeps secret is taken out of its words."""
        codes, said = read_errors(answer.body, self._secrets)
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
            answer = await send({**headers, **used.headers})
            if fresh := await self._renewed(operation, answer, scopes, used):
                answer = await send({**headers, **fresh.headers})
            return answer
        except (RegistryError, SignInError) as error:
            raise named(operation, error, self._secrets) from error

    async def _renewed(self, operation: str, answer: Answer, scopes: Scopes, used: _Pass) -> _Pass | None:
        """After a 401 of the registry itself: what to sign with instead, None where there is nothing else to try."""
        if answer.status != 401 or origin(answer.url) != origin(self.base):
            return None
        headers = answer.headers.getall("WWW-Authenticate", [])
        challenges = [one for header in headers for one in parse_challenges(header)]
        usable = [one for scheme in ("bearer", "basic") for one in challenges if one.scheme == scheme]
        if usable:
            self._challenge = usable[0]
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
            self._secrets |= {credential.password, basic_header(credential).partition(" ")[2]}
        if challenge.scheme == "basic":
            return _Pass(basic_header(credential), credential, math.inf) if credential else _NO_PASS
        realm = token_server(challenge, self.base, self.host)
        if credential and not may_send(self.base, realm):
            # Nor is a credential that is configured for the token server used: with the token that it
            # buys, this registry could act as the user at the other one.
            raise SignInError(
                f"{operation}: the registry's token server {host_of(realm)} is of another site, "
                f"so the credential for {self.host} is not sent there",
                hint="name the registry by a host of its token server's site, if it has one",
                host=self.host,
            )
        request = token_request(challenge, realm, scopes, credential)
        answer = await self._transport.fetch(
            "GET" if request.form is None else "POST",
            request.url,
            request.headers,
            form=request.form,
            limit=MAX_TOKEN_ANSWER,
        )
        if answer.status in (400, 401, 403, 404):
            user = repr(credential.username) if credential else "nobody"
            refused = f"sign-in as {user} was refused with {answer.status}"
            raise not_signed_in(operation, self.host, refused, credential)
        if answer.status != 200:
            raise self.failure(f"ask {host_of(realm)} for a token", answer)
        token = read_token(answer.body, time.monotonic())
        self._secrets.add(token.value)
        return _Pass(f"Bearer {token.value}", credential, token.expires_at)
