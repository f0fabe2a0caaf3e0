"""What selectors chose, and the manifest with that in it. Pure, and without what it takes to choose."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from replsync.errors import InvalidInput
from replsync.manifest.labels import concern
from replsync.manifest.model import Image, Manifest, Tag
from replsync.manifest.select import Select

_SHORT = re.compile(r"v?[0-9]+(\.[0-9]+)?")
"""A version with one number or two."""


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
                hint="choose fewer, such as by `newest: 5`, or allow more with `max`",
            )

    @property
    def why(self) -> str:
        """Why a tag is among them."""
        more = " (as locked)"
        if self.selection:
            fitting = len(self.tags) + self.selection.left_out.get(LeftOut.OLDER, 0)
            more = ""
            if self.select.newest:
                more = f" of {fitting} that fit" if fitting > len(self.tags) else f", and {fitting} fit"
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
    beginnings = {tag[:dot] for tag in tags for dot, character in enumerate(tag) if character == "."}
    return tuple(sorted(tag for tag in tags & beginnings if _SHORT.fullmatch(tag) and not image.is_mutable(tag)))


def _with_tags(image: Image, chosen: Iterable[str]) -> Image:
    named = _named(image)
    added = tuple(Tag(tag=tag) for tag in chosen if tag not in named)
    return image.model_copy(update={"tags": (*image.tags, *added)}) if added else image


def _tags(count: int) -> str:
    return f"{count} tag{'' if count == 1 else 's'}"
