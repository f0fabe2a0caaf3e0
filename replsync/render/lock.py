"""What a lock file holds now, and what has moved upstream, as text. Pure functions to strings."""

from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

from replsync.manifest.lock import (
    CheckedSource,
    Finding,
    Lock,
    LockCheck,
    LockedTags,
    Moved,
    NotLocked,
    NotRead,
    OtherTags,
    Same,
    SameTags,
    SelectionFinding,
    TagsNotRead,
)
from replsync.oci.digest import Digest, short
from replsync.oci.source_name import written
from replsync.render.harmless import clean

_TAGS = 8
"""Tags that a line names of a selection; the others are counted."""
_NAMED = 3
"""Tags that a line names; the others are counted."""


def lock_changes(old: Lock | None, new: Lock) -> str:
    """Return a line for each entry that was added, moved or removed, and the counts."""
    before, after = (old.digests if old else {}), new.digests
    lines = [*_selected(old.selected if old else {}, new.selected)]
    lines += [
        f"  {_symbol(before.get(source), after.get(source))} {source}  {_change(before.get(source), after.get(source))}"
        for source in sorted(before.keys() | after.keys(), key=written)
        if before.get(source) != after.get(source)
    ]
    lines += _pushed(old.pushed if old else {}, new.pushed)
    changed = f"{len(lines)} changed" if lines else "no changes"
    return "\n".join([*lines, f"{clean(new.name)}: {_counted(len(after), len(new.selected))}, {changed}", ""])


def _pushed(old: Mapping[str, Mapping[Digest, str]], new: Mapping[str, Mapping[Digest, str]]) -> Iterator[str]:
    """What becomes of a digest never changes: it is only ever added, and taken away when nothing needs it."""
    before, after = ({(key, digest): said for key in one for digest, said in one[key].items()} for one in (old, new))
    for changes, digest in sorted(before.keys() ^ after.keys()):
        key = (changes, digest)
        said = before.get(key) or after[key]
        becomes = "goes unchanged" if said == digest else f"becomes {said if ' ' in said else short(Digest(said))}"
        yield f"  {'+' if key in after else '-'} {short(digest)}  {becomes}  ({clean(changes)})"


def _selected(old: Mapping[str, LockedTags], new: Mapping[str, LockedTags]) -> Iterator[str]:
    for image in sorted(old.keys() | new.keys()):
        before, after = (set(one[image].tags) if image in one else set() for one in (old, new))
        if image not in new:
            yield f"  - {image}  selects no tags any more"
        elif image not in old or old[image] != new[image]:
            tags = _other_tags(sorted(after - before), sorted(before - after))
            yield f"  {'~' if image in old else '+'} {image}  selects {tags or 'the same tags'}"


def _other_tags(added: Sequence[str], gone: Sequence[str]) -> str:
    tags = [f"+{tag}" for tag in added] + [f"-{tag}" for tag in gone]
    more = f" and {len(tags) - _TAGS} more" if len(tags) > _TAGS else ""
    return f"{', '.join(tags[:_TAGS])}{more}"


def _counted(sources: int, selections: int) -> str:
    if not selections:
        return _sources(sources)
    return f"{_sources(sources)}, {selections} selection{'' if selections == 1 else 's'}"


def check_text(found: LockCheck) -> str:
    """Return a line for each source that is not as the lock has it, the counts, and what to do about them."""
    lines = [f"{line}  (for {_labels(one)})" for one in found.sources if (line := _checked(one))]
    lines += [f"  - {source}  nothing in the manifest needs it" for source in found.superfluous]
    lines = [*_selections(found), *lines]
    lines += [f"  + {one.source}  what is pushed of it is not in the lock file" for one in found.unsaid]
    counts = {
        "moved": _count(found, Moved, OtherTags),
        "can't be read": _count(found, NotRead, TagsNotRead),
        "not in the lock file": _count(found, NotLocked) + len(found.unsaid),
        "not needed": len(found.superfluous) + len(found.unselected),
    }
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "all as locked"
    lines.append(f"Lock: {_counted(len(found.sources), len(found.selections))}; {said}.")
    if not found.is_complete:
        lines.append("To make the lock file fit the manifest: replsync lock")
    if _count(found, Moved):
        lines.append("To take what has moved: replsync lock --upgrade IMAGE:TAG")
    if _count(found, OtherTags):
        lines.append("To choose tags anew: replsync lock --upgrade IMAGE")
    return "\n".join(lines) + "\n"


def _selections(found: LockCheck) -> Iterator[str]:
    for one in found.selections:
        match one.finding:
            case SameTags():
                pass
            case OtherTags(added, gone):
                yield f"  ~ {one.image}  would select {_other_tags(added, gone)}"
            case TagsNotRead(error):
                yield f"  ! {one.image}  {clean(error.message)}"
            case NotLocked():
                yield f"  + {one.image}  what its `select` chooses is not in the lock file"
            case _:
                assert_never(one.finding)
    yield from (f"  - {image}  selects no tags in the manifest" for image in found.unselected)


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


def _count(found: LockCheck, *kinds: type[Finding | SelectionFinding]) -> int:
    findings = [*(one.finding for one in found.sources), *(one.finding for one in found.selections)]
    return sum(isinstance(one, kinds) for one in findings)


def _labels(one: CheckedSource) -> str:
    more = f" and {len(one.labels) - _NAMED} more" if len(one.labels) > _NAMED else ""
    return f"{', '.join(one.labels[:_NAMED])}{more}"


def _sources(count: int) -> str:
    return f"{count} source{'' if count == 1 else 's'}"


def _symbol(old: Digest | None, new: Digest | None) -> str:
    return "~" if old and new else "+" if new else "-"


def _change(old: Digest | None, new: Digest | None) -> str:
    return f"{short(old) if old else '(none)'} -> {short(new) if new else '(none)'}"
