"""`replsync rollback`."""

from dataclasses import replace
from pathlib import Path

from replsync.cli.carrying_out import alone, carry_out, show, shown_and_approved
from replsync.cli.journals import entries_of
from replsync.cli.lock_file import lock_digest
from replsync.cli.options import Connection, Scope, Shown
from replsync.cli.progress import asking
from replsync.cli.running import run
from replsync.cli.saved_plan import check_still_valid, save
from replsync.cli.terminal import refuse_unattended
from replsync.cli.workspace import Workspace, mentions_of, opened
from replsync.errors import InvalidInput
from replsync.plan.document import Plan
from replsync.plan.guarding import protected
from replsync.plan.journal import Change, changes
from replsync.plan.targets import chosen
from replsync.plan.undoing import undo
from replsync.survey.looking_back import look_back

_STILL_LISTED = "a rollback leaves the manifest alone: where it still says so, the next plan wants the changes again"


def roll_back(journal: Path, connection: Connection, scope: Scope, out: Path | None, shown: Shown) -> None:
    """Plan the way back, show it, and carry it out, or save it."""
    if not out:
        refuse_unattended("rollback", shown.auto_approve, "look at it with --out FILE, or say --auto-approve")
    made = changes(entries_of(journal))
    run(_roll_back(journal, made, connection, scope, out, shown))


async def _roll_back(
    journal: Path, made: tuple[Change, ...], connection: Connection, scope: Scope, out: Path | None, shown: Shown
) -> None:
    async with opened(connection) as workspace:
        _refuse_foreign(journal, made, workspace)
        with asking(shown.no_color):
            plan = await _planned(made, workspace, scope)
        if out:
            save(plan, out)
            show(plan, shown)
            return
        reviewed = await shown_and_approved(plan, shown)
        if reviewed:
            async with alone(reviewed.manifest):
                check_still_valid(reviewed.plan)
                await carry_out(reviewed, workspace.registries, shown)


async def _planned(made: tuple[Change, ...], workspace: Workspace, scope: Scope) -> Plan:
    """No cap on tombstones: what the journal names is the bound."""
    await workspace.registries.client.ping(workspace.target.registry)
    found = mentions_of(workspace.file)
    inventory, whole = await look_back(made, workspace.registries.client)
    actions = chosen(undo(made, inventory, whole), scope.targets)
    actions = protected(actions, workspace.file.manifest, workspace.target, found)
    lock = lock_digest(workspace.file.name)  # not used; but a saved plan stands for the files as they were
    plan = await workspace.planned(actions, workspace.registries.engine, found, scope.targets, lock)
    return replace(plan, warnings=(_STILL_LISTED, *plan.warnings)) if plan.writes else plan


def _refuse_foreign(journal: Path, made: tuple[Change, ...], workspace: Workspace) -> None:
    target = workspace.target
    for change in made:
        if change.reference.repository != target.repository(change.image):
            raise InvalidInput(
                f"roll back {journal}: it is of {change.reference.repository}, "
                f"and {workspace.file.name} stands for {target.registry}/{target.app}",
                hint="name the manifest of that application with -f",
            )
