"""Choosing tags on the command line by `image:tag` with wildcards."""

from fnmatch import fnmatchcase


def is_chosen(label: str, pattern: str) -> bool:
    """Whether `pattern` stands for `label`, which is `image:tag`.

    The wildcards are those of `fnmatch.fnmatchcase`. A pattern without a colon
    stands for all tags of an image: `worker` for `worker:*`.
    """
    return fnmatchcase(label, pattern if ":" in pattern else f"{pattern}:*")
