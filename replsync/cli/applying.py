"""`replsync apply`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from replsync.apply.freshness import carried_out_before
from replsync.cli import log
from replsync.cli.carrying_out import Reviewed, alone, carry_out, nothing_done, show, shown_and_approved
from replsync.cli.manifests import read_all
from replsync.cli.options import Connection, EngineName, FormatName, Scope, Shown
from replsync.cli.progress import asking
from replsync.cli.running import run
from replsync.cli.saved_plan import check_still_valid, read_saved
from replsync.cli.terminal import refuse_unattended
from replsync.cli.workspace import at_work, connected
from replsync.plan.claims import Member
from replsync.plan.document import plan_digest
from replsync.plan.report import Done, Report

ALREADY = "The plan is already applied: every tag is as it says. Nothing was written."
ALREADY_IN_PART = "This part of the plan is already applied: every tag of it is as it says. Nothing was written."


def plan_and_apply(connection: Connection, scope: Scope, shown: Shown) -> None:
    """Make a plan, show it, ask, carry it out, and say what became of it."""
    members = read_all(connection.files)  # first: what is wrong with a manifest is wrong whoever approves
    refuse_unattended("apply", shown.auto_approve, "plan --out FILE, then apply FILE; or apply --auto-approve")
    run(_plan_and_apply(connection, members, scope, shown))


def apply_saved(path: Path, connection: Connection, targets: Sequence[str], shown: Shown) -> None:
    """Carry out a plan that was saved: exactly that, or nothing."""
    plan = read_saved(path)
    reviewed = Reviewed(plan.narrowed(targets), plan_digest(plan))
    members = check_still_valid(reviewed.plan)
    if reviewed.plan.blocked:
        show(reviewed.plan, members, shown)
    run(_apply(reviewed, replace(connection, engine=EngineName(plan.engine)), members, shown))


async def _plan_and_apply(connection: Connection, members: tuple[Member, ...], scope: Scope, shown: Shown) -> None:
    async with at_work(connection, members) as workspace:
        async with asking(workspace.registries.client, shown) as asked:
            plan = await workspace.plan(scope, asked)
        reviewed = await shown_and_approved(plan, workspace.members, shown)
        if reviewed:
            async with alone(reviewed.plan):
                # Since it was made there was a question, and perhaps a wait.
                await carry_out(reviewed, check_still_valid(reviewed.plan), workspace.registries, shown)


async def _apply(reviewed: Reviewed, connection: Connection, members: Sequence[Member], shown: Shown) -> None:
    siblings = {action.reference.repository for action in reviewed.plan.actions}
    async with connected(connection, members, siblings) as registries, alone(reviewed.plan):
        members = check_still_valid(reviewed.plan)  # again: there may have been a wait
        async with asking(registries.client, shown) as asked:
            for registry in sorted({member.target.registry for member in members}):
                await registries.client.ping(registry)
            before = await carried_out_before(reviewed.plan, registries.client, registries.engine, asked)
        if before is not None:
            _say_already(reviewed, before, members, shown)
            return
        if not shown.quiet:  # whoever saved it has seen it
            show(reviewed.plan, members, shown)
        await carry_out(reviewed, members, registries, shown)


def _say_already(reviewed: Reviewed, before: tuple[Done, ...], members: Sequence[Member], shown: Shown) -> None:
    said = ALREADY_IN_PART if reviewed.is_narrowed else ALREADY
    if shown.format is FormatName.TEXT:
        print(said)
    elif not shown.quiet:
        log.say("note", said)
    nothing_done(Report(reviewed.plan, before, reviewed=reviewed.digest), members, shown)
