"""Platforms, as an index names them and as people write them: `os/architecture[/variant]`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

_PLATFORM = re.compile(r"[a-z0-9]+(?:/[a-z0-9_]+){1,2}")
_OTHER_NAMES = {"x86_64": "amd64", "x86-64": "amd64", "i386": "386", "aarch64": "arm64", "armhf": "arm"}
_VARIANTS = {"arm": "v7", "arm64": "v8"}
"""What an architecture means where nobody names a variant (containerd/platforms, `normalizeArch`)."""


@dataclass(frozen=True)
class Platform:
    """`os/architecture[/variant]`, as in an index entry."""

    os: str
    architecture: str
    variant: str | None = None

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @property
    def is_unknown(self) -> bool:
        """Whether it is the platform that BuildKit gives to what runs nowhere."""
        return (self.os, self.architecture) == ("unknown", "unknown")

    def matches(self, other: Self) -> bool:
        """Whether both mean the same: linux/arm64 is linux/arm64/v8, and linux/arm is linux/arm/v7."""
        return _explicit(self) == _explicit(other)


def parse_platform(text: str) -> Platform:
    """Read a platform as people write it. Raises ValueError that says what is wrong."""
    if not _PLATFORM.fullmatch(text):
        raise ValueError("a platform is OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, such as linux/amd64")
    if right_name(text) != text:
        raise ValueError("an architecture has the name that Go gives it")
    os, architecture, *variant = text.split("/")
    return Platform(os, architecture, *variant)


def right_name(text: str) -> str:
    """Return a platform, or an architecture, with the architecture named as in Go: amd64 for x86_64."""
    return "/".join(_OTHER_NAMES.get(part, part) for part in text.split("/"))


def listed(platforms: Iterable[Platform]) -> str:
    """Name the platforms for a sentence, each once, sorted."""
    return ", ".join(sorted({str(platform) for platform in platforms})) or "none"


def _explicit(platform: Platform) -> Platform:
    return replace(platform, variant=platform.variant or _VARIANTS.get(platform.architecture))
