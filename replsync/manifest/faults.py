"""Faults in a manifest or its lock file: where, what, and a proposal; and the report that a person reads.

What a report quotes comes from a file that may hold anything: `harmless`
escapes control characters and stars out credentials in addresses.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from replsync.errors import InvalidInput

MAX_PRINTED = 50
"""Faults that one report shows; the others are counted."""

_MAX_WIDTH = 100
_MAX_SHOWN = 60
_TAB = "    "
# Wider than any credential, so that a cut can't leave half of one unrecognised.
_WINDOW = 2000
# `user:password@` and `://token@`, but not the `@` in front of a digest.
_CREDENTIAL = re.compile(r"(?:(?<=://)[^\s/@]+|[^\s/@:]+:[^\s/@]+)(?=@(?!sha(?:256|512):))")


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong; `line` and `column` count from 1.

    `message` and `proposal` may be printed as they are. `excerpt` is the whole
    line as it was read: only `render_faults` makes it fit to be seen.
    """

    line: int
    column: int
    message: str
    proposal: str | None = None
    excerpt: str | None = None


class InvalidManifest(InvalidInput):
    """The manifest, or its lock file, has faults: all of them, sorted by position. `str()` is the whole report."""

    code = "invalid-manifest"

    def __init__(self, name: str, faults: Sequence[Fault]) -> None:
        self.name = name
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.line, fault.column, fault.message)))
        super().__init__(render_faults(name, self.faults))


def render_faults(name: str, faults: Sequence[Fault]) -> str:
    """Return the report on the file `name`: each fault with its line and a caret, then how many there are."""
    file = harmless(name)
    parts = [_render(file, fault) for fault in faults[:MAX_PRINTED]]
    if len(faults) > MAX_PRINTED:
        parts.append(f"… and {len(faults) - MAX_PRINTED} more")
    parts.append(f"{len(faults)} fault{'' if len(faults) == 1 else 's'} in {file}")
    return "\n\n".join(parts)


def shown(text: str) -> str:
    """Return `text` in backticks, on one line, 60 characters at most: a value inside a message."""
    cut = text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"
    return f"`{harmless(cut)}`"


def harmless(text: str) -> str:
    """Return `text` with control characters escaped, tabs as four blanks and credentials starred out."""
    return "".join(map(_escape, _starred(text)))


def _render(file: str, fault: Fault) -> str:
    lines = [f"{file}:{fault.line}:{fault.column}: {fault.message}"]
    number = str(fault.line)
    margin = " " * (len(number) + 2)
    if fault.excerpt is not None:
        text, offset = _excerpt(fault.excerpt, fault.column - 1)
        lines += [f"  {number} | {text}".rstrip(), f"{margin} | {' ' * offset}^"]
    if fault.proposal:
        first, *others = fault.proposal.split("\n")
        lines.append(f"{margin} = {first}")
        lines += [f"{margin}   {other}" for other in others]
    return "\n".join(lines)


def _excerpt(line: str, column: int) -> tuple[str, int]:
    """Return what is shown of `line`, and the width in front of the character at `column` (from 0)."""
    start = max(0, column - _WINDOW)
    window = _starred(line[start : column + _WINDOW])
    cells = [_escape(char) for char in window]
    widths = [_width(cell) for cell in cells]
    caret = min(column - start, len(cells))
    first, last = caret, caret
    left = right = 0
    while first > 0 and left + widths[first - 1] <= _MAX_WIDTH // 2:
        first -= 1
        left += widths[first]
    while last < len(cells) and left + right + widths[last] <= _MAX_WIDTH:
        right += widths[last]
        last += 1
    head = "…" if start or first else ""
    tail = "…" if last < len(cells) or len(line) > column + _WINDOW else ""
    return head + "".join(cells[first:last]) + tail, len(head) + left


def _starred(text: str) -> str:
    # As many stars as characters: the caret stays where it belongs.
    return _CREDENTIAL.sub(lambda found: "*" * len(found[0]), text)


def _escape(char: str) -> str:
    """Control characters, surrogates and those that turn the writing direction are shown by their code."""
    if char == "\t":
        return _TAB
    if char.isprintable() or unicodedata.category(char) == "Zs":
        return char
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def _width(cell: str) -> int:
    """Columns in a terminal: two for East Asian wide characters, none for combining marks."""
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in cell
    )
