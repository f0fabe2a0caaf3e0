"""What was written to a registry, tag by tag, as a journal records it. Pure.

A journal is lines of JSON: one before a tag is written, one after. Each line
stands for itself, so that a journal that was cut off is worth all that it has.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from replsync.errors import InvalidInput
from replsync.oci.digest import Digest, parse_digest
from replsync.oci.reference import Reference, parse_reference
from replsync.plan.action import WRITING, Kind, State
from replsync.plan.document import canonical

FORMAT = "replsync.journal/1"

Event = Literal["writing", "wrote", "left", "failed"]
_EVENTS: dict[str, Event] = {"writing": "writing", "wrote": "wrote", "left": "left", "failed": "failed"}
_BEGINNING = b'{"after":'
"""How every line begins: canonical JSON sorts its keys."""
_TIME = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@dataclass(frozen=True)
class Entry:
    """One line.

    `writing` says what is about to happen, `wrote` what was read back, `left`
    that the tag was not touched after all, `failed` that nobody knows.

    `time` is RFC 3339 in UTC, `plan` the digest of the plan document, `commit`
    the manifest's git commit where there is one, with `-dirty` behind it where
    the manifest had changes. `error` says why it failed.
    """

    event: Event
    time: str
    kind: Kind
    image: str
    reference: Reference
    before: State | None
    after: State | None
    reason: str
    plan: Digest
    commit: str | None
    tool: str
    error: str | None = None


@dataclass(frozen=True)
class Change:
    """What a journal says became of one tag, or was to become of it, where the run ended before it was read back."""

    image: str
    reference: Reference
    before: State | None
    after: State | None


def entry_line(entry: Entry) -> str:
    """Return the entry as a line of a journal, with its newline."""
    return canonical({**entry_members(entry), "format": FORMAT}) + "\n"


def entry_members(entry: Entry) -> dict[str, Any]:
    """Return the entry as members of a JSON object."""
    return {
        **asdict(entry),
        "kind": str(entry.kind),
        "reference": str(entry.reference),
        "before": _state_item(entry.before),
        "after": _state_item(entry.after),
    }


def _state_item(state: State | None) -> dict[str, str | None] | None:
    """What a tag was, or is: always with a digest, but where it is only planned."""
    return {"kind": state.kind, "digest": state.digest, "config": state.config} if state else None


def read_journal(data: bytes, name: str) -> tuple[Entry, ...]:
    """Return the entries of the journal in `data`, the content of the file `name`.

    A last line that was cut off is left out, also where it is the only one:
    what it was to announce did not happen. Raises InvalidInput for anything
    else that is no entry.
    """
    lines = data.split(b"\n")
    entries = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            entries.append(_entry(json.loads(line)))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InvalidInput(
                f"read the journal {name}: line {number} is not an entry of a journal",
                hint="name a file of .replsync/journal that nobody has changed",
            ) from error
    if not entries and not _may_be_cut_off(data):
        raise InvalidInput(f"read the journal {name}: it is no journal", hint="name a file of .replsync/journal")
    return tuple(entries)


def changes(entries: Iterable[Entry]) -> tuple[Change, ...]:
    """Return what became of each tag, in the order in which they were first written."""
    found: dict[Reference, Change] = {}
    for entry in entries:
        if entry.event == "left":
            found.pop(entry.reference, None)
            continue
        first = found.get(entry.reference)
        before = first.before if first else entry.before
        found[entry.reference] = Change(entry.image, entry.reference, before, entry.after)
    return tuple(found.values())


def _may_be_cut_off(line: bytes) -> bool:
    """Whether the disk may have been full at the journal's first line: how every line begins is known."""
    return line.startswith(_BEGINNING) or _BEGINNING.startswith(line)


def _entry(item: dict[str, Any]) -> Entry:
    reference = parse_reference(_text(item["reference"]))
    kind = Kind(item["kind"])
    if item["format"] != FORMAT or kind not in WRITING or not reference.tag or reference.digest:
        raise ValueError("not this format")
    if not reference.repository.path.endswith(f"/{item['image']}"):
        raise ValueError("another image")
    if item["after"] is None:
        raise ValueError("nothing is ever deleted")
    return Entry(
        _EVENTS[item["event"]],
        _time(item["time"]),
        kind,
        _text(item["image"]),
        reference,
        _state(item["before"]),
        _state(item["after"]),
        _text(item["reason"]),
        parse_digest(item["plan"]),
        None if item["commit"] is None else _text(item["commit"]),
        _text(item["tool"]),
        None if item["error"] is None else _text(item["error"]),
    )


def _state(item: dict[str, Any] | None) -> State | None:
    if item is None:
        return None
    if item["kind"] not in ("image", "tombstone"):
        raise ValueError("not a state")
    digest, config = (None if item[key] is None else parse_digest(item[key]) for key in ("digest", "config"))
    return State(item["kind"], digest, config)


def _time(value: object) -> str:
    text = _text(value)
    if not _TIME.fullmatch(text):
        raise ValueError("not a time")
    return text


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
