"""Carrying a plan out, with a journal, and saying what became of it: what every command that writes has in common."""

import shlex
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from replsync.apply.executor import execute
from replsync.apply.one_at_a_time import one_at_a_time
from replsync.cli import log
from replsync.cli.journals import Journals
from replsync.cli.options import DEFAULT_FILE, CiName, Ends, FormatName, Shown
from replsync.cli.progress import watching
from replsync.cli.report_printing import print_report
from replsync.cli.terminal import text_width, use_colour
from replsync.cli.workspace import TOOL, Registries
from replsync.errors import BlockedPlan, PartialFailure, PermissionDenied, SignInError
from replsync.oci.digest import Digest
from replsync.plan.claims import Member
from replsync.plan.document import Plan, plan_digest
from replsync.plan.report import Outcome, Report
from replsync.render.text import plan_text


@dataclass(frozen=True)
class Reviewed:
    """A plan that may be carried out, and the digest of the document that was looked at."""

    plan: Plan
    digest: Digest

    @property
    def is_narrowed(self) -> bool:
        """Whether it is a part of what was looked at."""
        return plan_digest(self.plan) != self.digest


def show(plan: Plan, members: Sequence[Member], shown: Shown) -> None:
    """Print the plan. Ends with 7, and a report that nothing was done, where something is blocked."""
    if shown.format is FormatName.TEXT:
        text = plan_text(plan, colour=use_colour(shown.no_color), verbose=shown.verbose, width=text_width())
        print(text, end="", flush=True)
    elif not shown.quiet and not log.is_json():  # stdout is for the report
        print(plan_text(plan, verbose=shown.verbose), end="", file=sys.stderr, flush=True)
    if plan.blocked:
        nothing_done(Report(plan, ()), members, shown)
        raise Ends(BlockedPlan.exit_code, BlockedPlan.code)


async def shown_and_approved(plan: Plan, members: Sequence[Member], shown: Shown) -> Reviewed | None:
    """Show the plan and ask; None where there is nothing to do. Ends with 7 where something is blocked."""
    show(plan, members, shown)
    if not plan.writes:
        nothing_done(Report(plan, ()), members, shown)
        return None
    if not shown.auto_approve:
        from replsync.cli.approval import approved

        await approved()
    return Reviewed(plan, plan_digest(plan))


@asynccontextmanager
async def alone(plan: Plan) -> AsyncIterator[None]:
    """Be the one run for the plan's applications on this machine, after a wait if need be."""
    async with AsyncExitStack() as stack:
        for application in plan.applications:  # in one order everywhere: two runs can't wait for one another
            await stack.enter_async_context(one_at_a_time(application, partial(log.say, "waiting")))
        yield


async def carry_out(
    reviewed: Reviewed, members: Sequence[Member], registries: Registries, shown: Shown, back: str | None = None
) -> None:
    """Write what the plan says, and report. Ends with 6 where actions failed; SignInError where all were refused.

    To be called where the run is `alone`; `members` are the plan's manifests.
    `back` is the command that takes it back, where that isn't a rollback of the journal.
    """
    plan = reviewed.plan
    journals = Journals(members, plan.writes, reviewed.digest, TOOL)
    outcomes: list[Outcome] = []
    try:
        with closing(journals):
            async with watching(plan, outcomes, registries.client, shown) as watcher:
                outcomes = list((await execute(plan, registries.client, registries.engine, journals, watcher)).outcomes)
    finally:
        undo = _undo(journals, back)
        _name(journals, undo, shown)  # first: whoever reads the report may be gone
        written = tuple(str(path) for _, path in journals.written)
        report = Report(plan, tuple(outcomes), written, undo, reviewed.digest)
        if shown.ci is not CiName.NONE:
            from replsync.cli.ci import tell_report

            tell_report(shown.ci, report, members)
        print_report(report, shown)
    if report.failures:
        raise _failed(report)


def nothing_done(report: Report, members: Sequence[Member], shown: Shown) -> None:
    """Tell whoever waits for a report that nothing was written; people have been told in words."""
    if shown.ci is not CiName.NONE:
        from replsync.cli.ci import tell_plan, tell_report

        if report.plan.blocked:
            tell_plan(shown.ci, report.plan, members)
        else:
            tell_report(shown.ci, report, members)
    if shown.format is not FormatName.TEXT:
        print_report(report, shown)


def _undo(journals: Journals, back: str | None) -> tuple[str, ...]:
    """The commands that take back what was written."""
    commands = []
    for member, path in journals.written:
        manifest = member.file.name
        which = "" if Path(manifest) == DEFAULT_FILE[0] else f" -f {shlex.quote(manifest)}"
        commands.append(f"{back or f'replsync rollback {shlex.quote(str(path))}'}{which}")
    return tuple(commands)


def _name(journals: Journals, undo: Sequence[str], shown: Shown) -> None:
    if shown.quiet:
        return
    for _, path in journals.written:
        log.say("journal", f"Journal: {path}", path=str(path))
    for earlier in journals.earlier:
        log.say("note", f"  an earlier run of this plan left {earlier}: roll back both to take back all of it")
    for command in undo:
        log.say("note", f"To take this back: {command}")


def _failed(report: Report) -> Exception:
    """Failures to sign in that let nothing through are what they are, and tell what to do; else some actions failed."""
    errors = [failure.error for failure in report.failures]
    refusals = [error for error in errors if isinstance(error, SignInError)]
    if len(refusals) < len(report.plan.writes):
        return Ends(PartialFailure.exit_code, PartialFailure.code, *sorted({error.code for error in errors}))
    kind = PermissionDenied if any(isinstance(error, PermissionDenied) for error in refusals) else SignInError
    hosts = ", ".join(dict.fromkeys(error.host for error in refusals if error.host))
    return kind(f"apply: nothing was written: {hosts or 'the sign-in'} refused it", hint=refusals[0].hint)
