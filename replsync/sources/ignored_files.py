"""`.dockerignore`: which files of a context are not sent to the builder. Pure.

The rules are those of moby/patternmatcher, which Docker's command line and
BuildKit share, down to what the documentation doesn't say: patterns come from
Go's filepath.Match, `**` stands for any number of folders, the last pattern
that matches decides, and what matches a folder matches all that is in it.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

_PLAIN_IN_GO = ".+()|{}$"
_WILD = "*?[\\"


@dataclass(frozen=True)
class _Pattern:
    text: str
    is_exception: bool
    matches: Callable[[str], bool]


Matched = tuple[bool, ...]
"""Which patterns a folder matches: they match all that is in it."""


class Ignored:
    """The patterns of an ignore file."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Raises ValueError that names the pattern that can't be read."""
        self._patterns = tuple(map(_pattern, patterns))
        self._exceptions = [pattern.text for pattern in self._patterns if pattern.is_exception]
        self._are_plain = not any(sign in text for text in self._exceptions for sign in _WILD)

    def ignores(self, path: str, folder: Matched | None) -> tuple[bool, Matched]:
        """Say whether `path` is left out, and which patterns it matches; `folder` says that of the one around it.

        patternmatcher.MatchesUsingParentResults; None stands for the context itself.
        """
        is_ignored = False
        matched = []
        for index, pattern in enumerate(self._patterns):
            matches = folder is not None and folder[index]
            # A pattern that would change nothing isn't asked, and then counts as not matched for what is inside.
            if not matches and pattern.is_exception == is_ignored:
                matches = pattern.matches(path)
            if matches:
                is_ignored = not pattern.is_exception
            matched.append(matches)
        return is_ignored, tuple(matched)

    def may_be_needed(self, folder: str) -> bool:
        """Whether something in a folder that is left out may be sent nevertheless."""
        if not self._are_plain:
            return True
        return any(f"{text}/".startswith(f"{folder}/") for text in self._exceptions)


def patterns_in(text: str) -> Iterator[str]:
    """Yield the patterns in the text of an ignore file, exceptions with `!` in front (moby/patternmatcher, ignorefile).

    A comment starts with `#` in the first column.
    """
    for line in text.removeprefix("\ufeff").split("\n"):
        pattern = line.strip()
        if line.startswith("#") or not pattern:
            continue
        is_exception = pattern.startswith("!")
        if is_exception:
            pattern = pattern[1:].strip()
        if pattern:
            pattern = _clean(pattern)
            if len(pattern) > 1 and pattern.startswith("/"):
                pattern = pattern[1:]
        yield f"!{pattern}" if is_exception else pattern


def _clean(path: str) -> str:
    """Go's filepath.Clean."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _pattern(text: str) -> _Pattern:
    is_exception = text.startswith("!")
    cleaned = _clean(text.removeprefix("!")) if text != "!" else ""
    if is_exception:
        cleaned = cleaned.removeprefix("/")
    if not cleaned:
        raise ValueError(f"the pattern {text[:100]!r} excepts nothing")
    _refuse_malformed(cleaned)
    try:
        return _Pattern(cleaned, is_exception, _matcher(cleaned))
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"the pattern {cleaned[:100]!r} can't be read; folders are joined by /") from error


def _malformed(pattern: str) -> ValueError:
    return ValueError(f"the pattern {pattern[:100]!r} can't be read")


def _refuse_malformed(pattern: str) -> None:
    """Go's filepath.Match, of which only the check of the pattern is wanted."""
    position = 0
    while position < len(pattern):
        sign = pattern[position]
        position += 1
        if sign == "\\":
            position = _one(pattern, position - 1)
        elif sign == "[":
            if pattern.startswith("^", position):
                position += 1
            is_first = True
            while is_first or not pattern.startswith("]", position):
                is_first = False
                position = _one(pattern, position, in_class=True)
                if pattern.startswith("-", position):
                    position = _one(pattern, position + 1, in_class=True)
            position += 1


def _one(pattern: str, position: int, *, in_class: bool = False) -> int:
    """Return where the character at `position`, perhaps behind a `\\`, ends."""
    if position >= len(pattern) or (in_class and pattern[position] in "-]"):
        raise _malformed(pattern)
    if pattern[position] == "\\":
        position += 1
    if position >= len(pattern) or (in_class and position + 1 >= len(pattern)):
        raise _malformed(pattern)
    return position + 1


def _matcher(pattern: str) -> Callable[[str], bool]:
    """patternmatcher.Pattern.compile: most patterns need no regular expression."""
    kind = "exact"
    parts: list[str] = []
    position = 0
    is_first = True
    while position < len(pattern):
        sign = pattern[position]
        position += 1
        if sign == "*" and pattern.startswith("*", position):
            position += 1
            position += pattern.startswith("/", position)
            if position == len(pattern):
                kind = "prefix" if kind == "exact" else "expression"
                parts.append(".*")
            else:
                kind = "expression"
                parts.append("(.*/)?")
            if is_first:
                kind = "suffix"
        elif sign in "*?":
            parts.append("[^/]*" if sign == "*" else "[^/]")
            kind = "expression"
        elif sign in _PLAIN_IN_GO:
            parts.append(f"\\{sign}")
        elif sign == "\\":
            if position < len(pattern):
                parts.append(f"\\{pattern[position]}")
                position += 1
                kind = "expression"
            else:
                parts.append("\\")
        else:
            parts.append(sign)
            kind = "expression" if sign in "[]" else kind
        is_first = False
    return _by_kind(kind, pattern, parts)


def _by_kind(kind: str, pattern: str, parts: Sequence[str]) -> Callable[[str], bool]:
    match kind:
        case "exact":
            return lambda path: path == pattern
        case "prefix":
            start = pattern[:-2]
            return lambda path: path.startswith(start)
        case "suffix":
            end = pattern[2:]
            return lambda path: path.endswith(end) or (end.startswith("/") and path == end[1:])
        case _:
            expression = re.compile(_in_python("".join(parts)))
            return lambda path: expression.fullmatch(path) is not None


def _in_python(expression: str) -> str:
    """A class of characters may hold in Go what Python warns of."""
    inside = False
    written = []
    position = 0
    while position < len(expression):
        sign = expression[position]
        if sign == "\\" and position + 1 < len(expression):
            following = expression[position + 1]
            # To Go it is a class such as \d, or a control character: nobody means that in a file's name.
            if following.isalnum():
                raise re.error(f"\\{following} is no file's name")
            written.append(f"\\{following}")
            position += 2
            continue
        if inside and sign in "[&~|":
            written.append(f"\\{sign}")
        else:
            written.append(sign)
        if sign == "[" and not inside:
            inside = True
            if expression.startswith("^", position + 1):
                written.append("^")
                position += 1
        elif sign == "]" and inside:
            inside = False
        position += 1
    return "".join(written)
