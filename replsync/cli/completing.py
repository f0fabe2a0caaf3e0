"""Completion in shells: the script that one sources, and the answers that it asks for by an environment variable."""

import os
import sys
from typing import Any

VARIABLE = "_REPLSYNC_COMPLETE"
"""Set by the script, to what is asked for and the shell: `complete_bash`."""


def answer(command: Any) -> int | None:
    """Print what the shell asks for, and return the exit code; None where no shell asks."""
    asked = os.environ.get(VARIABLE)
    return _print(command, asked) if asked else None


def print_script(command: Any, shell: str) -> None:
    """Print the script that makes `shell` (bash, zsh or fish) ask."""
    _print(command, f"source_{shell}")


def _print(command: Any, instruction: str) -> int:
    from typer.completion import get_completion_inspect_parameters, shell_complete

    get_completion_inspect_parameters()  # by the way this makes typer's own shells known
    code = shell_complete(command, {}, "replsync", VARIABLE, instruction)
    sys.stdout.flush()
    return code
