"""Writing down what a registry has: as a new manifest, or into one that is there, whose other bytes stay as they are.

Pure: text in, text out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from replsync.errors import InvalidInput
from replsync.manifest.changes import (
    Changes,
    add_entries,
    dash_of,
    flow_pair,
    gap_behind,
    list_indent,
    put_into_flow,
    put_lines,
)
from replsync.manifest.contradictions import image_contradictions
from replsync.manifest.edit import NewTag, Place, Wanted, edited, required
from replsync.manifest.extents import Layout, Node
from replsync.manifest.faults import harmless
from replsync.manifest.model import DEFAULT_REGISTRY, Image, Manifest, Retired, Tag
from replsync.manifest.read import read_manifest
from replsync.manifest.spelling import Entry, spelled

SCHEMA_FILE = "replicated-images.schema.json"
"""What the first line of a new manifest names: the schema, beside it."""

MODELINE = f"# yaml-language-server: $schema={SCHEMA_FILE}"

_BLANK_LINE = re.compile(r"(?:\r\n|\r|\n)[ \t]*(?:\r\n|\r|\n)")


@dataclass(frozen=True)
class Adopted:
    """What an image of the registry has: its tags, and its tombstones as tag and reason.

    `mutable`, patterns of tags that may move, is for an image that the manifest doesn't have yet.
    """

    name: str
    tags: tuple[NewTag, ...] = ()
    retired: tuple[tuple[str, str], ...] = ()
    mutable: tuple[str, ...] = ()

    @property
    def entries(self) -> dict[str, list[Entry]]:
        """The entries by the key of their list; no list is empty."""
        entries = {
            "tags": [Entry(tuple(one.keys.items())) for one in self.tags],
            "retired": [Entry((("tag", tag), ("reason", reason))) for tag, reason in self.retired],
        }
        return {key: some for key, some in entries.items() if some}

    def in_lines(self, indent: int) -> list[str]:
        """Return the image's lines in block style, without indentation; its lists are indented by `indent`."""
        lines = [f"name: {spelled(self.name, in_flow=False)}", *self._mutable]
        for key, some in self.entries.items():
            lines += [f"{key}:", *(f"{' ' * indent}- {entry.in_one_line()}" for entry in some)]
        return lines

    def in_flow(self) -> str:
        """Return the image in one line, within brackets."""
        lists = [flow_pair(key, some) for key, some in self.entries.items()]
        return f"{{{', '.join([f'name: {spelled(self.name, in_flow=True)}', *self._mutable, *lists])}}}"

    def added_to(self, image: Image | None) -> Image:
        """Return `image`, or one that is new, with these tags."""
        tags = tuple(Tag.model_validate(one.keys) for one in self.tags)
        retired = tuple(Retired(tag=tag, reason=reason) for tag, reason in self.retired)
        if image is None:
            return Image(name=self.name, mutable=self.mutable, tags=tags, retired=retired)
        return image.model_copy(update={"tags": (*image.tags, *tags), "retired": (*image.retired, *retired)})

    @property
    def _mutable(self) -> list[str]:
        patterns = ", ".join(spelled(one, in_flow=True) for one in self.mutable)
        return [f"mutable: [{patterns}]"] if self.mutable else []


def new_manifest(registry: str, app: str, images: Sequence[Adopted]) -> str:
    """Return a manifest of `images`, with comments on what to do with it."""
    lines = [
        MODELINE,
        "#",
        f"# What {registry} has below {app}, each tag with its digest: it is to stay as it is.",
        "# Nothing has to be pushed for that, so no source is named. For a new tag give its image one, such as",
        "# `source: ghcr.io/acme/worker`, and list it below `tags`: `- 1.10`. `replsync plan` shows what that changes.",
        "version: 1",
        f"app: {spelled(app, in_flow=False)}",
        *([f"registry: {spelled(registry, in_flow=False)}"] if registry != DEFAULT_REGISTRY else []),
        "images:",
    ]
    for number, image in enumerate(images):
        head, *rest = image.in_lines(2)
        lines += [*([""] if number else []), f"  - {head}", *(f"    {line}" for line in rest)]
    return "\n".join(lines) + "\n"


def with_adopted(data: bytes, name: str, images: Sequence[Adopted]) -> bytes:
    """Return the manifest `data` with the tags of `images` behind those that it has; images that it lacks come last.

    `name` is the file's, for messages. Raises InvalidManifest where `data` is no manifest, and InvalidInput where an
    image can't have such tags, or the text can't be edited with certainty.
    """
    before = read_manifest(data, name).manifest
    numbers = {image.name: number for number, image in enumerate(before.images)}
    operation = f"add to {harmless(name)}"
    by_hand = "let import write a file of its own with --file, and take its entries over"
    wanted = Wanted(name, operation, by_hand, len(before.images) - 1, _with_all(before, images, operation))

    def change(changes: Changes) -> None:
        layout = changes.layout
        for image in images:
            if image.name in numbers:
                place = Place.of(layout, numbers[image.name])
                for key, entries in image.entries.items():
                    place.list_below(key)  # refuses what an alias stands for
                    add_entries(changes, layout.root, place.image, key, entries)
        if new := [image for image in images if image.name not in numbers]:
            _add_images(changes, required(layout, layout.root, "images"), new)

    return edited(data, wanted, change)


def _with_all(before: Manifest, images: Sequence[Adopted], operation: str) -> Manifest:
    after = {image.name: image for image in before.images}
    for image in images:
        after[image.name] = image.added_to(after.get(image.name))
        for contradiction in image_contradictions(after[image.name]):
            raise InvalidInput(f"{operation}: {contradiction.message}", hint=contradiction.proposal)
    return before.model_copy(update={"images": tuple(after.values())})


def _add_images(changes: Changes, listed: Node, images: Sequence[Adopted]) -> None:
    layout = changes.layout
    items = listed.items or []
    if listed.flow:
        put_into_flow(changes, listed, listed.elements(), [image.in_flow() for image in images], (), listed.start)
        return
    dash = dash_of(layout, listed, len(items) - 1)
    end = layout.end_with_notes(items[-1].end, layout.column(dash), over_blank_lines=True)
    gap = gap_behind(layout, dash, items[-1].start)
    indent = layout.before(dash)
    apart = [""] if len(items) == 1 or _is_apart(layout, items) else []
    for image in images:
        head, *rest = image.in_lines(list_indent(layout, layout.root))
        inner = indent + " " + " " * len(gap)
        put_lines(changes, end, [*apart, f"{indent}-{gap}{head}", *(inner + line for line in rest)])


def _is_apart(layout: Layout, items: Sequence[Node]) -> bool:
    """Whether the file has a blank line between the last two images."""
    return bool(_BLANK_LINE.search(layout.text[items[-2].end : items[-1].start]))
