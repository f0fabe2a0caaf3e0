"""Every way to change one thing in a JSON document, for tests of what finds out."""

import copy
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Step = str | int
Document = dict[str, Any]

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_OTHERS = 3
"""Values of the same member elsewhere that are tried in its place."""
_OF_EACH_TYPE: tuple[Any, ...] = (None, True, 7, "text", [], {})


@dataclass(frozen=True)
class Tampering:
    """One change: the member that it is at, as in `actions[].before.digest`, what was done, and what came of it."""

    member: str
    what: str
    document: Document


def tamperings(document: Document, choices: Mapping[str, Sequence[str]]) -> Iterator[Tampering]:
    """Every single change to `document`.

    `choices` has the values of the members that are one of a few, by the
    member's own name: each of them is tried.
    """
    seen = {written(document)}
    alike = _values_by_member(document)
    for path in _paths(document):
        for what, changed in _changes(_at(document, path), path, choices, alike):
            made = copy.deepcopy(document)
            _at(made, path[:-1])[path[-1]] = copy.deepcopy(changed)
            if written(made) not in seen:  # one and the same may come about in several ways
                seen.add(written(made))
                yield Tampering(member_of(path), what, made)
    yield from _swaps(document)


def member_of(path: Sequence[Step]) -> str:
    """Name a member whatever its place in a list: `actions[].notes[]`."""
    return "".join("[]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def signed(document: Document) -> Document:
    """Return the document with the digest that it should have: anybody can compute it."""
    body = {key: value for key, value in document.items() if key != "digest"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {**body, "digest": "sha256:" + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()}


def recounted(document: Document) -> Document:
    """Return the document with the summary that its actions have, as far as they can be counted."""
    actions = document.get("actions")
    if not isinstance(actions, list) or not isinstance(document.get("summary"), dict):
        return document
    counts = Counter(action.get("kind") for action in actions if isinstance(action, dict) and _is_kind(action))
    return {**document, "summary": {kind: counts[kind] for kind in document["summary"]}}


def written(document: Any) -> bytes:
    """Return the document as replsync writes its own."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{text}\n".encode(errors="surrogatepass")


def _is_kind(action: Document) -> bool:
    return isinstance(action.get("kind"), str)


def _paths(value: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    if path:
        yield path
    members: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in members:
        yield from _paths(inner, (*path, step))


def _values_by_member(document: Document) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for path in _paths(document):
        values = found.setdefault(member_of(path), [])
        value = _at(document, path)
        if value not in values:
            values.append(value)
    return found


def _changes(
    value: Any, path: Sequence[Step], choices: Mapping[str, Sequence[str]], alike: Mapping[str, list[Any]]
) -> Iterator[tuple[str, Any]]:
    for other in _OF_EACH_TYPE:
        if type(other) is not type(value):
            yield f"{type(other).__name__} in its place", other
    for other in alike[member_of(path)][:_OTHERS]:
        yield "that of another", other
    for choice in choices.get(str(path[-1]), ()):
        yield "another choice", choice
    match value:
        case str():
            yield from _changes_of_text(value)
        case bool():
            pass
        case int():
            yield from (("another number", value + 1), ("below zero", -1), ("a fraction", value + 0.5))
            yield from (("as a float", float(value)), ("too large", 2**63), ("beyond any float", 10**400))
        case list():
            yield from _changes_of_list(value)
        case dict():
            yield from ((f"without {key}", {k: v for k, v in value.items() if k != key}) for key in value)
            yield "with one more", {**value, "extra": None}


def _changes_of_text(value: str) -> Iterator[tuple[str, Any]]:
    yield "empty", ""
    yield "longer", f"{value}x"
    yield "a newline behind it", f"{value}\n"
    yield "a null character in it", f"{value}\0"
    yield "a control character in it", f"\x1b[2J{value}"
    yield "half a surrogate pair", f"{value}\ud800"
    yield "upper case", value.upper()
    for found in _DIGEST.finditer(value):
        for place in (found.start() + len("sha256:"), found.end() - 1):
            digit = "0" if value[place] != "0" else "1"
            yield "another hex digit", value[:place] + digit + value[place + 1 :]
        yield "a digit less", value[: found.end() - 1] + value[found.end() :]


def _changes_of_list(value: list[Any]) -> Iterator[tuple[str, Any]]:
    yield "one more null", [*value, None]
    yield "one more text", [*value, "one more"]
    for place, item in enumerate(value):
        yield "one removed", value[:place] + value[place + 1 :]
        yield "one twice", [*value[:place], item, *value[place:]]
    for place in range(len(value) - 1):
        yield "two in another order", [*value[:place], value[place + 1], value[place], *value[place + 2 :]]
    yield "turned round", value[::-1]


def _swaps(document: Document) -> Iterator[Tampering]:
    """Two actions change a member, or a digest in it, with one another."""
    members: tuple[tuple[str, ...], ...] = (
        *((key,) for key in document["actions"][0]),
        *((state, "digest") for state in ("before", "after", "source")),
        *(("after", "config"), ("tombstone", "replaces")),
    )
    for first, second in pairwise(range(len(document["actions"]))):
        for member in members:
            made = copy.deepcopy(document)
            one, other = (_at(made["actions"][place], member[:-1]) for place in (first, second))
            if one is None or other is None or one[member[-1]] == other[member[-1]]:
                continue
            one[member[-1]], other[member[-1]] = other[member[-1]], one[member[-1]]
            yield Tampering(member_of(("actions", 0, *member)), "swapped with the next action's", made)


def _at(value: Any, path: Sequence[Step]) -> Any:
    for step in path:
        value = value[step]
    return value
