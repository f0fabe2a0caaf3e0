"""Putting the keys of a manifest's mappings into the order of the model, each with the comments that belong to it."""

from collections.abc import Callable, Iterator, Sequence

from pydantic import BaseModel

from replsync.manifest.build import Build
from replsync.manifest.changes import Changes
from replsync.manifest.extents import Extent, Layout, Node
from replsync.manifest.model import Image, Manifest, Policy, Retired, Tag, Transfer
from replsync.manifest.select import Select

_Mapping = tuple[Node, type[BaseModel]]
_INNER: dict[type[BaseModel], dict[str, type[BaseModel]]] = {
    Manifest: {"policy": Policy, "transfer": Transfer, "images": Image},
    Image: {"build": Build, "select": Select, "tags": Tag, "retired": Retired},
    Tag: {"build": Build},
}


def in_order(layout: Layout, layout_of: Callable[[str], Layout]) -> str:
    """Return the text of `layout` with its keys in order: from the outermost mapping inward, level by level.

    `layout_of` reads the text in between.
    """
    for level in range(4):
        changes = Changes(layout)
        for mapping, model in _at(layout.root, level):
            _sort(changes, mapping, model)
        if changes.changes:
            layout = layout_of(changes.text())
    return layout.text


def _at(root: Node, level: int) -> list[_Mapping]:
    found: list[_Mapping] = [(root, Manifest)]
    for _ in range(level):
        found = [one for mapping, model in found for one in _inside(mapping, model)]
    return found


def _inside(mapping: Node, model: type[BaseModel]) -> Iterator[_Mapping]:
    for key, value in mapping.pairs or []:
        inner = _INNER.get(model, {}).get(key.text or "")
        if inner:
            yield from ((node, inner) for node in [value, *(value.items or [])] if node.pairs)


def _sort(changes: Changes, mapping: Node, model: type[BaseModel]) -> None:
    pairs = mapping.pairs or []
    keys = list(model.model_fields)
    order = sorted(range(len(pairs)), key=lambda number: _place(keys, pairs[number][0].text))
    if order == list(range(len(pairs))):
        return
    if mapping.flow:
        _permute(changes, mapping.elements(), order)
        return
    layout = changes.layout
    slots = _slots(layout, pairs)
    first = pairs[order[0]][0].start
    if slots[order[0]].start == first or not layout.before(pairs[0][0].start).strip():
        _permute(changes, slots, order)  # else its comments would come to stand behind a dash


def _place(keys: Sequence[str], key: str | None) -> int:
    return keys.index(key) if key in keys else len(keys)


def _permute(changes: Changes, slots: list[Extent], order: Sequence[int]) -> None:
    """Put into each slot what another one holds."""
    for slot, number in zip(slots, order, strict=True):
        start, end = slots[number]
        changes.replace(slot.start, slot.end, changes.layout.text[start:end])


def _slots(layout: Layout, pairs: Sequence[tuple[Node, Node]]) -> list[Extent]:
    """The texts of the pairs of a block mapping, from the key to the end of its last line.

    Comment lines right above a key, as far in as it, go with it; but those above the first one are about all of them.
    """
    slots: list[Extent] = []
    column = layout.column(pairs[0][0].start)
    for number, (key, value) in enumerate(pairs):
        end = layout.end_with_notes(max(key.end, value.end), column, over_blank_lines=False)
        start = _start_with_notes(layout, key.start, slots[-1].end + 1) if number else key.start
        slots.append(Extent(start, end - 1))
    return slots


def _start_with_notes(layout: Layout, key: int, least: int) -> int:
    """Where the comment lines begin that stand right above a key, else the key itself."""
    at, start = layout.line_start(key), key
    while at > least:
        above = layout.line_start(at - 1)
        line = layout.text[above:at]
        if above < least or not line.lstrip().startswith("#") or layout.indentation(above) != layout.indentation(key):
            break
        at, start = above, above + len(layout.indentation(above))
    return start
