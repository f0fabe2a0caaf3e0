"""Carrying a plan out, with a journal, and saying what became of it: what every command that writes has in common."""

import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from replsync.apply.executor import execute
from replsync.apply.journal_file import JournalFile, Run
from replsync.apply.one_at_a_time import one_at_a_time
from replsync.cli.clock import now
from replsync.cli.git import commit_of
from replsync.cli.journals import journal_folder
from replsync.cli.options import DEFAULT_FILE, Ends, Shown
from replsync.cli.progress import watching
from replsync.cli.terminal import use_colour
from replsync.cli.workspace import TOOL, Registries
from replsync.errors import BlockedPlan, PartialFailure, SignInError
from replsync.oci.digest import Digest
from replsync.plan.document import Plan, PlannedManifest, plan_digest
from replsync.plan.report import Outcome, Report
from replsync.render.harmless import clean
from replsync.render.text import plan_text, report_text


@dataclass(frozen=True)
class Reviewed:
    """A plan that may be carried out, and the digest of the document that was looked at."""

    plan: Plan
    digest: Digest

    @property
    def manifest(self) -> PlannedManifest:
        """The manifest that it was made from."""
        return self.plan.manifests[0]

    @property
    def is_narrowed(self) -> bool:
        """Whether it is a part of what was looked at."""
        return plan_digest(self.plan) != self.digest


def show(plan: Plan, shown: Shown) -> None:
    """Print the plan. Ends with 7 where something is blocked."""
    print(plan_text(plan, colour=use_colour(shown.no_color), unchanged=shown.verbose), end="", flush=True)
    if plan.blocked:
        raise Ends(BlockedPlan.exit_code)


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
async def alone(manifest: PlannedManifest) -> AsyncIterator[None]:
    """Be the one run for this application on this machine, after a wait if need be."""
    async with one_at_a_time(f"{manifest.registry}/{manifest.app}", _say):
        yield


async def carry_out(reviewed: Reviewed, registries: Registries, shown: Shown, back: str | None = None) -> None:
    """Write what the plan says, and report. Ends with 4 or 6 where actions failed.

    To be called where the run is `alone`. `back` is the command that takes it
    back, where that isn't a rollback of the journal.
    """
    plan, manifest = reviewed.plan, reviewed.manifest
    run = Run(reviewed.digest, commit_of(Path(manifest.path)), TOOL, now)
    journal = JournalFile(journal_folder(Path(manifest.path)), run)
    outcomes: list[Outcome] = []
    planned: int | None = len(plan.writes)
    try:
        with closing(journal), watching(plan, outcomes, shown.quiet, shown.no_color) as watcher:
            outcomes = list((await execute(plan, registries.client, registries.engine, journal, watcher)).outcomes)
            planned = None  # it came to its end
    finally:
        _name(journal, manifest, shown, back)  # first: whoever reads the report may be gone
        report = Report(tuple(outcomes))
        print(report_text(report, colour=use_colour(shown.no_color), planned=planned), end="", flush=True)
    if report.failures:
        raise Ends(_exit_code(plan, report))


def _name(journal: JournalFile, manifest: PlannedManifest, shown: Shown, back: str | None) -> None:
    if not journal.path or shown.quiet:
        return
    _say(f"Journal: {journal.path}")
    for earlier in journal.earlier:
        _say(f"  an earlier run of this plan left {earlier}: roll back both to take back all of it")
    which = "" if Path(manifest.path) == DEFAULT_FILE[0] else f" -f {shlex.quote(manifest.path)}"
    _say(f"To take this back: {back or f'replsync rollback {shlex.quote(str(journal.path))}'}{which}")


def _say(text: str) -> None:
    print(clean(text), file=sys.stderr, flush=True)


def _exit_code(plan: Plan, report: Report) -> int:
    """Sign-in failures that let nothing through are what they are; else some actions failed."""
    errors = [failure.error for failure in report.failures]
    if len(errors) == len(plan.writes) and all(isinstance(error, SignInError) for error in errors):
        return SignInError.exit_code
    return PartialFailure.exit_code
