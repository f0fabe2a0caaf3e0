"""Looking at the way to one registry, from its name to what the account may do there, one finding after the other.

Nothing is written, unless `tries_upload` says so; every step is bounded in time.
"""

import asyncio
import email.utils
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from yarl import URL

from replsync.errors import NotFound, RegistryError, ReplsyncError, SignInError
from replsync.oci.reference import Repository, is_loopback
from replsync.registry.address import host_of
from replsync.registry.blotting import blotted
from replsync.registry.client import RegistryClient
from replsync.registry.credentials import Credential, CredentialStore
from replsync.registry.finding import Finding, Verdict
from replsync.registry.reaching import addresses_of, connection_to, date_of, secure, why_not_trusted
from replsync.registry.refusal import MAX_ERROR_BODY
from replsync.registry.session import base_of, pull, push
from replsync.registry.sign_in import Challenge, basic_header, granted, read_token, token_server
from replsync.registry.token_exchange import ask_for_token, usable_challenge
from replsync.registry.transport import Answer, Transport

_SKEW = 60
"""Seconds; tokens live for minutes, and a certificate's dates are compared with the clock, too."""
_SOON = 14 * 24 * 3600
_ADDRESSES = 4
_LOOKED_AT = 5
"""Repositories; what one account may do rarely differs within an application."""
_VALUE = 80
_HELPER = "the credential helper may be waiting for you, or for its keyring"


@dataclass(frozen=True)
class Subject:
    """A registry to look at, and the repositories that matter there.

    `is_pushed_to` is for a target; `takes_token` for what the API token is a credential for, if its host allows that.
    """

    host: str
    is_pushed_to: bool
    repositories: tuple[Repository, ...]
    plain_http: bool = False
    takes_token: bool = False


@dataclass
class _Known:
    """What was learnt on the way, for the steps after it."""

    addresses: tuple[str, ...] = ()
    proxy: str | None = None
    answer: Answer | None = None
    challenge: Challenge | None = None
    credential: Credential | None = None
    secrets: set[str] = field(default_factory=set)


_Step = Callable[[], Awaitable[list[Finding]]]


class Examination:
    """The examination of one registry; `seconds` bounds each of its steps."""

    def __init__(
        self,
        subject: Subject,
        transport: Transport,
        credentials: CredentialStore,
        client: RegistryClient,
        *,
        seconds: float,
        tries_upload: bool,
    ) -> None:
        self._subject = subject
        self._transport = transport
        self._credentials = credentials
        self._client = client
        self._seconds = seconds
        self._tries_upload = tries_upload
        self._base = base_of(subject.host, plain_http=subject.plain_http)
        self._known = _Known()

    async def findings(self) -> AsyncIterator[Finding]:
        """Go the way, and end where it ends."""
        steps: list[tuple[str, _Step, bool]] = [
            ("credential", self._credential, False),  # first: what servers repeat of it isn't to be shown
            ("proxy", self._proxy, True),
            ("name", self._name, True),
            ("connection", self._connection, True),
            ("TLS", self._tls, True),
            ("registry", self._registry, True),
            ("clock", self._clock, False),
            ("limits", self._limits, False),
            ("sign-in", self._sign_in, True),
            ("rights", self._rights, False),
            ("tags", self._tags, False),
            ("upload", self._upload, False),
        ]
        failed: set[str] = set()
        for check, step, is_needed in steps:
            if check == "sign-in" and "credential" in failed:
                yield self._finding("further", Verdict.SKIPPED, "not looked at, since this failed: credential")
                return
            found = await self._bounded(check, step)
            for finding in found:
                yield self._harmless(finding)
            if any(finding.verdict is Verdict.FAILED for finding in found):
                failed.add(check)
            if is_needed and check in failed:
                yield self._finding("further", Verdict.SKIPPED, f"not looked at, since this failed: {check}")
                return

    async def _bounded(self, check: str, step: _Step) -> list[Finding]:
        try:
            async with asyncio.timeout(self._seconds):
                return await step()
        except TimeoutError:
            slow = _HELPER if check == "credential" else "see whether the network, or the server, is slow"
            hint = f"{slow}; --timeout gives it longer"
            return [self._finding(check, Verdict.FAILED, f"no answer in {self._seconds:g} s", hint)]
        except ReplsyncError as error:
            return [self._failed(check, error)]

    def _finding(self, check: str, verdict: Verdict, said: str, hint: str | None = None) -> Finding:
        return Finding(self._subject.host, check, verdict, said, hint)

    def _failed(self, check: str, error: ReplsyncError) -> Finding:
        said = error.message.removeprefix(f"sign in to {self._subject.host}: ")  # a heading says it already
        found = self._finding(check, Verdict.FAILED, said, error.hint)
        return replace(found, is_sign_in=isinstance(error, SignInError))

    def _harmless(self, finding: Finding) -> Finding:
        secrets = self._known.secrets
        hint = finding.hint and blotted(finding.hint, secrets)
        return replace(finding, said=blotted(finding.said, secrets), hint=hint)

    @property
    def _port(self) -> int:
        return URL(self._known.proxy or self._base).port or 443

    @property
    def _server(self) -> str:
        """The name of who is connected to."""
        return urlsplit(self._known.proxy or self._base).hostname or ""

    async def _proxy(self) -> list[Finding]:
        try:
            proxy = self._transport.proxy_for(self._base)
            _ = proxy and (URL(proxy).port, urlsplit(proxy).hostname)
        except ValueError:
            said = "the address in $HTTPS_PROXY or $HTTP_PROXY is none"  # not shown: it may hold a password
            return [self._finding("proxy", Verdict.FAILED, said, "write it as http://HOST:PORT, or unset it")]
        self._known.proxy = proxy
        if proxy is None:
            said = "none for it in $HTTPS_PROXY, $HTTP_PROXY and $NO_PROXY"
            if is_loopback(self._subject.host):
                said = "none: it is this machine"
            return [self._finding("proxy", Verdict.SKIPPED, said)]
        return [self._finding("proxy", Verdict.OK, f"{host_of(proxy)}, by the environment")]  # never its password

    async def _name(self) -> list[Finding]:
        try:
            found = self._known.addresses = await addresses_of(self._server, self._port)
        except OSError:
            hint = "check the host's name, and this machine's DNS (/etc/resolv.conf)"
            return [self._finding("name", Verdict.FAILED, f"{self._server}: no such host", hint)]
        if found == (self._server,):
            return [self._finding("name", Verdict.SKIPPED, "none: it is an address")]
        more = f" and {len(found) - _ADDRESSES} more" if len(found) > _ADDRESSES else ""
        return [self._finding("name", Verdict.OK, f"{self._server} is {', '.join(found[:_ADDRESSES])}{more}")]

    async def _connection(self) -> list[Finding]:
        try:
            async with connection_to(self._known.addresses, self._port) as (address, _):
                return [self._finding("connection", Verdict.OK, f"to port {self._port} of {address}")]
        except OSError as error:
            why = os.strerror(error.errno).lower() if error.errno else "no connection"
            said = f"port {self._port} of {self._server}: {why}"
            hint = "see whether the registry is up, and whether a firewall or a proxy is in between"
            return [self._finding("connection", Verdict.FAILED, said, hint)]

    async def _tls(self) -> list[Finding]:
        if self._base.startswith("http:"):
            return [self._finding("TLS", Verdict.SKIPPED, "none: plain http")]
        if self._known.proxy:
            return [self._finding("TLS", Verdict.SKIPPED, "through the proxy: the registry's answer will tell")]
        async with connection_to(self._known.addresses, self._port) as (_, writer):
            return [await self._secured(writer)]

    async def _secured(self, writer: asyncio.StreamWriter) -> Finding:
        try:
            secured = await secure(writer, self._server)
        except ssl.SSLCertVerificationError as error:
            return self._finding("TLS", Verdict.FAILED, *why_not_trusted(error))
        except OSError:
            hint = f"if it speaks http only, and the network is trusted: --plain-http {self._subject.host}"
            return self._finding("TLS", Verdict.FAILED, "the server doesn't speak it", hint)
        said = f"{secured.version}, certificate by {secured.issuer}, until {date_of(secured.ends_at)}"
        if secured.ends_at - time.time() < _SOON:
            return self._finding(
                "TLS", Verdict.WARNING, said, "the certificate ends soon: whoever runs it must renew it"
            )
        return self._finding("TLS", Verdict.OK, said)

    async def _registry(self) -> list[Finding]:
        answer = await self._transport.fetch("GET", f"{self._base}/v2/", {}, limit=MAX_ERROR_BODY)
        self._known.answer = answer
        self._known.challenge = usable_challenge(answer.headers) if answer.status == 401 else None
        host = self._subject.host
        match answer.status, self._known.challenge:
            case 200, _:
                return [self._finding("registry", Verdict.OK, "it is one, and asks for no sign-in at its door")]
            case 401, Challenge(scheme="basic"):
                return [
                    self._finding("registry", Verdict.OK, "it is one, and wants a user name and a password (Basic)")
                ]
            case 401, Challenge() as challenge:
                server = host_of(token_server(challenge, self._base, host))
                return [self._finding("registry", Verdict.OK, f"it is one, and wants a token of {server}")]
            case 401, None:
                said = "it wants a sign-in of a kind that replsync doesn't know"
                return [self._finding("registry", Verdict.FAILED, said, "is there a proxy with a sign-in in between?")]
            case 404, _:
                said, hint = "it answers, but not as a registry does (404 for /v2/)", f"is {host} the right name?"
            case 403, _:
                said, hint = "it refuses everybody from here (403)", "a firewall may block this address for a while"
            case 429, _:
                said, hint = "it wants fewer requests (429)", f"wait: {_retry_after(answer)}"
            case _:
                said, hint = f"it answered {answer.status}", "try again later"
        return [self._finding("registry", Verdict.FAILED, said, hint)]

    async def _clock(self) -> list[Finding]:
        date = self._known.answer.headers.get("Date", "") if self._known.answer else ""
        try:
            ahead = time.time() - email.utils.parsedate_to_datetime(date).timestamp()
        except (ValueError, OverflowError):
            return [self._finding("clock", Verdict.SKIPPED, "the registry doesn't tell its time")]
        if abs(ahead) <= _SKEW:
            return [self._finding("clock", Verdict.OK, "as the registry's, to the minute")]
        said = f"this machine is {_duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} the registry"
        hint = "set this machine's clock (timedatectl set-ntp true): tokens and certificates depend on it"
        return [self._finding("clock", Verdict.WARNING, said, hint)]

    async def _limits(self) -> list[Finding]:
        """What the registry says of itself in headers."""
        headers = self._known.answer.headers if self._known.answer else {}
        named = ("server", "docker-distribution-api-version", "retry-after")
        seen = [
            f"{name}: {value[:_VALUE]}"
            for name, value in headers.items()
            if name.lower() in named or "ratelimit" in name.lower()
        ]
        if not seen:
            return [self._finding("limits", Verdict.SKIPPED, "the registry says nothing of itself")]
        is_limited = any("ratelimit" in one.lower() or one.lower().startswith("retry-after") for one in seen)
        said = "; ".join(seen) if is_limited else f"none announced ({'; '.join(seen)})"
        return [self._finding("limits", Verdict.OK, said)]

    async def _credential(self) -> list[Finding]:
        path = self._subject.repositories[0].path if self._subject.repositories else ""
        found = self._known.credential = await self._credentials.find(self._subject.host, path)
        if found:
            self._known.secrets |= {found.password, basic_header(found).partition(" ")[2]}
            user = "an identity token" if found.is_identity_token else repr(found.username)
            return [self._finding("credential", Verdict.OK, f"{user}, from {found.origin}")]
        return [self._finding("credential", Verdict.SKIPPED, "none is configured")]

    async def _sign_in(self) -> list[Finding]:
        if self._known.challenge is None:
            return [self._finding("sign-in", Verdict.SKIPPED, "the registry asks for none")]
        await self._client.sign_in(self._subject.host)
        user = repr(self._known.credential.username) if self._known.credential else "anybody"
        return [self._finding("sign-in", Verdict.OK, f"the registry takes it, as {user}")]

    async def _rights(self) -> list[Finding]:
        """Ask the token server what it would allow. With Basic there is nobody to ask."""
        challenge, repositories = self._known.challenge, self._subject.repositories[:_LOOKED_AT]
        if not repositories:
            return [self._finding("rights", Verdict.SKIPPED, "no repository is known: name a manifest with -f")]
        if challenge is None or challenge.scheme != "bearer":
            return [self._finding("rights", Verdict.SKIPPED, "there is no token server that could say")]
        by_rights: dict[frozenset[str] | None, list[Repository]] = {}
        for repository in repositories:
            by_rights.setdefault(await self._rights_in(repository, challenge), []).append(repository)
        return [self._rights_finding(rights, found) for rights, found in by_rights.items()]

    async def _rights_in(self, repository: Repository, challenge: Challenge) -> frozenset[str] | None:
        """What a token allows; None where it doesn't say."""
        try:
            if self._subject.is_pushed_to:
                return await self._granted(repository, challenge, push(repository.path))
        except SignInError:  # some servers refuse where others grant less
            await self._granted(repository, challenge, pull(repository.path))
            return frozenset({"pull"})
        return await self._granted(repository, challenge, pull(repository.path))

    async def _granted(self, repository: Repository, challenge: Challenge, scope: str) -> frozenset[str] | None:
        operation = f"ask for a token for {repository.path}"
        answer = await ask_for_token(
            self._transport, operation, challenge, self._base, repository.host, (scope,), self._known.credential
        )
        if answer.status != 200:
            raise RegistryError(f"{operation}: the token server answered {answer.status}", hint="try again later")
        self._known.secrets.add(read_token(answer.body, 0).value)
        rights = granted(answer.body)
        return None if rights is None else rights.get(repository.path, frozenset())

    def _rights_finding(self, rights: frozenset[str] | None, repositories: Sequence[Repository]) -> Finding:
        where = _listed(repositories, len(self._subject.repositories))
        if rights is None:
            said = f"the token for {where} doesn't say what it allows"
            hint = "--write finds out, with an upload that is cancelled" if self._subject.is_pushed_to else None
            return self._finding("rights", Verdict.SKIPPED, said, hint)
        said = f"{', '.join(sorted(rights)) or 'none'} on {where}"
        wanted = {"pull", "push"} if self._subject.is_pushed_to else {"pull"}
        if wanted <= rights or "*" in rights:
            return self._finding("rights", Verdict.OK, said)
        if "pull" in rights:
            said = f"pull only, no push, on {where}"
            hint = "is it a customer's licence? sign in with an account that may push to the application's images"
        else:
            hint = "sign in with an account of the team that the application belongs to; is `app` spelt as its slug?"
        return replace(self._finding("rights", Verdict.FAILED, said, hint), is_sign_in=True)

    async def _tags(self) -> list[Finding]:
        if not self._subject.repositories:
            return [self._finding("tags", Verdict.SKIPPED, "no repository is known: name a manifest with -f")]
        found = []
        for repository in self._subject.repositories[:_LOOKED_AT]:
            try:
                count = len(await self._client.tags(repository))
            except NotFound:
                count = 0
            except ReplsyncError as error:
                found.append(self._failed("tags", error))
                continue
            said = f"{count} {'tag' if count == 1 else 'tags'} in {repository.path}"
            found.append(self._finding("tags", Verdict.OK, said if count else f"none in {repository.path} yet"))
        if (more := len(self._subject.repositories) - _LOOKED_AT) > 0:
            found.append(self._finding("tags", Verdict.SKIPPED, f"{more} more repositories not looked at"))
        return found

    async def _upload(self) -> list[Finding]:
        if not self._subject.is_pushed_to or not self._subject.repositories:
            return [self._finding("upload", Verdict.SKIPPED, "nothing is pushed there")]
        if not self._tries_upload:
            return [self._finding("upload", Verdict.SKIPPED, "not tried: --write opens an upload, and cancels it")]
        repository = self._subject.repositories[0]
        tried = await self._client.try_upload(repository)
        end = "it was cancelled" if tried.was_cancelled else "the registry lets it expire"
        least = f" of {tried.least_chunk} bytes or more" if tried.least_chunk else ""
        if tried.takes_chunks:
            return [self._finding("upload", Verdict.OK, f"{repository.path} takes uploads, in chunks{least}; {end}")]
        said = f"{repository.path} takes uploads, but answered {tried.chunk_answer} to a chunk; {end}"
        return [self._finding("upload", Verdict.WARNING, said, "large layers will go in one request each")]


def _listed(repositories: Sequence[Repository], of: int) -> str:
    first = repositories[0].path
    more = len(repositories) - 1
    unseen = f" ({of - _LOOKED_AT} not asked about)" if of > _LOOKED_AT else ""
    return f"{first}{f' and {more} more' if more else ''}{unseen}"


def _retry_after(answer: Answer) -> str:
    return f"it says Retry-After: {answer.headers.get('Retry-After', 'nothing')[:_VALUE]}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} days"
