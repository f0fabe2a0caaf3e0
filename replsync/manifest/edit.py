"""Retiring and restoring one tag in the text of a manifest; every other line stays as it is.

Pure: bytes in, bytes out. The text is changed by position and never dumped
anew, which would reflow lines. What comes out is read again and compared with
what it should say: a file is edited rightly or not at all.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from replsync.errors import InvalidInput
from replsync.manifest.changes import Changes, Comments, add_entries, cut_entry, replace_pair, replace_reason
from replsync.manifest.contradictions import image_contradictions
from replsync.manifest.extents import CannotEdit, Layout, Node, read_layout
from replsync.manifest.faults import InvalidManifest, harmless, shown
from replsync.manifest.model import Image, Manifest, Retired, Tag
from replsync.manifest.read import read_manifest
from replsync.manifest.source_text import decode
from replsync.manifest.spelling import Entry, spelled
from replsync.oci.digest import Digest

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_Entry = TypeVar("_Entry", Tag, Retired)


@dataclass(frozen=True)
class NewTag:
    """An entry as it is to be written below `tags`; with neither digest nor source it is the bare tag."""

    tag: str
    digest: Digest | None = None
    source: str | None = None

    @property
    def keys(self) -> dict[str, str]:
        """What is written, in the order in which it is."""
        keys = {"tag": self.tag, "source": self.source, "digest": self.digest}
        return {key: str(text) for key, text in keys.items() if text is not None}


def moved_to_retired(
    data: bytes, name: str, image: str, tag: str, reason: str, *, even_if_referenced: bool = False
) -> bytes:
    """Return the manifest `data` with `tag` below the `retired` of `image`, and no longer below its `tags`.

    A tag that is retired already gets the new reason and keeps its other keys;
    `even_if_referenced` is for a new entry only. `name` is the file's, for messages.

    Raises InvalidManifest where `data` is no manifest, and InvalidInput where
    it doesn't list the image, where the entry would be at fault, and where the
    text can't be edited with certainty.
    """
    before = read_manifest(data, name).manifest
    operation = f"retire {harmless(f'{image}:{tag}')}"
    number = _image_number(before, image, operation, name)
    keys = {"tag": tag, "reason": reason, **({"even_if_referenced": "true"} if even_if_referenced else {})}
    entry = _checked(Retired, keys, operation)
    listed, retired = before.images[number].tags, before.images[number].retired
    in_tags = _find(listed, tag)
    in_retired = _find(retired, tag)
    if in_retired is None:
        retired = (*retired, entry)
        by_hand = f"list {_written(entry)} below the `retired` of {shown(image)}"
        if in_tags is not None:
            listed = (*listed[:in_tags], *listed[in_tags + 1 :])
            by_hand = f"remove {shown(tag)} from `tags`, and {by_hand}"
    else:
        if even_if_referenced and not retired[in_retired].even_if_referenced:
            raise InvalidInput(
                f"{operation}: {harmless(name)} retires it already",
                hint="add `even_if_referenced: true` to its entry by hand",
            )
        changed = retired[in_retired].model_copy(update={"reason": entry.reason})
        retired = (*retired[:in_retired], changed, *retired[in_retired + 1 :])
        text = harmless(spelled(reason, in_flow=True))
        by_hand = f"below the `retired` of {shown(image)}, give {shown(tag)} `reason: {text}`"
    wanted = Wanted(name, operation, by_hand, number, _with_image(before, number, listed, retired, operation))

    def change(changes: Changes) -> None:
        place = Place.of(changes.layout, number)
        if in_retired is not None:
            replace_reason(changes, place.entry("retired", in_retired), reason)
        else:
            new = Entry(tuple(keys.items()))
            _move(changes, place, None if in_tags is None else ("tags", in_tags), "retired", new)

    return edited(data, wanted, change)


def moved_to_tags(data: bytes, name: str, image: str, new: NewTag) -> bytes:
    """Return the manifest `data` with `new` below the `tags` of `image`, and its tag no longer below `retired`.

    Raises as `moved_to_retired` does, and InvalidInput where the tag isn't retired.
    """
    before = read_manifest(data, name).manifest
    operation = f"restore {harmless(f'{image}:{new.tag}')}"
    number = _image_number(before, image, operation, name)
    listed, retired = before.images[number].tags, before.images[number].retired
    in_retired = _find(retired, new.tag)
    if in_retired is None:
        if _find(listed, new.tag) is not None:
            raise InvalidInput(f"{operation}: {harmless(name)} lists it already, it is not retired")
        raise InvalidInput(
            f"{operation}: {harmless(name)} doesn't retire it", hint="check the tag; add a new one below `tags` by hand"
        )
    entry = _checked(Tag, new.keys, operation)
    listed = (*listed, entry)
    retired = (*retired[:in_retired], *retired[in_retired + 1 :])
    by_hand = f"remove {shown(new.tag)} from `retired`, and list {_written(entry)} below the `tags` of {shown(image)}"
    wanted = Wanted(name, operation, by_hand, number, _with_image(before, number, listed, retired, operation))

    def change(changes: Changes) -> None:
        place = Place.of(changes.layout, number)
        _move(changes, place, ("retired", in_retired), "tags", Entry(tuple(new.keys.items())))

    return edited(data, wanted, change)


@dataclass(frozen=True)
class Wanted:
    """What the edited file is to say, and how to do it by hand. `image` is the number of the one that is edited."""

    name: str
    operation: str
    by_hand: str
    image: int
    manifest: Manifest

    def refusal(self, line: int, why: str) -> InvalidInput:
        """Return the error for a text that isn't edited: `why`, and what to do by hand."""
        place = f"{harmless(self.name)}:{line}"
        return InvalidInput(f"{self.operation}: {place}: {why}", hint=f"edit it by hand: {self.by_hand}")


@dataclass(frozen=True)
class Place:
    """The image in the text, reached without an alias."""

    layout: Layout
    image: Node

    @classmethod
    def of(cls, layout: Layout, number: int) -> "Place":
        """Return where the image of this number is. Raises CannotEdit where an alias is in the way."""
        images = required(layout, layout.root, "images")
        return cls(layout, _own(layout, (images.items or [])[number]))

    def list_below(self, key: str) -> Node | None:
        """Return the list below `key`, None where the image has none."""
        return _child(self.layout, self.image, key)

    def entry(self, key: str, number: int) -> Node:
        """Return an entry of the list below `key`, of which nothing is used elsewhere."""
        listed = required(self.layout, self.image, key)
        entry = _own(self.layout, (listed.items or [])[number])
        for node in entry.walk():
            _refuse_anchor(self.layout, node)
        return entry


def _move(changes: Changes, place: Place, old: tuple[str, int] | None, key: str, new: Entry) -> None:
    image = place.image
    target = place.list_below(key)
    comments: Comments = ()
    if old is not None:
        place.entry(*old)
        if image.flow and target is None and len((place.list_below(old[0]) or image).items or []) == 1:
            replace_pair(changes, image, old[0], key, new)
            return
        comments = cut_entry(changes, image, *old)
    add_entries(changes, changes.layout.root, image, key, [new], comments)


def edited(data: bytes, wanted: Wanted, change: Callable[[Changes], None]) -> bytes:
    """Return `data` with what `change` does to it. Raises InvalidInput where it doesn't say what is wanted then."""
    source = decode(data, wanted.name)
    try:
        layout = read_layout(source)
        changes = Changes(layout)
        change(changes)
        text = changes.text()
    except CannotEdit as error:
        raise wanted.refusal(source.position_at(error.at).line, error.why) from error
    if layout.text != source.text:
        # The end that the last line was given for the time being.
        text = text.removesuffix(layout.text[len(source.text) :])
    new = (_BYTE_ORDER_MARK if data.startswith(_BYTE_ORDER_MARK) else b"") + text.encode()
    if not says(new, wanted.manifest) or not keeps_comments(new, layout):
        image = (layout.root.pair("images") or (layout.root, layout.root))[1]
        at = (image.items or [image])[wanted.image].start
        raise wanted.refusal(source.position_at(at).line, "the image is written in a way that is not edited here")
    return new


def says(data: bytes, expected: Manifest) -> bool:
    """Whether `data` is a manifest that says just this."""
    try:
        return read_manifest(data, "").manifest == expected
    except InvalidManifest:
        return False


def keeps_comments(data: bytes, old: Layout) -> bool:
    """Whether `data` has the comments of `old`, in whatever places."""
    new = read_layout(decode(data, ""))
    return Counter(comment.text for comment in old.comments) == Counter(comment.text for comment in new.comments)


def _child(layout: Layout, mapping: Node, key: str) -> Node | None:
    pair = mapping.pair(key)
    if pair is None:
        return None
    _refuse_anchor(layout, pair[0])
    return _own(layout, pair[1])


def required(layout: Layout, mapping: Node, key: str) -> Node:
    """Return the value below `key`. Raises CannotEdit where an alias is in the way."""
    value = _child(layout, mapping, key)
    if value is None:
        raise CannotEdit(mapping.start, f"the key `{key}` is not written out here")
    return value


def _own(layout: Layout, node: Node) -> Node:
    if node.alias is not None:
        raise CannotEdit(node.start, f"the alias {shown(f'*{node.alias}')} stands here for what another line says")
    _refuse_anchor(layout, node)
    return node


def _refuse_anchor(layout: Layout, node: Node) -> None:
    if node.anchor in layout.aliased:
        raise CannotEdit(node.start, f"the anchor {shown(f'&{node.anchor}')} stands here, and an alias refers to it")


def _image_number(manifest: Manifest, image: str, operation: str, name: str) -> int:
    names = [each.name for each in manifest.images]
    if image not in names:
        known = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
        raise InvalidInput(f"{operation}: {harmless(name)} doesn't list the image", hint=f"it lists {known}")
    return names.index(image)


def _find(entries: Sequence[Tag | Retired], tag: str) -> int | None:
    return next((number for number, entry in enumerate(entries) if entry.tag == tag), None)


def _checked(model: type[_Entry], keys: dict[str, str], operation: str) -> _Entry:
    try:
        return model.model_validate(keys)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        context = detail.get("ctx", {})
        said = context.get("explanation", detail["msg"])
        raise InvalidInput(f"{operation}: {said}", hint=context.get("proposal")) from error


def _with_image(
    manifest: Manifest, number: int, tags: tuple[Tag, ...], retired: tuple[Retired, ...], operation: str
) -> Manifest:
    image: Image = manifest.images[number].model_copy(update={"tags": tags, "retired": retired})
    for contradiction in image_contradictions(image):
        raise InvalidInput(f"{operation}: {contradiction.message}", hint=contradiction.proposal)
    images = (*manifest.images[:number], image, *manifest.images[number + 1 :])
    return manifest.model_copy(update={"images": images})


def _written(entry: Tag | Retired) -> str:
    keys = {key: str(value) for key, value in entry.model_dump(exclude_defaults=True).items()}
    return f"`{harmless(Entry(tuple(keys.items())).in_one_line())}`"
