"""`replsync apply`."""

import asyncio
import sys

from replsync.apply.executor import execute
from replsync.cli.options import Connection, Ends
from replsync.cli.planning import use_colour
from replsync.cli.progress import asking, watching
from replsync.cli.running import run
from replsync.cli.workspace import opened
from replsync.errors import BlockedPlan, PartialFailure, ReplsyncError, SignInError, UsageError
from replsync.plan.document import Plan
from replsync.plan.report import Outcome, Report
from replsync.render.text import plan_text, report_text


def plan_and_apply(connection: Connection, auto_approve: bool, verbose: bool, quiet: bool, no_color: bool) -> None:
    """Make a plan, show it, ask, carry it out, and say what became of it."""
    if not auto_approve and (sys.stdin is None or not sys.stdin.isatty()):
        raise UsageError("apply: nobody is there to approve the plan", hint="run plan first, then apply --auto-approve")
    run(_run(connection, auto_approve, verbose, quiet, no_color))


async def _run(connection: Connection, auto_approve: bool, verbose: bool, quiet: bool, no_color: bool) -> None:
    colour = use_colour(no_color)
    async with opened(connection) as workspace:
        with asking(no_color):
            plan = await workspace.plan()
        print(plan_text(plan, colour=colour, unchanged=verbose), end="", flush=True)
        if plan.blocked:
            raise Ends(BlockedPlan.exit_code)
        if not plan.writes:
            return
        if not auto_approve:
            await _approved()
        outcomes: list[Outcome] = []
        try:
            with watching(plan, outcomes, quiet, no_color) as watcher:
                report = await execute(plan, workspace.client, workspace.engine, watcher)
        except asyncio.CancelledError:
            print(report_text(Report(tuple(outcomes)), colour=colour, planned=len(plan.writes)), end="")
            raise
    print(report_text(report, colour=colour), end="")
    if report.failures:
        raise Ends(_exit_code(plan, report))


async def _approved() -> None:
    """Ask. The question goes to stderr, as all but data does."""
    print("\nType yes to carry this out: ", end="", file=sys.stderr, flush=True)
    loop = asyncio.get_running_loop()
    typed = asyncio.Event()
    loop.add_reader(sys.stdin, typed.set)  # a blocking read would swallow Ctrl-C
    try:
        await typed.wait()
    except asyncio.CancelledError:
        print("\nnothing was written", file=sys.stderr)
        raise
    finally:
        loop.remove_reader(sys.stdin)
    if sys.stdin.readline().strip() != "yes":
        raise ReplsyncError("apply: not approved; nothing was written", hint="only the word yes approves")


def _exit_code(plan: Plan, report: Report) -> int:
    """Sign-in failures that let nothing through are what they are; else some actions failed."""
    errors = [failure.error for failure in report.failures]
    if len(errors) == len(plan.writes) and all(isinstance(error, SignInError) for error in errors):
        return SignInError.exit_code
    return PartialFailure.exit_code
