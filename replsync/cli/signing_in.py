"""`replsync login` and `replsync logout`."""

import getpass
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import assert_never

from replsync.cli.commands.access import Way
from replsync.cli.files import write_whole
from replsync.cli.manifests import read_all
from replsync.cli.options import DEFAULT_FILE, Connection
from replsync.cli.running import run
from replsync.cli.workspace import TOKEN, token_credential
from replsync.errors import PermissionDenied, SignInError, UsageError
from replsync.manifest.model import DEFAULT_REGISTRY
from replsync.oci.reference import DOCKER_HUB, is_host
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.credential_storage import CredentialStorage
from replsync.registry.credentials import Credential, CredentialStore
from replsync.registry.persistence import Persistence
from replsync.registry.transport import TimeLimits, Transport
from replsync.render.harmless import clean

_MOST = 64 * 1024
"""Bytes of a secret."""
_ANY_NAME = "replsync"
_REFUSED = "check the user name, and the token or password; a token that was taken back is refused, too"
_HUB = ("index.docker.io", "registry-1.docker.io", "hub.docker.com")
_MENU = """Sign in to {host} with
  1  your email and a user API token (recommended)
  2  a service account's token (or a team's, which are deprecated)
  3  your email and your Vendor Portal password (a token is better:
     it can be taken back by itself)"""
_WAYS = {"": Way.USER_TOKEN, "1": Way.USER_TOKEN, "2": Way.SERVICE_ACCOUNT, "3": Way.PASSWORD}


def sign_in(host: str | None, way: Way | None, username: str | None, from_stdin: bool, connection: Connection) -> None:
    """Have a credential checked by the registry, and keep it.

    Raises SignInError where the registry, or a credential helper, won't have it: then nothing is changed.
    """
    registry, is_target = _registry(host, connection.files)
    storage = _storage()
    storage.place(registry)  # a file that can't be written into is better known before anything is typed
    credential = _read(registry, way, username, is_target) if not from_stdin else _piped(registry, way, username)
    was_checked = run(_check(registry, credential, connection))
    place = run(storage.store(credential, registry))
    print(f"signed in to {clean(registry)} as {clean(credential.username)}; kept in {clean(place.name)}")
    if not was_checked:
        _note(f"{registry} lets everybody in at its door, so that it is not known whether the credential is right")
    if place.is_plain:
        _note("the file holds it unencrypted; a credential helper (`credsStore` there) is safer")
    for narrower in storage.narrower(registry):
        _note(f"{narrower} is for a part of {registry}, and goes before it there")
    if token_credential(registry, os.environ):
        _note(f"${TOKEN} is set, too; what was kept now goes before it")


def sign_out(host: str | None, files: Sequence[Path]) -> None:
    """Forget a registry's credential, and say what remains. Raises SignInError where a credential helper won't."""
    registry, _ = _registry(host, files)
    storage = _storage()
    place = run(storage.erase(registry))
    if place:
        print(f"signed out of {clean(registry)}; the credential was in {clean(place.name)}")
    else:
        print(f"not signed in to {clean(registry)}: no file has a credential for it")
    for remaining in run(storage.remaining(registry)):
        _note(f"another credential remains: {remaining}")
    if token_credential(registry, os.environ):
        _note(f"${TOKEN} is set, and is used for {registry}")


def _registry(host: str | None, files: Sequence[Path]) -> tuple[str, bool]:
    """The registry that is meant, and whether it is one of the vendor's, with three ways to sign in."""
    if host is not None:
        if not is_host(host):
            raise UsageError(
                f"{host.rpartition('@')[2][:150]!r} is not a registry's host",
                hint="write it as HOST or HOST:PORT, without https://",
            )
        return (DOCKER_HUB if host in _HUB else host), f".{host}".endswith(".replicated.com")
    if list(files) == DEFAULT_FILE and not DEFAULT_FILE[0].exists():
        return DEFAULT_REGISTRY, True
    found = sorted({member.target.registry for member in read_all(files, app_later=True)})
    if len(found) > 1:
        raise UsageError(
            f"the manifests have several registries: {', '.join(found)}", hint="name the one that is meant"
        )
    return found[0], True


def _storage() -> CredentialStorage:
    return CredentialStorage(os.environ, Path.home(), _write)


def _write(path: Path, data: bytes) -> None:
    with suppress(OSError):  # what is wrong with the folder, writing will tell
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, data, "the credentials", mode=0o600)


def _read(registry: str, way: Way | None, username: str | None, is_target: bool) -> Credential:
    """Ask for what isn't known yet."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            "login: nobody is there to type the token or password",
            hint=f"pipe it in: replsync login {registry} --username NAME --password-stdin < FILE",
        )
    try:
        if way is None and is_target:
            way = _chosen(registry)
        name, secret = _words(way)
        if username is None:
            username = _ANY_NAME if way is Way.SERVICE_ACCOUNT else _line(f"{name}: ")
        return _credential(username, getpass.getpass(f"{secret} (not shown): ", sys.stderr))
    except EOFError as error:
        raise UsageError("login: no answer; nothing was changed", hint="run it again") from error


def _chosen(registry: str) -> Way:
    print(_MENU.format(host=registry), file=sys.stderr)
    while (answer := _line("Which? [1] ")) not in _WAYS:
        print("1, 2 or 3", file=sys.stderr)
    return _WAYS[answer]


def _words(way: Way | None) -> tuple[str, str]:
    """What user name and secret are called."""
    match way:
        case Way.USER_TOKEN:
            return "Email", "User API token"
        case Way.SERVICE_ACCOUNT:
            return "User name", "Token"
        case Way.PASSWORD:
            return "Email", "Password"
        case None:
            return "User name", "Token or password"
        case _:
            assert_never(way)


def _line(question: str) -> str:
    print(end=question, file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        print(file=sys.stderr)
        raise EOFError
    return line.strip()


def _piped(registry: str, way: Way | None, username: str | None) -> Credential:
    if username is None and way is not Way.SERVICE_ACCOUNT:
        raise UsageError(
            "login: --password-stdin needs --username",
            hint=f"with a service account's token any name will do: replsync login {registry} --as service-account "
            "--password-stdin",
        )
    data = sys.stdin.buffer.read(_MOST + 1) if sys.stdin else b""
    if len(data) > _MOST:
        raise UsageError(
            f"login: stdin has more than {_MOST} bytes, which is no password", hint="pipe in the secret alone"
        )
    try:
        return _credential(username or _ANY_NAME, data.decode().rstrip("\r\n"))
    except UnicodeDecodeError:
        raise UsageError("login: what is on stdin is no text in UTF-8", hint="pipe in the secret alone") from None


def _credential(username: str, secret: str) -> Credential:
    if not username or ":" in username or not username.isprintable():
        raise UsageError(
            "login: a user name has at least one character, and no colon",
            hint="with a token of a service account, any will do",
        )
    if not secret or not secret.isprintable():
        what = "it is empty" if not secret else "it holds a line break, or another character that can't be typed"
        raise UsageError(f"login: that is no token or password: {what}", hint="copy it again")
    return Credential(username, secret, "what was typed")


async def _check(registry: str, credential: Credential, connection: Connection) -> bool:
    """Ask the registry; False where it asks for no sign-in. Raises SignInError."""
    settings = Settings(plain_http=frozenset(connection.plain_http), persistence=Persistence(attempts=2))
    async with Transport(TimeLimits(idle=connection.timeout)) as transport:
        client = RegistryClient(transport, CredentialStore.of({registry: credential}), settings)
        try:
            return await client.sign_in(registry)
        except PermissionDenied:
            raise
        except SignInError as error:
            said = error.message.removesuffix(f"; the credential is from {credential.origin}")
            raise SignInError(f"{said}; nothing was changed", hint=_REFUSED, host=registry) from error


def _note(text: str) -> None:
    print(f"note: {clean(text)}", file=sys.stderr)
