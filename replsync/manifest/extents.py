"""Where each value of a manifest starts and ends in its text, with the comments between them.

An edit in place needs the ends too, and aliases that are not followed: that is
more than the reader's positions tell. Only a manifest that was read without
faults comes here.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from replsync.manifest.source_text import SourceText
from replsync.manifest.yaml_tree import FastParser, FastScanner

LINE_END = re.compile(r"\r\n|\r|\n")

# Behind a closing quote or a bracket, ruamel takes a `#` for a comment even without a blank in front.
_COMMENT = re.compile(r"""(?<![^\s"'\[\]{},])#[^\r\n]*""")
_PROPERTIES = re.compile(r"(?:[&!]\S*(?:\s+|#[^\r\n]*)+)*")
# Line ends for ruamel, but not for editors.
_ODD_LINE_ENDS = re.compile("[\x85\u2028\u2029]")


class CannotEdit(Exception):
    """The text at the index `at` can't be edited with certainty; `why` goes on after "file:line: "."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(why)
        self.at = at
        self.why = why


class Extent(NamedTuple):
    """The characters from `start` up to `end`, which is not among them; both count from 0."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment from its `#` to the end of its line. `beside` says that something else stands in front of it there."""

    start: int
    text: str
    beside: bool
    wide: bool
    """Two blanks or more in front of it: how this file sets its comments apart."""


@dataclass(slots=True)
class Node:
    """A value as it is written. A list has `items`, a mapping `pairs` of keys and values, a scalar its `text`."""

    start: int
    end: int
    anchor: str | None = None
    alias: str | None = None
    text: str | None = None
    flow: bool = False
    items: list["Node"] | None = None
    pairs: list[tuple["Node", "Node"]] | None = None

    def pair(self, key: str) -> tuple["Node", "Node"] | None:
        """Return the key and the value below `key`, None where this mapping has no such key."""
        return next((pair for pair in self.pairs or [] if pair[0].text == key), None)

    def elements(self) -> list[Extent]:
        """Return the extents of what commas separate in a flow list or mapping."""
        if self.pairs is not None:
            return [Extent(key.start, value.end) for key, value in self.pairs]
        return [Extent(item.start, item.end) for item in self.items or []]

    def walk(self) -> Iterator["Node"]:
        """Return this node and all inside."""
        yield self
        for item in self.items or []:
            yield from item.walk()
        for pair in self.pairs or []:
            for node in pair:
                yield from node.walk()


@dataclass(frozen=True, slots=True)
class Layout:
    """The text of a manifest, always with an end of its last line, and what stands where in it."""

    text: str
    root: Node
    comments: tuple[Comment, ...]
    aliased: frozenset[str]
    line_starts: tuple[int, ...]

    def line(self, at: int) -> int:
        """Return the number, from 0, of the line that the character at `at` is in."""
        return bisect_right(self.line_starts, at) - 1

    def line_start(self, at: int) -> int:
        """Return the start of the line that `at` is in."""
        return self.line_starts[self.line(at)]

    def next_line(self, at: int) -> int:
        """Return where the line below that of `at` starts."""
        number = self.line(at) + 1
        return self.line_starts[number] if number < len(self.line_starts) else len(self.text)

    def newline(self, at: int) -> str:
        """Return the line end of the line that `at` is in."""
        found = LINE_END.search(self.text, at)
        return found[0] if found else "\n"

    def before(self, at: int) -> str:
        """Return what stands in front of `at` in its line."""
        return self.text[self.line_start(at) : at]

    def column(self, at: int) -> int:
        """Return the number of characters in front of `at` in its line."""
        return at - self.line_start(at)

    def indentation(self, at: int) -> str:
        """Return the blanks that the line of `at` starts with."""
        line = self.text[self.line_start(at) : self.next_line(at)]
        return line[: len(line) - len(line.lstrip())] if line.strip() else ""

    def comments_in(self, start: int, end: int) -> tuple[Comment, ...]:
        """Return the comments that start from `start` up to `end`."""
        return self.comments[
            bisect_left(self.comments, start, key=_start) : bisect_left(self.comments, end, key=_start)
        ]

    def find(self, char: str, start: int, end: int) -> int | None:
        """Return where the first `char` outside of comments is, from `start` up to `end`."""
        for comment in self.comments_in(start, end):
            found = self.text.find(char, start, comment.start)
            if found >= 0:
                return found
            start = comment.start + len(comment.text)
        found = self.text.find(char, start, end)
        return found if found >= 0 else None

    def end_with_notes(self, end: int, column: int, *, over_blank_lines: bool) -> int:
        """Return where the lines end that belong to the value before `end`.

        Comment lines directly below that are indented deeper than `column`
        are among them.
        """
        at = self.next_line(end - 1)
        belongs = at
        while at < len(self.text):
            after = self.next_line(at)
            line = self.text[at:after].lstrip()
            if line.startswith("#") and self.column(after - len(line)) > column:
                belongs = after
            elif line or not over_blank_lines:
                break
            at = after
        return belongs


def read_layout(source: SourceText) -> Layout:
    """Return what stands where in `source`, a manifest without faults.

    Raises CannotEdit where lines end in a way that editors don't agree on.
    """
    odd = _ODD_LINE_ENDS.search(source.text)
    if odd:
        raise CannotEdit(odd.start(), f"the line separator U+{ord(odd[0]):04X} is in the text")
    text = source.text
    if not text.endswith(("\r", "\n")):
        first = LINE_END.search(text)
        text += first[0] if first else "\n"
    builder = _Builder(text)
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.Scanner, yaml.Parser = FastScanner, FastParser
    for event in yaml.parse(text):
        builder.take(event)
    assert builder.root is not None
    starts = (0, *(found.end() for found in LINE_END.finditer(text) if found.end() < len(text)))
    return Layout(
        text, builder.root, tuple(_comments(text, builder.scalars, starts)), frozenset(builder.aliased), starts
    )


def _start(comment: Comment) -> int:
    return comment.start


def _comments(text: str, scalars: list[Extent], line_starts: Sequence[int]) -> Iterator[Comment]:
    at = 0
    for scalar in [*scalars, Extent(len(text), len(text))]:
        for found in _COMMENT.finditer(text, at, scalar.start):
            start = found.start()
            before = text[line_starts[bisect_right(line_starts, start) - 1] : start]
            yield Comment(start, found[0].rstrip(), bool(before.strip()), before.endswith("  "))
        at = scalar.end


@dataclass(slots=True)
class _Builder:
    text: str
    root: Node | None = None
    stack: list[tuple[Node, list[Node]]] = field(default_factory=list)
    scalars: list[Extent] = field(default_factory=list)
    aliased: set[str] = field(default_factory=set)

    def take(self, event: Any) -> None:
        """Add one event of the parser to the tree."""
        start, end = event.start_mark.index, event.end_mark.index
        match event:
            case ScalarEvent():
                end = start + len(self.text[start:end].rstrip())
                self.scalars.append(self._content(start, end, in_block=event.style in ("|", ">")))
                self._add(Node(start, end, event.anchor, text=event.value))
            case AliasEvent():
                self.aliased.add(event.anchor)
                self.scalars.append(Extent(start, end))
                self._add(Node(start, end, alias=event.anchor))
            case SequenceStartEvent() | MappingStartEvent():
                node = Node(start, end, event.anchor, flow=bool(event.flow_style))
                self.stack.append((node, []))
            case SequenceEndEvent() | MappingEndEvent():
                node, inner = self.stack.pop()
                # The parser ends what has no closing bracket in front of whatever comes next.
                node.end = end if node.flow and start < end else max([node.end, *(value.end for value in inner)])
                if isinstance(event, SequenceEndEvent):
                    node.items = inner
                else:
                    node.pairs = list(zip(inner[::2], inner[1::2], strict=True))
                self._add(node)

    def _add(self, node: Node) -> None:
        if self.stack:
            self.stack[-1][1].append(node)
        else:
            self.root = node

    def _content(self, start: int, end: int, *, in_block: bool) -> Extent:
        """The part of a scalar that can't hold a comment: not its anchor, nor the line with the `|`."""
        properties = _PROPERTIES.match(self.text, start, end)
        content = properties.end() if properties else start
        if in_block:
            header = LINE_END.search(self.text, content)
            content = min(header.end(), end) if header else end
        return Extent(content, end)
