"""From the bytes of a manifest, or of its lock file, to text: size, encoding, lines."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from replsync.manifest.faults import Fault, InvalidManifest, harmless

MAX_SIZE = 8 * 1024 * 1024
"""Bytes of a manifest, and of its lock file."""

_UTF8 = "save the file as UTF-8"


class Position(NamedTuple):
    """A place in the file; both count from 1, `column` in characters."""

    line: int
    column: int


@dataclass(frozen=True)
class SourceText:
    """The text of the file `name`, without a byte order mark, and its lines.

    `kind` is what messages call such a file.
    """

    name: str
    text: str
    lines: Sequence[str]
    kind: str = "manifest"

    def fault(self, position: Position, message: str, proposal: str | None = None) -> Fault:
        """Return the fault at `position`, with its line as the excerpt."""
        line, column = position
        return Fault(
            line,
            column,
            harmless(message),
            "\n".join(harmless(part) for part in proposal.split("\n")) if proposal else None,
            self.lines[line - 1] if line <= len(self.lines) else None,
        )

    def position_at(self, index: int) -> Position:
        """Return the position of the character at `index`."""
        before = self.text[:index]
        start = max(before.rfind("\n"), before.rfind("\r")) + 1
        return Position(len(re.findall(r"\r\n|\r|\n", before)) + 1, index - start + 1)


def decode(data: bytes, name: str, kind: str = "manifest") -> SourceText:
    """Return the text of a manifest, or of another `kind` of file.

    It is UTF-8, with or without a byte order mark, and has at most 8 MiB.
    Raises InvalidManifest for anything else.
    """
    if len(data) > MAX_SIZE:
        message = f"the file has {len(data)} bytes, a {kind} may have {MAX_SIZE} (8 MiB)"
        raise InvalidManifest(name, [Fault(1, 1, message, "is this the right file?")])
    for encoding in ("UTF-32", "UTF-16"):
        if _looks_like(data, encoding):
            raise InvalidManifest(name, [Fault(1, 1, f"the file is in {encoding}, a {kind} is in UTF-8", _UTF8)])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidManifest(name, [_not_utf8(data, name)]) from error
    return _source_text(name, text, kind)


def _source_text(name: str, text: str, kind: str = "manifest") -> SourceText:
    # The line ends that ruamel counts; str.splitlines knows more of them.
    return SourceText(name, text, re.split(r"\r\n|\r|\n", text), kind)


def _looks_like(data: bytes, encoding: str) -> bool:
    """By the byte order mark, or by the zero bytes that a text of ASCII has there (yaml spec 1.2, 5.2)."""
    match encoding:
        case "UTF-32":
            return data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")) or (
                len(data) >= 4 and (data[:3] == b"\0\0\0" or data[1:4] == b"\0\0\0")
            )
        case _:
            return data.startswith((b"\xff\xfe", b"\xfe\xff")) or (len(data) >= 2 and (data[0] == 0) != (data[1] == 0))


def _not_utf8(data: bytes, name: str) -> Fault:
    body = data.removeprefix(b"\xef\xbb\xbf")
    good = 0
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        good = error.start
    source = _source_text(name, body.decode("utf-8", "backslashreplace"))
    offset = good + len(data) - len(body)
    return source.fault(
        source.position_at(len(body[:good].decode("utf-8"))),
        f"byte {offset} of the file is 0x{data[offset]:02x}, which is not UTF-8",
        _UTF8,
    )
