"""The commands that look at the registry and change it."""

import typer

from replsync.cli import options
from replsync.cli.app import app
from replsync.errors import UsageError


@app.command()
def plan(
    file: options.File = options.DEFAULT_FILE,
    out: options.Out = None,
    target: options.Target = options.NO_TARGETS,
    locked: options.Locked = False,
    engine: options.Engine = options.EngineName.REGISTRY,
    format: options.Format = options.FormatName.TEXT,  # noqa: A002 - the option's name
    detailed_exitcode: options.DetailedExitcode = False,
    ci: options.Ci = options.CiName.AUTO,
    parallelism: options.Parallelism = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    log_format: options.LogFormat = options.LogFormatName.TEXT,  # noqa: ARG001 - see `cli.log`
    no_color: options.NoColor = False,
) -> None:
    """Show what would change; write nothing."""
    from replsync.cli.planning import show_plan

    connection = options.Connection(tuple(file), engine, parallelism, timeout, tuple(plain_http))
    shown = options.Shown(verbose, quiet, no_color, ci=ci)
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
    format: options.ReportFormat = options.FormatName.TEXT,  # noqa: A002 - the option's name
    ci: options.Ci = options.CiName.AUTO,
    parallelism: options.Parallelism = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    log_format: options.LogFormat = options.LogFormatName.TEXT,  # noqa: ARG001 - see `cli.log`
    no_color: options.NoColor = False,
) -> None:
    """Carry out a plan.

    Without PLAN it is made now, shown, and asked about; a saved PLAN is carried out exactly, or refused.
    """
    from replsync.cli.applying import apply_saved, plan_and_apply

    connection = options.Connection(tuple(file), engine, parallelism, timeout, tuple(plain_http), build_log=verbose)
    shown = options.Shown(verbose, quiet, no_color, auto_approve, format, ci)
    if plan:
        options.refuse_beside_plan(context)
        apply_saved(plan, connection, target, shown)
    else:
        plan_and_apply(connection, options.Scope(tuple(target), locked), shown)


@app.command()
def retire(
    tag: options.TagNames,
    reason: options.Reason,
    even_if_referenced: options.EvenIfReferenced = False,
    file: options.File = options.DEFAULT_FILE,
    edit_only: options.EditOnly = False,
    auto_approve: options.AutoApprove = False,
    parallelism: options.Parallelism = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    log_format: options.LogFormat = options.LogFormatName.TEXT,  # noqa: ARG001 - see `cli.log`
    no_color: options.NoColor = False,
) -> None:
    """Put tombstones in the places of tags.

    In the manifest the tags move from `tags` to `retired`.
    """
    from replsync.cli.moving import retire

    connection = options.registry(file, parallelism, timeout, plain_http)
    retire(
        tag, reason, even_if_referenced, connection, edit_only, options.Shown(verbose, quiet, no_color, auto_approve)
    )


@app.command()
def restore(
    tag: options.TagName,
    file: options.File = options.DEFAULT_FILE,
    edit_only: options.EditOnly = False,
    auto_approve: options.AutoApprove = False,
    parallelism: options.Parallelism = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    log_format: options.LogFormat = options.LogFormatName.TEXT,  # noqa: ARG001 - see `cli.log`
    no_color: options.NoColor = False,
) -> None:
    """Put back what a tombstone replaced.

    In the manifest the tag moves from `retired` to `tags`.
    """
    from replsync.cli.moving import restore

    restore(
        tag,
        options.registry(file, parallelism, timeout, plain_http),
        edit_only,
        options.Shown(verbose, quiet, no_color, auto_approve),
    )


@app.command()
def rollback(
    journal: options.Journal = None,
    file: options.File = options.DEFAULT_FILE,
    out: options.Out = None,
    target: options.Target = options.NO_TARGETS,
    auto_approve: options.AutoApprove = False,
    format: options.ReportFormat = options.FormatName.TEXT,  # noqa: A002 - the option's name
    ci: options.Ci = options.CiName.AUTO,
    parallelism: options.Parallelism = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    log_format: options.LogFormat = options.LogFormatName.TEXT,  # noqa: ARG001 - see `cli.log`
    no_color: options.NoColor = False,
) -> None:
    """Take back what a run wrote.

    The way back is planned, shown, and asked about like any other change.
    """
    from replsync.cli.rolling_back import roll_back

    connection = options.registry(file, parallelism, timeout, plain_http)
    if out and format is not options.FormatName.TEXT:
        raise UsageError(
            "rollback --out: --format is that of the report, and nothing is done",
            hint="show what was saved: replsync show FILE --format FORMAT",
        )
    shown = options.Shown(verbose, quiet, no_color, auto_approve, format, ci)
    roll_back(journal, connection, options.Scope(tuple(target)), out, shown)


@app.command()
def history(
    tag: options.TagName,
    file: options.File = options.DEFAULT_FILE,
    format: options.PlainFormat = options.PlainFormatName.TEXT,  # noqa: A002 - the option's name
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
) -> None:
    """Show what the journals and the registry know of a tag."""
    from replsync.cli.history import show_history

    show_history(tag, options.registry(file, None, timeout, plain_http), format)
