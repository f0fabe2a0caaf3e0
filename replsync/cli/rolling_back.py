"""`replsync rollback`."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from replsync.apply.journal_file import SUFFIX
from replsync.cli.carrying_out import alone, carry_out, show, shown_and_approved
from replsync.cli.journals import entries_of, journal_folder
from replsync.cli.lock_file import lock_digest
from replsync.cli.manifests import read_all
from replsync.cli.options import DEFAULT_FILE, Connection, Scope, Shown
from replsync.cli.progress import asking
from replsync.cli.running import run
from replsync.cli.saved_plan import check_still_valid, save
from replsync.cli.terminal import refuse_unattended
from replsync.cli.workspace import Part, Workspace, at_work, mentions_of
from replsync.errors import InvalidInput, UsageError
from replsync.plan.claims import Claims, Member
from replsync.plan.document import Plan
from replsync.plan.guarding import protected
from replsync.plan.journal import Change, changes
from replsync.plan.targets import chosen
from replsync.plan.undoing import undo
from replsync.registry.watching import Asked
from replsync.survey.looking_back import look_back

_STILL_LISTED = "a rollback leaves the manifest alone: where it still says so, the next plan wants the changes again"


def roll_back(journal: Path | None, connection: Connection, scope: Scope, out: Path | None, shown: Shown) -> None:
    """Plan the way back, show it, and carry it out, or save it."""
    if journal is None:
        raise _unnamed(connection)
    if not out:
        refuse_unattended("rollback", shown.auto_approve, "look at it with --out FILE, or say --auto-approve")
    made = changes(entries_of(journal))
    run(_roll_back(journal, made, connection, scope, out, shown))


def _unnamed(connection: Connection) -> UsageError:
    """Which run is to be taken back is for the user to say; the last one is named."""
    folders = {journal_folder(Path(member.file.name)) for member in read_all(connection.files)}
    found = [path for folder in folders for path in folder.glob(f"*{SUFFIX}")]
    last = max(found, key=lambda path: path.stat().st_mtime_ns, default=None)
    if last is None:
        return UsageError("rollback: no journal is named", hint="there is no journal beside the manifest")
    same = () if list(connection.files) == DEFAULT_FILE else tuple(f"--file={path}" for path in connection.files)
    return UsageError(
        "rollback: no journal is named", hint=f"the last one: {shlex.join(['replsync', 'rollback', str(last), *same])}"
    )


async def _roll_back(
    journal: Path, made: tuple[Change, ...], connection: Connection, scope: Scope, out: Path | None, shown: Shown
) -> None:
    members = read_all(connection.files)
    member = _member_of(journal, made, members)
    async with at_work(connection, (member,), (one for one in members if one is not member)) as workspace:
        async with asking(workspace.registries.client, shown) as asked:
            plan = await _planned(made, workspace, scope, asked)
        if out:
            save(plan, out)
            show(plan, workspace.members, shown)
            return
        reviewed = await shown_and_approved(plan, workspace.members, shown)
        if reviewed:
            async with alone(reviewed.plan):
                await carry_out(reviewed, check_still_valid(reviewed.plan), workspace.registries, shown)


async def _planned(made: tuple[Change, ...], workspace: Workspace, scope: Scope, asked: Asked) -> Plan:
    """No cap on tombstones: what the journal names is the bound."""
    (member,) = workspace.members
    await workspace.registries.client.ping(member.target.registry)
    (found,) = mentions_of(workspace.members, workspace.others)
    inventory, whole = await look_back(made, workspace.registries.client)
    actions = chosen(undo(made, inventory, whole), scope.targets)
    actions = protected(actions, member.file.manifest, member.target, found)
    lock = lock_digest(member.file.name)  # not used; but a saved plan stands for the files as they were
    part = Part(member, actions, workspace.registries.engine, found, lock)
    plan = await workspace.planned([part], scope.targets, asked)
    return replace(plan, warnings=(_STILL_LISTED, *plan.warnings)) if plan.writes else plan


def _member_of(journal: Path, made: Sequence[Change], members: Sequence[Member]) -> Member:
    """Return the manifest that the journal is of: of several for one application, the one that has the most of it."""

    def is_of(member: Member, change: Change) -> bool:
        return change.reference.repository == member.target.repository(change.image)

    able = [member for member in members if all(is_of(member, change) for change in made)]
    if able:
        claims = Claims.of(able)
        return max(able, key=lambda member: sum(claims.owner(change.reference) is member for change in made))
    foreign = next(change for change in made if not is_of(members[0], change))
    if len(members) == 1:
        target = members[0].target
        stand_for = f"{members[0].file.name} stands for {target.registry}/{target.app}"
    else:
        stand_for = f"none of the {len(members)} manifests stands for all that it names"
    raise InvalidInput(
        f"roll back {journal}: it is of {foreign.reference.repository}, and {stand_for}",
        hint="name the manifest of that application with -f",
    )
