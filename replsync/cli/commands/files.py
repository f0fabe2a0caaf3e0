"""The commands about files: manifests, their lock files, and the schemas."""

from replsync.cli import options
from replsync.cli.app import app
from replsync.errors import UsageError


@app.command()
def validate(file: options.File = options.DEFAULT_FILE, ci: options.Ci = options.CiName.AUTO) -> None:
    """Check manifests, offline; every fault with its line."""
    from replsync.cli.validating import validate_files

    validate_files(file, ci)


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

    connection = options.registry(file, parallelism, timeout, plain_http)
    if check and upgrade:
        raise UsageError("lock: --check writes nothing, --upgrade does", hint="leave out one of them")
    if check:
        check_lock(connection, no_color)
    else:
        write_lock(connection, upgrade, no_color)


@app.command()
def schema(document: options.Document = options.DocumentName.MANIFEST) -> None:
    """Print the JSON Schema of the manifest, of the plan, or of the report."""
    from replsync.cli.schemas import print_schema

    print_schema(document)
