"""Names of sources, after containers-transports(5).

`docker://` (the default), `docker-daemon:`, `oci:`, `oci-archive:` and
`docker-archive:`. In a manifest, and so in its lock file, a path starts from the
manifest's folder; everywhere else, once it is `located`, from the working folder.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import assert_never, overload

from replsync.errors import InvalidInput
from replsync.oci.build_source import BuildSource, is_build, parse_build
from replsync.oci.digest import Digest, parse_digest
from replsync.oci.reference import DOCKER_HUB, Reference, parse_reference

_DOCKER = "docker://"
_DAEMON = "docker-daemon:"
_LAYOUT, _LAYOUT_ARCHIVE = "oci:", "oci-archive:"
_SAVED = "docker-archive:"
_EXAMPLES = {_DOCKER: "ghcr.io/acme/worker", _DAEMON: "worker:dev"}
_TRANSPORT = re.compile(r"([a-z][a-z-]*):(//)?(?=[^0-9])")
_OTHER_TRANSPORTS = ("dir", "containers-storage", "http", "https")
_SUPPORTED = "docker://, docker-daemon:, oci:, oci-archive: or docker-archive:"
_PINNED = re.compile(r"(.*)@(sha(?:256|512):.*)", re.DOTALL)
_NAME_IN_LAYOUT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/+-]{0,299}")
"""What `org.opencontainers.image.ref.name` may hold (image-spec, annotations.md), and tags with it; no `@`."""


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


@dataclass(frozen=True)
class LayoutSource:
    """An image in an OCI image layout, a folder or, with `is_archive`, a tar of one.

    `name` is the image's name in it, or the tag of that; without one, and
    without a `digest`, it is the only image there.
    """

    path: str
    name: str | None = None
    digest: Digest | None = None
    is_archive: bool = False

    def __str__(self) -> str:
        transport = _LAYOUT_ARCHIVE if self.is_archive else _LAYOUT
        name = f":{self.name}" if self.name else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{transport}{self.path}{name}{digest}"


@dataclass(frozen=True)
class SavedSource:
    """An image in an archive that `docker save` wrote; without a `name` the only one there."""

    path: str
    name: Reference | None = None

    def __str__(self) -> str:
        return f"{_SAVED}{self.path}{f':{self.name}' if self.name else ''}"


SourceName = RegistrySource | DaemonSource | LayoutSource | SavedSource | BuildSource


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
    if text in (_DOCKER, _DAEMON):
        raise ValueError(f"it names no image: write {text}{_EXAMPLES[text]}, for example")
    if text.startswith(_DAEMON):
        return _daemon_source(text.removeprefix(_DAEMON))
    for transport in (_LAYOUT, _LAYOUT_ARCHIVE):
        if text.startswith(transport):
            return _layout_source(text.removeprefix(transport), is_archive=transport == _LAYOUT_ARCHIVE)
    if text.startswith(_SAVED):
        return _saved_source(text.removeprefix(_SAVED))
    transport_found = _TRANSPORT.match(text)
    if transport_found and transport_found[1] in _OTHER_TRANSPORTS:
        raise ValueError(f"{transport_found[1]!r} is not a source that is supported: use {_SUPPORTED}")
    return RegistrySource(parse_reference(text.removeprefix(_DOCKER)))


def _daemon_source(name: str) -> DaemonSource:
    if name.startswith(("sha256:", "sha512:")):
        return DaemonSource(parse_digest(name))
    reference = parse_reference(name)
    if reference.digest:
        raise ValueError("a daemon's image has no registry digest: name it by tag or by image ID")
    return DaemonSource(reference)


def _layout_source(text: str, *, is_archive: bool) -> LayoutSource:
    found = _PINNED.fullmatch(text)
    rest, digest = (found[1], parse_digest(found[2])) if found else (text, None)
    path, colon, name = rest.partition(":")
    _check_path(path)
    if colon and not _NAME_IN_LAYOUT.fullmatch(name):
        raise ValueError(f"{name[:150]!r} is not the name of an image in a layout: it is a tag, or NAME:TAG")
    return LayoutSource(path, name or None, digest, is_archive)


def _saved_source(text: str) -> SavedSource:
    path, colon, name = text.partition(":")
    _check_path(path)
    if not colon:
        return SavedSource(path)
    if name.startswith("@"):
        raise ValueError("an image in an archive is chosen by name, and not by its place: write NAME:TAG")
    reference = parse_reference(name)
    if reference.digest:
        raise ValueError("an image that `docker save` wrote has no registry digest: name it by tag")
    return SavedSource(path, reference)


def _check_path(path: str) -> None:
    if not path:
        raise ValueError("the source names no path: write oci:PATH, for example")
    if not path.isprintable():
        raise ValueError("a path in a source holds printable characters: rename the file or folder")
    if path.endswith(("@sha256", "@sha512")):
        raise ValueError("a path may not end like the beginning of a digest: rename the file or folder")


def located(source: SourceName, folder: str) -> SourceName:
    """Return `source`, which a manifest in `folder` names, with its path from where that folder's does.

    Raises InvalidInput where the folder's name has a colon: a source's name can't hold it.
    """
    match source:
        case LayoutSource(path=path) | SavedSource(path=path):
            whole = posixpath.join("" if folder == "." else folder, path)
            if ":" in whole or not whole.isprintable():
                raise InvalidInput(
                    f"find {source}: the manifest's folder {folder!r} has a colon, or what can't be printed",
                    hint="rename the folder, or run replsync within it",
                )
            return replace(source, path=whole)
        case BuildSource():
            return source.located("" if folder == "." else folder)
        case RegistrySource() | DaemonSource():
            return source
        case _:
            assert_never(source)


def source_for_tag(source: SourceName, tag: str, *, is_own: bool = False) -> SourceName:
    """Return `source` with `tag` filled in where it names neither a tag nor a digest.

    A layout, or an archive of `docker save`, that one tag has as its own source
    (`is_own`) and in which it names no image stays as it is: its only image is meant.
    """
    match source:
        case RegistrySource(reference):
            return source if reference.tag or reference.digest else RegistrySource(reference.with_tag(tag))
        case DaemonSource(Reference() as reference):
            return source if reference.tag else DaemonSource(reference.with_tag(tag))
        case LayoutSource(name=None, digest=None) if not is_own:
            return replace(source, name=tag)
        case SavedSource(name=Reference(tag=None) as reference):
            return replace(source, name=reference.with_tag(tag))
        case DaemonSource() | LayoutSource() | SavedSource():
            return source
        case BuildSource():
            return source
        case _:
            assert_never(source)


def spoken(source: SourceName) -> str:
    """Name `source` for people: without the digest where it has a tag, or a path, and without detours in a path."""
    if isinstance(source, LayoutSource | SavedSource):
        source = replace(source, path=posixpath.normpath(source.path))
    return str(source) if isinstance(source, BuildSource) else written(source)


def written(source: SourceName) -> str:
    """Name `source` for a document that has its digest beside it; a build with all that it needs."""
    match source:
        case RegistrySource(Reference(tag=str()) as reference):
            return str(RegistrySource(replace(reference, digest=None)))
        case LayoutSource():
            return str(replace(source, digest=None))
        case RegistrySource() | DaemonSource() | SavedSource():
            return str(source)
        case BuildSource():
            return source.written
        case _:
            assert_never(source)


def parse_written(text: str) -> SourceName:
    """Read what `written` wrote. Raises ValueError that says what is wrong."""
    return parse_build(text) if is_build(text) else parse_source(text)


@overload
def pinned(source: RegistrySource, digest: Digest) -> RegistrySource: ...
@overload
def pinned(source: LayoutSource, digest: Digest) -> LayoutSource: ...
def pinned(source: RegistrySource | LayoutSource, digest: Digest) -> RegistrySource | LayoutSource:
    """Return `source` read by `digest`, whatever its tag points at; in a layout its name must point at that."""
    match source:
        case RegistrySource(reference):
            return RegistrySource(replace(reference, digest=digest))
        case LayoutSource():
            return replace(source, digest=digest)
