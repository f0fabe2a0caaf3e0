"""Choosing tags: from what a source's repository has to what an image takes of it. Pure.

Whether a tag fits is said by the tag alone; only `newest` compares tags with
each other. So a tag that appears at the source, or goes, changes nothing for
the others but their place among the newest.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Self

from semver import Version

from replsync.errors import InvalidInput
from replsync.manifest.faults import shown
from replsync.manifest.labels import concern
from replsync.manifest.model import Image, Manifest, Tag
from replsync.manifest.select import Select
from replsync.manifest.versions import VersionRange, parse_range, version_of
from replsync.oci.reference import is_referrers_tag

if TYPE_CHECKING:
    from regex import Pattern

_ZERO = Version(0)
_PATIENCE = 0.2
"""Seconds of CPU time that one tag may take to be matched; a sound expression takes millionths."""


class LeftOut(StrEnum):
    """Why a tag is not chosen; in the order in which it is looked for."""

    REFERRERS = "signatures and the like"
    EXCLUDED = "excluded"
    UNMATCHED = "not matched by the regex"
    NO_VERSION = "no versions"
    PRERELEASE = "prereleases"
    OUTSIDE = "outside of the range"
    OLDER = "older"


@dataclass(frozen=True)
class Selection:
    """The tags that are chosen, oldest version first and those without a version at the end, and how many are not."""

    chosen: tuple[str, ...]
    left_out: Mapping[LeftOut, int]

    @property
    def of(self) -> int:
        """How many tags there were."""
        return len(self.chosen) + sum(self.left_out.values())


@dataclass(frozen=True)
class Choice:
    """The tags that an image's `select` stands for; `selection` is None where a lock file says it."""

    image: str
    select: Select
    tags: tuple[str, ...]
    selection: Selection | None = None

    def check(self) -> None:
        """Raise InvalidInput where these are more tags than the selector may choose."""
        if len(self.tags) > self.select.bound:
            raise InvalidInput(
                f"select tags for {self.image}: {len(self.tags)} fit, and `select` may choose {self.select.bound}",
                hint="choose fewer, such as the `newest: 5`, or allow more with `max`",
            )

    @property
    def why(self) -> str:
        """Why a tag is among them."""
        more = " (as locked)"
        if self.selection:
            fitting = len(self.tags) + self.selection.left_out.get(LeftOut.OLDER, 0)
            more = f" of {fitting} that fit" if self.select.newest else ""
        return f"chosen by `select`: {self.select}{more}"

    @property
    def summary(self) -> str:
        """What was chosen, and how many tags were left out for which reason."""
        if self.selection is None:
            return f"{self.image}: `select` ({self.select}) chooses {_tags(len(self.tags))}, by the lock file"
        left_out = ", ".join(f"{count} {kind}" for kind, count in self.selection.left_out.items())
        return (
            f"{self.image}: `select` ({self.select}) chooses {len(self.tags)} of the source's "
            f"{_tags(self.selection.of)}{f'; left out: {left_out}' if left_out else ''}"
        )


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


def locked_choice(image: Image, tags: tuple[str, ...]) -> Choice:
    """Return the choice that a lock file has. Raises InvalidInput where it is larger than the selector may make it."""
    if image.select is None:
        raise AssertionError("only what an image selects is locked")
    choice = Choice(image.name, image.select, tags)
    choice.check()
    return choice


def with_choices(manifest: Manifest, choices: Iterable[Choice]) -> Manifest:
    """Return the manifest with the chosen tags listed; each comes from the image's source.

    A tag that the image lists or retires by itself stays what it is.
    """
    chosen = {choice.image: choice.tags for choice in choices}
    images = tuple(_with_tags(image, chosen.get(image.name, ())) for image in manifest.images)
    return manifest.model_copy(update={"images": images})


def in_need(manifest: Manifest, patterns: Sequence[str]) -> tuple[Image, ...]:
    """Return the images whose selection has to be known for what `patterns` stand for; for everything without any.

    It hasn't for a tag that the image lists or retires by name: a tag is retired without its source.
    """
    return tuple(image for image in manifest.images if image.select and _needs(image, patterns))


def _needs(image: Image, patterns: Sequence[str]) -> bool:
    named = {f"{image.name}:{tag}" for tag in _named(image)}
    return not patterns or any(concern((pattern,), image.name) and pattern not in named for pattern in patterns)


def _named(image: Image) -> set[str]:
    return {tag.tag for tag in image.tags} | {entry.tag for entry in image.retired}


def floating(image: Image, tags: Iterable[str]) -> tuple[str, ...]:
    """Return the tags that may well move with others: 1.8 beside 1.8.3, where it isn't said to be mutable; sorted."""
    tags = set(tags)
    return tuple(
        sorted(
            tag
            for tag in tags
            if not image.is_mutable(tag) and any(other.startswith(f"{tag}.") for other in tags) and version_of(tag)
        )
    )


def _with_tags(image: Image, chosen: Iterable[str]) -> Image:
    named = _named(image)
    added = tuple(Tag(tag=tag) for tag in chosen if tag not in named)
    return image.model_copy(update={"tags": (*image.tags, *added)}) if added else image


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


def _tags(count: int) -> str:
    return f"{count} tag{'' if count == 1 else 's'}"


def _compiled(pattern: str | None) -> "Pattern[str] | None":
    if pattern is None:
        return None
    import regex  # here: few selectors have one

    return regex.compile(pattern)
