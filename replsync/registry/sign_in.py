"""The conversation of signing in to a registry, apart from transport.

Rules: distribution's token specification (docs/spec/auth/token.md and oauth.md)
and RFC 9110, 11 for challenges. What a server says comes in as text or bytes,
what to send it goes out as values.
"""

import base64
import json
import math
import re
from dataclasses import dataclass, field
from urllib.parse import urlencode

from yarl import URL

from replsync.errors import RegistryError, SignInError
from replsync.oci.reference import is_loopback
from replsync.registry.address import host_of, origin, parse_address
from replsync.registry.credentials import Credential

MAX_TOKEN_ANSWER = 1024 * 1024
"""Bytes of a token server's answer that are read."""

_DEFAULT_SECONDS = 60.0
_CLIENT = "replsync"
_MAX_SECONDS = 24 * 3600.0
# RFC 9110, 11.3 and 11.6.1: challenges and their parameters share the comma.
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf"""[\s,]*({_NAME})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))""", re.DOTALL)
_SCHEME = re.compile(rf"""[\s,]*({_NAME})(?=[\s,]|$)(?!\s*=)(?:[ ]+[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$)))?""")
_GARBAGE = re.compile(r"""[\s,]*(?:"(?:[^"\\]|\\.)*"?|[^,"])+""", re.DOTALL)
# Second-level domains below which countries register names: what is below them is not of one site.
_SHARED = {
    *("ac", "co", "com", "edu", "go", "gob", "gouv", "gov", "govt", "gub", "ltd", "me", "mil", "ne", "net", "nom"),
    *("or", "org", "plc", "sch"),
}


@dataclass(frozen=True)
class Challenge:
    """One WWW-Authenticate challenge: the scheme in lower case, and its parameters."""

    scheme: str
    parameters: dict[str, str]


@dataclass(frozen=True)
class Token:
    """A bearer token, good until `expires_at` on the clock that `read_token` was given (seconds)."""

    value: str = field(repr=False)
    expires_at: float


@dataclass(frozen=True)
class TokenRequest:
    """What to send to the token server. `form` makes it a POST."""

    url: str
    headers: dict[str, str] = field(repr=False)
    form: dict[str, str] | None = field(default=None, repr=False)


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Read a WWW-Authenticate header, which may hold several challenges; what is not understood is left out."""
    challenges: list[Challenge] = []
    position = 0
    while position < len(header):
        if parameter := _PARAMETER.match(header, position):
            quoted = parameter[2]
            value = re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) if quoted is not None else parameter[3]
            if challenges:
                challenges[-1].parameters.setdefault(parameter[1].lower(), value)
            position = parameter.end()
        elif scheme := _SCHEME.match(header, position):
            challenges.append(Challenge(scheme[1].lower(), {}))
            position = scheme.end()
        elif garbage := _GARBAGE.match(header, position):
            position = garbage.end()
        else:
            break
    return tuple(challenges)


def basic_header(credential: Credential) -> str:
    """Return the value of an Authorization header for Basic sign-in (RFC 7617)."""
    pair = f"{credential.username}:{credential.password}".encode()
    return "Basic " + base64.b64encode(pair).decode()


def may_send(registry_origin: str, realm: str) -> bool:
    """Whether a credential made for the registry at `registry_origin` may go to the token server `realm`.

    It may go to the same origin; and over https to a server of the same site:
    `gitlab.com` for `registry.gitlab.com`, `auth.docker.io` for
    `registry-1.docker.io`. Anything else would let a registry, or whoever
    speaks for it, have the credential sent where its owner never meant it to go.
    """
    if origin(registry_origin) == origin(realm):
        return True
    here, there = (URL(url, encoded=True).raw_host for url in (registry_origin, realm))
    if not realm.startswith("https:") or not here or not there or is_loopback(host_of(registry_origin)):
        return False  # behind another port of this machine may be another user's program
    return here == there or _is_of(there, here.partition(".")[2])


def _is_of(host: str, site: str) -> bool:
    second, dot, top = site.rpartition(".")
    if not dot or top.isdigit():  # 10.0.0.1 and 10.9.0.1 are not of one site
        return False
    if len(top) == 2 and second in _SHARED:  # nor are shop.co.uk and bank.co.uk
        return False
    return host == site or host.endswith(f".{site}")


def token_server(challenge: Challenge, registry_origin: str, host: str) -> str:
    """Return the URL of the challenge's token server; `host` is the registry, for messages.

    Raises SignInError where there is none, or one that speaks http for a registry that speaks https.
    """
    try:
        realm = parse_address(challenge.parameters.get("realm", "")).with_fragment(None)
    except ValueError as error:
        hint = "is it a registry, or is there a proxy with a sign-in of its own in between?"
        raise SignInError(
            f"sign in to {host}: the registry names no usable token server", hint=hint, host=host
        ) from error
    if realm.scheme == "http" and registry_origin.startswith("https:"):
        raise SignInError(
            f"sign in to {host}: the registry speaks https, but its token server {host_of(str(realm))} only http",
            host=host,
        )
    return str(realm)


def token_request(
    challenge: Challenge, realm: str, scopes: tuple[str, ...], credential: Credential | None
) -> TokenRequest:
    """Return the request that asks the token server at `realm` for `scopes`.

    The first scope is the one that matters: some servers read no other.
    """
    service = challenge.parameters.get("service")
    if credential and credential.is_identity_token:
        form = {"grant_type": "refresh_token", "client_id": _CLIENT, "refresh_token": credential.password}
        form |= {"service": service} if service else {}
        form |= {"scope": " ".join(scopes)} if scopes else {}
        return TokenRequest(realm, {}, form)
    query = [("service", service)] if service else []
    query += [("scope", scope) for scope in scopes]
    headers = {}
    if credential:
        query.append(("account", credential.username))
        headers["Authorization"] = basic_header(credential)
    separator = "&" if "?" in realm else "?"
    return TokenRequest(realm + (separator + urlencode(query) if query else ""), headers)


def read_token(body: bytes, now: float) -> Token:
    """Read a token server's answer; `now` is when it came, on a monotonic clock in seconds.

    A token that doesn't say how long it lives, or nothing that can be
    believed, lives 60 s; none lives for more than a day. It counts as used up a
    little early: after nine tenths of its life. Raises RegistryError where there is no token in it.
    """
    try:
        answer = json.loads(body)
        value = answer.get("token") or answer.get("access_token")
        life = answer.get("expires_in")
    except (ValueError, AttributeError, RecursionError) as error:
        raise RegistryError("the token server's answer can't be read") from error
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise RegistryError("the token server's answer holds no token")
    return Token(value, now + 0.9 * _seconds(life))


def granted(body: bytes) -> dict[str, frozenset[str]] | None:
    """Return what a token server's answer allows, actions by repository; None where it doesn't say.

    By its `scope` (RFC 6749, 5.1), else by the claims of a token in JWT's form ("Token Authentication
    Implementation" of distribution), which is only read here and not verified: it is for people.
    """
    try:
        answer = json.loads(body)
        if isinstance(scope := answer.get("scope"), str):
            parts = [entry.removeprefix("repository:").rpartition(":") for entry in scope.split()]
            entries = [(name, actions.split(",")) for name, colon, actions in parts if colon]
        else:
            payload = str(answer.get("token") or answer.get("access_token")).split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["access"]
            entries = [(one["name"], one["actions"]) for one in claims if one["type"] == "repository"]
        rights: dict[str, frozenset[str]] = {}
        for name, actions in entries:
            rights[str(name)] = rights.get(str(name), frozenset()) | frozenset(map(str, actions))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return None
    return rights


def _seconds(life: object) -> float:
    try:
        seconds = float(life) if isinstance(life, int | float | str) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    return min(seconds, _MAX_SECONDS) if seconds > 0 else _DEFAULT_SECONDS
