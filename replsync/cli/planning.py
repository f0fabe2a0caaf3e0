"""`replsync plan` and `replsync show`."""

from pathlib import Path
from typing import assert_never

from replsync.cli.options import CiName, Connection, Ends, FormatName, Scope, Shown
from replsync.cli.page_details import details_of
from replsync.cli.progress import asking
from replsync.cli.running import run
from replsync.cli.saved_plan import read_saved, save
from replsync.cli.terminal import text_width, use_colour
from replsync.cli.workspace import opened
from replsync.errors import BlockedPlan
from replsync.plan.claims import Member
from replsync.plan.document import Plan, plan_json
from replsync.render.html import plan_html
from replsync.render.markdown import plan_markdown
from replsync.render.text import plan_text
from replsync.survey.layers import Layers, read_layers

CHANGES = 2


def show_plan(
    connection: Connection, scope: Scope, out: Path | None, form: FormatName, detailed: bool, shown: Shown
) -> None:
    """Make a plan, save it where it is to be saved, and print it."""
    plan, members, layers = run(_made(connection, scope, form, shown))
    if out:
        save(plan, out)
    if shown.ci is not CiName.NONE:
        from replsync.cli.ci import tell_plan

        tell_plan(shown.ci, plan, members, out)
    _print(plan, form, shown, layers)
    if plan.blocked:
        raise Ends(BlockedPlan.exit_code, BlockedPlan.code)
    if detailed and plan.writes:
        raise Ends(CHANGES)


def show_saved(path: Path, form: FormatName, shown: Shown) -> None:
    """Print a plan that was saved. Raises StalePlan where it was changed."""
    _print(read_saved(path), form, shown)


async def _made(
    connection: Connection, scope: Scope, form: FormatName, shown: Shown
) -> tuple[Plan, tuple[Member, ...], Layers | None]:
    async with opened(connection) as workspace, asking(workspace.registries.client, shown) as asked:
        plan = await workspace.plan(scope, asked)
        layers = None
        if form is FormatName.HTML:
            registries = workspace.registries
            offer = None if scope.locked else registries.engine
            layers = await read_layers(plan.actions, registries.client, offer)
        return plan, workspace.members, layers


def _print(plan: Plan, form: FormatName, shown: Shown, layers: Layers | None = None) -> None:
    match form:
        case FormatName.TEXT:
            print(plan_text(plan, colour=use_colour(shown.no_color), verbose=shown.verbose, width=text_width()), end="")
        case FormatName.JSON:
            print(plan_json(plan), end="")
        case FormatName.MARKDOWN:
            print(plan_markdown(plan), end="")
        case FormatName.HTML:
            print(plan_html(plan, details_of(plan, layers)), end="")
        case _:
            assert_never(form)
