"""`replsync init`: a first manifest, by questions or by options."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from replsync.cli.files import write_whole
from replsync.cli.manifest_file import application
from replsync.cli.schemas import write_schema_beside
from replsync.cli.terminal import folded
from replsync.errors import InvalidInput, ReplsyncError, UsageError
from replsync.manifest.model import DEFAULT_REGISTRY
from replsync.manifest.read import read_manifest
from replsync.manifest.starter import Part, Start, starter, why_not
from replsync.render.harmless import clean

_QUESTIONS: dict[Part, str] = {
    "app": "Application slug, as in the address of its pages",
    "registry": "Registry",
    "image": "First image, as it is to be called there",
    "source": "Its source, such as ghcr.io/acme/worker:1.0.0 (just Enter: later)",
}
_DEFAULT_IMAGE = "worker"


@dataclass(frozen=True)
class Given:
    """What the command line says; None where it doesn't."""

    file: Path
    app: str | None
    registry: str | None
    image: str | None
    source: str | None
    tag: str | None


def start_manifest(given: Given, yes: bool) -> None:
    """Write a first manifest, unless there is a file. At a terminal what is not given is asked for, unless `yes`."""
    if str(given.file) == "-":
        raise UsageError("init: it writes a file, not to standard output", hint="name one with --file")
    if given.file.exists():
        raise ReplsyncError(
            f"init: there is a file {given.file} already; nothing was written",
            hint="add what the registry has with `replsync import`, or name another file with --file",
        )
    parts: dict[Part, str | None] = {
        "app": given.app,
        "registry": given.registry,
        "image": given.image,
        "source": given.source,
        "tag": given.tag,
    }
    for part, text in parts.items():
        if text is not None and (why := why_not(part, text)):
            raise UsageError(f"init: --{part} {text!r}: {why}", hint="give it another value")
    start = _asked(parts) if not yes and sys.stdin is not None and sys.stdin.isatty() else _start(parts)
    text = starter(start)
    read_manifest(text.encode(), str(given.file))
    if given.file.exists():
        raise ReplsyncError(f"init: somebody made {given.file} meanwhile; nothing was written", hint="look at it")
    write_whole(given.file, text.encode(), "the manifest")
    print(f"wrote {clean(str(given.file))}")
    write_schema_beside(given.file)
    _say_next(given.file, start)


def _start(parts: dict[Part, str | None]) -> Start:
    lack, hint = "no --app is given", "say --app YOUR-APPLICATION-SLUG, or set REPLICATED_APP"
    return Start(
        application(parts["app"], Path.cwd(), os.environ, lack, hint),
        parts["registry"] or DEFAULT_REGISTRY,
        parts["image"] or _DEFAULT_IMAGE,
        parts["source"],
        parts["tag"],
    )


def _asked(parts: dict[Part, str | None]) -> Start:
    try:
        app = application(parts["app"], Path.cwd(), os.environ)
    except InvalidInput:
        app = ""
    return Start(
        parts["app"] or _ask("app", app),
        parts["registry"] or _ask("registry", DEFAULT_REGISTRY),
        parts["image"] or _ask("image", _DEFAULT_IMAGE),
        parts["source"] or _ask("source", "", may_be_empty=True) or None,
        parts["tag"],
    )


def _ask(part: Part, default: str, *, may_be_empty: bool = False) -> str:
    """Ask until the answer is fit for a manifest. The question goes to stderr, as all but data does."""
    while True:
        print(f"{_QUESTIONS[part]}{f' [{default}]' if default else ''}: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            print(file=sys.stderr)
            raise ReplsyncError("init: the input ended; nothing was written", hint="see replsync init --help")
        answer = line.strip() or default
        if not answer and may_be_empty:
            return ""
        why = why_not(part, answer) if answer else "this one is needed"
        if why is None:
            return answer
        print(folded(clean(why), "  "), file=sys.stderr)


def _say_next(file: Path, start: Start) -> None:
    option = "" if file == Path("replicated-images.yaml") else f" -f {clean(str(file))}"
    steps = [
        *(
            [("", f"put your own source into {clean(str(file))}, and the tags that you have")]
            if not start.source
            else []
        ),
        ("replsync login", "once; or set REPLICATED_API_TOKEN"),
        (f"replsync plan{option}", "shows what would change, and changes nothing"),
        (f"replsync apply{option}", "shows it again, asks, and does it"),
        (f"replsync import{option} {start.image}", "where the registry has tags already: lists them, too"),
    ]
    width = max(len(command) for command, _ in steps)
    print("next:")
    for command, why in steps:
        print(f"  {command:<{width}}  # {why}" if command else f"  {why}")
