"""The key `select` of an image: which of its source's tags it takes besides those that are listed."""

import json
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticKnownError

from replsync.manifest.grammar import TagPattern, refused
from replsync.oci.digest import sha256

DEFAULT_MAX = 50
MAX_PATTERN = 255
"""Characters of a range or a regular expression."""

_GROUP = "version"
_LONGEST = 1000
"""Characters of a text that stands in a lock file."""

_RANGE_SCHEMA = {"type": ["string", "number"], "minLength": 1, "maxLength": MAX_PATTERN}
_REGEX_SCHEMA = {"type": "string", "minLength": 1, "maxLength": MAX_PATTERN, "format": "regex"}
_HIGHEST = 10_000
_NUMBER_SCHEMA = {"type": "integer", "minimum": 1, "maximum": _HIGHEST}


def _range(text: str) -> str:
    from replsync.manifest.versions import parse_range  # here: few manifests have one

    _refuse_length(text, "a range")
    try:
        found = parse_range(text)
    except ValueError as error:
        example = "a range is written as npm has it: `>=1.8 <2`, `^1.2`, `~1.2`, `1.x`, `1.2 - 1.4`, `^1 || ^3`"
        raise refused(f"{error}; {example}") from error
    if found.is_empty:
        raise refused("no version is in this range", "`||` joins ranges of which one has to hold: `<1 || >2`")
    return text


def _regex(text: str) -> str:
    import regex

    _refuse_length(text, "a regular expression")
    try:
        groups = regex.compile(text).groupindex
    except regex.error as error:
        raise refused(f"it is no regular expression: {error}") from error
    if groups.keys() - {_GROUP}:
        raise refused(
            "the one group that may have a name is `version`", f"write `(?:…)`, or `(?P<{_GROUP}>…)` for the version"
        )
    return text


def _refuse_length(text: str, what: str) -> None:
    if not text.strip() or len(text) > MAX_PATTERN or not text.isprintable():
        raise refused(f"{what} is one line of 1 to {MAX_PATTERN} printable characters")


def _number(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _HIGHEST:
        return value
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    if re.fullmatch("[1-9][0-9]{0,4}", value) and int(value) <= _HIGHEST:
        return int(value)
    raise refused(f"this is a whole number from 1 to {_NUMBER_SCHEMA['maximum']}")


SemverRange = Annotated[str, AfterValidator(_range), WithJsonSchema(_RANGE_SCHEMA)]
TagRegex = Annotated[str, AfterValidator(_regex), WithJsonSchema(_REGEX_SCHEMA)]
Number = Annotated[int, PlainValidator(_number), WithJsonSchema(_NUMBER_SCHEMA)]


class Select(BaseModel):
    """Which of the source's tags an image takes besides those that are listed.

    It needs `semver`, `regex` or `newest`, and an image whose source is a
    repository in a registry. Tags that are listed or retired by name go before it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    semver: SemverRange | None = Field(
        default=None,
        description="The range of versions, as npm writes it. A tag may begin with v, and 1.2 stands for 1.2.0. "
        "Prereleases (1.9.0-rc.1, and so 1.9.0-alpine too) are chosen only where the range names one of the same "
        "version. A range that starts with > or * needs quotes.",
        examples=[">=1.8 <2", "^1.2", "~1.2", "1.x", "^1.2 || ^3"],
    )
    regex: TagRegex | None = Field(
        default=None,
        description="A regular expression that the whole tag matches. A group (?P<version>…) in it is what `semver` "
        "and `newest` take for the version; without one that is the whole tag.",
        examples=["[0-9.]+", "(?P<version>[0-9.]+)-alpine"],
    )
    exclude: tuple[TagPattern, ...] = Field(
        default=(),
        description="Tags that are not chosen, as patterns with *, ? and […].",
        examples=[["1.8.3", "*-debug"]],
    )
    newest: Number | None = Field(
        default=None,
        description="Of all that fit, only so many with the highest versions; age doesn't count. Alone it takes all "
        "tags that are versions, but no prereleases.",
        examples=[5],
    )
    max: Number | None = Field(
        default=None,
        description=f"More tags than this are not chosen but refused: it stands against surprises. {DEFAULT_MAX} "
        "where nothing is said; beside `newest`, which is a bound itself, it may not stand.",
        examples=[DEFAULT_MAX],
    )

    @property
    def bound(self) -> int:
        """The most tags that may be chosen."""
        return self.newest or self.max or DEFAULT_MAX

    def __str__(self) -> str:
        """What is chosen, in words that are the same for the same choice and for no other."""
        said = [f"{key} {_quoted(value)}" for key, value in (("semver", self.semver), ("regex", self.regex)) if value]
        if self.exclude:
            said.append(f"without {' '.join(map(_quoted, sorted(set(self.exclude))))}")
        if self.newest:
            said.append(f"newest {self.newest}")
        return ", ".join(said)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def chosen_by(select: Select | None, source: object) -> str:
    """Return what tells a selection from any other: the selector, and where its tags come from.

    It stands in lock files, so that a long one is shortened to its digest.
    """
    text = f"{select}, of {source}"
    return text if len(text) <= _LONGEST else str(sha256(text.encode()))
