"""Names of sources, after containers-transports(5): `docker://` and `docker-daemon:`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import assert_never

from replsync.oci.build_source import BuildSource, is_build, parse_build
from replsync.oci.digest import Digest, parse_digest
from replsync.oci.reference import DOCKER_HUB, Reference, parse_reference

_DOCKER = "docker://"
_DAEMON = "docker-daemon:"
_TRANSPORT = re.compile(r"([a-z][a-z-]*):(//)?(?=[^0-9])")
_OTHER_TRANSPORTS = ("docker-archive", "oci", "oci-archive", "dir", "containers-storage", "http", "https")


@dataclass(frozen=True)
class RegistrySource:
    """An image in a registry; the default, `docker://` may be left out."""

    reference: Reference

    def __str__(self) -> str:
        return f"{_DOCKER}{self.reference}"


@dataclass(frozen=True)
class DaemonSource:
    """An image in the local Docker daemon: by name, or by image ID (a digest)."""

    name: Reference | Digest

    def __str__(self) -> str:
        return f"{_DAEMON}{self.image}"

    @property
    def image(self) -> str:
        """The name as `docker image inspect` takes it, in Docker's short form where that is the same image."""
        if not isinstance(self.name, Reference):
            return self.name
        full = str(self.name)
        return next((short for short in _short_forms(full) if _is_name_of(short, self)), full)


SourceName = RegistrySource | DaemonSource | BuildSource


def _short_forms(full: str) -> Iterator[str]:
    """The shortest first."""
    for left_out in (f"{DOCKER_HUB}/library/", f"{DOCKER_HUB}/"):
        if full.startswith(left_out):
            yield full.removeprefix(left_out)


def _is_name_of(short: str, source: DaemonSource) -> bool:
    """Whether a short form is read as just this: `foo.bar/baz` has a host, and `sha256:dev` is an image ID."""
    try:
        return parse_source(f"{_DAEMON}{short}") == source
    except ValueError:
        return False


def parse_source(text: str) -> SourceName:
    """Read a source's name. Raises ValueError that says what is wrong."""
    if text.startswith(_DAEMON):
        name = text.removeprefix(_DAEMON)
        if name.startswith(("sha256:", "sha512:")):
            return DaemonSource(parse_digest(name))
        reference = parse_reference(name)
        if reference.digest:
            raise ValueError("a daemon's image has no registry digest: name it by tag or by image ID")
        return DaemonSource(reference)
    transport = _TRANSPORT.match(text)
    if transport and transport[1] in _OTHER_TRANSPORTS:
        raise ValueError(f"{transport[1]!r} is not a source that is supported: use docker:// or docker-daemon:")
    return RegistrySource(parse_reference(text.removeprefix(_DOCKER)))


def source_for_tag(source: SourceName, tag: str) -> SourceName:
    """Return `source` with `tag` filled in where it names neither a tag nor a digest."""
    match source:
        case RegistrySource(reference):
            return source if reference.tag or reference.digest else RegistrySource(reference.with_tag(tag))
        case DaemonSource(Reference() as reference):
            return source if reference.tag else DaemonSource(reference.with_tag(tag))
        case DaemonSource():
            return source
        case BuildSource():
            return source
        case _:
            assert_never(source)


def spoken(source: SourceName) -> str:
    """Name `source` for people: without the digest where it has a tag."""
    match source:
        case RegistrySource(Reference(tag=str()) as reference):
            return str(RegistrySource(replace(reference, digest=None)))
        case RegistrySource() | DaemonSource():
            return str(source)
        case BuildSource():
            return str(source)
        case _:
            assert_never(source)


def written(source: SourceName) -> str:
    """Name `source` for a document that has its digest beside it: as `spoken`, but with all that a build needs."""
    return source.written if isinstance(source, BuildSource) else spoken(source)


def parse_written(text: str) -> SourceName:
    """Read what `written` wrote. Raises ValueError that says what is wrong."""
    return parse_build(text) if is_build(text) else parse_source(text)


def pinned(source: RegistrySource, digest: Digest) -> RegistrySource:
    """Return `source` read by `digest`, whatever its tag points at."""
    return RegistrySource(replace(source.reference, digest=digest))
