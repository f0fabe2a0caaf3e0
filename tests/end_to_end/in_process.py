"""The command line in this process: every command as it is, without the start of an interpreter for each."""

import contextlib
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from replsync.cli.main import command
from replsync.cli.options import Ends
from replsync.errors import ReplsyncError


@dataclass(frozen=True)
class Ended:
    """How a command ended, and all that it said on either stream."""

    code: int
    output: str


def call(folder: Path, *args: str) -> Ended:
    """Run `replsync ARGS` in `folder`, with this process's environment."""
    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            with _command().make_context("replsync", list(args)) as context:
                _command().invoke(context)
        except Ends as end:
            return Ended(end.code, said.getvalue())
        except ReplsyncError as error:
            return Ended(error.exit_code, f"{said.getvalue()}{error.message}\n{error.hint}\n")
    return Ended(0, said.getvalue())


@cache
def _command() -> Any:
    return command()
