"""The command that tells more about an error."""

from typing import Annotated

import typer

from replsync.cli import options
from replsync.cli.app import app

NO_CODES: list[str] = []

Codes = Annotated[
    list[str], typer.Argument(metavar="CODE", help="As `more:` names it below an error. Without: all there are.")
]


@app.command()
def explain(codes: Codes = NO_CODES, no_color: options.NoColor = False) -> None:
    """Say what an error means, and what to do about it.

    Offline. The same is in the documentation's reference.
    """
    from replsync.cli.explaining import explain_errors, list_errors

    if codes:
        explain_errors(codes, no_color)
    else:
        list_errors()
