"""What an image was made from, for images that replsync makes itself: split ones, and built ones.

Their digests exist only once they are made. What they are known by before
that is a text, the same for the same input, which labels of their configs
tell afterwards.
"""

import json
from collections.abc import Mapping
from typing import Any

from replsync.oci.digest import Digest, parse_digest, sha256

SPLIT_SOURCE = "dev.replsync.split.source"
"""The digest of the image before its large layers were split."""
SPLIT_LIMIT = "dev.replsync.split.limit"
"""Bytes: the limit that they were split to."""
SPLIT_SEAL = "dev.replsync.split.seal"
"""The digest of all else in the config: an image that is built on a split one inherits its labels, and is another."""
BUILD_INPUTS = "dev.replsync.build.inputs"
"""The digest of all that went into the build of an image."""

_SPLIT = "dev.replsync.split."
_BUILD_OF = "build of "
_SPLIT_TO = " split to "

MAX_CONFIG = 4 * 1024 * 1024
"""Bytes of a config that is read for its labels."""


def split_of(source: Digest, limit: int) -> str:
    """What an image is made from whose layers are split to at most `limit` bytes."""
    return f"{source}{split_to(limit)}"


def split_to(limit: int) -> str:
    """How the text of an image that is split to this limit ends."""
    return f"{_SPLIT_TO}{limit}"


def serves(wanted: str, present: str | None) -> bool:
    """Whether an image made from `present` is what `wanted` asks for: a split to a lower limit serves, too."""
    if present is None or wanted == present:
        return wanted == present
    source, split, limit = wanted.partition(_SPLIT_TO)
    own_source, own_split, own_limit = present.partition(_SPLIT_TO)
    return bool(split and own_split) and source == own_source and int(own_limit) <= int(limit)


def split_seal(config: Mapping[str, Any]) -> Digest:
    """What the label SPLIT_SEAL says of this config, which has labels."""
    inner = config["config"]
    labels = {key: value for key, value in inner["Labels"].items() if not key.startswith(_SPLIT)}
    rest = {**config, "config": {**inner, "Labels": labels}}
    return sha256(json.dumps(rest, sort_keys=True).encode())


def build_of(inputs: Digest) -> str:
    """What an image is made from that is built from these inputs."""
    return f"{_BUILD_OF}{inputs}"


def inputs_of(made_from: str) -> Digest:
    """Return the inputs of an image that is made from a build of them. Raises ValueError for any other."""
    if not made_from.startswith(_BUILD_OF):
        raise ValueError("it is not built")
    return parse_digest(made_from.removeprefix(_BUILD_OF))


def read_made_from(config: bytes) -> str | None:
    """Return what the labels of an image's `config` say; None where they say nothing of it.

    A built image is known by its inputs, also where it was split after that.
    """
    try:
        data = json.loads(config)
        labels = data["config"]["Labels"]
        if BUILD_INPUTS in labels:
            return build_of(parse_digest(labels[BUILD_INPUTS]))
        if labels[SPLIT_SEAL] != split_seal(data):
            return None
        return split_of(parse_digest(labels[SPLIT_SOURCE]), int(labels[SPLIT_LIMIT]))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None
