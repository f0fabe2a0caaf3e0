"""The entry point: the commands, and how each kind of failure ends the process."""

import io
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from replsync import __version__
from replsync.cli import options
from replsync.errors import ReplsyncError
from replsync.manifest.faults import InvalidManifest

FAILED = 1
USAGE = 64
INTERRUPTED = 130
_BROKEN_PIPE = 141

app = typer.Typer(
    name="replsync",
    help="Keep the images of a Replicated registry as replicated-images.yaml says.",
    epilog="Exit codes: 0 done, 1 failed, 2 changes (plan --detailed-exitcode only), 3 invalid manifest, "
    "4 sign-in or permission, 6 some actions failed, 7 the plan has blocked actions, 64 wrong usage, 130 interrupted.",
    add_completion=False,
    rich_markup_mode=None,  # rich would take half of the time in which --help is to answer
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"replsync {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    pass


@app.command()
def validate(file: options.File = options.DEFAULT_FILE) -> None:
    """Check a manifest, offline; every fault with its line."""
    from replsync.cli.validating import validate_file

    validate_file(file[0])


@app.command()
def schema() -> None:
    """Print the JSON Schema of the manifest, for editors."""
    from replsync.manifest.schema import schema_text

    print(schema_text(), end="")


@app.command()
def plan(
    file: options.File = options.DEFAULT_FILE,
    engine: options.Engine = options.EngineName.REGISTRY,
    format: options.Format = options.FormatName.TEXT,  # noqa: A002 - the option's name
    detailed_exitcode: options.DetailedExitcode = False,
    parallelism: options.Parallelism = options.DEFAULT_PARALLELISM,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Show what would change; write nothing."""
    from replsync.cli.planning import show_plan

    connection = options.Connection(file[0], engine, parallelism, timeout, tuple(plain_http))
    show_plan(connection, format, detailed_exitcode, verbose, no_color)


@app.command()
def apply(
    file: options.File = options.DEFAULT_FILE,
    engine: options.Engine = options.EngineName.REGISTRY,
    auto_approve: options.AutoApprove = False,
    parallelism: options.Parallelism = options.DEFAULT_PARALLELISM,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> None:
    """Make a plan, show it, ask, and carry it out."""
    from replsync.cli.applying import plan_and_apply

    connection = options.Connection(file[0], engine, parallelism, timeout, tuple(plain_http))
    plan_and_apply(connection, auto_approve, verbose, quiet, no_color)


@app.command()
def sandbox(
    port: options.Port = 5000,
    data: options.Data = None,
    verbose: options.Verbose = False,
) -> None:
    """Serve a registry like Replicated's on this machine."""
    from replsync.cli.sandbox_server import run

    run(port, data, verbose)


def main() -> NoReturn:
    """Run the command line and end the process with the exit code of its outcome."""
    signal.signal(signal.SIGTERM, _as_interrupt)
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
        code = _say(f"{error.filename or 'write the output'}: {error.strerror}", "mend that, and run it again", FAILED)
    sys.exit(code)


def _drop_stdout() -> None:
    """What is still to be written goes nowhere: the interpreter would complain of it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run() -> int:
    """Run the command and return the exit code.

    Not by calling `app`: typer has its own ways to end at Ctrl-C and at a broken pipe.
    """
    command = typer.main.get_command(app)
    try:
        with command.make_context("replsync", sys.argv[1:]) as context:
            command.invoke(context)
        return 0
    except typer.Exit as end:
        return end.exit_code
    except options.Ends as end:
        return end.code
    except InvalidManifest as error:
        print(error, file=sys.stderr)  # editors look for FILE:LINE:COLUMN at the start of a line
        return error.exit_code
    except ReplsyncError as error:
        return _say(error.message, error.hint, error.exit_code)
    except options.WRONG_USAGE as error:
        path = error.ctx.command_path if error.ctx else "replsync"
        return _say(error.format_message().replace("Value error, ", ""), f"{path} --help", USAGE)
    except KeyboardInterrupt:
        return _say("interrupted", "no tag is half-made: run the same command again to go on", INTERRUPTED)


def _say(message: str, hint: str | None, code: int) -> int:
    print(f"replsync: {message}", file=sys.stderr)
    if hint:
        print(f"  next: {hint}", file=sys.stderr)
    return code


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End at SIGTERM as at Ctrl-C, also where SIGINT is ignored. While a coroutine runs, `running.run` takes over."""
    raise KeyboardInterrupt
