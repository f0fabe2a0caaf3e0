"""The options that commands share. Light to import: `--help` loads no more than this."""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_FILE = [Path("replicated-images.yaml")]
DEFAULT_TIMEOUT = 30.0
NO_HOSTS: list[str] = []
NO_TARGETS: list[str] = []
NO_GLOBS: list[str] = []

_CI = "replsync.ci"

# typer has no public name for the base class of its usage errors, only for this member of the family.
WRONG_USAGE: type[typer.BadParameter] = typer.BadParameter.__mro__[1]


class EngineName(StrEnum):
    """What moves images."""

    REGISTRY = "registry"
    DOCKER = "docker"


class FormatName(StrEnum):
    """How a plan is written."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"


class CiName(StrEnum):
    """Which CI the run is in, and is to tell what it found."""

    AUTO = "auto"
    NONE = "none"
    GITHUB = "github"
    GITLAB = "gitlab"


class PlainFormatName(StrEnum):
    """How other things are written."""

    TEXT = "text"
    JSON = "json"


class LogFormatName(StrEnum):
    """How what is said on stderr is written."""

    TEXT = "text"
    JSON = "json"


class DocumentName(StrEnum):
    """What a schema is of."""

    MANIFEST = "manifest"
    PLAN = "plan"
    REPORT = "report"


class Ends(Exception):
    """Ends the process with this exit code; everything was said already, but where `explain` tells more: `about`."""

    def __init__(self, code: int, *about: str) -> None:
        super().__init__(code)
        self.code = code
        self.about = about


@dataclass(frozen=True)
class Connection:
    """Which manifests, or folders of them, and how to reach registries.

    `timeout` is in seconds, `plain_http` are hosts without TLS; `parallelism` is None where manifests say it.
    With `build_log` what builders say is shown, on stderr.
    """

    files: tuple[Path, ...]
    engine: EngineName
    parallelism: int | None
    timeout: float
    plain_http: tuple[str, ...]
    build_log: bool = False


@dataclass(frozen=True)
class Scope:
    """What of the manifest is planned: `targets` choose a part; `locked` asks no source, but the lock file alone."""

    targets: tuple[str, ...] = ()
    locked: bool = False


@dataclass(frozen=True)
class Shown:
    """How a run talks to whoever started it. `auto_approve` leaves out the question.

    `format` is that of the report on what was written; `ci` is never AUTO.
    """

    verbose: bool = False
    quiet: bool = False
    no_color: bool = False
    auto_approve: bool = False
    format: FormatName = FormatName.TEXT
    ci: CiName = CiName.NONE


def registry(file: list[Path], parallelism: int | None, timeout: float, plain_http: list[str]) -> Connection:
    """Return a connection for what takes no other engine."""
    return Connection(tuple(file), EngineName.REGISTRY, parallelism, timeout, tuple(plain_http))


def ci_of(context: typer.Context) -> CiName:
    """Return the CI that the command of this context, or one below it, is to tell what it found; NONE for none."""
    name = context.meta.get(_CI, CiName.NONE)
    return CiName(name)


def _detected(context: typer.Context, name: CiName) -> CiName:
    """Settle AUTO, and note the choice for the command's errors, too."""
    if name is CiName.AUTO:
        on = {"GITHUB_ACTIONS": CiName.GITHUB, "GITLAB_CI": CiName.GITLAB}
        name = next((ci for variable, ci in on.items() if os.environ.get(variable) == "true"), CiName.NONE)
    context.meta[_CI] = name
    return name


def refuse_beside_plan(context: typer.Context) -> None:
    """Raise a usage error for what a saved plan settles itself. `context` is that of the command."""
    for name in ("file", "engine", "locked"):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"--{name} goes with a new plan: a saved one says it itself", context)


File = Annotated[
    list[Path],
    typer.Option("--file", "-f", metavar="FILE", help="The manifest, or a folder of manifests. May be repeated."),
]
Engine = Annotated[
    EngineName,
    typer.Option(help="What moves images: `registry` streams them, `docker` uses docker pull, tag and push."),
]
Format = Annotated[FormatName, typer.Option("--format", help="How to write it.")]
ReportFormat = Annotated[
    FormatName,
    typer.Option("--format", help="How to write what was done; but for `text` the plan goes to stderr then."),
]
PlainFormat = Annotated[PlainFormatName, typer.Option("--format", help="How to write it.")]
Ci = Annotated[
    CiName,
    typer.Option(
        callback=_detected, help="The CI that gets annotations, a summary and values; `auto` asks its variables."
    ),
]
DetailedExitcode = Annotated[
    bool, typer.Option("--detailed-exitcode", help="End with 2 where there are changes, with 0 where there are none.")
]
Target = Annotated[
    list[str],
    typer.Option("--target", metavar="GLOB", help="Only these tags: IMAGE:TAG or IMAGE, with *. May be repeated."),
]
Locked = Annotated[
    bool, typer.Option("--locked", help="Take every source from the lock file, and ask no source registry.")
]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Save the plan for `apply FILE`.")]
SavedPlan = Annotated[Path, typer.Argument(metavar="PLAN", help="A file that `plan --out` wrote.")]
SomePlan = Annotated[
    Path | None, typer.Argument(metavar="PLAN", help="A file that `plan --out` wrote: do exactly that.")
]
Journal = Annotated[
    Path | None, typer.Argument(metavar="JOURNAL", help="A file of .replsync/journal; without, the last is named.")
]
TagNames = Annotated[list[str], typer.Argument(metavar="IMAGE:TAG", help="As in the manifest: worker:1.9.3")]
TagName = Annotated[str, typer.Argument(metavar="IMAGE:TAG", help="As in the manifest: worker:1.9.3")]
Reason = Annotated[str, typer.Option("--reason", help="Why, and what to use instead: whoever runs the image reads it.")]
EvenIfReferenced = Annotated[
    bool, typer.Option("--even-if-referenced", help="Although a file of `releases` names it: see the manifest's key.")
]
EditOnly = Annotated[bool, typer.Option("--edit-only", help="Change the manifest alone, for a pull request.")]
Check = Annotated[bool, typer.Option("--check", help="Write nothing; end with 2 where a source has moved.")]
Upgrade = Annotated[
    list[str],
    typer.Option("--upgrade", metavar="GLOB", help="Take what these tags' sources are now: IMAGE:TAG, IMAGE or *."),
]
Document = Annotated[DocumentName, typer.Argument(help="What the schema is of.")]
AutoApprove = Annotated[bool, typer.Option("--auto-approve", help="Don't ask before writing.")]
Parallelism = Annotated[
    int | None,
    typer.Option(
        min=1, max=256, metavar="N", help="Requests under way at once for each host; else as the manifest says, or 32."
    ),
]
Timeout = Annotated[
    float,
    typer.Option(min=0.1, metavar="SECONDS", help="Time without a sign of life before a request is given up."),
]
PlainHttp = Annotated[
    list[str], typer.Option("--plain-http", metavar="HOST", help="Speak http with this registry. May be repeated.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
LogFormat = Annotated[
    LogFormatName,
    typer.Option("--log-format", help="How to write progress and errors, on stderr: json is for programs."),
]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours; $NO_COLOR does the same.")]
