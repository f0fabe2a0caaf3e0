"""The lock file `replicated-images.lock.yaml`: every source of a manifest, and the digest that it resolved to.

It holds what a tag was at its source when somebody looked: for a registry's
image the digest of its image manifest or index, for a daemon's the image ID. An
image in an OCI layout is as a registry's, one in an archive of `docker save` as a daemon's.
For a build it is the digest of all that goes into it. A source that the
manifest pins by digest needs no entry.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from replsync.errors import ReplsyncError, UsageError
from replsync.manifest.faults import Fault, InvalidManifest, shown
from replsync.manifest.labels import is_chosen
from replsync.manifest.model import Manifest
from replsync.manifest.source_text import Position, SourceText, decode
from replsync.manifest.yaml_tree import Empty, MappingPlaces, Places, Value, read_tree
from replsync.oci.build_source import BuildSource
from replsync.oci.digest import Digest, parse_digest
from replsync.oci.reference import Reference
from replsync.oci.source_name import (
    DaemonSource,
    LayoutSource,
    RegistrySource,
    SavedSource,
    SourceName,
    located,
    parse_written,
    written,
)

VERSION = 1

_HEADER = "# Written by `replsync lock`: what each source was when it was looked up. Commit it with the manifest."
_KEYS = ("version", "sources")
_CONFLICT = re.compile(r"(<{7}|\|{7}|={7}|>{7})( |$)")
_ANEW = "take the file as it was committed, or remove it and run `replsync lock`"
_WITHOUT = "remove this line, and run `replsync lock`"


@dataclass(frozen=True)
class Lock:
    """A lock file that was read: its name, and the digest of each source, which names a tag and no digest."""

    name: str
    digests: Mapping[SourceName, Digest]

    def located(self, folder: str) -> "Lock":
        """Return it with paths that start from where that of `folder`, the manifest's, does. Raises InvalidInput."""
        return Lock(self.name, {located(source, folder): digest for source, digest in self.digests.items()})


@dataclass(frozen=True)
class Renewal:
    """What a lock file keeps, and what has to be looked up for it, with the `image:tag` labels that it stands for."""

    kept: Mapping[SourceName, Digest]
    sought: Mapping[SourceName, tuple[str, ...]]


@dataclass(frozen=True)
class Same:
    """The source is what the lock says."""

    digest: Digest


@dataclass(frozen=True)
class Moved:
    """The source is another image by now."""

    old: Digest
    new: Digest


@dataclass(frozen=True)
class NotRead:
    """The lock has the source, but it is gone or can't be read: a NotFound says that a registry has it no more."""

    old: Digest
    error: ReplsyncError


@dataclass(frozen=True)
class NotLocked:
    """The manifest needs the source, and the lock doesn't have it."""


Finding = Same | Moved | NotRead | NotLocked


@dataclass(frozen=True)
class CheckedSource:
    """A source that the manifest needs, the `image:tag` labels that it stands for, and what became of it."""

    source: SourceName
    labels: tuple[str, ...]
    finding: Finding


@dataclass(frozen=True)
class LockCheck:
    """A lock beside its manifest and its sources, all sorted by source; nothing needs what is `superfluous`."""

    sources: tuple[CheckedSource, ...]
    superfluous: tuple[SourceName, ...]

    @property
    def is_complete(self) -> bool:
        """Whether the lock fits the manifest, wherever the sources have moved."""
        return not self.superfluous and not any(isinstance(one.finding, NotLocked) for one in self.sources)

    @property
    def is_current(self) -> bool:
        """Whether every source that the manifest needs is what the lock says."""
        return all(isinstance(one.finding, Same) for one in self.sources)


def lock_path(manifest_path: str) -> str:
    """Return the path of the lock file: it lies beside its manifest."""
    for suffix in (".yaml", ".yml"):
        if manifest_path.endswith(suffix):
            return f"{manifest_path.removesuffix(suffix)}.lock{suffix}"
    return f"{manifest_path}.lock.yaml"


def needed(manifest: Manifest) -> dict[SourceName, tuple[str, ...]]:
    """Return every source that has to be looked up, sorted, with the labels `image:tag` that it stands for.

    Neither sources that are pinned by digest nor tags without a source are among them.
    """
    labels: dict[SourceName, list[str]] = {}
    for image in manifest.images:
        for tag in image.tags:
            source = image.source_of(tag)
            if source is not None and not _is_pinned(source):
                labels.setdefault(source, []).append(f"{image.name}:{tag.tag}")
    return {source: tuple(sorted(labels[source])) for source in sorted(labels, key=written)}


def missing(lock: Lock, manifest: Manifest) -> dict[SourceName, tuple[str, ...]]:
    """Return what is needed and not in the lock, in the form of `needed`."""
    return {source: labels for source, labels in needed(manifest).items() if source not in lock.digests}


def superfluous(lock: Lock, manifest: Manifest) -> tuple[SourceName, ...]:
    """Return the lock's sources that nothing in the manifest needs, sorted."""
    return tuple(sorted(lock.digests.keys() - needed(manifest).keys(), key=written))


def renewed(lock: Lock | None, manifest: Manifest, upgrade: Sequence[str]) -> Renewal:
    """Return what `replsync lock` keeps and what it looks up.

    `upgrade` are patterns, as `is_chosen` reads them, of what is looked up
    although the lock has it. Tags that share a source share its entry, so that
    they move together. Raises UsageError for a pattern that matches nothing.
    """
    sources = needed(manifest)
    every = [label for labels in sources.values() for label in labels]
    for pattern in upgrade:
        if not any(is_chosen(label, pattern) for label in every):
            raise UsageError(
                f"upgrade {shown(pattern)}: it matches no tag with a source to look up",
                hint="name IMAGE or IMAGE:TAG as in the manifest, perhaps with *, ? or […]: 'worker:1.*'",
            )
    locked = lock.digests if lock else {}
    kept = {
        source: locked[source]
        for source, labels in sources.items()
        if source in locked and not any(is_chosen(label, pattern) for label in labels for pattern in upgrade)
    }
    return Renewal(kept, {source: labels for source, labels in sources.items() if source not in kept})


def compared(lock: Lock, manifest: Manifest, found: Mapping[SourceName, Digest | ReplsyncError]) -> LockCheck:
    """Compare the lock with what its sources are now: `found` has each that the manifest needs and the lock has."""
    checked = tuple(
        CheckedSource(
            source, labels, _finding(lock.digests[source], found[source]) if source in lock.digests else NotLocked()
        )
        for source, labels in needed(manifest).items()
    )
    return LockCheck(checked, superfluous(lock, manifest))


def lock_text(digests: Mapping[SourceName, Digest]) -> str:
    """Return the lock file of these sources, which name a tag and no digest: a line for each, sorted.

    No name needs quotes in YAML: it starts with `docker`, `oci` or `build`, and has no blank in it.
    """
    lines = [f"  {written(source)}: {digests[source]}" for source in sorted(digests, key=written)]
    return "\n".join([_HEADER, f"version: {VERSION}", "sources:" if lines else "sources: {}", *lines, ""])


def read_lock(data: bytes, name: str) -> Lock:
    """Return the lock in `data`, the content of the file `name`.

    Raises InvalidManifest with everything that is wrong, sorted by position.
    """
    text = decode(data, name, "lock file")
    conflicts = list(_conflicts(text))
    if conflicts:
        raise InvalidManifest(name, conflicts)
    tree = read_tree(text)
    if tree is None:
        raise InvalidManifest(name, [Fault(1, 1, "the file says nothing", _ANEW)])
    reading = _Reading(text, list(tree.faults), {})
    reading.file(tree.value, tree.places)
    if reading.faults:
        raise InvalidManifest(name, reading.faults)
    return Lock(name, reading.digests)


@dataclass(frozen=True)
class _Reading:
    text: SourceText
    faults: list[Fault]
    digests: dict[SourceName, Digest]

    def file(self, value: Value, places: Places) -> None:
        if not isinstance(value, dict) or not isinstance(places, MappingPlaces):
            self._fault(_start(places), f"the file is {_said(value)}, expected `version` and `sources`", _ANEW)
            return
        if "version" in value:
            self._version(value["version"], _start(places.values["version"]))
        if "sources" in value:
            self._sources(value["sources"], places.values["sources"])
        for key in _KEYS:
            if key not in value:
                self._fault(places.start, f"the file has no `{key}`", _ANEW)
        for key in value.keys() - set(_KEYS):
            self._fault(places.keys[key], f"the file has the unknown key {shown(key)}", "remove it")

    def _version(self, value: Value, position: Position) -> None:
        if value == str(VERSION):
            return
        if isinstance(value, str) and re.fullmatch("[1-9][0-9]*", value):
            # What else seems wrong may be right in that version.
            message = f"this is a lock file of version {shown(value)}, this replsync reads {VERSION}"
            fault = self.text.fault(position, message, "a newer replsync wrote it: upgrade replsync")
            raise InvalidManifest(self.text.name, [fault])
        self._fault(position, f"`version` is {_said(value)}, expected the number {VERSION}", _ANEW)

    def _sources(self, value: Value, places: Places) -> None:
        if not isinstance(value, dict) or not isinstance(places, MappingPlaces):
            message = f"`sources` is {_said(value)}, expected a digest for each source"
            self._fault(_start(places), message, "write `sources: {}`, and run `replsync lock`")
            return
        for key, stated in value.items():
            source = self._source(key, places.keys[key])
            digest = self._digest(key, stated, _start(places.values[key]))
            if source is not None and digest is not None:
                self.digests[source] = digest

    def _source(self, key: str, position: Position) -> SourceName | None:
        try:
            return _locked_source(key)
        except ValueError as error:
            self._fault(position, f"the source {shown(key)}: {error}", _WITHOUT)
            return None

    def _digest(self, key: str, value: Value, position: Position) -> Digest | None:
        try:
            return parse_digest(value if isinstance(value, str) else "")
        except ValueError:
            message = f"the digest of {shown(key)} is {_said(value)}, expected `sha256:` and 64 lower-case hex digits"
            self._fault(position, message, _WITHOUT)
            return None

    def _fault(self, position: Position, message: str, proposal: str) -> None:
        self.faults.append(self.text.fault(position, message, proposal))


def _conflicts(text: SourceText) -> Iterator[Fault]:
    """Where git left a conflict: once for each, however many markers it has; no entry looks like a marker."""
    marked = [number for number, line in enumerate(text.lines, 1) if _CONFLICT.match(line)]
    for number in [number for number in marked if text.lines[number - 1].startswith("<")] or marked[:1]:
        yield text.fault(Position(number, 1), "this is a merge conflict", "take either side, and run `replsync lock`")


def _locked_source(text: str) -> SourceName:
    """Read a source as a lock file has it. Raises ValueError that says what is wrong."""
    source = parse_written(text)
    if _is_pinned(source):
        raise ValueError("it is pinned by its digest, and needs no entry")
    match source:
        case RegistrySource(Reference(tag=None)) | DaemonSource(Reference(tag=None)):
            raise ValueError("it names no tag")
        case SavedSource(name=Reference(tag=None)):
            raise ValueError("it names no tag")
        case _ if written(source) != text:
            # One way to write each, so that none can be there twice.
            raise ValueError(f"in a lock file it is written {shown(written(source))}")
        case _:
            return source


def _is_pinned(source: SourceName) -> bool:
    match source:
        case RegistrySource(reference):
            return reference.digest is not None
        case DaemonSource(name):
            return not isinstance(name, Reference)
        case LayoutSource():
            return source.digest is not None
        case SavedSource() | BuildSource():
            return False
        case _:
            assert_never(source)


def _finding(old: Digest, found: Digest | ReplsyncError) -> Finding:
    match found:
        case ReplsyncError():
            return NotRead(old, found)
        case _ if found == old:
            return Same(old)
        case _:
            return Moved(old, found)


def _said(value: Value) -> str:
    match value:
        case str():
            return shown(value)
        case Empty():
            return "empty"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            assert_never(value)


def _start(places: Places) -> Position:
    return places if isinstance(places, Position) else places.start
