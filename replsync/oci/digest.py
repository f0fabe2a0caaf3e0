"""Digests: content addresses such as `sha256:4bf5…` (image-spec, descriptor.md#digests)."""

import hashlib
import re
from typing import NewType, Protocol

Digest = NewType("Digest", str)
"""A digest whose form was checked by `parse_digest`, safe in a URL or a file path."""

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_DIGEST = re.compile(r"(sha256|sha512):([0-9a-f]+)")


class Hasher(Protocol):
    """What hashlib's objects have in common."""

    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


def parse_digest(text: str) -> Digest:
    """Return `text` as a Digest.

    Raises ValueError for anything but `sha256:` or `sha512:` and the right
    number of lower-case hex digits: a digest from a registry goes into URLs
    and paths, so that its form is checked first (CVE-2024-3727).
    """
    found = _DIGEST.fullmatch(text)
    if not found or len(found[2]) != _HEX_LENGTH[found[1]]:
        raise ValueError(f"{text[:150]!r} is not a digest (sha256:… with 64 hex digits)")
    return Digest(text)


def sha256(data: bytes) -> Digest:
    """Return the sha256 digest of `data`."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def hasher_of(digest: Digest) -> Hasher:
    """Return a fresh hash object of the algorithm that `digest` uses."""
    return hashlib.new(digest.partition(":")[0])


def digest_of(data: bytes, like: Digest) -> Digest:
    """Return the digest of `data` by the algorithm of `like`."""
    hasher = hasher_of(like)
    hasher.update(data)
    return Digest(f"{like.partition(':')[0]}:{hasher.hexdigest()}")


def short(digest: str) -> str:
    """Return the first 12 hex digits, for people."""
    return digest.partition(":")[2][:12]
