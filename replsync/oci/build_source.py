"""Sources that are built: what the manifest's `build` says, without the files."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import parse_qsl, quote, unquote, urlencode

from replsync.oci.platform import Platform, parse_platform

DOCKERFILE = "Dockerfile"
MAX_WRITTEN = 1000
"""Characters of `BuildSource.written`: a key of YAML in one line has 1,024 at most (YAML 1.2.2, 7.4.2)."""

_SCHEME = "build:"
_ONCE = ("dockerfile", "target")


@dataclass(frozen=True)
class BuildSource:
    """An image that is built from the folder `context`.

    `dockerfile` is a path in the context. `secrets` are ids, and the files that
    hold what is secret. Their paths and the context's start from the manifest's
    folder or, once they are `located`, from the working folder. Without `platforms`
    it is built for the builder's own. `args` and `secrets` are sorted, so that
    the same build is the same source.
    """

    context: str
    dockerfile: str = DOCKERFILE
    target: str | None = None
    args: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()
    platforms: tuple[Platform, ...] = ()

    def __str__(self) -> str:
        """Name it for people: of arguments and secrets the names alone."""
        said = list(self._said())
        return f"{_SCHEME}{self.context}" + (f" ({', '.join(said)})" if said else "")

    def _said(self) -> Iterator[str]:
        if self.dockerfile != DOCKERFILE:
            yield self.dockerfile
        if self.target is not None:
            yield f"target {self.target}"
        if self.args:
            yield f"args {' '.join(name for name, _ in self.args)}"
        if self.secrets:
            yield f"secrets {' '.join(name for name, _ in self.secrets)}"
        if self.platforms:
            yield " ".join(map(str, self.platforms))

    def located(self, folder: str) -> Self:
        """Return the same build with its paths from where that of `folder`, the manifest's, starts."""
        secrets = tuple((name, posixpath.join(folder, file)) for name, file in self.secrets)
        return replace(self, context=posixpath.join(folder, self.context), secrets=secrets)

    @property
    def written(self) -> str:
        """All of it as one word for lock files and plans, which `parse_build` reads."""
        said = [("dockerfile", self.dockerfile)] if self.dockerfile != DOCKERFILE else []
        said += [("target", self.target)] if self.target is not None else []
        said += [(f"arg.{name}", value) for name, value in self.args]
        said += [(f"secret.{name}", file) for name, file in self.secrets]
        said += [("platform", str(platform)) for platform in self.platforms]
        query = f"?{urlencode(said, safe='/', quote_via=quote)}" if said else ""
        return f"{_SCHEME}{quote(self.context)}{query}"


def is_build(text: str) -> bool:
    """Whether a document's name of a source is that of a build."""
    return text.startswith(_SCHEME)


def parse_build(text: str) -> BuildSource:
    """Read what `BuildSource.written` wrote. Raises ValueError."""
    context, _, query = text.removeprefix(_SCHEME).partition("?")
    once: dict[str, str] = {}
    named: dict[str, list[tuple[str, str]]] = {"arg": [], "secret": []}
    platforms = []
    for key, value in parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)):
        kind, dot, name = key.partition(".")
        if key in _ONCE:
            once[key] = value
        elif key == "platform":
            platforms.append(parse_platform(value))
        elif dot and kind in named:
            named[kind].append((name, value))
        else:
            raise ValueError("it is not what a build is written as")
    build = BuildSource(
        unquote(context),
        once.get("dockerfile", DOCKERFILE),
        once.get("target"),
        tuple(named["arg"]),
        tuple(named["secret"]),
        tuple(platforms),
    )
    if not context or build.written != text:  # one way to write each, so that none can be there twice
        raise ValueError("it is not what a build is written as")
    return build
