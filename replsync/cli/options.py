"""The options that commands share. Light to import: `--help` loads no more than this."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_FILE = [Path("replicated-images.yaml")]
DEFAULT_PARALLELISM = 16
DEFAULT_TIMEOUT = 30.0
NO_HOSTS: list[str] = []

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


class Ends(Exception):
    """Ends the process with this exit code; everything was said already."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Connection:
    """Which manifest, and how to reach registries: `timeout` in seconds, `plain_http` hosts without TLS."""

    file: Path
    engine: EngineName
    parallelism: int
    timeout: float
    plain_http: tuple[str, ...]


def _one_file(files: list[Path]) -> list[Path]:
    if len(files) != 1:
        raise typer.BadParameter("one manifest at a time")
    return files


File = Annotated[list[Path], typer.Option("--file", "-f", metavar="FILE", callback=_one_file, help="The manifest.")]
Engine = Annotated[
    EngineName,
    typer.Option(help="What moves images: `registry` streams them, `docker` uses docker pull, tag and push."),
]
Format = Annotated[FormatName, typer.Option("--format", help="How to write the plan.")]
DetailedExitcode = Annotated[
    bool, typer.Option("--detailed-exitcode", help="End with 2 where there are changes, with 0 where there are none.")
]
AutoApprove = Annotated[bool, typer.Option("--auto-approve", help="Don't ask before writing.")]
Parallelism = Annotated[int, typer.Option(min=1, max=256, help="Requests under way at once for each host.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds without a sign of life before a request is given up.")]
PlainHttp = Annotated[
    list[str], typer.Option("--plain-http", metavar="HOST", help="Speak http with this registry. May be repeated.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours; $NO_COLOR does the same.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")]
Data = Annotated[Path | None, typer.Option(help="Keep the images in this folder. Without it they are gone at the end.")]
