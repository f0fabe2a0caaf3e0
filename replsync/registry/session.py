"""Requests to one registry: signed, limited in number, tried again where that is safe."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import tenacity

from replsync.errors import NotFound, PermissionDenied, RegistryError, RegistryUnreachable, ReplsyncError, SignInError
from replsync.oci.reference import DOCKER_HUB, is_loopback
from replsync.registry.credentials import Credential, CredentialStore
from replsync.registry.sign_in import (
    MAX_TOKEN_ANSWER,
    Challenge,
    Token,
    basic_header,
    may_send,
    parse_challenges,
    read_token,
    token_request,
    token_server,
)
from replsync.registry.transport import Answer, Body, Transport, host_of, join, origin

MAX_ERROR_BODY = 1024 * 1024
"""Bytes of an error's body that are read."""

_ABSENT_CODES = {"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"}
_PASSING = {408, 429, 500, 502, 503, 504, 520, 522, 524}
_MAX_MESSAGE = 300

Scopes = tuple[str, ...]


def pull(repository: str) -> str:
    """The scope to read from `repository`."""
    return f"repository:{repository}:pull"


def push(repository: str) -> str:
    """The scope to write to `repository`."""
    return f"repository:{repository}:pull,push"


def is_passing(error: BaseException) -> bool:
    """Whether the failure may be gone on the next try: no answer, 408, 429 and most 5xx; nothing else."""
    if isinstance(error, RegistryUnreachable):
        return True
    return isinstance(error, RegistryError) and error.status in _PASSING


def retrying(attempts: int) -> tenacity.AsyncRetrying:
    """The policy of retries: jittered exponential back-off, at most `attempts`, none begun after a minute."""
    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(is_passing),
        stop=tenacity.stop_after_attempt(attempts) | tenacity.stop_after_delay(60),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=15),
        reraise=True,
    )


class Session:
    """The way to one registry's host.

    `parallelism` bounds the requests under way at once; `attempts` how often
    one is tried. Loopback hosts speak http, all others https unless `plain_http`.
    """

    def __init__(
        self,
        host: str,
        transport: Transport,
        credentials: CredentialStore,
        *,
        parallelism: int,
        attempts: int,
        plain_http: bool,
    ) -> None:
        self.host = host
        self.attempts = attempts
        scheme = "http" if plain_http or is_loopback(host) else "https"
        self.base = f"{scheme}://{'registry-1.docker.io' if host == DOCKER_HUB else host}"
        self._transport = transport
        self._credentials = credentials
        self._slots = asyncio.Semaphore(parallelism)
        self._challenge: Challenge | None = None
        self._tokens: dict[Scopes, Token] = {}
        self._asking: dict[Scopes, asyncio.Lock] = {}

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
    ) -> Answer:
        """Send a request, again where the failure may pass, and return an answer with a status in `ok`.

        `operation` begins the message of every error: SignInError,
        PermissionDenied, NotFound, RegistryError.
        """

        async def once() -> Answer:
            answer = await self._once(operation, method, path, scopes, headers or {}, data, limit)
            if answer.status not in ok:
                raise failure(operation, answer.status, answer.body, answer.url, self.host)
            return answer

        return await retrying(self.attempts)(once)

    async def upload(
        self, operation: str, method: str, url: str, scopes: Scopes, headers: Mapping[str, str], body: Body
    ) -> Answer:
        """Send a streamed body, once: whether it arrived is for the caller to find out. Any status is returned."""

        async def send(signed: dict[str, str]) -> Answer:
            return await self._transport.send(method, url, signed, body, limit=MAX_ERROR_BODY)

        return await self._signed(operation, url, scopes, headers, send)

    @asynccontextmanager
    async def stream(self, operation: str, path: str, scopes: Scopes) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a GET whose body the caller reads. Retried only until the body begins."""
        url = join(self.base, path)
        try:
            async with self._slots, AsyncExitStack() as stack:
                yield await retrying(self.attempts)(self._open, operation, url, scopes, stack)
        except RegistryError as error:
            raise named(operation, error) from error

    async def _open(self, operation: str, url: str, scopes: Scopes, stack: AsyncExitStack) -> aiohttp.ClientResponse:
        signed = await self._authorization(operation, url, scopes)
        response = await stack.enter_async_context(self._transport.open("GET", url, signed))
        if response.status == 401 and origin(str(response.url)) == origin(self.base):
            self._learn(response.headers.getall("WWW-Authenticate", []), scopes, signed)
            signed = await self._authorization(operation, url, scopes)
            response = await stack.enter_async_context(self._transport.open("GET", url, signed))
        if response.status != 200:
            body = await response.content.read(MAX_ERROR_BODY)
            raise failure(operation, response.status, body, url, self.host)
        return response

    async def _once(
        self,
        operation: str,
        method: str,
        path: str,
        scopes: Scopes,
        headers: Mapping[str, str],
        data: bytes | None,
        limit: int,
    ) -> Answer:
        url = join(self.base, path)

        async def send(signed: dict[str, str]) -> Answer:
            async with self._slots:
                return await self._transport.fetch(method, url, signed, data=data, limit=limit)

        return await self._signed(operation, url, scopes, headers, send)

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
            signed = await self._authorization(operation, url, scopes)
            answer = await send({**headers, **signed})
            if answer.status == 401 and origin(answer.url) == origin(self.base):
                self._learn(answer.headers.getall("WWW-Authenticate", []), scopes, signed)
                signed = await self._authorization(operation, url, scopes)
                answer = await send({**headers, **signed})
            return answer
        except RegistryError as error:
            raise named(operation, error) from error

    def _learn(self, headers: list[str], scopes: Scopes, used: Mapping[str, str]) -> None:
        challenges = [challenge for header in headers for challenge in parse_challenges(header)]
        for scheme in ("bearer", "basic"):
            for challenge in challenges:
                if challenge.scheme == scheme:
                    self._challenge = challenge
                    token = self._tokens.get(scopes)
                    if token and used.get("Authorization") == f"Bearer {token.value}":
                        del self._tokens[scopes]
                    return

    async def _authorization(self, operation: str, url: str, scopes: Scopes) -> dict[str, str]:
        """Return the header that signs a request to `url`; none for another origin than the registry's."""
        if self._challenge is None or origin(url) != origin(self.base):
            return {}
        if self._challenge.scheme == "basic":
            credential = await self._credential(scopes)
            return {"Authorization": basic_header(credential)} if credential else {}
        lock = self._asking.setdefault(scopes, asyncio.Lock())
        async with lock:  # one refresh at a time for each scope
            token = self._tokens.get(scopes)
            if token is None or not token.is_fresh(time.monotonic()):
                token = await self._token(operation, self._challenge, scopes)
                self._tokens[scopes] = token
        return {"Authorization": f"Bearer {token.value}"}

    async def _credential(self, scopes: Scopes) -> Credential | None:
        repository = scopes[0].split(":")[1] if scopes else ""
        return await self._credentials.find(self.host, repository)

    async def _token(self, operation: str, challenge: Challenge, scopes: Scopes) -> Token:
        realm = token_server(challenge, self.base)
        credential = await self._credential(scopes)
        if credential and not may_send(self.base, realm):
            credential = await self._credentials.find(host_of(realm))
            if credential is None:
                raise SignInError(
                    f"{operation}: the registry's token server {host_of(realm)} is of another site, "
                    f"so the credential for {self.host} is not sent there",
                    hint=f"if it belongs there: docker login {host_of(realm)}",
                )
        request = token_request(challenge, scopes, credential)
        method = "GET" if request.form is None else "POST"

        async def ask() -> Answer:
            answer = await self._transport.fetch(
                method, request.url, request.headers, form=request.form, limit=MAX_TOKEN_ANSWER
            )
            if answer.status in (400, 401, 403, 404):
                raise _not_signed_in(operation, self.host, answer.status, credential)
            if answer.status != 200:
                raise failure("ask for a token", answer.status, answer.body, answer.url, self.host)
            return answer

        answer: Answer = await retrying(self.attempts)(ask)
        return read_token(answer.body, time.monotonic())


def named(operation: str, error: RegistryError) -> RegistryError:
    """Put `operation` in front of an error from below, its class kept; an error that has it stays as it is."""
    if error.message.startswith(operation):
        return error
    return type(error)(f"{operation}: {error.message}", hint=error.hint, status=error.status, codes=error.codes)


def failure(operation: str, status: int, body: bytes, url: str, host: str) -> ReplsyncError:
    """Return the error that an answer means."""
    hint: str | None
    codes, said = read_errors(body)
    detail = f" ({said})" if said else ""
    message = f"{operation}: the registry answered {status}{detail}"
    match status:
        case 401:
            return SignInError(message, hint=f"sign in: docker login {host}", host=host)
        case 403:
            return PermissionDenied(
                message,
                hint="the account may read here but not write, or not even read; "
                "on Replicated, the team's right to push may have been withdrawn",
                host=host,
            )
        case 404 if _ABSENT_CODES & set(codes):
            return NotFound(message, status=status, codes=codes)
        case 404:
            hint = f"is {host_of(url)} a registry, or a proxy in front of one?"
        case 429:
            hint = "the registry asks for fewer requests: try later, or with a lower --parallelism"
        case 524 | 504:
            hint = "a proxy gave up waiting for one long request: make the image's layers smaller"
        case 413:
            hint = "make the image's layers smaller"
        case 400 if "MANIFEST_INVALID" in codes or "UNSUPPORTED" in codes:
            hint = "if BuildKit built the image, build it with --provenance=false --sbom=false"
        case _ if status >= 500:
            hint = "the registry has a fault: try again later"
        case _:
            hint = None
    return RegistryError(message, hint=hint, status=status, codes=codes)


def read_errors(body: bytes) -> tuple[tuple[str, ...], str]:
    """Return the codes in a registry's error body, and its text in one printable line.

    What a registry says is foreign text: control characters are made
    harmless, and it is cut.
    """
    try:
        errors = [one for one in json.loads(body)["errors"] if isinstance(one, dict)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return (), ""
    codes = tuple(str(one.get("code", "")) for one in errors)
    said = "; ".join(f"{one.get('code', '')}: {one.get('message', '')}" for one in errors)
    printable = "".join(character if character.isprintable() else " " for character in said)
    return codes, printable[:_MAX_MESSAGE]


def _not_signed_in(operation: str, host: str, status: int, credential: Credential | None) -> SignInError:
    if credential is None:
        return SignInError(
            f"{operation}: {host} wants a sign-in, and no credential is configured for it",
            hint=f"sign in: docker login {host}",
            host=host,
        )
    return SignInError(
        f"{operation}: sign-in as {credential.username!r} was refused with {status}; "
        f"the credential is from {credential.origin}",
        hint=f"sign in again: docker login {host}",
        host=host,
    )
