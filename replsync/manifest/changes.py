"""Taking an entry out of a list of the manifest, and putting one in: changes to its text, by position.

A comment line describes what follows it, and stays; one beside an entry, or
indented deeper right below it, belongs to the entry and goes with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from replsync.manifest.extents import LINE_END, CannotEdit, Comment, Extent, Layout, Node
from replsync.manifest.spelling import Entry, spelled

Comments = tuple[Comment, ...]


@dataclass(slots=True)
class Changes:
    """Changes to one text: what stands at an extent, and what is to stand there."""

    layout: Layout
    changes: list[tuple[Extent, str]] = field(default_factory=list)

    def cut(self, start: int, end: int) -> None:
        """Take out everything from `start` up to `end`."""
        self.replace(start, end, "")

    def put(self, at: int, text: str) -> None:
        """Put `text` in front of the character at `at`."""
        self.replace(at, at, text)

    def replace(self, start: int, end: int, text: str) -> None:
        """Put `text` in the place of everything from `start` up to `end`."""
        self.changes.append((Extent(start, end), text))

    def text(self) -> str:
        """Return the whole text with all changes made."""
        parts = []
        at = 0
        for extent, new in sorted(self.changes, key=lambda change: change[0]):
            if extent.start < at:
                raise CannotEdit(extent.start, "what is to be changed here runs into its neighbour")
            parts += [self.layout.text[at : extent.start], new]
            at = extent.end
        return "".join([*parts, self.layout.text[at:]])


def dash_of(layout: Layout, listed: Node, number: int) -> int:
    """Return where the `-` of an item of a block list stands: the first thing in its line."""
    items = listed.items or []
    start = items[number - 1].end if number else listed.start
    dash = layout.find("-", start, items[number].start)
    if dash is None or layout.before(dash).strip():
        raise CannotEdit(items[number].start, "an entry of the list does not start a line with its `-`")
    return dash


def cut_entry(changes: Changes, image: Node, key: str, number: int) -> Comments:
    """Take an entry out of the list below `key`, with the key if the list has no other; return its comments."""
    layout = changes.layout
    name, listed = _pair(image, key)
    if listed.flow:
        if len(listed.items or []) > 1:
            return _cut_from_flow(changes, listed, listed.elements(), number)
        if image.flow:
            return _cut_from_flow(changes, image, image.elements(), (image.pairs or []).index((name, listed)))
        return _cut_flow_pair(changes, name, listed)
    dash = dash_of(layout, listed, number)
    end = layout.end_with_notes((listed.items or [])[number].end, layout.column(dash), over_blank_lines=False)
    start = layout.line_start(dash)
    if len(listed.items or []) == 1:
        _cut_key_line(changes, name)
    changes.cut(start, end)
    return layout.comments_in(start, end)


def add_entries(
    changes: Changes, manifest: Node, image: Node, key: str, entries: Sequence[Entry], comments: Comments = ()
) -> None:
    """Put `entries` at the end of the list below `key`, which is added where the image has none.

    `comments` belong to the first of them.
    """
    layout = changes.layout
    pair = image.pair(key)
    if pair is None:
        if image.flow:
            _add_flow_pair(changes, image, key, entries, comments)
        else:
            _add_block_pair(changes, manifest, image, key, entries, comments)
        return
    name, listed = pair
    sibling = _last_mapping(listed)
    padding = " " if sibling and layout.text[sibling.start : sibling.start + 2] == "{ " else ""
    if listed.flow:
        texts = [entry.in_one_line(padding, in_flow=True) for entry in entries]
        put_into_flow(changes, listed, listed.elements(), texts, comments, name.start)
        return
    items = listed.items or []
    dash = dash_of(layout, listed, len(items) - 1)
    end = layout.end_with_notes(items[-1].end, layout.column(dash), over_blank_lines=False)
    gap = gap_behind(layout, dash, items[-1].start)
    in_one_line = sibling is not None and sibling.flow
    lines = [[entry.in_one_line(padding)] if in_one_line else entry.in_lines() for entry in entries]
    put_lines(changes, end, _items_lines(layout.before(dash), gap, lines, comments))


def gap_behind(layout: Layout, dash: int, start: int) -> str:
    """Return the blanks between a `-` and the item that starts at `start`; one where that is in another line."""
    gap = layout.text[dash + 1 : start]
    return " " if gap.strip() or LINE_END.search(gap) else gap


def replace_pair(changes: Changes, image: Node, key: str, new_key: str, entry: Entry) -> None:
    """Write a list of `entry` below `new_key` in the place of the list below `key`, in an image in flow style."""
    layout = changes.layout
    name, listed = _pair(image, key)
    changes.replace(name.start, listed.end, flow_pair(new_key, [entry]))
    _put_above(changes, name.start, layout.comments_in(name.start, listed.end))


def replace_reason(changes: Changes, entry: Node, reason: str) -> None:
    """Write `reason` in the place of the one that the retired tag `entry` has."""
    value = _pair(entry, "reason")[1]
    kept = changes.layout.comments_in(value.start, value.end)
    if kept and (entry.flow or len(kept) > 1):
        raise CannotEdit(value.start, "there are comments inside the reason")
    beside = f" {kept[0].text}" if kept else ""
    changes.replace(value.start, value.end, spelled(reason, in_flow=entry.flow) + beside)


def _pair(mapping: Node, key: str) -> tuple[Node, Node]:
    pair = mapping.pair(key)
    if pair is None:
        raise CannotEdit(mapping.start, f"the key `{key}` is not written out here")
    return pair


def _last_mapping(listed: Node) -> Node | None:
    return next((item for item in reversed(listed.items or []) if item.pairs is not None), None)


def _cut_key_line(changes: Changes, name: Node) -> None:
    """Take `tags:` out of its line; what stands beside it stays: the image's `-`, a comment."""
    layout = changes.layout
    end = layout.next_line(name.start)
    comments = layout.comments_in(name.start, end)
    if comments:
        changes.cut(name.start, comments[0].start)
    elif layout.before(name.start).strip():
        changes.cut(name.start - _blanks_before(layout, name.start), _code_end(layout, end))
    else:
        changes.cut(layout.line_start(name.start), end)


def _cut_flow_pair(changes: Changes, name: Node, listed: Node) -> Comments:
    """Take `tags: […]` out of an image in block style; comments outside of the brackets stay."""
    layout = changes.layout
    start, end = layout.line_start(name.start), layout.next_line(listed.end - 1)
    inside = layout.comments_in(listed.start, listed.end)
    kept = [comment for comment in layout.comments_in(name.start, end) if comment not in inside]
    indent = " " * layout.column(name.start)
    newline = layout.newline(name.start)
    lines = "".join(f"{indent}{comment.text}{newline}" for comment in kept)
    prefix = layout.before(name.start).rstrip()
    changes.replace(start, end, (prefix + newline if prefix else "") + lines)
    return inside


def _cut_from_flow(changes: Changes, around: Node, elements: list[Extent], number: int) -> Comments:
    """Take one of several elements out of brackets, with one comma; return the comments that went with it."""
    layout = changes.layout
    start, end = elements[number]
    after = elements[number + 1].start if number + 1 < len(elements) else around.end - 1
    next_comma = layout.find(",", end, after)
    last_comma = layout.find(",", elements[number - 1].end, start) if number else None
    others = [*elements[:number], *elements[number + 1 :]]
    brackets = [Extent(around.start, around.start + 1), Extent(around.end - 1, around.end)]
    lines = range(layout.line(start), layout.line(end - 1) + 1)
    commas_here = [comma for comma in (last_comma, next_comma) if comma is not None and layout.line(comma) in lines]
    if len(commas_here) < 2 and not _any_on(layout, lines, [*others, *brackets]):
        if next_comma is not None and not commas_here:
            changes.cut(next_comma, _skip_blanks(layout, next_comma + 1))
        first, behind = layout.line_start(start), layout.next_line(end - 1)
        changes.cut(first, behind)
        return layout.comments_in(first, behind)
    comments = layout.comments_in(start, end)
    if not _any_on(layout, lines[-1:], others):
        beside = layout.comments_in(end, min(layout.next_line(end - 1), around.end))
        for comment in beside:
            changes.cut(comment.start - _blanks_before(layout, comment.start), comment.start + len(comment.text))
        comments += beside
    _cut_with_comma(changes, Extent(start, end), last_comma, next_comma)
    return comments


def _any_on(layout: Layout, lines: range, extents: list[Extent]) -> bool:
    return any(layout.line(start) <= lines[-1] and layout.line(end - 1) >= lines[0] for start, end in extents)


def _cut_with_comma(changes: Changes, element: Extent, last_comma: int | None, next_comma: int | None) -> None:
    """Take an element out that shares its line; a comma in front of it in another line stays, which YAML allows."""
    layout = changes.layout
    start, end = element
    if next_comma is not None and not layout.text[end:next_comma].strip(" \t"):
        end = next_comma + 1
        behind = _skip_blanks(layout, end)
        if layout.text[behind] not in "#\r\n":
            end = behind
        elif layout.before(start).strip():
            start -= _blanks_before(layout, start)
    elif next_comma is not None:
        changes.cut(next_comma, _skip_blanks(layout, next_comma + 1))
    elif last_comma is not None and not layout.text[last_comma + 1 : start].strip(" \t"):
        start = last_comma - _blanks_before(layout, last_comma)
    changes.cut(start, end)


def put_into_flow(
    changes: Changes, around: Node, elements: list[Extent], texts: Sequence[str], comments: Comments, key: int
) -> None:
    """Put `texts` behind the last element inside brackets; comments without room there go above the line of `key`."""
    layout = changes.layout
    if not elements:
        changes.put(around.start + 1, ", ".join(texts))
        _put_above(changes, key, comments)
        return
    start, end = elements[-1]
    comma = layout.find(",", end, around.end - 1)
    indent = layout.before(start)
    newline = layout.newline(end)
    if indent.strip():
        changes.put(end, "".join(f", {text}" for text in texts))
        _put_above(changes, key, comments)
    elif layout.line(around.end - 1) == layout.line(end - 1):
        above = "".join(f"{indent}{comment.text}{newline}" for comment in comments)
        changes.put(end, f",{newline}{above}" + f",{newline}".join(f"{indent}{text}" for text in texts))
    else:
        if comma is None:
            changes.put(end, ",")
        elif layout.line(comma) != layout.line(end - 1):
            raise CannotEdit(comma, "a comma starts the line behind the last entry")
        last = len(texts) - 1
        lines = [[text + ("," if number < last or comma is not None else "")] for number, text in enumerate(texts)]
        put_lines(changes, layout.next_line(end - 1), _with_comments(indent, indent, lines, comments))


def _add_flow_pair(changes: Changes, image: Node, key: str, entries: Sequence[Entry], comments: Comments) -> None:
    text = flow_pair(key, entries)
    retired = image.pair("retired")
    if key == "tags" and retired:
        changes.put(retired[0].start, f"{text}, ")
        _put_above(changes, retired[0].start, comments)
    else:
        put_into_flow(changes, image, image.elements(), [text], comments, image.start)


def flow_pair(key: str, entries: Sequence[Entry]) -> str:
    """Return the list below `key` as it is written inside of brackets."""
    return f"{key}: [{', '.join(entry.in_one_line(in_flow=True) for entry in entries)}]"


def _add_block_pair(
    changes: Changes, manifest: Node, image: Node, key: str, entries: Sequence[Entry], comments: Comments
) -> None:
    """Add the list below `key` at the end of the image, but `tags` in front of `retired`."""
    layout = changes.layout
    pairs = image.pairs or []
    retired = image.pair("retired")
    before = pairs.index(retired) if key == "tags" and retired else len(pairs)
    # The first key of an image stands behind its dash, where there is no room in front.
    above, below = pairs[before - 1 if before else -1]
    column = layout.column(pairs[0][0].start)
    end = layout.end_with_notes(max(above.end, below.end), column, over_blank_lines=True)
    indent = " " * (column + list_indent(layout, manifest, image))
    lines = [entry.in_lines() for entry in entries]
    put_lines(changes, end, [f"{' ' * column}{key}:", *_items_lines(indent, " ", lines, comments)])


def list_indent(layout: Layout, manifest: Node, image: Node | None = None) -> int:
    """How far the file indents a list below its key: in this image, else in another one, else the list of images."""
    name, images = _pair(manifest, "images")
    for mapping in ([image] if image else []) + (images.items or []):
        for key, listed in reversed(mapping.pairs or []):
            if listed.items and not listed.flow:
                return layout.column(dash_of(layout, listed, 0)) - layout.column(key.start)
    return layout.column(dash_of(layout, images, 0)) - layout.column(name.start)


def _items_lines(indent: str, gap: str, items: Sequence[list[str]], comments: Comments) -> list[str]:
    inner = indent + " " + " " * len(gap)
    return _with_comments(f"{indent}-{gap}", inner, items, comments)


def _with_comments(first_indent: str, indent: str, items: Sequence[list[str]], comments: Comments) -> list[str]:
    """The lines of several items. Of the comments the one that stood beside an entry stands beside the first line."""
    lines = []
    for head, *rest in items:
        if comments and comments[0].beside:
            head += ("  " if comments[0].wide else " ") + comments[0].text
            comments = comments[1:]
        lines += [first_indent + head, *(indent + line for line in [*rest, *(comment.text for comment in comments)])]
        comments = ()
    return lines


def put_lines(changes: Changes, at: int, lines: list[str]) -> None:
    """Put whole lines where a line starts, with the line end of the line above."""
    newline = changes.layout.newline(changes.layout.line_start(at - 1))
    changes.put(at, "".join(line + newline for line in lines))


def _put_above(changes: Changes, at: int, comments: Comments) -> None:
    layout = changes.layout
    indent, newline = layout.indentation(at), layout.newline(at)
    for comment in comments:
        changes.put(layout.line_start(at), f"{indent}{comment.text}{newline}")


def _blanks_before(layout: Layout, at: int) -> int:
    before = layout.before(at)
    return len(before) - len(before.rstrip(" \t"))


def _skip_blanks(layout: Layout, at: int) -> int:
    while layout.text[at] in " \t":
        at += 1
    return at


def _code_end(layout: Layout, next_line: int) -> int:
    return len(layout.text[:next_line].rstrip("\r\n"))
