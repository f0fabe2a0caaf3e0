"""What is known of one tag, as text and as JSON. Pure functions to strings."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from replsync.oci.digest import short
from replsync.oci.reference import Reference
from replsync.oci.tag_state import Absent, Artifact, Present, TagState, Tombstone, Unreadable
from replsync.plan.escaping import harmless
from replsync.plan.journal import Entry, entry_members
from replsync.render.harmless import clean
from replsync.render.text import SYMBOLS, state_text

_UNKNOWN = {
    "writing": "uncertain: the run ended before the tag was read back",
    "failed": "uncertain: the tag could not be read back",
    "left": "the tag was left alone after all",
}


@dataclass(frozen=True)
class Recorded:
    """The last entry that the journal of this path has for a tag."""

    journal: str
    entry: Entry


def history_text(reference: Reference, recorded: Sequence[Recorded], now: TagState) -> str:
    """Return what the journals have, a line for each run and one for its reason, and what the tag is now."""
    lines = [str(reference)]
    for one in recorded:
        entry = one.entry
        change = f"{state_text(entry.before)} -> {state_text(entry.after)}"
        lines.append(f"  {entry.time}  {SYMBOLS[entry.kind]} {entry.kind:<9}  {change}")
        lines.append(f"      {clean(entry.reason)}")
        if entry.event != "wrote":
            why = f": {clean(entry.error)}" if entry.error else ""
            lines.append(f"      {_UNKNOWN[entry.event]}{why}")
        commit = (
            f", commit {clean(entry.commit[:12] + ('-dirty' if entry.commit.endswith('-dirty') else ''))}"
            if entry.commit
            else ""
        )
        lines.append(f"      plan {short(entry.plan)}{commit}, {clean(one.journal)}")
    if not recorded:
        lines.append("  no run that left a journal here wrote it")
    lines.append(f"  {'now':<20}    {_now(now)}")
    if isinstance(now, Tombstone):
        lines.append(f"      {clean(now.epitaph.reason)}")
    return "\n".join(lines) + "\n"


def history_json(reference: Reference, recorded: Sequence[Recorded], now: TagState) -> str:
    """Return the same as JSON, indented."""
    document = {
        "reference": str(reference),
        "journal": [{**entry_members(one.entry), "journal": one.journal} for one in recorded],
        "now": _now_json(now),
    }
    return harmless(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"


def _now(state: TagState) -> str:
    match state:
        case Present(digest):
            return f"image {short(digest)}"
        case Tombstone(digest, _, epitaph, replaced):
            readable = "can be put back" if replaced else "can't be read any more"
            return f"tombstone {short(digest)}, in place of {short(epitaph.replaces)}, which {readable}"
        case Artifact(digest, kind):
            return f"{short(digest)}, an artifact of type {clean(kind)}"
        case Absent():
            return "the registry has no such tag"
        case Unreadable(why, next_move):
            return f"can't be read: {clean(f'{why}; {next_move}' if next_move else why)}"
        case _:
            assert_never(state)


def _now_json(state: TagState) -> dict[str, Any]:
    match state:
        case Present(digest):
            return {"kind": "image", "digest": digest}
        case Tombstone(digest, _, epitaph, replaced):
            said = {
                "reason": epitaph.reason,
                "replaces": epitaph.replaces,
                "replaced_is_readable": replaced is not None,
            }
            return {"kind": "tombstone", "digest": digest, **said}
        case Artifact(digest, kind):
            return {"kind": "artifact", "digest": digest, "type": kind}
        case Absent():
            return {"kind": "absent"}
        case Unreadable(why):
            return {"kind": "unreadable", "why": why}
        case _:
            assert_never(state)
