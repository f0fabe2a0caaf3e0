"""What kind of terminal there is."""

import os
import shlex
import shutil
import sys

from replsync.errors import UsageError


def use_colour(no_color: bool) -> bool:
    """Colours at a terminal, unless told otherwise (no-color.org)."""
    return sys.stdout.isatty() and not no_color and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def text_width() -> int | None:
    """The columns of the terminal that stdout is; None where it is none, so that no line is broken."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def folded(text: str, first: str = "", hanging: str | None = None) -> str:
    """Return `text`, which is harmless, behind `first`; broken at the width of the terminal, if stderr is one."""
    if not sys.stderr.isatty():
        return f"{first}{text}"
    from replsync.render.layout import Look

    given = os.environ.get("COLUMNS", "")
    width = int(given) if given.isdecimal() else os.get_terminal_size(sys.stderr.fileno()).columns
    return "\n".join(Look(width=width or None).lines(text, first, hanging))


def again() -> str:
    """The command that this process was started with, as a shell takes it."""
    return shlex.join(["replsync", *sys.argv[1:]])


def refuse_unattended(command: str, auto_approve: bool, hint: str) -> None:
    """Raise UsageError where somebody would have to approve, and nobody is there."""
    if not auto_approve and (sys.stdin is None or not sys.stdin.isatty()):
        raise UsageError(f"{command}: nobody is there to approve the plan", hint=hint)
