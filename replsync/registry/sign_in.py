"""The conversation of signing in to a registry, apart from transport.

Rules: distribution's token specification (docs/spec/auth/token.md and oauth.md)
and RFC 7235 for challenges. `SignIn` is a small state machine: it is shown
answers, and says which header to send or which token to ask for.
"""

import base64
import json
import re
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from replsync.errors import RegistryError, SignInError
from replsync.registry.credentials import Credential

MAX_TOKEN_ANSWER = 1024 * 1024
"""Bytes of a token server's answer that are read."""

_DEFAULT_SECONDS = 60.0
_CLIENT = "replsync"
_CHALLENGE = re.compile(r"""\s*,?\s*([A-Za-z]+)\s+(?=[A-Za-z]+\s*=|,|$)""")
_PARAMETER = re.compile(r"""\s*,?\s*([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))""")


@dataclass(frozen=True)
class Challenge:
    """One WWW-Authenticate challenge: the scheme in lower case, and its parameters."""

    scheme: str
    parameters: dict[str, str]


@dataclass(frozen=True)
class Token:
    """A bearer token, good until `expires_at` on the clock that `read_token` was given (seconds)."""

    value: str
    expires_at: float

    def is_fresh(self, now: float) -> bool:
        """Whether it can still be used, some seconds of travel included."""
        return now < self.expires_at


@dataclass(frozen=True)
class TokenRequest:
    """What to send to the token server. `form` makes it a POST."""

    url: str
    headers: dict[str, str]
    form: dict[str, str] | None = None


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Read a WWW-Authenticate header, which may hold several challenges; what is not understood is left out."""
    challenges: list[Challenge] = []
    position = 0
    while found := _CHALLENGE.match(header, position):
        position = found.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, position):
            quoted = parameter[2]
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else parameter[3]
            parameters.setdefault(parameter[1].lower(), value)
            position = parameter.end()
        challenges.append(Challenge(found[1].lower(), parameters))
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
    here, there = urlsplit(registry_origin), urlsplit(realm)
    if (here.scheme, here.netloc) == (there.scheme, there.netloc):
        return True
    if there.scheme != "https" or not here.hostname or not there.hostname:
        return False
    if here.hostname == there.hostname:
        return True
    site = here.hostname.partition(".")[2]
    is_name = not site.rpartition(".")[2].isdigit()  # 10.0.0.1 and 10.9.0.1 are not of one site
    return "." in site and is_name and (there.hostname == site or there.hostname.endswith("." + site))


def token_server(challenge: Challenge, registry_origin: str) -> str:
    """Return the URL of the challenge's token server.

    Raises SignInError where there is none, or one that speaks http for a registry that speaks https.
    """
    realm = challenge.parameters.get("realm", "")
    where = f"sign in to {urlsplit(registry_origin).netloc}"
    try:
        parts = urlsplit(realm)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise SignInError(f"{where}: the registry names no usable token server")
    if parts.scheme == "http" and urlsplit(registry_origin).scheme == "https":
        raise SignInError(f"{where}: the registry speaks https, but its token server {parts.netloc} only http")
    return realm


def token_request(challenge: Challenge, scopes: tuple[str, ...], credential: Credential | None) -> TokenRequest:
    """Return the request that asks the challenge's token server for `scopes`.

    The first scope is the one that matters: some servers read no other.
    """
    realm = challenge.parameters["realm"]
    parts = urlsplit(realm)
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
    separator = "&" if parts.query else "?"
    return TokenRequest(realm + (separator + urlencode(query) if query else ""), headers)


def read_token(body: bytes, now: float) -> Token:
    """Read a token server's answer; `now` is when it came, on a monotonic clock in seconds.

    A token without `expires_in` lives 60 s. It counts as used up a little
    early: after nine tenths of its life. Raises RegistryError where there is no token in it.
    """
    try:
        answer = json.loads(body)
        value = answer.get("token") or answer.get("access_token")
        seconds = float(answer.get("expires_in") or _DEFAULT_SECONDS)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RegistryError("the token server's answer can't be read") from error
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise RegistryError("the token server's answer holds no token")
    return Token(value, now + 0.9 * max(seconds, 1.0))
