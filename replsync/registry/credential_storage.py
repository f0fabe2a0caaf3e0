"""Putting credentials where Docker puts them, and taking them away again.

Docker's rules: a helper that the file names for the host keeps the secret, and
the file an empty entry; without one the file holds it in base64, which is no
encryption. Everything else in the file stays, in its order.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replsync.errors import InvalidInput
from replsync.registry.blotting import blotted
from replsync.registry.credential_helper import Helper
from replsync.registry.credentials import (
    Credential,
    CredentialStore,
    ask_helper,
    credential_paths,
    helper_for,
    is_key_of,
    read_config,
    server_of,
)
from replsync.registry.sign_in import basic_header

_SHOWN = 200


@dataclass(frozen=True)
class Place:
    """Where a credential is, in words; `is_plain` where whoever can read the file can read the credential."""

    name: str
    is_plain: bool = False


class CredentialStorage:
    """The files that `CredentialStore` looks into, for writing.

    `write` replaces a file as a whole, for its owner's eyes only.
    """

    def __init__(self, env: Mapping[str, str], home: Path, write: Callable[[Path, bytes], None]) -> None:
        self._env = env
        self._home = home
        self._write = write

    @property
    def path(self) -> Path:
        """The file that a new credential goes to, or that names the helper: the first that is looked into."""
        return next(credential_paths(self._env, self._home))

    def place(self, host: str) -> Place:
        """Return where a credential for `host` would go. Raises InvalidInput for a file that can't be written into."""
        config = read_config(self.path)
        _auths(config, self.path)
        helper = helper_for(config, host, self.path)
        return Place(f"the {helper.called} ({self.path})") if helper else Place(str(self.path), is_plain=True)

    async def store(self, credential: Credential, host: str) -> Place:
        """Keep a credential for `host` in place of any that is there.

        Raises SignInError where a helper won't, InvalidInput for a file that can't be written into,
        and whatever `write` raises.
        """
        place = self.place(host)
        config = read_config(self.path)
        entry: dict[str, str] = {}  # so that Docker lists the host, and a secret that was in the file is gone
        if helper := helper_for(config, host, self.path):
            await self._give(helper, credential)
        else:
            entry["auth"] = basic_header(credential).partition(" ")[2]
        config = read_config(self.path)  # again: a helper may take its time, and `docker login` elsewhere doesn't wait
        server, auths = server_of(host), _auths(config, self.path)
        kept = {key: auths[key] for key in auths if key == server or not is_key_of(key, host)}
        self._replace(self.path, {**config, "auths": {**kept, server: entry}})
        return place

    async def erase(self, host: str) -> Place | None:
        """Forget the credential for `host` that is in use; None where there is none in any file.

        Raises SignInError where a helper won't, InvalidInput for a file that can't be read.
        """
        for path in credential_paths(self._env, self._home):
            config = read_config(path)
            auths = _auths(config, path)
            own = {key for key in auths if is_key_of(key, host)}
            helper = helper_for(config, host, path)
            is_helped = helper is not None and await self._take(helper)
            held = any(auths[key] for key in own)
            if own:
                config = read_config(path)  # again: see `store`
                auths = _auths(config, path)
                self._replace(path, {**config, "auths": {key: auths[key] for key in auths if key not in own}})
            if helper and is_helped:
                return Place(f"the {helper.called} ({path})")
            if held:
                return Place(str(path), is_plain=True)
        return None

    async def remaining(self, host: str) -> tuple[str, ...]:
        """Return where credentials for `host`, or for a part of it, are all the same, in words."""
        found = []
        for path in credential_paths(self._env, self._home):
            alone = CredentialStore({**self._env, "REGISTRY_AUTH_FILE": str(path)}, self._home)
            if credential := await alone.find(host):
                found.append(credential.origin)
            found += self.narrower(host, path)
        return tuple(found)

    def narrower(self, host: str, path: Path | None = None) -> Iterator[str]:
        """Name the entries of a file that are for a part of `host`, as Podman has them, and go before its own."""
        path = path or self.path
        for key, entry in _auths(read_config(path), path).items():
            if key.startswith(f"{host}/") and not is_key_of(key, host) and entry:
                yield f"{path} ({key})"

    async def _give(self, helper: Helper, credential: Credential) -> None:
        operation = f"store the credential with the {helper.called}"
        given = {"ServerURL": helper.server, "Username": credential.username, "Secret": credential.password}
        said = await helper.run(operation, "store", json.dumps(given), self._env)
        if said.code != 0:
            words = blotted(said.output.decode(errors="replace"), [credential.password, basic_header(credential)[6:]])
            words = " ".join(words.split())[:_SHOWN]
            raise helper.failed(operation, f"it ended with {said.code}{f' ({words})' if words else ''}")

    async def _take(self, helper: Helper) -> bool:
        """Have a helper forget; False where it knew nothing. What it says is not shown: nobody knows its secrets."""
        if not await ask_helper(helper, self._env):
            return False
        operation = f"erase the credential for {helper.server} from the {helper.called}"
        said = await helper.run(operation, "erase", helper.server, self._env)
        if said.code != 0 and not said.knows_nothing:
            raise helper.failed(operation, f"it ended with {said.code}")
        return True

    def _replace(self, path: Path, config: dict[str, Any]) -> None:
        # As Docker writes it.
        self._write(path, json.dumps(config, indent="\t").encode())


def _auths(config: dict[str, Any], path: Path) -> dict[str, Any]:
    auths = config.get("auths") or {}
    if not isinstance(auths, dict):
        raise InvalidInput(
            f"read credentials from {path}: `auths` is not a JSON object",
            hint="mend it, or move it away and sign in again",
        )
    return auths
