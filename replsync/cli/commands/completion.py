"""The command that prints what a shell needs for completion."""

from enum import StrEnum
from typing import Annotated

import typer

from replsync.cli.app import app


class ShellName(StrEnum):
    """The shells that can ask."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


Shell = Annotated[ShellName, typer.Argument(help="Whose completion.")]


@app.command()
def completion(context: typer.Context, shell: Shell) -> None:
    """Print the script for completion in a shell."""
    from replsync.cli.completing import print_script

    print_script(context.find_root().command, shell)
