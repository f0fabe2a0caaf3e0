"""A plan, and what became of it, as Markdown for a pull request. Pure functions to strings.

Each starts with a comment that isn't shown, the same for the same manifests: by it a later run finds what it is to
replace. Neither gets larger than a comment may be: what doesn't fit is counted.
"""

import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from replsync.manifest.byte_size import size_text
from replsync.oci.digest import sha256, short
from replsync.oci.source_name import spoken
from replsync.plan.action import Action, Copy, Kind
from replsync.plan.document import Plan, plan_digest
from replsync.plan.report import Done, Failed, Report
from replsync.render.markdown_quoting import quoted, quoted_in_table
from replsync.render.text import SYMBOLS, state_text

MAX_BYTES = 65_000
"""Of UTF-8; GitHub takes comments of 65,536 characters."""

_TAIL = 6_000
"""Bytes that are kept for what comes last: up to ten names of files, each cut, of characters that take four bytes."""
_NAMED = 5
"""Manifests, warnings, notes and commands that are shown; the others are counted."""
_NAME = 120
"""Characters that are shown of a file's or an application's name."""
_COMMAND = 1_000
"""And of a command: one that is cut is of no use."""
_TITLES = {
    Kind.BLOCKED: "blocked: nothing is written until that is settled",
    Kind.TOMBSTONE: "to tombstone: whoever runs the tag gets the reason instead of the image",
    Kind.UPDATE: "to update: the tag is mutable, and gets another image",
}
_DONE = {Kind.CREATE: "created", Kind.UPDATE: "updated", Kind.RESTORE: "restored", Kind.TOMBSTONE: "tombstoned"}
_HEX = re.compile("(sha(?:256|512):[0-9a-f]{12})[0-9a-f]+")
_TABLE = ("| | tag | now | then | to send | why |", "|---|---|---|---|---|---|")


def plan_markdown(plan: Plan, limit: int = MAX_BYTES) -> str:
    """Return the plan as Markdown of at most `limit` bytes, which is not to be less than MAX_BYTES.

    Counts first, then what is dangerous with its reasons, then all changes, folded, for each image. Unchanged tags
    are only counted.
    """
    page = _Page(limit - _TAIL)
    page.add(_marker("plan", plan), f"### Plan for {_applications(plan)}", "", *_counts(plan), *_notices(plan))
    shown = set[Action]()
    for kind, title in _TITLES.items():
        found = [action for action in plan.actions if action.kind is kind]
        listed = page.add_list(f"#### {len(found)} {title}", [_item(action, plan) for action in found])
        shown.update(found[:listed])
    changes = [action for action in plan.actions if action.kind not in (Kind.UNCHANGED, Kind.BLOCKED)]
    for repository, group in groupby(changes, lambda action: action.reference.repository):
        actions = list(group)
        name = str(repository) if len(plan.applications) > 1 else actions[0].image
        rows = page.add_folded(_folded(name, actions), _TABLE, [_row(action) for action in actions])
        shown.update(actions[:rows])
    missing = sum(action.kind is not Kind.UNCHANGED for action in plan.actions) - len(shown)
    if missing:
        page.finish(
            f"**{missing} more {'tag is' if missing == 1 else 'tags are'} not shown here**, because there is no room: "
            "`replsync show PLAN` of the saved plan, or `replsync plan`, shows all.",
            "",
        )
    page.finish(f"Plan `{short(plan_digest(plan))}` of {_manifests(plan)}, made {quoted(plan.created_at)}.")
    return page.text


def report_markdown(report: Report, limit: int = MAX_BYTES) -> str:
    """Return what became of the plan as Markdown of at most `limit` bytes, not less than MAX_BYTES.

    Counts first, then each failure with its next move, how to take it back, what is left, and what was done, folded.
    """
    plan = report.plan
    back = [f"- {quoted(command, _COMMAND)}" for command in report.undo[:_NAMED]]
    if len(report.undo) > _NAMED:
        back.append(f"- and a rollback of each of {len(report.undo) - _NAMED} more journals")
    if back:
        back = ["#### To take this back", "", *back, ""]
    page = _Page(limit - _TAIL - _size(back))
    page.add(_marker("report", plan), f"### {_verdict(report)} {_applications(plan)}", "", *_report_counts(report))
    if plan.targets:
        page.add(_partial(plan), "")
    blocked = [_item(action, plan) for action in plan.blocked]
    failed = [_failure(failure, plan) for failure in report.failures]
    left = [f"- `{SYMBOLS[action.kind]}` {quoted(plan.name_of(action))}" for action in report.left]
    hidden = sum(map(len, (blocked, failed, left)))
    hidden -= page.add_list(f"#### {len(blocked)} {_TITLES[Kind.BLOCKED]}", blocked)
    hidden -= page.add_list(f"#### {len(failed)} failed", failed)
    page.finish(*back)
    hidden -= page.add_list(f"#### {len(left)} not done", left)
    done = [outcome for outcome in report.outcomes if isinstance(outcome, Done)]
    for repository, group in groupby(done, lambda outcome: outcome.action.reference.repository):
        outcomes = list(group)
        name = str(repository) if len(plan.applications) > 1 else outcomes[0].action.image
        header = ("| | tag | what | is now |", "|---|---|---|---|")
        rows = page.add_folded(
            f"{name}: {len(outcomes)} as planned", header, [_done_row(outcome) for outcome in outcomes]
        )
        hidden += len(outcomes) - rows
    if hidden:
        page.finish(f"**{hidden} more are not shown here**, because there is no room: the journal has all.", "")
    page.finish(
        f"Plan `{short(report.reviewed or plan_digest(plan))}` of {_manifests(plan)}"
        + "".join(f"; journal {quoted(journal, _NAME)}" for journal in report.journals[:_NAMED])
        + (f" and {len(report.journals) - _NAMED} more" if len(report.journals) > _NAMED else "")
        + "."
    )
    return page.text


class _Page:
    """Lines, as long as there is room for them: `room` is in bytes of UTF-8."""

    def __init__(self, room: int) -> None:
        self._lines: list[str] = []
        self._room = room

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self._lines) + "\n"

    def add(self, *lines: str) -> bool:
        """Add the lines, all or none; whether there was room."""
        size = _size(lines)
        if size > self._room:
            return False
        self._room -= size
        self._lines += lines
        return True

    def finish(self, *lines: str) -> None:
        """Add the lines, for which room was kept."""
        self._lines += lines

    def add_list(self, heading: str, items: Sequence[str]) -> int:
        """Add a heading and as many of the items as there is room for; return how many."""
        if not items or not self.add(heading, "", items[0]):
            return 0
        listed = 1 + self._fill(items[1:])
        self.add("")
        return listed

    def add_folded(self, summary: str, header: Sequence[str], rows: Sequence[str]) -> int:
        """Add a table that is shown when `summary` is clicked, with as many rows as there is room for."""
        opening = (f"<details><summary>{html.escape(summary)}</summary>", "", *header)
        closing = ("", "</details>", "")
        kept = _size(closing)
        self._room -= kept
        if self._room < 0 or not self.add(*opening, rows[0]):
            self._room += kept
            return 0
        listed = 1 + self._fill(rows[1:])
        self.finish(*closing)
        return listed

    def _fill(self, lines: Sequence[str]) -> int:
        for number, line in enumerate(lines):
            if not self.add(line):
                return number
        return len(lines)


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _marker(what: str, plan: Plan) -> str:
    said = json.dumps([[one.path, one.registry, one.app] for one in plan.manifests])
    return f"<!-- replsync: {what} {short(sha256(said.encode()))} -->"


def _applications(plan: Plan) -> str:
    return _some([quoted(one, _NAME) for one in plan.applications]) or "nothing"


def _manifests(plan: Plan) -> str:
    return _some([quoted(one.path, _NAME) for one in plan.manifests]) or "no manifest"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _counts(plan: Plan) -> Iterator[str]:
    if not plan.writes and not plan.blocked:
        yield f"**No changes.** {plan.summary[Kind.UNCHANGED]} unchanged, {plan.summary[Kind.UNLISTED]} unlisted."
        yield ""
        return
    yield f"| {' | '.join(plan.summary)} |"
    yield "|" + "--:|" * len(plan.summary)
    yield f"| {' | '.join(f'**{count}**' if count else '0' for count in plan.summary.values())} |"
    yield ""
    if plan.writes and not plan.blocked:
        at_least = "At least " if any(action.bytes is None for action in plan.writes) else ""
        yield f"{at_least}{size_text(plan.upload)} to send."
        yield ""


def _notices(plan: Plan) -> Iterator[str]:
    if plan.targets:
        yield _partial(plan)
        yield ""
    for word, said in (("Warning", plan.warnings), ("Note", plan.notes)):
        yield from (f"- {word}: {quoted(one)}" for one in said[:_NAMED])
        if len(said) > _NAMED:
            yield f"- {word}: and {len(said) - _NAMED} more; `--format json` has them all"
        if said:
            yield ""


def _partial(plan: Plan) -> str:
    return f"**Partial**: only the tags that match {_some([quoted(target) for target in plan.targets])}."


def _item(action: Action, plan: Plan) -> str:
    """An entry of a list of what is dangerous."""
    change = "" if action.kind is Kind.BLOCKED else f" {_now(action)} → {_then(action)}"
    source = f"<br>from {quoted(_source(action.write))}" if isinstance(action.write, Copy) else ""
    notes = "".join(f"<br>note: {quoted(note)}" for note in action.notes[:_NAMED])
    move = f"<br>next: {quoted(action.next_move)}" if action.next_move else ""
    return f"- {quoted(plan.name_of(action))}{change}<br>{quoted(action.why)}{move}{source}{notes}"


def _source(copy: Copy) -> str:
    return _HEX.sub(r"\1", spoken(copy.source))


def _folded(name: str, actions: Sequence[Action]) -> str:
    counts = [(kind, sum(action.kind is kind for action in actions)) for kind in Kind]
    return f"{name}: " + ", ".join(f"{count} {kind}" for kind, count in counts if count)


def _row(action: Action) -> str:
    why = [quoted_in_table(action.why)]
    if action.next_move:
        why.append(f"next: {quoted_in_table(action.next_move)}")
    if isinstance(action.write, Copy):
        why.append(f"from {quoted_in_table(_source(action.write))}")
    why += [f"note: {quoted_in_table(note)}" for note in action.notes[:_NAMED]]
    cells = (
        f"`{SYMBOLS[action.kind]}` {action.kind}",
        quoted_in_table(action.tag),
        _now(action),
        "" if action.kind is Kind.UNLISTED else _then(action),
        _sent(action),
        "<br>".join(why),
    )
    return f"| {' | '.join(cells)} |"


def _now(action: Action) -> str:
    return quoted_in_table(state_text(action.before))


def _then(action: Action) -> str:
    return quoted_in_table(state_text(action.after))


def _sent(action: Action) -> str:
    if action.bytes is None:
        return "size unknown"
    return size_text(action.bytes.upload) if action.bytes.upload else ""


def _verdict(report: Report) -> str:
    if report.plan.blocked:
        return "Not applied to"
    written = any(one.is_written for one in report.outcomes)
    if report.failures:
        return "Applied in part to" if written else "Failed: nothing was written to"
    if report.left:
        return "Interrupted: applied in part to" if written else "Interrupted: nothing was written to"
    return "Applied to" if written else "Nothing to apply to"


def _report_counts(report: Report) -> Iterable[str]:
    written = [one for one in report.outcomes if isinstance(one, Done) and one.is_written]
    counts = [(word, sum(one.action.kind is kind for one in written)) for kind, word in _DONE.items()]
    counts.append(("so already", sum(isinstance(one, Done) and not one.is_written for one in report.outcomes)))
    counts.append(("failed", len(report.failures)))
    counts.append(("not done", len(report.left)))
    yield f"| {' | '.join(word for word, _ in counts)} |"
    yield "|" + "--:|" * len(counts)
    yield f"| {' | '.join(f'**{count}**' if count else '0' for _, count in counts)} |"
    yield ""


def _failure(failure: Failed, plan: Plan) -> str:
    hint = f"<br>next: {quoted(failure.error.hint)}" if failure.error.hint else ""
    written = "<br>It is as planned all the same; only the journal doesn't have it." if failure.is_written else ""
    what = f"{quoted(plan.name_of(failure.action))} {failure.action.kind}"
    return f"- {what}<br>{quoted(failure.error.message)}{hint}{written}"


def _done_row(done: Done) -> str:
    what = _DONE[done.action.kind] if done.is_written else "so already"
    symbol = SYMBOLS[done.action.kind if done.is_written else Kind.UNCHANGED]
    return f"| `{symbol}` | {quoted_in_table(done.action.tag)} | {what} | `{short(done.digest)}` |"
