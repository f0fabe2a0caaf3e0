"""Setting the lines of a manifest right: two blanks for each level, one behind `-` and `:`, none at a line's end.

What stands in brackets, or goes on in the next line, moves with the line that it begins in.
"""

import re
from dataclasses import dataclass, field

from replsync.manifest.changes import Changes, dash_of
from replsync.manifest.extents import CannotEdit, Layout, Node

_STEP = 2
_Column = tuple[int, int]
"""A column of the text as it is, and what becomes of it."""


def set_right(changes: Changes) -> None:
    """Add what sets the lines right to `changes`. Raises CannotEdit where something stands in a strange place."""
    layout = changes.layout
    lines = _Lines(changes)
    if layout.root.flow:
        lines.leaf(layout.root, (layout.column(layout.root.start), 0), (-1, -1))
    else:
        lines.mapping(layout.root, 0, ())
    lines.write()


@dataclass(slots=True)
class _Lines:
    """For each line, by number: the indentation that it is to have, and the columns that are open behind it.

    `inner` is for lines in which a value goes on.
    """

    changes: Changes
    indents: dict[int, int] = field(default_factory=dict)
    columns: dict[int, tuple[_Column, ...]] = field(default_factory=dict)
    inner: dict[int, int] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        return self.changes.layout

    def mapping(self, node: Node, column: int, around: tuple[_Column, ...], dash: int | None = None) -> None:
        """A block mapping whose keys come to stand at `column`; the first stands behind the `-` at `dash`, if any."""
        layout = self.layout
        pairs = node.pairs or []
        for key, value in pairs:
            own = (layout.column(key.start), column)
            columns = (*around, own)
            before = layout.before(key.start)
            if before.strip():
                if dash is None or key is not pairs[0][0] or layout.line(dash) != layout.line(key.start):
                    raise CannotEdit(key.start, "a key does not start a line here")
            else:
                self.indents[layout.line(key.start)] = column
            self.columns[layout.line(key.start)] = columns
            if layout.text[key.start] == "?" or layout.line(key.end - 1) != layout.line(key.start):
                raise CannotEdit(key.start, "a key goes over several lines here")
            self._value(key, value, column, columns)

    def _value(self, key: Node, value: Node, column: int, columns: tuple[_Column, ...]) -> None:
        layout = self.layout
        if value.pairs and not value.flow:
            self.mapping(value, column + _STEP, columns)
        elif value.items and not value.flow:
            self.sequence(value, column + _STEP, columns)
        elif layout.line(value.start) == layout.line(key.start):
            gap = layout.text[key.end : value.start]
            if re.fullmatch(r"[ \t]*:[ \t]+", gap) and gap != ": ":
                self.changes.replace(key.end, value.start, ": ")
            self.leaf(value, columns[-1], columns[-1])
        elif value.start < value.end:
            old = layout.column(value.start)
            self._starts_line(value)
            self.indents[layout.line(value.start)] = column + _STEP
            self.columns[layout.line(value.start)] = (*columns, (old, column + _STEP))
            self.leaf(value, (old, column + _STEP), columns[-1])

    def sequence(self, node: Node, column: int, around: tuple[_Column, ...]) -> None:
        """A block list whose dashes come to stand at `column`."""
        layout = self.layout
        for number, item in enumerate(node.items or []):
            dash = dash_of(layout, node, number)
            line = layout.line(dash)
            own = (layout.column(dash), column)
            start = (item.pairs or [(item, item)])[0][0].start if not item.flow else item.start
            inner = (layout.column(start), column + _STEP)
            self.indents[line] = column
            if layout.line(start) == line:
                if layout.text[dash + 1 : start].strip():
                    raise CannotEdit(start, "something stands between a `-` and its entry")
                self.changes.replace(dash + 1, start, " ")
            elif item.start < item.end:
                self._starts_line_at(start)
                self.indents[layout.line(start)] = column + _STEP
            self.columns[line] = (*around, own, inner)
            self.columns[layout.line(start)] = (*around, own, inner)
            if item.pairs and not item.flow:
                self.mapping(item, column + _STEP, (*around, own), dash)
            elif item.items and not item.flow:
                raise CannotEdit(start, "a list stands in a list here")
            else:
                self.leaf(item, inner, own)

    def leaf(self, node: Node, own: _Column, outer: _Column) -> None:
        """A text, or what is in brackets: its further lines move as far as the first, and stay inside of `outer`."""
        layout = self.layout
        moved = own[1] - own[0]
        for line in range(layout.line(node.start) + 1, layout.line(max(node.end - 1, node.start)) + 1):
            start = layout.line_starts[line]
            text = layout.text[start : layout.next_line(start)]
            old = len(text) - len(text.lstrip(" \t"))
            least = outer[1] if old <= outer[0] else outer[1] + 1
            self.inner[line] = max(old + moved, least, 0)

    def _starts_line(self, node: Node) -> None:
        self._starts_line_at(node.start)

    def _starts_line_at(self, start: int) -> None:
        if self.layout.before(start).strip():
            raise CannotEdit(start, "a value does not start a line here")

    def write(self) -> None:
        """Put all that was found into the changes."""
        layout = self.layout
        scalars = _inside_scalars(layout)
        seen_blank = True  # at the top of the file
        columns: tuple[_Column, ...] = ()
        ends = [*layout.line_starts[1:], len(layout.text)]
        for line, (start, end) in enumerate(zip(layout.line_starts, ends, strict=True)):
            text = layout.text[start:end].rstrip("\n")
            columns = self.columns.get(line, columns)
            indent = len(text) - len(text.lstrip(" \t"))
            if line in scalars:
                if text.strip() and line in self.inner and self.inner[line] != indent:
                    self.changes.replace(start, start + indent, " " * self.inner[line])
                seen_blank = False
                continue
            if not text.strip():
                if seen_blank or self._is_end(line):
                    self.changes.cut(start, end)
                elif text:
                    self.changes.cut(start, end - 1)
                seen_blank = True
                continue
            seen_blank = False
            wanted = self._indent(line, indent, text, columns)
            if wanted is not None and (wanted != indent or "\t" in text[:indent]):
                self.changes.replace(start, start + indent, " " * wanted)
            if (stripped := len(text.rstrip(" \t"))) < len(text) and line + 1 not in scalars:
                self.changes.cut(start + stripped, start + len(text))

    def _indent(self, line: int, indent: int, text: str, columns: tuple[_Column, ...]) -> int | None:
        if line in self.indents:
            return self.indents[line]
        if line in self.inner:
            return self.inner[line]
        if text.lstrip().startswith("#"):
            return self._of_comment(line, indent, columns)
        return None

    def _of_comment(self, line: int, indent: int, columns: tuple[_Column, ...]) -> int:
        """A comment goes with what follows if it stands as far in, else with the innermost of what is open above it."""
        layout = self.layout
        for below in range(line + 1, len(layout.line_starts)):
            if below in self.indents:
                start = layout.line_starts[below]
                text = layout.text[start : layout.next_line(start)]
                if len(text) - len(text.lstrip()) == indent:
                    return self.indents[below]
                break
        fitting = [column for column in columns if column[0] <= indent]
        if not fitting:
            return 0
        old, new = fitting[-1]
        return new if old == indent else new + _STEP

    def _is_end(self, line: int) -> bool:
        """Whether there are only blank lines from here on."""
        return not self.layout.text[self.layout.line_starts[line] :].strip()


def _inside_scalars(layout: Layout) -> set[int]:
    """The lines that a text begun in a line above them goes on in: blanks may be part of it there."""
    found: set[int] = set()
    for node in layout.root.walk():
        if node.text is not None and node.end > node.start:
            found.update(range(layout.line(node.start) + 1, layout.line(node.end - 1) + 1))
    return found
