"""A plan, and what became of it, as one HTML page that needs nothing else. Pure functions to strings.

The page works without JavaScript; with it there is a filter. It loads nothing,
and its content security policy lets nothing run but its own script: whatever
others wrote, in reasons or names, stays text.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, assert_never

from replsync.errors import ReplsyncError
from replsync.manifest.byte_size import size_text
from replsync.oci.digest import Digest, short
from replsync.oci.reference import Reference, Repository
from replsync.oci.source_name import spoken
from replsync.plan.action import WRITING, Action, Copy, Kind
from replsync.plan.document import Plan, plan_digest
from replsync.plan.report import Done, Failed, Report
from replsync.render.details import NO_DETAILS, Details
from replsync.render.harmless import clean
from replsync.render.history import Recorded
from replsync.render.html_inventory import by_repository, matrix_of
from replsync.render.html_layers import chart_of
from replsync.render.text import SYMBOLS, state_text

if TYPE_CHECKING:
    from jinja2 import Environment

_MOST_HISTORY = 5
"""Entries of a tag's history: `replsync history` has them all."""
_MOST_ABOVE = 50
"""Tags, and reasons, of one kind that are told before all others; every tag stands in the list of tags as well."""


@dataclass(frozen=True)
class _Row:
    """A tag of the page. `outcome` is empty for a plan; `now` is what the tag points at after a run, if it was read.

    `is_unrecorded` where the tag was written, and what failed is its line in the journal.
    """

    name: str
    action: Action
    outcome: str
    error: ReplsyncError | None
    now: Digest | None
    is_unrecorded: bool
    history: tuple[Recorded, ...]
    older: int


@dataclass(frozen=True)
class _Alike:
    """Tags of which the same is to be said: those that are named, and how many `more` there are."""

    rows: Sequence[_Row]
    more: int


@dataclass(frozen=True)
class _Above:
    """What a reader is to see first: a heading, what it means and what can be done, and the tags, `count` in all."""

    kind: str
    heading: str
    meaning: str
    count: int
    alike: Sequence[_Alike]
    more: int


@dataclass(frozen=True)
class _Group:
    """The tags of a repository: those with something to tell, and those that stay as they are."""

    repository: Repository
    told: tuple[_Row, ...]
    still: tuple[_Row, ...]


def plan_html(plan: Plan, details: Details = NO_DETAILS) -> str:
    """Return the plan as an HTML page, with what `details` know besides."""
    rows = {action.reference: _row(plan, action, details) for action in plan.actions}
    above = [
        _blocked(plan, rows),
        _above(
            Kind.TOMBSTONE,
            "Retired",
            "An empty image takes the tag’s place, and says why to whoever runs it. "
            "`replsync restore IMAGE:TAG` puts the old one back.",
            _of_kind(rows.values(), Kind.TOMBSTONE),
        ),
        _above(
            Kind.UPDATE,
            "Overwritten",
            "The tag moves to another image. The old one can still be pulled by its digest, "
            "and `replsync rollback` of the run’s journal puts it back.",
            _of_kind(rows.values(), Kind.UPDATE),
        ),
    ]
    return _page(plan, details, list(rows.values()), above, noun="Plan", verdict=_verdict(plan))


def report_html(report: Report, details: Details = NO_DETAILS) -> str:
    """Return what became of the plan as an HTML page, with what `details` know besides."""
    plan = report.plan
    rows = {action.reference: _row(plan, action, details) for action in plan.actions}
    for outcome in report.outcomes:
        rows[outcome.action.reference] = _row(plan, outcome.action, details, outcome)
    for action in report.left:
        rows[action.reference] = _row(plan, action, details, left=True)
    is_blocked = bool(plan.blocked)
    above = [
        _blocked(plan, rows),
        _above(
            "failed",
            "Failed",
            "These tags are as they were before, unless it says otherwise. "
            "Mend what is named, and run the same command again: what is done already stays done.",
            [row for row in rows.values() if row.outcome == "failed"],
        ),
        _above(
            "left",
            "Not done",
            "While a tag is blocked, none is written."
            if is_blocked
            else "The run was interrupted before these. Run the same command again to go on.",
            [row for row in rows.values() if row.outcome == "not done"],
        ),
    ]
    return _page(plan, details, list(rows.values()), above, noun="Report", verdict=_told(report), report=report)


def _blocked(plan: Plan, rows: Mapping[Reference, _Row]) -> _Above:
    return _above(
        Kind.BLOCKED,
        "Blocked",
        "Nothing is written until these are settled. Each says what would settle it; then plan again.",
        [rows[action.reference] for action in plan.blocked],
    )


def _page(
    plan: Plan,
    details: Details,
    rows: Sequence[_Row],
    above: Sequence[_Above],
    *,
    noun: str,
    verdict: str,
    report: Report | None = None,
) -> str:
    by_reference = {row.action.reference: row for row in rows}
    groups = by_repository(plan.actions)
    told = {
        repository: _group(repository, [by_reference[action.reference] for action in actions])
        for repository, actions in groups.items()
    }
    layers = details.layers
    holding = [action for action in plan.actions if _holds_image(action)]
    style, script = _asset("page.css"), _asset("page.js")
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            plan=plan,
            report=report,
            noun=noun,
            verdict=verdict,
            digest=(report and report.reviewed) or plan_digest(plan),
            above=[one for one in above if one.count],
            groups=tuple(told.values()),
            matrix=matrix_of(groups),
            chart=chart_of(groups, layers, len(holding)) if layers is not None else None,
            moved=[
                action
                for actions in groups.values()
                for action in actions
                if action.bytes and (action.bytes.upload or action.bytes.mount)
            ],
            rows=by_reference,
            sending=_sending(plan),
            outcomes=_outcomes(rows),
            style=style,
            script=script,
            style_hash=_hash(style),
            script_hash=_hash(script),
        )
    )


def _row(
    plan: Plan, action: Action, details: Details, outcome: Done | Failed | None = None, *, left: bool = False
) -> _Row:
    word, error, now, is_unrecorded = "not done" if left else "", None, None, False
    match outcome:
        case Done(_, digest, is_written):
            word, now = "done" if is_written else "so already", digest
        case Failed(_, found, is_written):
            word, error, is_unrecorded = "failed", found, is_written
        case None:
            pass
        case _:
            assert_never(outcome)
    history = details.history.get(action.reference, ())
    older = max(0, len(history) - _MOST_HISTORY)
    return _Row(plan.name_of(action), action, word, error, now, is_unrecorded, history[older:], older)


def _above(kind: str, heading: str, meaning: str, rows: Sequence[_Row]) -> _Above:
    said: dict[tuple[str, ...], list[_Row]] = {}
    for row in rows:
        why = (row.error.message, row.error.hint or "") if row.error else (row.action.reason, *row.action.notes)
        said.setdefault(why, []).append(row)
    alike = [_Alike(some[:_MOST_ABOVE], max(0, len(some) - _MOST_ABOVE)) for some in said.values()]
    left = sum(len(one.rows) + one.more for one in alike[_MOST_ABOVE:])
    return _Above(kind, heading, meaning, len(rows), alike[:_MOST_ABOVE], left)


def _of_kind(rows: Iterable[_Row], kind: Kind) -> list[_Row]:
    return [row for row in rows if row.action.kind is kind]


def _group(repository: Repository, rows: Sequence[_Row]) -> _Group:
    return _Group(
        repository,
        tuple(row for row in rows if row.action.kind is not Kind.UNCHANGED),
        tuple(row for row in rows if row.action.kind is Kind.UNCHANGED),
    )


def _holds_image(action: Action) -> bool:
    state = action.after or action.before
    return state is not None and state.kind == "image"


def _verdict(plan: Plan) -> str:
    count = len(plan.writes)
    if plan.blocked:
        settled = len(plan.blocked)
        return f"Nothing will be written: {settled} tag{'s are' if settled != 1 else ' is'} blocked."
    if not count:
        return "No changes: the registry is as the manifest says."
    return f"{count:,} tag{'s' * (count != 1)} would be written."


def _told(report: Report) -> str:
    if report.plan.blocked:
        settled = len(report.plan.blocked)
        return f"Nothing was written: {settled} tag{'s are' if settled != 1 else ' is'} blocked."
    if not report.plan.writes:
        return "Nothing was to be written: the registry is as the manifest says."
    done = sum(isinstance(outcome, Done) and outcome.is_written for outcome in report.outcomes)
    done += sum(failure.is_written for failure in report.failures)
    parts = [f"{done:,} tag{'s were' if done != 1 else ' was'} written" if done else "Nothing was written"]
    if report.failures:
        parts.append(f"{len(report.failures):,} failed")
    if report.left:
        parts.append(f"{len(report.left):,} not done")
    if len(parts) == 1 and not done:
        parts.append("it was so already")
    return f"{', '.join(parts)}."


def _sending(plan: Plan) -> str:
    """What crosses the wire, as far as it is known."""
    if not any(action.bytes is None for action in plan.writes):
        return size_text(plan.upload)
    return f"at least {size_text(plan.upload)}" if plan.upload else "unknown"


def _outcomes(rows: Iterable[_Row]) -> list[tuple[str, int]]:
    """How many rows have each outcome, in the order in which one asks for them."""
    words = [row.outcome for row in rows]
    return [(word, words.count(word)) for word in ("failed", "not done", "done", "so already") if word in words]


def _moved(action: Action) -> str:
    """What of the tag crosses the wire, in few words."""
    if action.kind not in WRITING:
        return ""
    if action.bytes is None:
        return "size unknown"
    parts = []
    if action.bytes.upload:
        parts.append(f"{size_text(action.bytes.upload)} to send")
    if action.bytes.mount:
        parts.append(f"{size_text(action.bytes.mount)} to mount")
    return ", ".join(parts)


def _source(action: Action) -> str:
    return spoken(action.write.source) if isinstance(action.write, Copy) else ""


def _prose(text: str) -> Any:
    """A sentence as HTML: what stands between backticks in it is code."""
    from markupsafe import Markup, escape

    parts = [escape(part) for part in clean(text).split("`")]
    if len(parts) % 2 == 0:  # a backtick by itself is no mark
        return escape(clean(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in enumerate(parts)
    )


def _percent(value: float) -> str:
    """As an attribute of SVG, the same on every machine."""
    return f"{value:.2f}".rstrip("0").rstrip(".") + "%"


def _shown(value: Any) -> Any:
    """Whatever is put into the page: text that others wrote has no character in it that can't be seen."""
    return clean(value) if type(value) is str else value


@lru_cache(maxsize=1)
def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "size": size_text,
        "short": short,
        "state": state_text,
        "moved": _moved,
        "from": _source,
        "prose": _prose,
        "pc": _percent,
    }
    environment.globals |= {"SYMBOLS": SYMBOLS, "Kind": Kind}
    return environment


@lru_cache(maxsize=8)
def _asset(name: str) -> str:
    return files("replsync.render").joinpath("page", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a content security policy names an inline style or script (CSP level 3, 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
