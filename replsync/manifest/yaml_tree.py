"""YAML as plain text values with positions.

Every scalar stays the text that was written: `1.10` is no number and `yes` no
truth value. The events come from ruamel.yaml's parser, which keeps its state
in lists: nesting costs no recursion.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.parser import Parser
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scanner import Scanner, ScannerError

from replsync.manifest.faults import Fault, InvalidManifest, shown
from replsync.manifest.source_text import Position, SourceText
from replsync.manifest.yaml_wording import DIRECTIVE, explain

MAX_DEPTH = 50
"""Lists and mappings inside each other; a manifest needs five."""
MAX_ALIASED = 100_000
"""Values that are reached through aliases, each counted as often as it is reached."""
MAX_TEXT = 4096
"""Characters of one value: longer than anything that a manifest may hold."""

_MAX_TAG = 1000
_STR_TAG = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class Empty:
    """A value that is not there, by the way it was written: nothing at all, `null` or `~`.

    None would mean to the model that the key isn't there either; an Enum would
    be taken for its value.
    """

    written: str


@dataclass(frozen=True, slots=True)
class ListPlaces:
    """Where a list and its items stand."""

    start: Position
    items: list["Places"]


@dataclass(frozen=True, slots=True)
class MappingPlaces:
    """Where a mapping, its keys and its values stand."""

    start: Position
    keys: dict[str, Position]
    values: dict[str, "Places"]


Places = Position | ListPlaces | MappingPlaces
Value = str | Empty | list["Value"] | dict[str, "Value"]
Path = Sequence[str | int]


@dataclass(frozen=True, slots=True)
class Tree:
    """A document: its value, where everything stands, and the faults that reading could go on after."""

    value: Value
    places: Places
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class _Node:
    """A value with its place, how many values it holds in all, and how deep they are nested."""

    value: Any
    places: Places
    size: int = 1
    height: int = 0


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read. `key` is None in front of a key, and where the key is unusable."""

    node: _Node
    anchor: str | None
    key: str | None = None
    awaits_value: bool = False


@dataclass(slots=True)
class _Builder:
    source: SourceText
    faults: list[Fault] = field(default_factory=list)
    root: _Node | None = None
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, _Node | None] = field(default_factory=dict)
    aliased: int = 0
    documents: int = 0

    def take(self, event: Any) -> None:
        """Add one event of the parser to the tree."""
        kind = type(event)
        if kind is ScalarEvent:
            self._scalar(event)
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            self._open(event, kind is MappingStartEvent)
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            closed = self.stack.pop()
            if closed.anchor is not None:
                self.anchors[closed.anchor] = closed.node
            self._add(closed.node)
        elif kind is AliasEvent:
            self._alias(event)
        elif kind is DocumentStartEvent:
            self.documents += 1
            if self.documents > 1:
                self.stop(
                    event, f"a second document starts here, a {self.source.kind} is one document", "remove the `---`"
                )

    def stop(self, event: Any, message: str, proposal: str | None = None) -> NoReturn:
        """Give up: raise InvalidManifest with the faults so far and this one."""
        fault = self.source.fault(_position(event.start_mark), message, proposal)
        raise InvalidManifest(self.source.name, [*self.faults, fault])

    def _scalar(self, event: Any) -> None:
        mark = event.start_mark
        place = Position(mark.line + 1, mark.column + 1)
        text: str = event.value
        value: str | Empty = text
        if len(text) > MAX_TEXT:
            self.stop(event, f"a text of {len(text)} characters is too long, {MAX_TEXT} are allowed")
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            self.stop(event, "half a surrogate pair is no character", "write the character itself")
        if event.ctag is not None:
            self._check_tag(event, place)
        elif event.implicit[0] and text in ("", "null", "~"):
            value = Empty(text)
        node = _Node(value, place)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        self._add(node, plain=event.implicit[0])

    def _open(self, event: Any, is_mapping: bool) -> None:
        place = _position(event.start_mark)
        if len(self.stack) >= MAX_DEPTH:
            self.stop(event, f"more than {MAX_DEPTH} lists and mappings inside each other")
        if event.ctag is not None:
            self._check_tag(event, place)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        node = _Node({}, MappingPlaces(place, {}, {})) if is_mapping else _Node([], ListPlaces(place, []))
        self.stack.append(_Open(node, event.anchor))

    def _alias(self, event: Any) -> None:
        written = f"*{event.anchor}"
        place = _position(event.start_mark)
        if event.anchor not in self.anchors:
            message = f"the alias {shown(written)} refers to nothing above it"
            self._fault(place, message, "a text that starts with `*` needs quotes")
            self._add(_Node(written, place))
            return
        node = self.anchors[event.anchor]
        if node is None:
            self.stop(event, f"the alias {shown(written)} stands inside what it refers to")
        self.aliased += node.size
        if self.aliased > MAX_ALIASED:
            self.stop(event, f"the aliases up to here stand for more than {MAX_ALIASED} values", "write them out")
        if len(self.stack) + node.height > MAX_DEPTH:
            self.stop(event, f"more than {MAX_DEPTH} lists and mappings inside each other")
        self._add(node, at=place)

    def _add(self, node: _Node, plain: bool = False, at: Position | None = None) -> None:
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        outer = top.node
        outer.size += node.size
        outer.height = max(outer.height, node.height + 1)
        match outer.places:
            case ListPlaces(items=items):
                outer.value.append(node.value)
                items.append(node.places)
            case MappingPlaces(keys=keys, values=values) if top.awaits_value:
                if top.key is not None:
                    outer.value[top.key] = node.value
                    # The parser puts a value that isn't there in front of whatever comes next.
                    values[top.key] = keys[top.key] if node.value == Empty("") else node.places
                top.key, top.awaits_value = None, False
            case MappingPlaces(keys=keys):
                top.key, top.awaits_value = self._key(node, keys, plain, at), True

    def _key(self, node: _Node, keys: dict[str, Position], plain: bool, at: Position | None) -> str | None:
        """Return the text of a key that can be used, None after a fault."""
        position = at or _start(node.places)
        match node.value:
            case "<<" if plain:
                self._fault(position, "merge keys (`<<`) are not supported", "write the keys out")
                return None
            case str() as key:
                pass
            case Empty(written):
                key = written
            case _:
                self._fault(position, "a list or mapping cannot be a key", "a `{` or `[` inside a text needs quotes")
                return None
        if key in keys:
            first = keys[key]
            self._fault(
                position,
                f"the key {shown(key)} stands here twice, first in line {first.line}, column {first.column}",
                "remove one of them",
            )
            return None
        keys[key] = position
        return key

    def _check_tag(self, event: Any, place: Position) -> None:
        text = str(event.ctag)
        if type(event) is ScalarEvent and text in ("!", _STR_TAG):
            return
        written = text.replace("tag:yaml.org,2002:", "!!")
        self._fault(place, f"the YAML tag {shown(written)} has no meaning in a {self.source.kind}", "remove it")

    def _fault(self, position: Position, message: str, proposal: str | None = None) -> None:
        self.faults.append(self.source.fault(position, message, proposal))


class FastScanner(Scanner):
    """ruamel's scanner with its busiest properties as attributes, and fewer calls: it takes half as long."""

    reader: Any = None
    scanner_processing_version: Any = (1, 2)

    def __init__(self, loader: Any) -> None:
        self.reader = loader.reader
        super().__init__(loader)

    def need_more_tokens(self) -> Any:
        if self.tokens and not self.possible_simple_keys:
            return False
        return super().need_more_tokens()

    def check_token(self, *choices: Any) -> bool:
        while self.need_more_tokens():
            self.fetch_more_tokens()
        return isinstance(self.tokens[0], choices) if self.tokens and choices else bool(self.tokens)

    def fetch_directive(self) -> None:
        # Neither `%YAML` nor `%TAG` could change how a manifest is read.
        raise ScannerError(None, None, DIRECTIVE, self.reader.get_mark())

    def fetch_tag(self) -> None:
        # A tag is put together one character at a time, in quadratic time.
        if len(self.reader.prefix(MAX_TEXT).split(maxsplit=1)[0]) > _MAX_TAG:
            raise ScannerError("while scanning a tag", self.reader.get_mark(), "too long", self.reader.get_mark())
        super().fetch_tag()

    def scan_flow_scalar_non_spaces(self, double: Any, start_mark: Any) -> Any:
        try:
            return super().scan_flow_scalar_non_spaces(double, start_mark)
        except (OverflowError, ValueError) as error:
            # The number in an escape such as "\UFFFFFFFF" goes to chr() unchecked.
            context = "while scanning a double-quoted scalar"
            raise ScannerError(context, start_mark, "escape beyond Unicode", self.reader.get_mark()) from error


class FastParser(Parser):
    """The same for ruamel's parser."""

    scanner: Any = None

    def __init__(self, loader: Any) -> None:
        self.scanner = loader.scanner
        super().__init__(loader)


def read_tree(source: SourceText) -> Tree | None:
    """Return the one document in `source`, None where there is nothing in it.

    Raises InvalidManifest where it is not YAML, or is built to overwhelm.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner, yaml.Parser = FastScanner, FastParser
    builder = _Builder(source)
    try:
        for event in yaml.parse(source.text):
            builder.take(event)
    except ReaderError as error:
        message = f"the control character U+{error.character:04X} is not allowed"
        fault = source.fault(source.position_at(error.position), message, "remove it")
        raise InvalidManifest(source.name, [fault]) from error
    except MarkedYAMLError as error:
        fault = source.fault(*explain(error, source))
        raise InvalidManifest(source.name, [*builder.faults, fault]) from error
    root = builder.root
    if root is None or isinstance(root.value, Empty):
        return None
    return Tree(root.value, root.places, tuple(builder.faults))


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


def _start(places: Places) -> Position:
    return places if isinstance(places, Position) else places.start
