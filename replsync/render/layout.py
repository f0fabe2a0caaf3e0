"""Lines for a terminal: colour, breaking at its width, digests as people read them. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len

from replsync.render.harmless import clean

DIM, BOLD, NEXT = "2", "1", "1;36"
"""Select Graphic Rendition (ECMA-48, 8.3.117) of what is said beside, of headings, and of the word `next`."""

_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}|(sha512:[0-9a-f]{12})[0-9a-f]{116}")
_WORD = re.compile("(?:`[^`]{1,60}`|[^ ])+")
"""What stays on one line: what stands in backticks is to be copied."""
_LEAST = 20
"""Columns that a line has at least: in a narrower terminal nothing can be read anyway."""


@dataclass(frozen=True)
class Look:
    """How text is to look: `width` in columns breaks lines, None leaves them whole; `verbose` leaves nothing out."""

    colour: bool = False
    verbose: bool = False
    width: int | None = None

    def paint(self, text: str, colour: str) -> str:
        """Return `text` in a colour."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self.colour and text else text

    def said(self, text: str) -> str:
        """Return foreign text made harmless, its digests shortened unless nothing is to be left out."""
        return clean(text) if self.verbose else brief(clean(text))

    def lines(self, text: str, first: str = "", hanging: str | None = None, colour: str = "") -> Iterator[str]:
        """Break `text`, which is harmless, at the width; a word that is longer than a line stays whole.

        `first` stands before it, in `colour`, and `hanging` before the lines that follow. Of nothing no line comes.
        """
        if not text.strip():
            return
        hanging = " " * cell_len(first) if hanging is None else hanging
        start = first.lstrip(" ")
        margin = first[: len(first) - len(start)]
        bare = start.rstrip(" ")
        head = margin + (self.paint(bare, colour) if colour else bare) + start[len(bare) :]
        for number, line in enumerate(_broken(text, self._room(first), self._room(hanging))):
            yield (f"{hanging}{line}" if number else f"{head}{line}").rstrip(" ")

    def fits(self, line: str) -> bool:
        """Whether a line, without colour, is no wider than the terminal."""
        return self.width is None or cell_len(line) <= max(self.width, _LEAST)

    def _room(self, before: str) -> int | None:
        return None if self.width is None else max(self.width, _LEAST) - cell_len(before)


def brief(text: str) -> str:
    """Return `text` with 12 hex digits of each digest, and an ellipsis for the rest."""
    return _DIGEST.sub(lambda found: f"{found[1] or found[2]}…", text)


def _broken(text: str, first: int | None, others: int | None) -> Iterator[str]:
    """Break at single blanks. A word that comes to the start of a line there must not command a CI either."""
    if first is None or others is None:
        yield text
        return
    line, room, number = "", first, 0
    for word in _WORD.findall(text):
        longer = f"{line} {word}" if number else word
        if number and cell_len(longer) > room:
            yield line
            line, room, number = clean(word), others, 1
        else:
            line, number = longer, number + 1
    yield line
