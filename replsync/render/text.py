"""A plan as text for a terminal. Pure functions to strings; `report_text.py` has what became of it."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import groupby

from replsync.manifest.byte_size import size_text
from replsync.oci.digest import short
from replsync.oci.source_name import spoken
from replsync.plan.action import WRITING, Action, ByteCount, Copy, Kind, State
from replsync.plan.document import Plan
from replsync.render.alike import folded, groups, shape, some
from replsync.render.harmless import clean
from replsync.render.layout import BOLD, DIM, NEXT, Look, brief

SYMBOLS = {
    Kind.CREATE: "+",
    Kind.UPDATE: "~",
    Kind.RESTORE: "<",
    Kind.TOMBSTONE: "x",
    Kind.UNCHANGED: "=",
    Kind.BLOCKED: "!",
    Kind.UNLISTED: "?",
}
COLOURS = {
    Kind.CREATE: "32",
    Kind.UPDATE: "33",
    Kind.RESTORE: "36",
    Kind.TOMBSTONE: "35",
    Kind.UNCHANGED: "2",
    Kind.BLOCKED: "1;31",
    Kind.UNLISTED: "2",
}
ROW, BELOW = "  ", "      "
"""What stands before a tag's line, and before those that belong to it."""

_NOTHING = "(none)"
_NAMED = 5
_KIND_WIDTH = 9
_TAG_WIDTH = 32
"""Columns of the longest tag that others are lined up with: a longer one stands out by itself."""
_ORDER = (*WRITING, Kind.UNLISTED, Kind.UNCHANGED)
"""The order of an image's tags; those that are blocked come at the end of the plan."""


def plan_text(plan: Plan, *, colour: bool = False, verbose: bool = False, width: int | None = None) -> str:
    """Return the plan as text: by image, tags for which the same is to be said together, and blocked ones last.

    Unchanged tags are counted and, unless `verbose`, not listed; of many tags that are
    alike the first are. `width` is the terminal's in columns; without it no line is broken.
    """
    look = Look(colour, verbose, width)
    among = len(plan.actions) if verbose else len(plan.actions) - plan.summary[Kind.UNCHANGED]
    is_one = len({action.reference.repository for action in plan.actions}) == 1
    lines: list[str] = []
    several = len(plan.manifests) > 1
    for application in plan.applications if several else ("",):
        own = [action for action in plan.actions if not several or _application(action) == application]
        if several:
            lines += [*_heading(plan, application, own, look), ""]
        for repository, every in groupby(own, lambda action: action.reference.repository):
            lines += _image(str(repository), list(every), look, among=among, counted=not is_one)
    lines += _blocked(plan, look)
    lines += look.lines(summary_line(plan), hanging="  ")
    lines += _notes(plan, look)
    return "\n".join(lines) + "\n"


def summary_line(plan: Plan) -> str:
    """Return the counts in one sentence."""
    counts = _counts(plan.actions)
    changes = any(plan.summary[kind] for kind in WRITING)
    if not changes and not plan.blocked:
        counts = "; ".join(part for part in ("no changes", counts) if part)
    moved = f" {_to_send(plan)}." if changes and not plan.blocked else ""
    return f"Plan: {counts}.{moved}"


def state_text(state: State | None) -> str:
    """Return what a tag is in one or two words."""
    if state is None:
        return _NOTHING
    mark = "tombstone " if state.kind == "tombstone" else ""
    if state.digest:
        return mark + short(state.digest)
    if state.made_from:
        return "made when it is pushed"
    return f"{mark}image ID {short(state.config)}" if state.config else f"{mark}?"


def symbol(kind: Kind, look: Look) -> str:
    """Return the sign of a kind in its colour."""
    return look.paint(SYMBOLS[kind], COLOURS[kind])


def more_like_these(count: int, look: Look, moved: str = "") -> Iterator[str]:
    """Say how many lines were folded away."""
    yield from look.lines(f"and {count:,} more like {'this' if count == 1 else 'these'}{moved}; -v lists them", "  … ")


def _application(action: Action) -> str:
    return str(action.reference.repository).removesuffix(f"/{action.image}")


def _heading(plan: Plan, application: str, own: Sequence[Action], look: Look) -> Iterable[str]:
    """Which manifests an application's tags are from."""
    paths = [one.path for one in plan.manifests if f"{one.registry}/{one.app}" == application]
    kinds = {action.kind for action in own}
    about = "" if kinds - {Kind.UNCHANGED, Kind.BLOCKED} or (kinds and look.verbose) else ": nothing to show"
    if about and Kind.BLOCKED in kinds:
        about = f": {sum(action.kind is Kind.BLOCKED for action in own):,} blocked, see below"
    return look.lines(f"# {', '.join(map(clean, paths))} ({clean(application)}){about}", hanging="  ")


def _counts(actions: Sequence[Action]) -> str:
    kinds = [action.kind for action in actions]
    changes = ", ".join(f"{kinds.count(kind):,} to {kind}" for kind in WRITING if kind in kinds)
    others = (Kind.UNCHANGED, Kind.UNLISTED, Kind.BLOCKED)
    rest = ", ".join(f"{kinds.count(kind):,} {kind}" for kind in others if kind in kinds)
    return "; ".join(part for part in (changes, rest) if part)


def _to_send(plan: Plan) -> str:
    if all(action.bytes for action in plan.writes):
        return f"{size_text(plan.upload) if plan.upload else 'Nothing'} to send"
    return f"At least {size_text(plan.upload)} to send" if plan.upload else "How much is to send isn't known"


def _image(repository: str, every: Sequence[Action], look: Look, *, among: int, counted: bool) -> Iterator[str]:
    """An image's tags below its name, if any of them is shown here; with `counted` the name has their counts."""
    kinds = [kind for kind in _ORDER if look.verbose or kind is not Kind.UNCHANGED]
    listed = [action for kind in kinds for action in every if action.kind is kind]
    if not listed:
        return
    yield from _name(repository, _counts(every) if counted and len(every) > 1 else "", look)
    found = [[action] for action in listed] if look.verbose else groups(listed, _likeness)
    shown = [folded(group, among=among) for group in found]
    width = max((len(one.tag) for some_, _ in shown for one in some_ if len(one.tag) <= _TAG_WIDTH), default=0)
    for group, (named, more) in zip(found, shown, strict=True):
        for action in named:
            yield from _row(action, width, look)
        if more:
            hidden = [action.bytes for action in group[len(named) :] if action.bytes]
            sent = sum(size.upload for size in hidden)
            yield from more_like_these(more, look, f" ({size_text(sent)} to send)" if sent else "")
        yield from _details(group, look)
    yield ""


def _name(repository: str, counts: str, look: Look) -> Iterator[str]:
    """The image's name, and what becomes of its tags: beside it, if there is room."""
    beside = f"  ({counts})" if counts else ""
    if look.fits(repository + beside):
        yield look.paint(repository, BOLD) + look.paint(beside, DIM)
        return
    yield look.paint(repository, BOLD)
    for line in look.lines(counts, ROW):
        yield look.paint(line, DIM)


def _likeness(action: Action) -> Hashable:
    return action.kind, action.reason, action.notes, _source_of(action)


def _source_of(action: Action) -> str:
    """Where the tag comes from, without the tag where that is the same there."""
    if not isinstance(action.write, Copy):
        return ""
    return spoken(action.write.source).removesuffix(f":{action.tag}")


def _row(action: Action, width: int, look: Look) -> Iterator[str]:
    """A tag's line; what doesn't fit comes on lines of its own."""
    change = f"{state_text(action.before)} -> {state_text(action.after)}"
    if action.kind in (Kind.UNLISTED, Kind.UNCHANGED):
        change = state_text(action.before)
    sizes = _moved(action.bytes)
    tag, kind = action.tag.ljust(width), f"{action.kind:<{_KIND_WIDTH}}"
    bare = f"{ROW}{SYMBOLS[action.kind]} {tag}  {kind}"
    head = f"{ROW}{symbol(action.kind, look)} {tag}  {look.paint(str(action.kind), COLOURS[action.kind])}"
    padded = head + " " * (_KIND_WIDTH - len(action.kind))
    for moved in sizes or [""]:
        line = f"  {change}{f'  ({moved})' if moved else ''}"
        if look.fits(bare + line):
            yield padded + line
            return
    if look.fits(f"{bare}  {change}"):
        yield f"{padded}  {change}"
    else:
        yield from [head, *look.lines(change, BELOW)]
    if sizes:
        yield from look.lines(sizes[0], BELOW)


def _moved(count: ByteCount | None) -> list[str]:
    """What crosses the wire, and of how much; behind the first what says less of it, for where there is no room."""
    if count is None:
        return ["size unknown"]
    if not count.total and not count.upload:
        return []
    sent = f"{size_text(count.upload) if count.upload else 'nothing'} to send"
    of = sent.replace(" to", f" of {size_text(count.total)} to") if count.total > count.upload else sent
    mounted = f", {size_text(count.mount)} to mount" if count.mount else ""
    return list(dict.fromkeys((of + mounted, of, sent)))


def _details(group: Sequence[Action], look: Look) -> Iterator[str]:
    """What is said of all tags of a group once: why, where from, what else."""
    first = group[0]
    yield from look.lines(look.said(first.reason), BELOW)
    if isinstance(first.write, Copy):
        source = look.said(spoken(first.write.source))
        if len(group) > 1 and source != look.said(_source_of(first)):
            source = f"{look.said(_source_of(first))}, each the same tag"
        yield from look.lines(f"from {source}", BELOW)
    for note in first.notes:
        yield from look.lines(f"note: {look.said(note)}", BELOW, BELOW + "  ")
    if look.verbose:
        yield from _digests(first)


def _digests(action: Action) -> Iterator[str]:
    """In full, for whoever wants to name them; where they differ from what the line has."""
    states = (
        [("is", action.before)]
        if action.before == action.after
        else [("before", action.before), ("after", action.after)]
    )
    for name, state in states:
        if state and (digest := state.digest or state.config):
            yield f"{BELOW}{name} {digest}"


def _blocked(plan: Plan, look: Look) -> Iterator[str]:
    """What has to be settled first, and how; tags with one and the same trouble together."""
    if not plan.blocked:
        return
    yield from look.lines("Blocked; nothing is written until these are settled:", colour=COLOURS[Kind.BLOCKED])
    found = [[one] for one in plan.blocked] if look.verbose else groups(plan.blocked, _trouble)
    for group in found:
        named, more = folded(group, among=len(plan.blocked))
        for action in named:
            yield from look.lines(str(action.reference), f"{ROW}{SYMBOLS[Kind.BLOCKED]} ", colour=COLOURS[Kind.BLOCKED])
        if more:
            yield from more_like_these(more, look)
        first = group[0]
        differ = any(action.reason != first.reason for action in group)
        about = f"{first.label}: " if differ else ""
        yield from look.lines(f"{about}{look.said(first.why)}", BELOW)
        yield from next_line(first.next_move, look)
        if look.verbose:
            yield from (line for note in first.notes for line in look.lines(f"note: {clean(note)}", BELOW))
    yield ""


def _trouble(action: Action) -> Hashable:
    return shape(action.reason, action)


def next_line(hint: str | None, look: Look, before: str = BELOW) -> Iterator[str]:
    """What to do, on a line of its own."""
    if not hint:
        return
    hidden = "" if look.verbose or brief(hint) == hint else " (-v has digests in full)"
    yield from look.lines(look.said(hint) + hidden, f"{before}next: ", before + "  ", colour=NEXT)


def _notes(plan: Plan, look: Look) -> Iterable[str]:
    """What is no change, and yet may not be what was meant."""

    def said(text: str) -> Iterator[str]:
        return look.lines(text, hanging="  ")

    if plan.targets:
        yield from said(f"Partial: only the tags that match {' or '.join(map(clean, plan.targets))}.")
    retires = any(action.kind is Kind.TOMBSTONE for action in plan.actions) or bool(plan.blocked)
    named = len(plan.warnings) if look.verbose else _NAMED if retires else 1  # what releases name matters there
    for warning in plan.warnings[:named]:
        yield from said(f"Warning: {look.said(warning)}")
    if len(plan.warnings) > named:
        yield from said(f"Warning: and {len(plan.warnings) - named} more; -v lists them.")
    for note in plan.notes:
        yield from said(f"Note: {look.said(note)}.")
    missed = [
        plan.name_of(action) for action in plan.actions if action.kind is Kind.UNCHANGED and action.before is None
    ]
    if missed:
        most = len(missed) if look.verbose else _NAMED
        yield from said(f"Note: retired, but not in the registry: {', '.join(some(missed, most))}.")
