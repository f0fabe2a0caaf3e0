"""`replsync plan`."""

import os
import sys
from typing import assert_never

from replsync.cli.options import Connection, Ends, FormatName
from replsync.cli.progress import asking
from replsync.cli.running import run
from replsync.cli.workspace import opened
from replsync.errors import BlockedPlan
from replsync.plan.document import Plan, plan_json
from replsync.render.text import plan_text

CHANGES = 2


def show_plan(connection: Connection, form: FormatName, detailed: bool, verbose: bool, no_color: bool) -> None:
    """Make a plan and print it."""
    plan = run(_made(connection, no_color))
    match form:
        case FormatName.TEXT:
            print(plan_text(plan, colour=use_colour(no_color), unchanged=verbose), end="")
        case FormatName.JSON:
            print(plan_json(plan), end="")
        case _:
            assert_never(form)
    if plan.blocked:
        raise Ends(BlockedPlan.exit_code)
    if detailed and plan.writes:
        raise Ends(CHANGES)


def use_colour(no_color: bool) -> bool:
    """Colours at a terminal, unless told otherwise (no-color.org)."""
    return sys.stdout.isatty() and not no_color and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


async def _made(connection: Connection, no_color: bool) -> Plan:
    async with opened(connection) as workspace:
        with asking(no_color):
            return await workspace.plan()
