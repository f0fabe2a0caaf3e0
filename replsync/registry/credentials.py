"""Credentials from Docker's and Podman's files, and from credential helpers.

The files: config.json as the Docker CLI writes it, and containers-auth.json(5).
A credential is for the host that the file names it for, and for nothing else.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from replsync.errors import InvalidInput
from replsync.oci.reference import DOCKER_HUB
from replsync.registry.credential_helper import Helper

_MEND = "mend it, or move it away and sign in again"
_IDENTITY_TOKEN_USER = "<token>"  # noqa: S105 - the protocol's marker for an identity token, not a secret


@dataclass(frozen=True)
class Credential:
    """A user name with a password, or an identity token; `origin` says which file it is from."""

    username: str
    password: str = field(repr=False)
    origin: str
    is_identity_token: bool = False


class CredentialStore:
    """Looks credentials up, each file read once.

    The first of these files that has one for the host is taken:
    `$REGISTRY_AUTH_FILE` alone where it is set; else `$DOCKER_CONFIG/config.json`
    (`~/.docker/config.json`), `$XDG_RUNTIME_DIR/containers/auth.json` and
    `~/.config/containers/auth.json`. `extra` answers for hosts that no file knows.
    """

    def __init__(self, env: Mapping[str, str], home: Path, extra: Mapping[str, Credential] | None = None) -> None:
        self._env = env
        self._paths = tuple(credential_paths(env, home))
        self._files: dict[Path, dict[str, Any]] = {}
        self._extra = extra or {}

    @classmethod
    def of(cls, credentials: Mapping[str, Credential]) -> Self:
        """A store that knows these, by host, and looks into no file."""
        store = cls({}, Path(), credentials)
        store._paths = ()
        return store

    async def find(self, host: str, repository: str = "") -> Credential | None:
        """Return the credential for `host`, the most specific for `repository`; None if there is none.

        Raises SignInError where a credential helper fails (never a silent
        fall-back to anonymous, CVE-2021-41092), InvalidInput where a file is
        not what it should be.
        """
        for path in self._paths:
            config = self._read(path)
            found = await self._from_helper(config, host, path) or _from_auths(config, host, repository, path)
            if found:
                return _sendable(found)
        return _sendable(self._extra[host]) if host in self._extra else None

    def _read(self, path: Path) -> dict[str, Any]:
        if path not in self._files:
            self._files[path] = read_config(path)
        return self._files[path]

    async def _from_helper(self, config: dict[str, Any], host: str, path: Path) -> Credential | None:
        helper = helper_for(config, host, path)
        return await ask_helper(helper, self._env) if helper else None


async def ask_helper(helper: Helper, env: Mapping[str, str]) -> Credential | None:
    """Have a helper `get` its credential; None where it has none. Raises SignInError where it fails."""
    operation = f"ask the {helper.called} for {helper.server}"
    said = await helper.run(operation, "get", helper.server, env)
    if said.code != 0:
        if said.knows_nothing:
            return None
        raise helper.failed(operation, f"it ended with {said.code}")
    try:
        answer = json.loads(said.output)
        username, secret = answer["Username"], answer["Secret"]
        if not isinstance(username, str) or not isinstance(secret, str):
            raise TypeError("not text")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise helper.failed(operation, "its answer is not what helpers answer") from error
    if not username and not secret:
        return None  # how some say that they have none
    origin = f"credential helper {helper.name} ({helper.path})"
    return Credential(username, secret, origin, is_identity_token=username == _IDENTITY_TOKEN_USER)


def read_config(path: Path) -> dict[str, Any]:
    """Return what one of the files holds; nothing where there is no such file. Raises InvalidInput."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidInput(
            f"read credentials from {path}: {error.strerror}", hint="check the file's permissions"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"read credentials from {path}: it is not JSON", hint=_MEND) from error
    if not isinstance(content, dict):
        raise InvalidInput(f"read credentials from {path}: it is not a JSON object", hint=_MEND)
    return content


def helper_for(config: dict[str, Any], host: str, path: Path) -> Helper | None:
    """Return the helper that keeps the credential for `host` by the file `path`; None where the file itself does."""
    helpers = config.get("credHelpers")
    if isinstance(helpers, dict):
        for key, name in helpers.items():
            if is_key_of(key, host):
                # Docker's way to say that this one is in the file after all.
                return None if name == "" else Helper(name, key, host, path)
    store = config.get("credsStore")
    return Helper(store, server_of(host), host, path) if store else None


def server_of(host: str) -> str:
    """Return what Docker calls `host` in its file, and to helpers."""
    return "https://index.docker.io/v1/" if host == DOCKER_HUB else host


def is_key_of(key: str, host: str) -> bool:
    """Whether a key of Docker's or Podman's files names `host`, and no repository of it."""
    return _normal(key) in _names(host)


def _sendable(found: Credential) -> Credential:
    """Raise InvalidInput for what is no text: half a surrogate pair in JSON, bytes in a variable that aren't UTF-8."""
    if not _is_text(found.username + found.password):
        raise InvalidInput(
            f"use the credential from {found.origin}: it holds characters that can't be sent", hint="sign in again"
        )
    return found


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def credential_paths(env: Mapping[str, str], home: Path) -> Iterator[Path]:
    """The files that credentials are looked for in, in order; see `CredentialStore`."""
    if explicit := env.get("REGISTRY_AUTH_FILE"):
        yield Path(explicit)
        return
    yield Path(env.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    if runtime := env.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json"
    yield Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json"


def _names(host: str) -> tuple[str, ...]:
    """The keys under which `host` may stand."""
    return ("index.docker.io", DOCKER_HUB, "registry-1.docker.io") if host == DOCKER_HUB else (host,)


def _normal(key: str) -> str:
    """The host of Docker's keys that are URLs (`https://index.docker.io/v1/`); other keys keep their path."""
    rest = key.removeprefix("https://").removeprefix("http://")
    return rest.rstrip("/") if rest == key else rest.partition("/")[0]


def _from_auths(config: dict[str, Any], host: str, repository: str, path: Path) -> Credential | None:
    auths = config.get("auths")
    if not isinstance(auths, dict):
        return None
    # A key that is written as it is looked up wins over one that only comes to the same.
    ordered = sorted(auths.items(), key=lambda item: _normal(item[0]) == item[0])
    entries = {_normal(key): (key, entry) for key, entry in ordered}
    parts = repository.split("/") if repository else []
    for length in range(len(parts), -1, -1):  # containers-auth.json(5): the most specific name wins
        for name in _names(host):
            key, entry = entries.get("/".join([name, *parts[:length]]), ("", None))
            if isinstance(entry, dict) and (found := _decode(entry, key, path)):
                return found
    return None


def _decode(entry: dict[str, Any], key: str, path: Path) -> Credential | None:
    origin = f"{path} ({key})"
    if token := entry.get("identitytoken"):
        return Credential(_IDENTITY_TOKEN_USER, str(token), origin, is_identity_token=True)
    encoded = entry.get("auth")
    if not encoded:
        if entry.get("username") and entry.get("password"):
            return Credential(str(entry["username"]), str(entry["password"]), origin)
        return None  # `docker login` leaves an empty entry where a helper holds the secret
    try:
        username, colon, password = base64.b64decode(str(encoded), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"read credentials for {key} from {path}: `auth` is not base64 of USER:PASSWORD",
            hint=f"sign in again: replsync login {key}",
        ) from error
    if not colon:
        raise InvalidInput(
            f"read credentials for {key} from {path}: `auth` holds no colon",
            hint=f"sign in again: replsync login {key}",
        )
    return Credential(username, password.rstrip("\0"), origin)
