"""The command line as typer has it: what all commands have in common. The commands add themselves to `app`."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from replsync.cli.examples import FIRST, with_examples

ORDER = (
    *("init", "import", "validate", "fmt", "login", "logout", "doctor"),
    *("plan", "show", "apply", "retire", "restore", "rollback", "history", "lock"),
    *("sandbox", "schema", "completion", "explain"),
)
"""The commands as the help lists them: in the order in which one needs them."""


class _Commands(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=ORDER.index)


app = typer.Typer(
    cls=_Commands,
    name="replsync",
    help=with_examples("Keep the images of a Replicated registry as replicated-images.yaml says.", FIRST),
    epilog="Exit codes: 0 done, 1 failed, 2 changes (plan --detailed-exitcode and lock --check only), "
    "3 invalid manifest or other input, 4 sign-in or permission, 5 stale or changed plan, 6 some actions failed, "
    "7 the plan has blocked actions, 64 wrong usage, 130 interrupted, 141 nobody reads the output.",
    add_completion=False,
    rich_markup_mode=None,  # rich would take half of the time in which --help is to answer
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from replsync.cli.version import version_text

        print(version_text())
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print what a report of a fault begins with."),
    ] = False,
) -> None:
    pass
