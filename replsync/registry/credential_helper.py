"""Docker's credential helpers: programs called `docker-credential-NAME` that keep secrets for others.

The protocol is docker-credential-helpers': an action as the argument, text on
stdin, JSON or nothing on stdout. A secret is never an argument.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from replsync.errors import SignInError
from replsync.registry.programs import output_of

SECONDS = 60
"""How long a helper may take: it may ask its user for a passphrase."""

_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Said:
    """How a helper ended, and what it said: that may hold a secret, and is never shown as it is."""

    code: int
    output: bytes = field(repr=False)

    @property
    def knows_nothing(self) -> bool:
        """Whether it failed since it has no such credential."""
        return self.code != 0 and b"credentials not found" in self.output.lower()


@dataclass(frozen=True)
class Helper:
    """The helper that the file `path` names for `host`, which it knows as `server`. `name` is as the file has it."""

    name: object
    server: str
    host: str
    path: Path

    @property
    def called(self) -> str:
        """Its name in a message."""
        return f"credential helper {self.name[:60]!r}" if isinstance(self.name, str) else "credential helper"

    def failed(self, operation: str, why: str) -> SignInError:
        """Return the error that it is of no use."""
        hint = f"run `docker-credential-{self.name} list`, or remove the helper from {self.path}"
        if not _is_name(self.name):
            hint = f"mend {self.path}"
        return SignInError(f"{operation}: {why}", hint=hint, host=self.host)

    async def run(self, operation: str, action: str, text: str, env: Mapping[str, str]) -> Said:
        """Run it with `text` on stdin. Raises SignInError where it can't be run, or doesn't end in time."""
        if not _is_name(self.name):
            raise self.failed(operation, "that is not the name of a helper")
        command = [f"docker-credential-{self.name}", action]
        try:
            async with asyncio.timeout(SECONDS):
                return Said(*await output_of(command, text.encode(), env))
        except TimeoutError as error:
            raise self.failed(operation, f"no answer in {SECONDS} s") from error
        except OSError as error:
            raise self.failed(operation, error.strerror or "it can't be run") from error


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(_NAME.fullmatch(name))
