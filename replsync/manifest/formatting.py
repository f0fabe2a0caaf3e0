"""`replsync fmt`: one style for manifests, which keeps comments, the order of entries, and the use of brackets.

Pure: bytes in, bytes out. As with every edit, the text is changed by position; what comes out is read again and has to
say the same, with the same comments.
"""

import re
from collections.abc import Iterator

from replsync.errors import InvalidInput
from replsync.manifest.changes import Changes
from replsync.manifest.edit import keeps_comments, says
from replsync.manifest.extents import LINE_END, CannotEdit, Layout, Node, read_layout
from replsync.manifest.faults import harmless
from replsync.manifest.indenting import set_right
from replsync.manifest.key_order import in_order
from replsync.manifest.read import read_manifest
from replsync.manifest.source_text import SourceText, decode
from replsync.manifest.spelling import spelled, spelled_tag

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def formatted(data: bytes, name: str) -> bytes:
    """Return the manifest `data` in the style of `replsync fmt`; what is in that style already stays as it is.

    Raises InvalidManifest where `data` is no manifest, and InvalidInput where its text can't be changed with
    certainty. `name` is the file's, for messages.
    """
    manifest = read_manifest(data, name).manifest
    source = decode(data, name)
    newline = found[0] if (found := LINE_END.search(source.text)) else "\n"
    mark = _BYTE_ORDER_MARK if data.startswith(_BYTE_ORDER_MARK) else b""
    try:
        old = _layout(LINE_END.sub("\n", source.text))
        tidy = _tidy(old)
        layout = old if tidy == old.text else _layout(tidy)
        for text in (in_order(layout, _layout), tidy):  # where an alias would come before its anchor, keys stay
            new = mark + text.replace("\n", newline).encode()
            if new == data:
                return data
            if says(new, manifest) and keeps_comments(new, old):
                return new
    except CannotEdit as error:
        raise _refusal(name, source.position_at(error.at).line, error.why) from error
    raise _refusal(name, 1, "the file is written in a way that is not formatted here")


def _layout(text: str) -> Layout:
    return read_layout(SourceText("", text, ()))


def _tidy(layout: Layout) -> str:
    """The text with its lines set right, and quotes around the tags that need them."""
    changes = Changes(layout)
    if not layout.root.flow:  # quotes and all are right where a manifest is JSON
        for tag in _tags(layout.root):
            _quote(changes, tag)
    set_right(changes)
    return changes.text()


def _refusal(name: str, line: int, why: str) -> InvalidInput:
    return InvalidInput(f"fmt: {harmless(name)}:{line}: {why}", hint="format it by hand; nothing was changed")


def _tags(root: Node) -> Iterator[Node]:
    """The scalars of all tags that stand where they are used."""
    images = root.pair("images")
    for image in (images[1].items or []) if images else []:
        for key in ("tags", "retired"):
            listed = image.pair(key)
            for entry in (listed[1].items or []) if listed else []:
                pair = entry.pair("tag")
                node = pair[1] if pair else entry
                if node.text is not None and node.anchor is None:
                    yield node


def _quote(changes: Changes, tag: Node) -> None:
    """Double quotes where a reader of YAML would take the tag for something else, else none; 1.10 may do without."""
    text = changes.layout.text[tag.start : tag.end]
    if re.match("[|>!]", text) or tag.text is None:
        return
    is_quoted = text.startswith(("'", '"'))
    wanted = spelled(tag.text, in_flow=False) if is_quoted else spelled_tag(tag.text)
    if text != wanted:
        changes.replace(tag.start, tag.end, wanted)
