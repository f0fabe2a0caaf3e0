"""Carrying a plan out, with a journal, and saying what became of it: what every command that writes has in common."""

import shlex
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from replsync.apply.executor import execute
from replsync.apply.one_at_a_time import one_at_a_time
from replsync.cli.journals import Journals
from replsync.cli.options import DEFAULT_FILE, Ends, Shown
from replsync.cli.progress import watching
from replsync.cli.terminal import use_colour
from replsync.cli.workspace import TOOL, Registries
from replsync.errors import BlockedPlan, PartialFailure, SignInError
from replsync.oci.digest import Digest
from replsync.plan.claims import Member
from replsync.plan.document import Plan, plan_digest
from replsync.plan.report import Outcome, Report
from replsync.render.harmless import clean
from replsync.render.text import plan_text, report_text


@dataclass(frozen=True)
class Reviewed:
    """A plan that may be carried out, and the digest of the document that was looked at."""

    plan: Plan
    digest: Digest

    @property
    def is_narrowed(self) -> bool:
        """Whether it is a part of what was looked at."""
        return plan_digest(self.plan) != self.digest


def show(plan: Plan, shown: Shown) -> None:
    """Print the plan. Ends with 7 where something is blocked."""
    print(plan_text(plan, colour=use_colour(shown.no_color), unchanged=shown.verbose), end="", flush=True)
    if plan.blocked:
        raise Ends(BlockedPlan.exit_code, BlockedPlan.code)


async def shown_and_approved(plan: Plan, shown: Shown) -> Reviewed | None:
    """Show the plan and ask; None where there is nothing to do. Ends with 7 where something is blocked."""
    show(plan, shown)
    if not plan.writes:
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
            await stack.enter_async_context(one_at_a_time(application, _say))
        yield


async def carry_out(
    reviewed: Reviewed, members: Sequence[Member], registries: Registries, shown: Shown, back: str | None = None
) -> None:
    """Write what the plan says, and report. Ends with 4 or 6 where actions failed.

    To be called where the run is `alone`; `members` are the plan's manifests.
    `back` is the command that takes it back, where that isn't a rollback of the journal.
    """
    plan = reviewed.plan
    journals = Journals(members, plan.writes, reviewed.digest, TOOL)
    outcomes: list[Outcome] = []
    try:
        with closing(journals), watching(plan, outcomes, shown.quiet, shown.no_color) as watcher:
            outcomes = list((await execute(plan, registries.client, registries.engine, journals, watcher)).outcomes)
    finally:
        _name(journals, shown, back)  # first: whoever reads the report may be gone
        report = Report(plan, tuple(outcomes), tuple(str(path) for _, path in journals.written))
        print(report_text(report, colour=use_colour(shown.no_color)), end="", flush=True)
    if report.failures:
        raise Ends(_exit_code(plan, report), *sorted({failure.error.code for failure in report.failures}))


def _name(journals: Journals, shown: Shown, back: str | None) -> None:
    if shown.quiet:
        return
    for _, path in journals.written:
        _say(f"Journal: {path}")
    for earlier in journals.earlier:
        _say(f"  an earlier run of this plan left {earlier}: roll back both to take back all of it")
    for member, path in journals.written:
        manifest = member.file.name
        which = "" if Path(manifest) == DEFAULT_FILE[0] else f" -f {shlex.quote(manifest)}"
        _say(f"To take this back: {back or f'replsync rollback {shlex.quote(str(path))}'}{which}")


def _say(text: str) -> None:
    print(clean(text), file=sys.stderr, flush=True)


def _exit_code(plan: Plan, report: Report) -> int:
    """Sign-in failures that let nothing through are what they are; else some actions failed."""
    errors = [failure.error for failure in report.failures]
    if len(errors) == len(plan.writes) and all(isinstance(error, SignInError) for error in errors):
        return SignInError.exit_code
    return PartialFailure.exit_code
