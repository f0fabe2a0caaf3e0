"""The files of a KOTS release as trees of texts with their lines. Pure.

Other than the manifest, these files are not replsync's to judge: whatever YAML
allows is read, every scalar stays the text that was written, and a document
that can't be read says so without hiding the next one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

# ruamel's own need twice the time, and are quadratic in the length of a tag.
from replsync.manifest.yaml_tree import FastParser, FastScanner

MAX_DEPTH = 200
"""Lists and mappings inside each other; the schemas of custom resources need some forty."""
MAX_ALIASED = 1_000_000
"""Characters and merged keys of one document that aliases may repeat."""
MAX_DOCUMENT = 2 * 1024 * 1024
"""Characters of one document: a cluster takes objects of 1.5 MiB at most (etcd, `--max-request-bytes`)."""
MAX_DOCUMENTS = 5000
"""Documents of one file."""

_MAX_MENDED = 4096
"""Characters of a line: finding its value takes quadratic time."""


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """A text. Its first line is `line`, counted from 1; `literal` where each further line is a line of the file."""

    text: str
    line: int
    literal: bool = False
    missing: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """A list."""

    nodes: list["Node"]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """A mapping, with every pair that was written: a key may be there twice."""

    nodes: list[tuple["Node", "Node"]]


Node = Scalar | Items | Pairs
"""An alias is the same object again; nodes are equal only to themselves."""


@dataclass(frozen=True, slots=True)
class Document:
    """The text of one document, and its first line in the file, counted from 1."""

    text: str
    line: int


class Unreadable(Exception):
    """The document is not YAML, or is built to overwhelm. `line` counts from 1 in the file."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def documents(text: str, line: int = 1) -> Iterator[Document]:
    """Split a text with `\\n` as its only line end; its first line is `line`.

    The markers are the same wherever they stand in column 1, even inside of
    quotes (yaml spec 1.2.2, 9.1.2), so that no document can hide the next one.
    Those that hold nothing are left out.
    """
    lines = text.split("\n")
    start = 0
    for number, content in enumerate(lines):
        if content.startswith(("---", "...")) and content[3:4] in ("", " ", "\t"):
            yield from _document(lines[start:number], line + start)
            start = number + (content[0] == ".")
    yield from _document(lines[start:], line + start)


def _document(lines: list[str], line: int) -> Iterator[Document]:
    # Neither `%YAML` nor `%TAG` changes what an image is called.
    if any(content.strip() not in ("", "---") and content[0] not in "#%" for content in lines):
        yield Document("\n".join(lines), line)


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read; `key` is that of the value to come."""

    node: Items | Pairs
    start: Any
    anchor: str | None
    key: Node | None = None


@dataclass(slots=True)
class _Builder:
    document: Document
    root: Node | None = None
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, Node] = field(default_factory=dict)
    aliased: int = 0

    def take(self, event: Any) -> None:
        match event:
            case ScalarEvent():
                plain = event.implicit[0] and event.value in ("", "~", "null")
                node = Scalar(event.value, self._line(event), event.style == "|", plain)
                self._anchor(event.anchor, node)
                self._add(node)
            case MappingStartEvent() | SequenceStartEvent():
                if len(self.stack) >= MAX_DEPTH:
                    raise Unreadable(self._line(event))
                opened = Pairs([]) if isinstance(event, MappingStartEvent) else Items([])
                self._anchor(event.anchor, opened)
                self.stack.append(_Open(opened, event.start_mark, event.anchor))
            case MappingEndEvent() | SequenceEndEvent():
                self._close(event)
            case AliasEvent():
                self._alias(event)

    def _close(self, event: Any) -> None:
        closed = self.stack.pop()
        start, end = closed.start, event.end_mark
        node: Node = closed.node
        if self.document.text.startswith("{{", start.index):
            # An unquoted `{{repl …}}`, which is a mapping with a mapping for its key.
            node = Scalar(self.document.text[start.index : end.index], self.document.line + start.line)
            self._anchor(closed.anchor, node)
        self._add(node)

    def _alias(self, event: Any) -> None:
        node = self.anchors.get(event.anchor)
        if node is None:
            raise Unreadable(self._line(event))
        if isinstance(node, Scalar):
            self.aliased += len(node.text)
            if self.aliased > MAX_ALIASED:
                raise Unreadable(self._line(event))
        self._add(node)

    def _add(self, node: Node) -> None:
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        match top.node:
            case Items(nodes):
                nodes.append(node)
            case Pairs() if top.key is None:
                top.key = node
            case Pairs(pairs):
                pairs.append((top.key, node))
                top.key = None

    def _anchor(self, name: str | None, node: Node) -> None:
        if name is not None:
            self.anchors[name] = node

    def _line(self, event: Any) -> int:
        line: int = event.start_mark.line
        return self.document.line + line


def read_document(document: Document) -> Node | None:
    """Return the tree of a document, None where it holds nothing. Raises Unreadable."""
    if len(document.text) > MAX_DOCUMENT:
        raise Unreadable(document.line)
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner, yaml.Parser = FastScanner, FastParser
    builder = _Builder(document)
    try:
        for event in yaml.parse(document.text):
            builder.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(document.line + (mark.line if mark else 0)) from error
    except YAMLError as error:
        # The only other one is a control character; its place is an index.
        before = document.text[: getattr(error, "position", 0)]
        raise Unreadable(document.line + before.count("\n")) from error
    return builder.root


_WHOLE_LINE = re.compile(r"[ \t]*(?:repl)?\{\{.*\}\}[ \t]*")
_UNQUOTED = re.compile(r"""([ \t]*(?:-[ \t]+)*(?:"?[\w./-]+"?:[ \t]+)?)([^\s"'#|>&*!][^"'#]*\{\{.*|\{\{.*)""")


def without_templates(document: Document) -> Document:
    """Return the document as YAML, as far as what keeps it from being so is KOTS templates.

    Lines that are nothing but a template, such as `{{repl if …}}`, go; an unquoted value with one in it gets quotes.
    """
    return Document("\n".join(map(_mended, document.text.split("\n"))), document.line)


def _mended(line: str) -> str:
    if "{{" not in line or len(line) > _MAX_MENDED:
        return line
    if _WHOLE_LINE.fullmatch(line):
        return ""
    found = _UNQUOTED.fullmatch(line)
    if not found:
        return line
    value = found[2].strip().replace("'", "''")
    return f"{found[1]}'{value}'"
