"""Versions in tags, and ranges of them: Semantic Versioning 2.0.0 in the leniency that tags need.

A range is read as npm and Cargo read it (github.com/npm/node-semver, "Ranges"):
`>=1.8 <2`, `^1.2`, `~1.2`, `1.x`, `1.2 - 1.4`, alternatives joined by `||`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from semver import Version

_TAG = re.compile(r"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?(?:-([0-9A-Za-z.-]+))?")
_PARTIAL = r"v?([0-9]+|[xX*])(?:\.([0-9]+|[xX*])(?:\.([0-9]+|[xX*])(?:-([0-9A-Za-z.-]+))?)?)?"
_SIMPLE = re.compile(rf"(<=|>=|<|>|=|~>?|\^)?[ ]*{_PARTIAL}(?=[ ,]|$)")
_HYPHEN = re.compile(rf"{_PARTIAL} +- +{_PARTIAL}")
_LEAST = "0"
"""The prerelease that comes before all others of its version."""

_Op = Literal["<", "<=", ">", ">=", "="]
_IS: dict[_Op, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
    "=": lambda order: order == 0,
}


def version_of(text: str) -> Version | None:
    """Return the version that `text` names; None where it is none.

    Beyond the specification a `v` may stand in front, numbers may begin with 0
    (2024.01.15), and of the three the last may be missing: 1.2 is 1.2.0.
    """
    found = _TAG.fullmatch(text)
    return _version(found.groups()) if found else None


@dataclass(frozen=True)
class VersionRange:
    """A range that was read; `text` is as it was written."""

    text: str
    _alternatives: tuple["_Alternative", ...] = field(repr=False)

    def __contains__(self, version: Version) -> bool:
        return any(version in alternative for alternative in self._alternatives)

    @property
    def is_empty(self) -> bool:
        """Whether no version can be in it, as in `>2 <1`."""
        return all(alternative.is_empty for alternative in self._alternatives)


def parse_range(text: str) -> VersionRange:
    """Read a range. Raises ValueError that says which part can't be read."""
    return VersionRange(text, tuple(_alternative(part.strip(" ,")) for part in text.split("||")))


@dataclass(frozen=True)
class _Comparator:
    op: _Op
    version: Version

    def admits(self, version: Version) -> bool:
        return _IS[self.op](version.compare(self.version))


@dataclass(frozen=True)
class _Alternative:
    """What all has to hold. A prerelease is among it only where the text names one of the same three numbers."""

    comparators: tuple[_Comparator, ...]
    named: frozenset[tuple[int, int, int]]

    @property
    def is_empty(self) -> bool:
        """Whether it can't all hold at once."""
        least = [one for one in self.comparators if one.op in (">", ">=", "=")]
        most = [one for one in self.comparators if one.op in ("<", "<=", "=")]
        return _NOTHING in self.comparators or any(
            low.version > high.version or (low.version == high.version and (low.op == ">" or high.op == "<"))
            for low in least
            for high in most
        )

    def __contains__(self, version: Version) -> bool:
        if version.prerelease and _numbers(version) not in self.named:
            return False
        return all(one.admits(version) for one in self.comparators)


@dataclass(frozen=True)
class _Partial:
    """A version of which the last numbers may be left open; `numbers` are those that are given."""

    numbers: tuple[int, ...]
    prerelease: str | None

    @property
    def least(self) -> Version:
        return _made(self.numbers, self.prerelease)

    @property
    def is_full(self) -> bool:
        return len(self.numbers) == 3

    def before_next(self, place: int) -> _Comparator:
        """Whatever comes before the next number at `place`, prereleases of that included in what doesn't."""
        return _Comparator("<", _made((*self.numbers[:place], self.numbers[place] + 1), _LEAST))


_NOTHING = _Comparator("<", Version(0, prerelease=_LEAST))


def _alternative(text: str) -> _Alternative:
    hyphen = _HYPHEN.fullmatch(text)
    if hyphen:
        low, high = _partial(hyphen.groups()[:4]), _partial(hyphen.groups()[4:])
        parts = [(">=", low), ("<=", high)]
    else:
        parts = list(_simple(text))
    comparators = tuple(one for op, partial in parts for one in _comparators(op, partial))
    return _Alternative(comparators, frozenset(_numbers(one.least) for _, one in parts if one.prerelease))


def _simple(text: str) -> Iterator[tuple[str, _Partial]]:
    at = 0
    while at < len(text):
        found = _SIMPLE.match(text, at)
        if not found:
            raise ValueError(f"{text[at:].partition(' ')[0]!r} is no part of a range")
        op, *partial = found.groups()
        yield op or "=", _partial(tuple(partial))
        at = found.end()
        while at < len(text) and text[at] in " ,":
            at += 1


def _partial(parts: tuple[str | None, ...]) -> _Partial:
    *numbers, prerelease = parts
    given: list[int] = []
    for number in numbers:
        if number is None or number in "xX*":
            break
        given.append(int(number))
    if any(number and number not in "xX*" for number in numbers[len(given) :]):
        raise ValueError("behind an `x` or `*` there is no number")
    if prerelease and len(given) < 3:
        raise ValueError(f"{prerelease!r} is the prerelease of what has three numbers")
    if prerelease and _version(parts) is None:
        raise ValueError(f"{prerelease!r} is no prerelease")
    return _Partial(tuple(given), prerelease)


def _comparators(op: str, partial: _Partial) -> Iterator[_Comparator]:
    """What an operator with a version stands for, after node-semver's "Advanced Range Syntax"."""
    given = len(partial.numbers)
    if given == 0:
        if op in "<>":
            yield _NOTHING
        return
    match op:
        case "=" if partial.is_full:
            yield _Comparator("=", partial.least)
        case "=":
            yield _Comparator(">=", partial.least)
            yield partial.before_next(given - 1)
        case ">=":
            yield _Comparator(">=", partial.least)
        case ">" if partial.is_full:
            yield _Comparator(">", partial.least)
        case ">":
            last = partial.before_next(given - 1).version
            yield _Comparator(">=", last.replace(prerelease=None))
        case "<" if partial.is_full:
            yield _Comparator("<", partial.least)
        case "<":
            yield _Comparator("<", partial.least.replace(prerelease=_LEAST))
        case "<=" if partial.is_full:
            yield _Comparator("<=", partial.least)
        case "<=":
            yield partial.before_next(given - 1)
        case "^":
            yield _Comparator(">=", partial.least)
            yield partial.before_next(next((at for at, number in enumerate(partial.numbers) if number), given - 1))
        case _:  # ~ and ~>
            yield _Comparator(">=", partial.least)
            yield partial.before_next(min(given, 2) - 1)


def _version(parts: tuple[str | None, ...]) -> Version | None:
    *numbers, prerelease = parts
    try:
        return _made([int(number) for number in numbers if number], prerelease)
    except ValueError:  # more digits than an int is read from, a number in the prerelease that begins with 0
        return None


def _made(numbers: Sequence[int], prerelease: str | None) -> Version:
    """Raises ValueError for what is no prerelease."""
    text = ".".join(map(str, (*numbers, 0, 0)[:3]))
    return Version.parse(f"{text}-{prerelease}" if prerelease else text)


def _numbers(version: Version) -> tuple[int, int, int]:
    return version.major, version.minor, version.patch
