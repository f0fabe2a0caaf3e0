"""The entry point: runs a command, and says how each kind of failure ends the process."""

import gc
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import typer

from replsync.cli import completing, log, options
from replsync.cli.app import app
from replsync.cli.commands import access, changes, completion, files, help, rehearsal  # noqa: A004 - the module of that subject
from replsync.cli.examples import EXAMPLES, with_examples
from replsync.cli.terminal import folded
from replsync.errors import InvalidInput, MachineError, ReplsyncError, SeveralInvalid, UsageError
from replsync.manifest.faults import InvalidManifest
from replsync.render.harmless import clean_lines

FAILED = 1
USAGE = 64
INTERRUPTED = 130
_BROKEN_PIPE = 141

_COMMANDS = (files, access, changes, rehearsal, completion, help)
"""Importing them has added their commands to `app`."""


def main() -> NoReturn:
    """Run the command line and end the process with the exit code of its outcome."""
    log.settle(sys.argv[1:])
    signal.signal(signal.SIGTERM, _as_interrupt)
    gc.set_threshold(100_000, 50, 100)  # what is loaded stays: to look for garbage in it takes a tenth of the start
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a plan has the same bytes whatever the locale is
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the shell closed it: what is said goes nowhere
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - open to the end of the process
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
        code = _BROKEN_PIPE
    except OSError as error:  # a full disk behind stdout, a working folder that is gone
        _drop_stdout()
        said = f"{error.filename or 'write the output'}: {error.strerror}"
        code = _say(said, "mend that, and run it again", FAILED, MachineError.code)
    sys.exit(code)


def command() -> Any:
    """Return the whole command line, with all commands, as click has it; typer has no public name for its type."""
    whole: Any = typer.main.get_command(app)
    for name, one in whole.commands.items():
        one.help = with_examples(one.help, EXAMPLES[name])
    return whole


def _drop_stdout() -> None:
    """What is still to be written goes nowhere: the interpreter would complain of it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run() -> int:
    """Run the command and return the exit code.

    Not by calling `app`: typer has its own ways to end at Ctrl-C and at a broken pipe.
    """
    try:
        whole = command()
        if (code := completing.answer(whole)) is not None:
            return code
        with whole.make_context("replsync", sys.argv[1:]) as context:
            try:
                whole.invoke(context)
            except ReplsyncError as error:
                _tell_ci(options.ci_of(context), error)
                raise
        return 0
    except typer.Exit as end:
        return end.exit_code
    except options.Ends as end:
        sys.stdout.flush()  # first: whoever reads it may be gone
        _say_more(end.about)
        return end.code
    except SeveralInvalid as error:
        for number, one in enumerate(error.errors):
            print(end="\n" if number and not log.is_json() else "", file=sys.stderr)
            _say_invalid(one)
        _say_more(sorted({one.code for one in error.errors}))
        return error.exit_code
    except InvalidInput as error:
        _say_invalid(error)
        _say_more([error.code])
        return error.exit_code
    except ReplsyncError as error:
        return _say(error.message, error.hint, error.exit_code, error.code)
    except options.WRONG_USAGE as error:
        return _say(*_usage(error), USAGE, UsageError.code)
    except KeyboardInterrupt:
        if sys.stderr.isatty() and not log.is_json():
            print(file=sys.stderr)  # the cursor stands behind a question, or behind ^C
        go_on = "no tag is half-made: run the same command again to go on"
        return _say("interrupted", go_on, INTERRUPTED, "interrupted")


def _usage(error: typer.BadParameter) -> tuple[str, str]:
    """What is wrong with the command line, on one line, and where the help on it is."""
    message = " ".join(
        error.format_message().replace("Value error, ", "").replace("Input should be", "it has to be").split()
    )
    name = next((word for word in sys.argv[1:2] if word in EXAMPLES), "")
    hint = f"{error.ctx.command_path if error.ctx else f'replsync {name}'.strip()} --help"
    takes_files = error.ctx and any(one.name == "file" for one in error.ctx.command.params)
    if message.startswith("Got unexpected extra argument") and name in ("login", "logout"):
        message = "Got unexpected extra arguments"  # not shown: one may be a password
    elif message.startswith("Got unexpected extra argument") and takes_files:
        hint = f"a manifest is named with -f FILE; see {hint}"
    return message, hint


def _tell_ci(ci: options.CiName, error: ReplsyncError) -> None:
    if ci is not options.CiName.NONE:
        from replsync.cli.ci import tell_error

        tell_error(ci, error)


def _say_invalid(error: InvalidInput) -> None:
    if not isinstance(error, InvalidManifest):
        _say_next(error.message, error.hint, error.exit_code, error.code)
    elif log.is_json():
        _say_next(str(error), error.hint, error.exit_code, error.code)
    else:
        print(clean_lines(str(error)), file=sys.stderr)  # editors look for FILE:LINE:COLUMN at the start of a line


def _say(message: str, hint: str | None, code: int, about: str) -> int:
    """Say what went wrong, what to do and where there is more on it; return the exit code `code`."""
    _say_next(message, hint, code, about)
    _say_more([about])
    return code


def _say_next(message: str, hint: str | None, code: int, about: str) -> None:
    if log.is_json():
        log.tell("error", level="error", message=message, next=hint, exit_code=code, code=about)
        return
    for first, text in (("replsync: ", message), ("  next: ", hint or "")):
        for number, line in enumerate(clean_lines(text).split("\n") if text else ()):
            print(folded(line, "" if number else first, "    "), file=sys.stderr)


def _say_more(about: Sequence[str]) -> None:
    """Name the command that explains the errors with these codes, if there are any."""
    if about and not log.is_json():  # programs have the code itself
        print(f"  more: replsync explain {' '.join(about)}", file=sys.stderr)


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End at SIGTERM as at Ctrl-C, also where SIGINT is ignored. While a coroutine runs, `running.run` takes over."""
    raise KeyboardInterrupt
