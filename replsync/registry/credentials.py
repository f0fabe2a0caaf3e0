"""Credentials from Docker's and Podman's files, and from credential helpers.

The files: config.json as the Docker CLI writes it, and containers-auth.json(5).
A credential is for the host that the file names it for, and for nothing else.
"""

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from replsync.errors import InvalidInput, SignInError
from replsync.oci.reference import DOCKER_HUB

_HELPER_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_HELPER_SECONDS = 60
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
        self._paths = tuple(_paths(env, home))
        self._files: dict[Path, dict[str, Any]] = {}
        self._extra = extra or {}

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
            try:
                content = json.loads(path.read_bytes())
            except FileNotFoundError:
                content = {}
            except OSError as error:
                raise InvalidInput(
                    f"read credentials from {path}: {error.strerror}", hint="check the file's permissions"
                ) from error
            except (ValueError, RecursionError) as error:
                raise InvalidInput(
                    f"read credentials from {path}: it is not JSON", hint="sign in again with `docker login`"
                ) from error
            if not isinstance(content, dict):
                raise InvalidInput(f"read credentials from {path}: it is not a JSON object")
            self._files[path] = content
        return self._files[path]

    async def _from_helper(self, config: dict[str, Any], host: str, path: Path) -> Credential | None:
        helpers = config.get("credHelpers")
        if isinstance(helpers, dict):
            for key, helper in helpers.items():
                if _normal(key) in _names(host):
                    # Docker's way to say that this one is in the file after all.
                    return None if helper == "" else await self._ask(helper, key, host, path)
        if store := config.get("credsStore"):
            server = "https://index.docker.io/v1/" if host == DOCKER_HUB else host
            return await self._ask(store, server, host, path)
        return None

    async def _ask(self, helper: object, server: str, host: str, path: Path) -> Credential | None:
        """Run `docker-credential-HELPER get`, which takes the server on stdin and answers in JSON."""
        name = f" {helper[:60]!r}" if isinstance(helper, str) else ""
        what = f"ask the credential helper{name} for {server}"
        hint = f"run `docker-credential-{helper} list`, or remove the helper from {path}"
        if not isinstance(helper, str) or not _HELPER_NAME.fullmatch(helper):
            raise SignInError(f"{what}: that is not the name of a helper", hint=f"mend {path}", host=host)
        try:
            process = await asyncio.create_subprocess_exec(
                f"docker-credential-{helper}",
                "get",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=dict(self._env),
            )
        except OSError as error:
            raise SignInError(f"{what}: {error.strerror}", hint=hint, host=host) from error
        try:
            async with asyncio.timeout(_HELPER_SECONDS):
                output, _ = await process.communicate(server.encode())
        except TimeoutError as error:
            raise SignInError(f"{what}: no answer in {_HELPER_SECONDS} s", hint=hint, host=host) from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            if b"credentials not found" in output.lower():
                return None
            raise SignInError(f"{what}: it ended with {process.returncode}", hint=hint, host=host)
        try:
            answer = json.loads(output)
            username, secret = answer["Username"], answer["Secret"]
            if not isinstance(username, str) or not isinstance(secret, str):
                raise TypeError("not text")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SignInError(f"{what}: its answer is not what helpers answer", hint=hint, host=host) from error
        if not username and not secret:
            return None  # how some say that they have none
        origin = f"credential helper {helper} ({path})"
        return Credential(username, secret, origin, is_identity_token=username == _IDENTITY_TOKEN_USER)


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


def _paths(env: Mapping[str, str], home: Path) -> Iterator[Path]:
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
            hint=f"sign in again with `docker login {key}`",
        ) from error
    if not colon:
        raise InvalidInput(
            f"read credentials for {key} from {path}: `auth` holds no colon",
            hint=f"sign in again with `docker login {key}`",
        )
    return Credential(username, password.rstrip("\0"), origin)
