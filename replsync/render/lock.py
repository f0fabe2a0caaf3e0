"""What a lock file holds now, and what has moved upstream, as text. Pure functions to strings."""

from collections.abc import Mapping
from typing import assert_never

from replsync.manifest.lock import CheckedSource, Finding, LockCheck, Moved, NotLocked, NotRead, Same
from replsync.oci.digest import Digest, short
from replsync.oci.source_name import SourceName, written
from replsync.render.harmless import clean

_NAMED = 3
"""Tags that a line names; the others are counted."""


def lock_changes(path: str, old: Mapping[SourceName, Digest], new: Mapping[SourceName, Digest]) -> str:
    """Return a line for each entry that was added, moved or removed, and the counts."""
    lines = [
        f"  {_symbol(old.get(source), new.get(source))} {source}  {_change(old.get(source), new.get(source))}"
        for source in sorted(old.keys() | new.keys(), key=written)
        if old.get(source) != new.get(source)
    ]
    changed = f"{len(lines)} changed" if lines else "no changes"
    return "\n".join([*lines, f"{clean(path)}: {_sources(len(new))}, {changed}", ""])


def check_text(found: LockCheck) -> str:
    """Return a line for each source that is not as the lock has it, the counts, and what to do about them."""
    lines = [f"{line}  (for {_labels(one)})" for one in found.sources if (line := _checked(one))]
    lines += [f"  - {source}  nothing in the manifest needs it" for source in found.superfluous]
    counts = {
        "moved": _count(found, Moved),
        "can't be read": _count(found, NotRead),
        "not in the lock file": _count(found, NotLocked),
        "not needed": len(found.superfluous),
    }
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "all as locked"
    lines.append(f"Lock: {_sources(len(found.sources))}; {said}.")
    if not found.is_complete:
        lines.append("To make the lock file fit the manifest: replsync lock")
    if counts["moved"]:
        lines.append("To take what has moved: replsync lock --upgrade IMAGE:TAG")
    return "\n".join(lines) + "\n"


def _checked(one: CheckedSource) -> str | None:
    match one.finding:
        case Same():
            return None
        case Moved(old, new):
            return f"  ~ {one.source}  {_change(old, new)}"
        case NotRead(_, error):
            return f"  ! {one.source}  can't be read: {clean(error.message)}"
        case NotLocked():
            return f"  + {one.source}  not in the lock file"
        case _:
            assert_never(one.finding)


def _count(found: LockCheck, kind: type[Finding]) -> int:
    return sum(isinstance(one.finding, kind) for one in found.sources)


def _labels(one: CheckedSource) -> str:
    more = f" and {len(one.labels) - _NAMED} more" if len(one.labels) > _NAMED else ""
    return f"{', '.join(one.labels[:_NAMED])}{more}"


def _sources(count: int) -> str:
    return f"{count} source{'' if count == 1 else 's'}"


def _symbol(old: Digest | None, new: Digest | None) -> str:
    return "~" if old and new else "+" if new else "-"


def _change(old: Digest | None, new: Digest | None) -> str:
    return f"{short(old) if old else '(none)'} -> {short(new) if new else '(none)'}"
