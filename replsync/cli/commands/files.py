"""The commands about files: manifests, their lock files, and the schemas."""

from pathlib import Path
from typing import Annotated

import typer

from replsync.cli import options
from replsync.cli.app import app
from replsync.errors import UsageError

NewFile = Annotated[
    Path, typer.Option("--file", "-f", metavar="FILE", help="The manifest to write; - is standard output.")
]
Registry = Annotated[
    str | None, typer.Option(metavar="HOST", help="The registry; registry.replicated.com where nothing says another.")
]
App = Annotated[
    str | None, typer.Option(metavar="SLUG", help="The application; else $REPLICATED_APP, or appSlug in .replicated.")
]
Images = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGE",
        help="The images, such as worker. Without any: all that the Vendor API, or the registry, knows of.",
    ),
]
Mutable = Annotated[
    list[str], typer.Option(metavar="GLOB", help="Tags that may move, such as latest: not pinned. May be repeated.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: take what is given, and defaults for the rest.")]
FirstImage = Annotated[str | None, typer.Option(metavar="NAME", help="The first image's name.")]
FirstSource = Annotated[
    str | None, typer.Option(metavar="SOURCE", help="Where it comes from, such as ghcr.io/acme/worker:1.0.0.")
]
FirstTag = Annotated[str | None, typer.Option(metavar="TAG", help="Its first tag; else that of the source, or 1.0.0.")]
FirstFile = Annotated[Path, typer.Option("--file", "-f", metavar="FILE", help="The manifest to write.")]
FormatCheck = Annotated[bool, typer.Option("--check", help="Write nothing; name what isn't formatted, and end with 1.")]


@app.command()
def init(
    app: App = None,
    registry: Registry = None,
    image: FirstImage = None,
    source: FirstSource = None,
    tag: FirstTag = None,
    file: FirstFile = options.DEFAULT_FILE[0],
    yes: Yes = False,
) -> None:
    """Write a first manifest, with comments.

    At a terminal it asks for what no option says. A file that is there is never overwritten.
    """
    from replsync.cli.starting import Given, start_manifest

    start_manifest(Given(file, app, registry, image, source, tag), yes)


@app.command("import")
def import_(
    image: Images = None,
    registry: Registry = None,
    app: App = None,
    file: NewFile = options.DEFAULT_FILE[0],
    mutable: Mutable = options.NO_GLOBS,
    parallelism: options.Parallelism = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
    no_color: options.NoColor = False,
) -> None:
    """Write a manifest of what the registry has.

    A manifest that is there gets the tags that it lacks, and stays as it is
    otherwise. Every tag is pinned to its digest, so that a plan right after shows no changes.
    """
    from replsync.cli.importing import Wish, import_tags

    wish = Wish(file, registry, app, tuple(image or ()), tuple(mutable))
    import_tags(wish, options.registry([file], parallelism, timeout, plain_http), no_color)


@app.command()
def validate(file: options.File = options.DEFAULT_FILE, ci: options.Ci = options.CiName.AUTO) -> None:
    """Check manifests, offline; every fault with its line."""
    from replsync.cli.validating import validate_files

    validate_files(file, ci)


@app.command()
def fmt(file: options.File = options.DEFAULT_FILE, check: FormatCheck = False) -> None:
    """Format manifests in place.

    Comments stay, and the order of entries; with `-f -` from standard input to standard output.
    """
    from replsync.cli.formatting import format_files

    format_files(file, check)


@app.command()
def lock(
    file: options.File = options.DEFAULT_FILE,
    check: options.Check = False,
    upgrade: options.Upgrade = options.NO_GLOBS,
    parallelism: options.Parallelism = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
    log_format: options.LogFormat = options.LogFormatName.TEXT,  # noqa: ARG001 - see `cli.log`
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
    """Print the JSON Schema of manifest, plan or report."""
    from replsync.cli.schemas import print_schema

    print_schema(document)
