"""What became of a plan, as text for a terminal. Pure functions to strings."""

from collections.abc import Callable, Iterator

from replsync.oci.digest import short
from replsync.plan.action import Action, Kind
from replsync.plan.report import Done, Failed, Report
from replsync.render.alike import folded, groups, shape, some
from replsync.render.harmless import clean
from replsync.render.layout import Look, brief
from replsync.render.text import BELOW, COLOURS, ROW, SYMBOLS, more_like_these, next_line

_DONE = (
    (Kind.CREATE, "created"),
    (Kind.UPDATE, "updated"),
    (Kind.RESTORE, "restored"),
    (Kind.TOMBSTONE, "tombstoned"),
)


def report_text(
    report: Report, *, colour: bool = False, verbose: bool = False, width: int | None = None, again: str = ""
) -> str:
    """Return what became of the plan: each failure with its next move, what is left of it, and counts.

    `again` is the command that goes on where the run was interrupted; `width` is the terminal's in columns.
    """
    look = Look(colour, verbose, width)
    lines = [*_failures(report, look), *_left(report, again, look), *look.lines(_counts(report), hanging="  ")]
    return "\n".join(lines) + "\n"


def outcome_line(outcome: Done | Failed, name: Callable[[Action], str] = lambda action: action.label) -> str:
    """Return one finished action as one line, for logs; `name` names its tag.

    Of a failure it has the cause alone: the report has the whole of it.
    """
    action = outcome.action
    tag = name(action)
    match outcome:
        case Done(is_written=False):
            return f"{SYMBOLS[Kind.UNCHANGED]} {tag} {action.kind}: so already, {short(outcome.digest)}"
        case Done():
            return f"{SYMBOLS[action.kind]} {tag} {action.kind}: done, {short(outcome.digest)}"
        case Failed():
            return f"{SYMBOLS[Kind.BLOCKED]} {tag} {action.kind}: failed: {cause(outcome)}"


def cause(failure: Failed) -> str:
    """Return why an action failed, without what was being done: that an error's message names first."""
    operation, _, why = failure.error.message.partition(": ")
    return brief(clean(why or operation))


def _failures(report: Report, look: Look) -> Iterator[str]:
    if not report.failures:
        return
    yield look.paint("Failed:", COLOURS[Kind.BLOCKED])
    found = [[one] for one in report.failures] if look.verbose else groups(report.failures, _trouble)
    for group in found:
        named, more = folded(group, among=len(report.failures))
        for failure in named:
            name = f"{report.plan.name_of(failure.action)} {failure.action.kind}"
            yield from look.lines(name, f"{ROW}{SYMBOLS[Kind.BLOCKED]} ", colour=COLOURS[Kind.BLOCKED])
        if more:
            yield from more_like_these(more, look)
        first = group[0].error
        yield from look.lines(look.said(first.message), BELOW)
        if group[0].is_written:
            yield from look.lines("it is as planned all the same; only the journal doesn't have it", BELOW)
        yield from next_line(first.hint, look)
    yield ""


def _trouble(failure: Failed) -> tuple[bool, str]:
    return failure.is_written, shape(failure.error.in_full, failure.action)


def _left(report: Report, again: str, look: Look) -> Iterator[str]:
    """What an interruption left to do."""
    names = [report.plan.name_of(action) for action in report.left]
    if not names:
        return
    most = len(names) if look.verbose else 5
    yield from look.lines(f"Not done: {', '.join(some(names, most))}.", hanging="  ")
    yield from next_line(again, look, "  ")
    yield ""


def _counts(report: Report) -> str:
    done = [outcome for outcome in report.outcomes if isinstance(outcome, Done) and outcome.is_written]
    already = sum(isinstance(outcome, Done) and not outcome.is_written for outcome in report.outcomes)
    kinds = [outcome.action.kind for outcome in done]
    counts = ", ".join(f"{kinds.count(kind):,} {word}" for kind, word in _DONE if kind in kinds)
    unrecorded = sum(failure.is_written for failure in report.failures)
    parts = [counts] if counts else [] if unrecorded else ["nothing done"]
    if already:
        parts.append(f"{already:,} so already")
    if report.failures:
        parts.append(f"{len(report.failures):,} failed")
    if unrecorded:
        parts.append(f"{unrecorded:,} of them written, but not recorded")
    if report.left:
        parts.append(f"{len(report.left):,} not done")
    return f"Apply: {'; '.join(parts)}."
