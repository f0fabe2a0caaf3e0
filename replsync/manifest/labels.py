"""Choosing tags on the command line by `image:tag` with wildcards."""

from collections.abc import Sequence
from fnmatch import fnmatchcase


def is_chosen(label: str, pattern: str) -> bool:
    """Whether `pattern` stands for `label`, which is `image:tag`.

    The wildcards are those of `fnmatch.fnmatchcase`. A pattern without a colon
    stands for all tags of an image: `worker` for `worker:*`.
    """
    return fnmatchcase(label, pattern if ":" in pattern else f"{pattern}:*")


def is_among(label: str, patterns: Sequence[str]) -> bool:
    """Whether one of `patterns` stands for `label`; without any, all labels are meant."""
    return not patterns or any(is_chosen(label, pattern) for pattern in patterns)


def concern(patterns: Sequence[str], image: str) -> bool:
    """Whether `patterns` may stand for a tag of `image`; without any, they stand for all."""
    return not patterns or any(fnmatchcase(image, pattern.rpartition(":")[0] or pattern) for pattern in patterns)
