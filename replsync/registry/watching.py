"""What whoever watches a run is told of the questions to registries: how many there are, and what is waited for."""

import re
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from replsync.errors import RegistryError
from replsync.registry.together import together

T = TypeVar("T")

Waiting = Callable[[str, float, str], None]
"""Told which host isn't asked for so many seconds, and why: in words, which may be the registry's own.

Every request that waits says so: the same may be told many times.
"""

Asked = Callable[[str, int, int], None]
"""Told of what (such as `tags`) how many more there are to ask for, and how many more were."""

_ANSWERED = re.compile(r"answered ([1-9][0-9]{2})\b")


def nobody(*_told: object) -> None:
    """Tell nobody."""


async def counted(of: str, asked: Asked, questions: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Ask all of these at once; `asked` is told how many there are, and of each answer. Raises as `together` does."""

    async def one(question: Coroutine[Any, Any, T]) -> T:
        answer = await question
        asked(of, 0, 1)
        return answer

    found = [one(question) for question in questions]
    asked(of, len(found), 0)
    return await together(found)


def why_again(error: RegistryError, host: str) -> str:
    """Return why a request is tried again: `429 from HOST`, or what went wrong in its last words."""
    answered = _ANSWERED.search(error.message)
    if answered:
        return f"{answered[1]} from {host}"
    said = error.message.rpartition(": ")[2]
    return said if host in said else f"{host}: {said}"
