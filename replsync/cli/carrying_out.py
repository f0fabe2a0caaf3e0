"""Carrying a plan out, with a journal, and saying what became of it: what every command that writes has in common."""

import asyncio
import shlex
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from replsync.apply.executor import execute
from replsync.apply.freshness import is_carried_out
from replsync.apply.journal_file import JournalFile, Run
from replsync.apply.one_at_a_time import one_at_a_time
from replsync.cli.clock import now
from replsync.cli.git import commit_of
from replsync.cli.options import Ends, Shown
from replsync.cli.progress import watching
from replsync.cli.terminal import use_colour
from replsync.cli.workspace import TOOL, Registries
from replsync.errors import BlockedPlan, PartialFailure, SignInError
from replsync.oci.digest import Digest
from replsync.plan.document import Plan, PlannedManifest, plan_digest
from replsync.plan.report import Outcome, Report
from replsync.render.text import plan_text, report_text

ALREADY = "The plan is already applied: every tag is as it says. Nothing was written."


@dataclass(frozen=True)
class Reviewed:
    """A plan that may be carried out. `digest` is that of the document that was looked at, `saved` if in a file."""

    plan: Plan
    digest: Digest
    saved: bool = False

    @property
    def manifest(self) -> PlannedManifest:
        """The manifest that it was made from."""
        return self.plan.manifests[0]


def journal_folder(manifest: Path) -> Path:
    """Return where the journals of this manifest lie."""
    return manifest.parent / ".replsync" / "journal"


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


async def carry_out(reviewed: Reviewed, registries: Registries, shown: Shown) -> None:
    """Write what the plan says, and report. Ends with 4 or 6 where actions failed.

    Raises StalePlan where the plan comes from a file and a tag has changed since.
    """
    plan, manifest = reviewed.plan, reviewed.manifest
    run = Run(reviewed.digest, commit_of(Path(manifest.path)), TOOL, now)
    journal = JournalFile(journal_folder(Path(manifest.path)), run)
    async with one_at_a_time(f"{manifest.registry}/{manifest.app}", _say):
        if reviewed.saved and await is_carried_out(plan, registries.client):
            print(ALREADY)
            return
        with closing(journal):
            report = await _executed(plan, registries, journal, shown)
    print(report_text(report, colour=use_colour(shown.no_color)), end="", flush=True)
    _name(journal, shown)
    if report.failures:
        raise Ends(_exit_code(plan, report))


async def _executed(plan: Plan, registries: Registries, journal: JournalFile, shown: Shown) -> Report:
    outcomes: list[Outcome] = []
    try:
        with watching(plan, outcomes, shown.quiet, shown.no_color) as watcher:
            return await execute(plan, registries.client, registries.engine, journal, watcher)
    except asyncio.CancelledError:
        colour = use_colour(shown.no_color)
        print(report_text(Report(tuple(outcomes)), colour=colour, planned=len(plan.writes)), end="", flush=True)
        _name(journal, shown)
        raise


def _name(journal: JournalFile, shown: Shown) -> None:
    if journal.path and not shown.quiet:
        _say(f"Journal: {journal.path}. To take this back: replsync rollback {shlex.quote(str(journal.path))}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _exit_code(plan: Plan, report: Report) -> int:
    """Sign-in failures that let nothing through are what they are; else some actions failed."""
    errors = [failure.error for failure in report.failures]
    if len(errors) == len(plan.writes) and all(isinstance(error, SignInError) for error in errors):
        return SignInError.exit_code
    return PartialFailure.exit_code
