"""Folding what is alike: many tags for which the same is to be said are shown as one group. Pure."""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from replsync.plan.action import Action

T = TypeVar("T")

_MANY = 60
"""Lines from which on less is shown of each group."""
_SHOWN, _SHOWN_OF_MANY = 8, 3
_WORTH_FOLDING = 2
"""How many more than are shown there have to be: a line that counts one tag could as well name it."""

_VARYING = re.compile(r"\b(?:sha(?:256|512):)?[0-9a-f]{12,128}\b…?|\b[0-9]+ bytes\b")
"""What differs from tag to tag although the same is said: digests, in short or in full, and sizes of blobs."""


def groups(items: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """Return the items in groups of equal keys; groups, and what is in them, in their first order."""
    found: dict[Hashable, list[T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return list(found.values())


def shape(text: str, action: Action) -> str:
    """Return a sentence about an action's tag without what belongs to that tag alone, to be compared with others."""
    text = text.replace(str(action.reference), "\0").replace(action.label, "\0")
    return re.sub(rf"(?<=:){re.escape(action.tag)}(?![\w.-])", "\0", _VARYING.sub("\0", text))


def folded(group: Sequence[T], *, among: int) -> tuple[Sequence[T], int]:
    """Return those of a group that are shown, and how many more there are; `among` counts all that is to be shown."""
    shown = _SHOWN if among <= _MANY else _SHOWN_OF_MANY
    if len(group) < shown + _WORTH_FOLDING:
        return group, 0
    return group[:shown], len(group) - shown


def some(names: Sequence[str], most: int = 5) -> Iterator[str]:
    """Yield the names for an enumeration, those after the first few as one that counts them."""
    yield from names[:most] if len(names) > most + 1 else names
    if len(names) > most + 1:
        yield f"and {len(names) - most:,} more"
