"""A plan, and what became of it, as text for a terminal. Pure functions to strings."""

from collections.abc import Callable, Iterable
from itertools import groupby

from replsync.manifest.byte_size import size_text
from replsync.oci.digest import short
from replsync.oci.source_name import spoken
from replsync.plan.action import Action, Copy, Kind, State
from replsync.plan.document import Plan
from replsync.plan.report import Done, Failed, Report
from replsync.render.harmless import clean

SYMBOLS = {
    Kind.CREATE: "+",
    Kind.UPDATE: "~",
    Kind.RESTORE: "<",
    Kind.TOMBSTONE: "x",
    Kind.UNCHANGED: "=",
    Kind.BLOCKED: "!",
    Kind.UNLISTED: "?",
}
_COLOURS = {
    Kind.CREATE: "32",
    Kind.UPDATE: "33",
    Kind.RESTORE: "36",
    Kind.TOMBSTONE: "35",
    Kind.UNCHANGED: "2",
    Kind.BLOCKED: "1;31",
    Kind.UNLISTED: "2",
}
_NOTHING = "(none)"
_NAMED = 5


def _label(action: Action) -> str:
    return action.label


def plan_text(plan: Plan, *, colour: bool = False, unchanged: bool = False) -> str:
    """Return the plan as text, a line for each action and one for its reason; blocked actions last.

    Unchanged tags are counted and, unless `unchanged`, not listed.
    """
    shown = [action for action in plan.actions if unchanged or action.kind is not Kind.UNCHANGED]
    lines: list[str] = []
    width = max((len(action.tag) for action in shown), default=0)
    unblocked = [action for action in shown if action.kind is not Kind.BLOCKED]
    several = len(plan.manifests) > 1
    for application in plan.applications if several else ("",):
        own = [action for action in unblocked if not several or _application(action) == application]
        if several:
            lines += _heading(plan, application, bool(own))
        for repository, actions in groupby(own, lambda action: action.reference.repository):
            lines.append(str(repository))
            for action in actions:
                lines += _action(action, action.tag.ljust(width), colour)
            lines.append("")
    if plan.blocked:
        lines.append(_paint("Blocked; nothing is written until these are settled:", Kind.BLOCKED, colour))
        for action in plan.blocked:
            lines += [f"  {_symbol(action.kind, colour)} {action.reference}", f"      {clean(action.reason)}"]
        lines.append("")
    lines.append(summary_line(plan))
    lines += _notes(plan)
    return "\n".join(lines) + "\n"


def _application(action: Action) -> str:
    return str(action.reference.repository).removesuffix(f"/{action.image}")


def _heading(plan: Plan, application: str, has_actions: bool) -> Iterable[str]:
    """Which manifests an application's tags are from."""
    paths = [one.path for one in plan.manifests if f"{one.registry}/{one.app}" == application]
    nothing = "" if has_actions else ": nothing to show"
    yield f"# {', '.join(map(clean, paths))} ({clean(application)}){nothing}"
    yield ""


def _notes(plan: Plan) -> Iterable[str]:
    """What is no change, and yet may not be what was meant."""
    if plan.targets:
        yield f"Partial: only the tags that match {' or '.join(map(clean, plan.targets))}."
    retires = any(action.kind is Kind.TOMBSTONE for action in plan.actions) or bool(plan.blocked)
    named = _NAMED if retires else 1  # what releases name matters where something is retired
    yield from (f"Warning: {clean(warning)}" for warning in plan.warnings[:named])
    if len(plan.warnings) > named:
        yield f"Warning: and {len(plan.warnings) - named} more; --format json has them all."
    yield from (f"Note: {clean(note)}." for note in plan.notes)
    missed = [
        plan.name_of(action) for action in plan.actions if action.kind is Kind.UNCHANGED and action.before is None
    ]
    if missed:
        more = f" and {len(missed) - _NAMED} more" if len(missed) > _NAMED else ""
        yield f"Note: retired, but not in the registry: {', '.join(missed[:_NAMED])}{more}."


def summary_line(plan: Plan) -> str:
    """Return the counts in one sentence."""
    counts = plan.summary
    changes = ", ".join(
        f"{counts[kind]} to {kind}" for kind in (Kind.CREATE, Kind.UPDATE, Kind.RESTORE, Kind.TOMBSTONE) if counts[kind]
    )
    others = ", ".join(
        f"{counts[kind]} {kind}" for kind in (Kind.UNCHANGED, Kind.UNLISTED, Kind.BLOCKED) if counts[kind]
    )
    at_least = "At least " if any(action.bytes is None for action in plan.writes) else ""
    moved = f" {at_least}{size_text(plan.upload)} to send." if changes and not plan.blocked else ""
    if not changes and not plan.blocked:
        changes = "no changes"
    return f"Plan: {'; '.join(part for part in (changes, others) if part)}.{moved}"


def report_text(report: Report, *, colour: bool = False) -> str:
    """Return what became of the plan: counts, and each failure with its next move."""
    done = [outcome for outcome in report.outcomes if isinstance(outcome, Done) and outcome.is_written]
    already = sum(isinstance(outcome, Done) and not outcome.is_written for outcome in report.outcomes)
    lines: list[str] = []
    if report.failures:
        lines.append(_paint("Failed:", Kind.BLOCKED, colour))
        for failure in report.failures:
            lines += _failure(failure, report.plan.name_of(failure.action), colour)
        lines.append("")
    counts = ", ".join(
        f"{sum(outcome.action.kind is kind for outcome in done)} {word}"
        for kind, word in (
            (Kind.CREATE, "created"),
            (Kind.UPDATE, "updated"),
            (Kind.RESTORE, "restored"),
            (Kind.TOMBSTONE, "tombstoned"),
        )
        if any(outcome.action.kind is kind for outcome in done)
    )
    unrecorded = sum(failure.is_written for failure in report.failures)
    parts = [counts] if counts else [] if unrecorded else ["nothing done"]
    if already:
        parts.append(f"{already} so already")
    if report.failures:
        parts.append(f"{len(report.failures)} failed")
    if unrecorded:
        parts.append(f"{unrecorded} of them written, but not recorded")
    if report.left:
        parts.append(f"{len(report.left)} not done")
    lines.append(f"Apply: {'; '.join(parts)}.")
    return "\n".join(lines) + "\n"


def outcome_line(outcome: Done | Failed, name: Callable[[Action], str] = _label) -> str:
    """Return one finished action as one line, for logs; `name` names its tag."""
    action = outcome.action
    tag = name(action)
    match outcome:
        case Done(is_written=False):
            return f"{SYMBOLS[Kind.UNCHANGED]} {tag} {action.kind}: so already, {short(outcome.digest)}"
        case Done():
            return f"{SYMBOLS[action.kind]} {tag} {action.kind}: done, {short(outcome.digest)}"
        case Failed():
            return f"{SYMBOLS[Kind.BLOCKED]} {tag} {action.kind}: failed: {clean(outcome.error.message)}"


def _action(action: Action, tag: str, colour: bool) -> Iterable[str]:
    change = f"{state_text(action.before)} -> {state_text(action.after)}"
    if action.kind in (Kind.UNLISTED, Kind.UNCHANGED):
        change = state_text(action.before)
    moved = []
    if action.bytes is None:
        moved.append("size unknown")
    elif action.bytes.upload:
        moved.append(f"{size_text(action.bytes.upload)} to send")
    if action.bytes and action.bytes.mount:
        moved.append(f"{size_text(action.bytes.mount)} to mount")
    yield f"  {_symbol(action.kind, colour)} {tag}  {action.kind:<9}  {change}" + (
        f"  ({', '.join(moved)})" if moved else ""
    )
    yield f"      {clean(action.reason)}"
    if isinstance(action.write, Copy):
        yield f"      from {spoken(action.write.source)}"
    for note in action.notes:
        yield f"      note: {clean(note)}"


def _failure(failure: Failed, name: str, colour: bool) -> Iterable[str]:
    yield f"  {_symbol(Kind.BLOCKED, colour)} {name} {failure.action.kind}"
    yield f"      {clean(failure.error.message)}"
    if failure.error.hint:
        yield f"      next: {clean(failure.error.hint)}"


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


def _symbol(kind: Kind, colour: bool) -> str:
    return _paint(SYMBOLS[kind], kind, colour)


def _paint(text: str, kind: Kind, colour: bool) -> str:
    return f"\x1b[{_COLOURS[kind]}m{text}\x1b[0m" if colour else text
