"""Choosing tags: from what a source's repository has to what an image takes of it. Pure.

Whether a tag fits is said by the tag alone; only `newest` compares tags with
each other. So a tag that appears at the source, or goes, changes nothing for
the others but their place among the newest.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Self

from semver import Version

from replsync.errors import InvalidInput
from replsync.manifest.choice import LeftOut, Selection
from replsync.manifest.faults import shown
from replsync.manifest.select import Select
from replsync.manifest.versions import VersionRange, parse_range, version_of
from replsync.oci.reference import is_referrers_tag

if TYPE_CHECKING:
    from regex import Pattern

_ZERO = Version(0)
_PATIENCE = 0.2
"""Seconds of CPU time that one tag may take to be matched; a sound expression takes millionths."""


def selected(select: Select, tags: Iterable[str]) -> Selection:
    """Return what `select` chooses of `tags`, whatever their order.

    `newest` goes by version, not by time. Tags that name the same version
    (1.0.0, 1.0, v1.0.0) are told apart by how they are written: one with more
    numbers is taken for the newer, then one without the `v`. Raises
    InvalidInput where the regular expression takes too long.
    """
    judge = _Judge.of(select)
    found = {tag: judge.judged(tag) for tag in set(tags)}
    left_out = Counter(kind for kind in found.values() if isinstance(kind, LeftOut))
    fitting = sorted((tag for tag, kind in found.items() if not isinstance(kind, LeftOut)), key=judge.rank)
    older = max(0, len(fitting) - select.newest) if select.newest else 0
    if older:
        left_out[LeftOut.OLDER] = older
    return Selection(tuple(fitting[older:]), {kind: left_out[kind] for kind in LeftOut if left_out[kind]})


def fits(select: Select, tag: str) -> bool:
    """Whether `select` would choose `tag`, if its source had it and none were newer."""
    return not isinstance(_Judge.of(select).judged(tag), LeftOut)


@dataclass(frozen=True)
class _Judge:
    """A selector made ready for many tags."""

    select: Select
    range: VersionRange | None
    pattern: "Pattern[str] | None"

    @classmethod
    def of(cls, select: Select) -> Self:
        text = select.semver
        if text is None and select.regex is None:
            text = "*"  # `newest` alone
        return cls(select, None if text is None else parse_range(text), _compiled(select.regex))

    def judged(self, tag: str) -> Version | LeftOut | None:
        """The tag's version, or why it is left out; None for a tag without a version where none is needed."""
        if is_referrers_tag(tag):
            return LeftOut.REFERRERS
        if any(fnmatchcase(tag, pattern) for pattern in self.select.exclude):
            return LeftOut.EXCLUDED
        text = self._version_text(tag)
        if text is None:
            return LeftOut.UNMATCHED
        version = version_of(text)
        if version is None:
            return LeftOut.NO_VERSION if self.range or self.select.newest else None
        if self.range and version not in self.range:
            return LeftOut.PRERELEASE if version.prerelease else LeftOut.OUTSIDE
        return version

    def rank(self, tag: str) -> tuple[bool, Version, int, bool, str]:
        text = self._version_text(tag) or ""
        version = version_of(text)
        numbers = text.partition("-")[0].count(".")
        return version is None, version or _ZERO, numbers, not text.startswith("v"), tag

    def _version_text(self, tag: str) -> str | None:
        """The part of the tag that is its version; None where the regular expression doesn't match."""
        if self.pattern is None:
            return tag
        try:
            found = self.pattern.fullmatch(tag, timeout=_PATIENCE)
        except TimeoutError as error:
            raise InvalidInput(
                f"match {shown(tag)} with the regex {shown(self.select.regex or '')}: it takes too long",
                hint="what matches a text in many ways, such as (a|aa)+, is tried in each of them: make it plainer",
            ) from error
        if found is None:
            return None
        return (found["version"] or "") if "version" in self.pattern.groupindex else tag


def _compiled(pattern: str | None) -> "Pattern[str] | None":
    if pattern is None:
        return None
    import regex  # here: few selectors have one

    return regex.compile(pattern)
