"""The lock file's text: writing it, and reading it with everything that is wrong."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from replsync.manifest.faults import Fault, InvalidManifest, shown
from replsync.manifest.lock import Lock, LockedTags, is_pinned
from replsync.manifest.source_text import Position, SourceText, decode
from replsync.manifest.spelling import spelled, spelled_tag
from replsync.manifest.yaml_tree import Empty, ListPlaces, MappingPlaces, Places, Value, read_tree
from replsync.oci.digest import Digest, parse_digest
from replsync.oci.reference import Reference, is_path, is_tag
from replsync.oci.source_name import DaemonSource, RegistrySource, SavedSource, SourceName, parse_written, written

VERSION = 1

_HEADER = "# Written by `replsync lock`: what each source was when it was looked up. Commit it with the manifest."
_KEYS = ("version", "sources")
_MORE_KEYS = ("selected", "pushed")
_MADE = re.compile(r"sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})( split to [1-9][0-9]{0,18})?")
_SELECTED_KEYS = ("by", "tags")
_CONFLICT = re.compile(r"(<{7}|\|{7}|={7}|>{7})( |$)")
_ANEW = "take the file as it was committed, or remove it and run `replsync lock`"
_WITHOUT = "remove this line, and run `replsync lock`"


def lock_text(lock: Lock) -> str:
    """Return the lock file that says this: a line for each source and for each selected tag, sorted.

    No source needs quotes in YAML: it starts with `docker`, `oci` or `build`, and has no blank in it.
    """
    digests = lock.digests
    lines = [f"  {written(source)}: {digests[source]}" for source in sorted(digests, key=written)]
    sources = ["sources:" if lines else "sources: {}", *lines]
    return "\n".join([_HEADER, f"version: {VERSION}", *_selected(lock.selected), *sources, *_pushed(lock.pushed), ""])


def _pushed(pushed: Mapping[str, Mapping[Digest, str]]) -> Iterator[str]:
    if pushed:
        yield "pushed:"
    for changes in sorted(pushed):
        yield f"  {spelled(changes, in_flow=False)}:"
        yield from (f"    {digest}: {pushed[changes][digest]}" for digest in sorted(pushed[changes]))


def _selected(selected: Mapping[str, LockedTags]) -> Iterator[str]:
    if selected:
        yield "selected:"
    for image in sorted(selected):
        locked = selected[image]
        yield f"  {spelled(image, in_flow=False)}:"
        by = locked.by.replace("'", "''")
        yield f"    by: '{by}'"
        yield "    tags:" if locked.tags else "    tags: []"
        yield from (f"      - {spelled_tag(tag)}" for tag in sorted(locked.tags))


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
    reading = _Reading(text, list(tree.faults))
    reading.file(tree.value, tree.places)
    if reading.faults:
        raise InvalidManifest(name, reading.faults)
    return Lock(name, reading.digests, reading.selected, reading.pushed)


@dataclass(frozen=True)
class _Reading:
    text: SourceText
    faults: list[Fault]
    digests: dict[SourceName, Digest] = field(default_factory=dict)
    selected: dict[str, LockedTags] = field(default_factory=dict)
    pushed: dict[str, dict[Digest, str]] = field(default_factory=dict)

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
        if "selected" in value:
            self._selections(value["selected"], places.values["selected"])
        if "pushed" in value:
            self._pushed(value["pushed"], places.values["pushed"])
        for key in value.keys() - {*_KEYS, *_MORE_KEYS}:
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

    def _selections(self, value: Value, places: Places) -> None:
        if not isinstance(value, dict) or not isinstance(places, MappingPlaces):
            message = f"`selected` is {_said(value)}, expected `by` and `tags` for each image that selects tags"
            self._fault(_start(places), message, "remove it, and run `replsync lock`")
            return
        for image, stated in value.items():
            self._selection(image, places.keys[image], stated, places.values[image])

    def _selection(self, image: str, position: Position, value: Value, places: Places) -> None:
        if not is_path(image):
            self._fault(position, f"{shown(image)} is not the name of an image", _WITHOUT)
            return
        if not isinstance(value, dict) or not isinstance(places, MappingPlaces) or value.keys() != set(_SELECTED_KEYS):
            message = f"what was selected for {shown(image)} is {_said(value)}, expected a mapping of `by` and `tags`"
            self._fault(_start(places), message, _WITHOUT)
            return
        by, tags, tag_places = value["by"], value["tags"], places.values["tags"]
        if not isinstance(by, str):
            self._fault(_start(places.values["by"]), f"`by` is {_said(by)}, expected a text", _WITHOUT)
        elif not isinstance(tags, list) or not isinstance(tag_places, ListPlaces):
            self._fault(_start(tag_places), f"`tags` is {_said(tags)}, expected a list of tags", _WITHOUT)
        else:
            found = [self._tag(tag, _start(place)) for tag, place in zip(tags, tag_places.items, strict=True)]
            seen: set[str] = set()
            for tag, place in zip(found, tag_places.items, strict=True):
                if tag in seen:
                    self._fault(_start(place), f"the tag {shown(tag)} is there twice", _WITHOUT)
                seen |= {tag} if tag else set()
            self.selected[image] = LockedTags(by, tuple(sorted(tag for tag in found if tag is not None)))

    def _tag(self, value: Value, position: Position) -> str | None:
        if isinstance(value, str) and is_tag(value):
            return value
        self._fault(position, f"{_said(value)} is not a tag", _WITHOUT)
        return None

    def _pushed(self, value: Value, places: Places) -> None:
        if not isinstance(value, dict) or not isinstance(places, MappingPlaces):
            message = f"`pushed` is {_said(value)}, expected what becomes of images on their way"
            self._fault(_start(places), message, "remove it, and run `replsync lock`")
            return
        for changes, stated in value.items():
            inner = places.values[changes]
            if not isinstance(stated, dict) or not isinstance(inner, MappingPlaces):
                message = f"what is pushed with {shown(changes)} is {_said(stated)}, expected a mapping of digests"
                self._fault(_start(inner), message, _WITHOUT)
                continue
            self.pushed[changes] = {}
            for key, pushed in stated.items():
                digest = self._digest("what is changed", key, inner.keys[key])
                if not isinstance(pushed, str) or not _MADE.fullmatch(pushed):
                    message = f"what {shown(key)} becomes is {_said(pushed)}, expected a digest"
                    self._fault(_start(inner.values[key]), message, _WITHOUT)
                elif digest:
                    self.pushed[changes][digest] = pushed

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
    if is_pinned(source):
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
