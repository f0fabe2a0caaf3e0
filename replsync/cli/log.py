"""What is said on stderr: lines for people, or with `--log-format json` one JSON object a line for programs.

How a process speaks is settled once, before anything can go wrong: like stderr itself it belongs to all of it.
"""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Literal

from replsync.cli.clock import now_exactly
from replsync.cli.terminal import folded
from replsync.plan.escaping import harmless
from replsync.render.harmless import clean

Level = Literal["info", "warning", "error"]

_OPTION = "--log-format"
_speaks_json = False


def settle(arguments: Sequence[str]) -> None:
    """Speak as the command line says; read from the bare arguments, so that its own faults are told so, too."""
    global _speaks_json
    pairs = pairwise(arguments)
    _speaks_json = f"{_OPTION}=json" in arguments or (_OPTION, "json") in pairs


def is_json() -> bool:
    """Whether a program reads."""
    return _speaks_json


def say(event: str, text: str, *, level: Level = "info", **fields: object) -> None:
    """Say something: people get the text, made harmless; programs that as `message`, the event and the fields."""
    if is_json():
        tell(event, level=level, message=text, **fields)
    else:
        with suppress(BrokenPipeError):  # a log that nobody reads any more is no reason to stop
            print(folded(clean(text), hanging="  "), file=sys.stderr, flush=True)


def tell(event: str, *, level: Level = "info", **fields: object) -> None:
    """Write one JSON object on a line of its own; `time` is RFC 3339 in UTC. What is None is left out."""
    known = {name: value for name, value in fields.items() if value is not None}
    line = json.dumps({"time": now_exactly(), "level": level, "event": event, **known}, ensure_ascii=False)
    with suppress(BrokenPipeError):
        print(harmless(line), file=sys.stderr, flush=True)
