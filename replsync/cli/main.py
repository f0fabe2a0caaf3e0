"""The entry point: the commands, and how each kind of failure ends the process."""

import gc
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
from replsync.errors import InvalidInput, ReplsyncError, SeveralInvalid, UsageError
from replsync.manifest.faults import InvalidManifest
from replsync.render.harmless import clean_lines

FAILED = 1
USAGE = 64
INTERRUPTED = 130
_BROKEN_PIPE = 141

app = typer.Typer(
    name="replsync",
    help="Keep the images of a Replicated registry as replicated-images.yaml says.",
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
    """Check manifests, offline; every fault with its line."""
    from replsync.cli.validating import validate_files

    validate_files(file)


@app.command()
def schema(document: options.Document = options.DocumentName.MANIFEST) -> None:
    """Print the JSON Schema of the manifest, or of the plan."""
    from replsync.cli.schemas import print_schema

    print_schema(document)


@app.command()
def plan(
    file: options.File = options.DEFAULT_FILE,
    out: options.Out = None,
    target: options.Target = options.NO_TARGETS,
    locked: options.Locked = False,
    engine: options.Engine = options.EngineName.REGISTRY,
    format: options.Format = options.FormatName.TEXT,  # noqa: A002 - the option's name
    detailed_exitcode: options.DetailedExitcode = False,
    parallelism: options.Parallelism = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Show what would change; write nothing."""
    from replsync.cli.planning import show_plan

    connection = options.Connection(tuple(file), engine, parallelism, timeout, tuple(plain_http))
    shown = options.Shown(verbose, no_color=no_color)
    show_plan(connection, options.Scope(tuple(target), locked), out, format, detailed_exitcode, shown)


@app.command()
def show(
    plan: options.SavedPlan,
    format: options.Format = options.FormatName.TEXT,  # noqa: A002 - the option's name
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Show a saved plan, if it is as it was made; offline."""
    from replsync.cli.planning import show_saved

    show_saved(plan, format, options.Shown(verbose, no_color=no_color))


@app.command()
def apply(
    context: typer.Context,
    plan: options.SomePlan = None,
    file: options.File = options.DEFAULT_FILE,
    target: options.Target = options.NO_TARGETS,
    locked: options.Locked = False,
    engine: options.Engine = options.EngineName.REGISTRY,
    auto_approve: options.AutoApprove = False,
    parallelism: options.Parallelism = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> None:
    """Carry out a plan.

    Without PLAN it is made now, shown, and asked about; a saved PLAN is carried out exactly, or refused.
    """
    from replsync.cli.applying import apply_saved, plan_and_apply

    connection = options.Connection(tuple(file), engine, parallelism, timeout, tuple(plain_http), build_log=verbose)
    shown = options.Shown(verbose, quiet, no_color, auto_approve)
    if plan:
        options.refuse_beside_plan(context)
        apply_saved(plan, connection, target, shown)
    else:
        plan_and_apply(connection, options.Scope(tuple(target), locked), shown)


@app.command()
def retire(
    tag: options.TagName,
    reason: options.Reason,
    even_if_referenced: options.EvenIfReferenced = False,
    file: options.File = options.DEFAULT_FILE,
    edit_only: options.EditOnly = False,
    auto_approve: options.AutoApprove = False,
    parallelism: options.Parallelism = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> None:
    """Put a tombstone in a tag's place.

    In the manifest the tag moves from `tags` to `retired`.
    """
    from replsync.cli.moving import retire

    connection = _registry(file, parallelism, timeout, plain_http)
    retire(tag, reason, even_if_referenced, connection, edit_only, _shown(quiet, no_color, auto_approve))


@app.command()
def restore(
    tag: options.TagName,
    file: options.File = options.DEFAULT_FILE,
    edit_only: options.EditOnly = False,
    auto_approve: options.AutoApprove = False,
    parallelism: options.Parallelism = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> None:
    """Put back what a tombstone replaced.

    In the manifest the tag moves from `retired` to `tags`.
    """
    from replsync.cli.moving import restore

    restore(tag, _registry(file, parallelism, timeout, plain_http), edit_only, _shown(quiet, no_color, auto_approve))


@app.command()
def rollback(
    journal: options.Journal,
    file: options.File = options.DEFAULT_FILE,
    out: options.Out = None,
    target: options.Target = options.NO_TARGETS,
    auto_approve: options.AutoApprove = False,
    parallelism: options.Parallelism = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> None:
    """Take back what a run wrote.

    The way back is planned, shown, and asked about like any other change.
    """
    from replsync.cli.rolling_back import roll_back

    connection = _registry(file, parallelism, timeout, plain_http)
    roll_back(journal, connection, options.Scope(tuple(target)), out, _shown(quiet, no_color, auto_approve))


@app.command()
def history(
    tag: options.TagName,
    file: options.File = options.DEFAULT_FILE,
    format: options.Format = options.FormatName.TEXT,  # noqa: A002 - the option's name
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
) -> None:
    """Show what the journals and the registry know of a tag."""
    from replsync.cli.history import show_history

    show_history(tag, _registry(file, None, timeout, plain_http), format)


@app.command()
def lock(
    file: options.File = options.DEFAULT_FILE,
    check: options.Check = False,
    upgrade: options.Upgrade = options.NO_GLOBS,
    parallelism: options.Parallelism = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
    no_color: options.NoColor = False,
) -> None:
    """Write down which digest every source has now.

    Plans take those until `--upgrade` takes what has moved.
    """
    from replsync.cli.locking import check_lock, write_lock

    connection = _registry(file, parallelism, timeout, plain_http)
    if check and upgrade:
        raise UsageError("lock: --check writes nothing, --upgrade does", hint="leave out one of them")
    if check:
        check_lock(connection, no_color)
    else:
        write_lock(connection, upgrade, no_color)


@app.command()
def sandbox(
    port: options.Port = 5000,
    data: options.Data = None,
    like_replicated: options.LikeReplicated = False,
    refuse_attestations: options.RefuseAttestations = False,
    cut_off_size: options.CutOffSize = None,
    cut_off_time: options.CutOffTime = None,
    cut_off_lands: options.CutOffLands = False,
    rate_limit: options.RateLimit = None,
    pull_only_password: options.PullOnlyPassword = options.NO_PASSWORDS,
    token_seconds: options.TokenSeconds = 300,
    verbose: options.Verbose = False,
) -> None:
    """Serve a registry like Replicated's on this machine.

    It wants a sign-in and deletes nothing. To rehearse what Replicated's is known
    to refuse, add --like-replicated; each limit is an option of its own, too.
    """
    from replsync.cli.sandbox_server import HOST, run
    from replsync.sandbox.limits import NO_LIMITS, REPLICATED, Limits
    from replsync.sandbox.server import SandboxOptions

    if cut_off_lands and not (cut_off_size or cut_off_time or like_replicated):
        raise UsageError("sandbox: --cut-off-lands cuts nothing off", hint="add --cut-off-size or --cut-off-time")
    like = REPLICATED if like_replicated else NO_LIMITS
    limits = Limits(
        refuse_attestations or like.refuse_attestations,
        cut_off_size or like.cut_off_size,
        cut_off_time,
        cut_off_lands,
        rate_limit,
    )
    licences = tuple(pull_only_password)
    run(
        SandboxOptions(
            data=data, host=HOST, port=port, token_seconds=token_seconds, pull_only_passwords=licences, limits=limits
        ),
        verbose,
    )


def _registry(file: list[Path], parallelism: int | None, timeout: float, plain_http: list[str]) -> options.Connection:
    return options.Connection(tuple(file), options.EngineName.REGISTRY, parallelism, timeout, tuple(plain_http))


def _shown(quiet: bool, no_color: bool, auto_approve: bool) -> options.Shown:
    return options.Shown(quiet=quiet, no_color=no_color, auto_approve=auto_approve)


def main() -> NoReturn:
    """Run the command line and end the process with the exit code of its outcome."""
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
    except SeveralInvalid as error:
        for number, one in enumerate(error.errors):
            print(end="\n" if number else "", file=sys.stderr)
            _say_invalid(one)
        return error.exit_code
    except InvalidInput as error:
        return _say_invalid(error)
    except ReplsyncError as error:
        return _say(error.message, error.hint, error.exit_code)
    except options.WRONG_USAGE as error:
        path = error.ctx.command_path if error.ctx else "replsync"
        return _say(error.format_message().replace("Value error, ", ""), f"{path} --help", USAGE)
    except KeyboardInterrupt:
        return _say("interrupted", "no tag is half-made: run the same command again to go on", INTERRUPTED)


def _say_invalid(error: InvalidInput) -> int:
    if not isinstance(error, InvalidManifest):
        return _say(error.message, error.hint, error.exit_code)
    print(clean_lines(str(error)), file=sys.stderr)  # editors look for FILE:LINE:COLUMN at the start of a line
    return error.exit_code


def _say(message: str, hint: str | None, code: int) -> int:
    for line in (f"replsync: {message}", *([f"  next: {hint}"] if hint else [])):
        print(clean_lines(line), file=sys.stderr)
    return code


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End at SIGTERM as at Ctrl-C, also where SIGINT is ignored. While a coroutine runs, `running.run` takes over."""
    raise KeyboardInterrupt
