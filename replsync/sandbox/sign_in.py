"""Signing in with bearer tokens (distribution's "Token Authentication Specification").

As on Replicated, any user name goes with a password that is known, and nobody
comes in anonymously.
"""

import base64
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.typedefs import Handler

from replsync.oci.reference import is_host, is_path
from replsync.sandbox.answers import Refusal

SERVICE = "replsync-sandbox"
TOKEN_PATH = "/v2/token"  # noqa: S105 - a path, no secret

Action = Literal["pull", "push"]
Actions = frozenset[Action]
"""What someone who signed in may do at all, in whichever repository."""

ANYTHING: Actions = frozenset(("pull", "push"))
_PULL_ONLY: Actions = frozenset(("pull",))

_READING = ("GET", "HEAD")


@dataclass(frozen=True)
class Right:
    """What a token allows in one repository."""

    repository: str
    action: Action


def rights_in(scopes: Iterable[str], may: Actions = ANYTHING) -> frozenset[Right]:
    """Return the rights that `scopes` name, each one or more of `repository:NAME:ACTION,…` with spaces between.

    What the sandbox doesn't know is left out and so never granted, as the
    token specification has it, and so is what `may` doesn't have. `*` stands for all actions.
    """
    rights: set[Right] = set()
    for scope in " ".join(scopes).split():
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        if kind == "repository" and is_path(name):
            for action in actions.split(","):
                rights |= {Right(name, one) for one in _ACTIONS.get(action, ()) if one in may}
    return frozenset(rights)


_ACTIONS: dict[str, tuple[Action, ...]] = {"pull": ("pull",), "push": ("push",), "*": ("pull", "push")}


class Tokens:
    """The passwords, and the tokens handed out for them. Times are seconds on the caller's clock."""

    def __init__(self, passwords: Iterable[str], seconds: float, pull_only: Iterable[str] = ()) -> None:
        self.seconds = seconds
        self._passwords = [*((one, ANYTHING) for one in passwords), *((one, _PULL_ONLY) for one in pull_only)]
        self._issued: dict[str, tuple[float, frozenset[Right], Actions]] = {}
        self._refresh: dict[str, Actions] = {}

    def actions_with(self, password: str) -> Actions | None:
        """What `password` allows; None where it isn't one of the configured."""
        found = (may for known, may in self._passwords if secrets.compare_digest(password.encode(), known.encode()))
        return next(found, None)

    def issue(self, rights: frozenset[Right], now: float, may: Actions = ANYTHING) -> str:
        """Make a token of one who may do `may`, that holds for `rights`, from `now` on for `seconds`."""
        # All live equally long, so that the dict is in the order in which they end.
        for old, (ends, _, _) in list(self._issued.items()):
            if ends > now:
                break
            del self._issued[old]
        token = secrets.token_urlsafe(32)
        self._issued[token] = (now + self.seconds, rights, may)
        return token

    def rights_of(self, token: str, now: float) -> frozenset[Right] | None:
        """What `token` allows; None where it was never issued or has ended."""
        ends, rights, _ = self._issued.get(token, (now, frozenset(), ANYTHING))
        return rights if ends > now else None

    def is_pull_only(self, token: str) -> bool:
        """Whether `token` was issued to someone who may never push."""
        return token in self._issued and "push" not in self._issued[token][2]

    def issue_refresh(self, may: Actions) -> str:
        """Make a refresh token for one who may do `may`; it holds until the sandbox stops."""
        token = secrets.token_urlsafe(32)
        self._refresh[token] = may
        return token

    def actions_with_refresh(self, token: str) -> Actions | None:
        """What the refresh token `token` allows; None where this sandbox made no such one."""
        return self._refresh.get(token)


class SignIn:
    """The token server, and the gate that every other request passes."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def routes(self) -> list[web.RouteDef]:
        """The token server's routes."""
        return [web.get(TOKEN_PATH, self._token), web.post(TOKEN_PATH, self._oauth2_token)]

    @web.middleware
    async def gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request through whose token allows it; any other gets a challenge."""
        name = request.match_info.get("name")
        if name is not None and not is_path(name):
            raise Refusal(400, "NAME_INVALID", "invalid repository name", {"name": name[:300]})
        if request.rel_url.raw_path != TOKEN_PATH:
            self._check(request, _needed(request, name))
        return await handler(request)

    def may_pull(self, request: web.Request, repository: str) -> bool:
        """Whether the request's token allows to read `repository` too."""
        return Right(repository, "pull") in (self._rights(request) or ())

    def _check(self, request: web.Request, needed: tuple[Right, ...]) -> None:
        rights = self._rights(request)
        if rights is None:
            presented = "Authorization" in request.headers
            raise _challenge(request, needed, "invalid_token" if presented else None)
        if not rights.issuperset(needed):
            if self._tokens.is_pull_only(_bearer(request) or "") and Right(needed[0].repository, "push") in needed:
                raise Refusal(403, "DENIED", "requested access to the resource is denied: this sign-in may only pull")
            raise _challenge(request, needed, "insufficient_scope")

    def _rights(self, request: web.Request) -> frozenset[Right] | None:
        token = _bearer(request)
        return None if token is None else self._tokens.rights_of(token, time.monotonic())

    async def _token(self, request: web.Request) -> web.Response:
        may = self._tokens.actions_with(_basic_password(request))
        return self._grant(may, request.query.getall("scope", []), None)

    async def _oauth2_token(self, request: web.Request) -> web.Response:
        # distribution's "OAuth2 Token Authentication": a form in place of Basic and the query.
        form = dict(parse_qsl((await request.read()).decode(errors="replace")))
        refresh = form.get("refresh_token")
        match form.get("grant_type"):
            case "password":
                may = self._tokens.actions_with(form.get("password", ""))
                offline = form.get("access_type") == "offline"
                refresh = self._tokens.issue_refresh(may) if may and offline else None
            case "refresh_token":
                may = self._tokens.actions_with_refresh(refresh or "")
            case other:
                raise Refusal(400, "UNSUPPORTED", "grant_type must be password or refresh_token", other)
        return self._grant(may, [form.get("scope", "")], refresh)

    def _grant(self, may: Actions | None, scopes: Iterable[str], refresh: str | None) -> web.Response:
        if may is None:
            raise _wrong_credentials()
        rights = rights_in(scopes, may)
        token = self._tokens.issue(rights, time.monotonic(), may)
        answer = {
            "token": token,
            "access_token": token,
            "expires_in": int(self._tokens.seconds),
            "issued_at": datetime.now(UTC).isoformat(),
            "scope": " ".join(sorted(f"repository:{right.repository}:{right.action}" for right in rights)),
        }
        return web.json_response(answer | ({"refresh_token": refresh} if refresh else {}))


def _needed(request: web.Request, name: str | None) -> tuple[Right, ...]:
    if name is None:
        return ()
    # An upload's status is for the one who pushes.
    reads = request.method in _READING and "session" not in request.match_info
    return (Right(name, "pull"),) if reads else (Right(name, "pull"), Right(name, "push"))


def _challenge(request: web.Request, needed: tuple[Right, ...], error: str | None) -> Refusal:
    # The name by which the client reached us is the one by which it can come back; it goes into a header.
    if not is_host(request.host):
        return Refusal(400, "UNSUPPORTED", "the Host header is not a host")
    parameters = {"realm": f"http://{request.host}{TOKEN_PATH}", "service": SERVICE}
    if needed:
        scopes = [f"repository:{needed[0].repository}:{','.join(right.action for right in needed)}"]
        # As distribution does: who mounts a blob has to be able to read it where it comes from.
        if "mount" in request.query and is_path(source := request.query.get("from", "")):
            scopes.append(f"repository:{source}:pull")
        parameters["scope"] = " ".join(scopes)
    if error:
        parameters["error"] = error
    challenge = "Bearer " + ",".join(f'{key}="{value}"' for key, value in parameters.items())
    return Refusal(401, "UNAUTHORIZED", "authentication required", headers={"WWW-Authenticate": challenge})


def _bearer(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else None


def _basic_password(request: web.Request) -> str:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        decoded = base64.b64decode(encoded, validate=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:
        return ""
    return decoded.partition(":")[2]


def _wrong_credentials() -> Refusal:
    realm = f'Basic realm="{SERVICE}"'
    return Refusal(401, "UNAUTHORIZED", "unknown password", headers={"WWW-Authenticate": realm})
