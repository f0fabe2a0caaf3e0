"""Properties of retiring and restoring in the text, for manifests in any style."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import example, given, settings
from hypothesis import strategies as st

from replsync.errors import InvalidInput
from replsync.manifest.edit import NewTag, moved_to_retired, moved_to_tags
from replsync.manifest.read import read_manifest
from replsync.manifest.spelling import spelled_tag
from tests.manifest import strategies as values

Owner = tuple[str, ...]
KEY = "key"
BRACKETS = "brackets"
PIECES = st.sampled_from(
    [*"\n \t\r,[]{}'\"|:#?", "# c0 x\n", " # c0 x\n", "\n# c0 x\n", "&a ", "*a", "- ", "!!str ", "---\n", "\n    "]
)
_Choice = TypeVar("_Choice")


@dataclass
class Sheet:
    """A manifest as somebody might write it: its lines, each with the entry or the list that it belongs to."""

    draw: st.DrawFn
    lines: list[tuple[str, Owner]] = field(default_factory=list)
    comments: int = 0

    def maybe(self) -> bool:
        return self.draw(st.booleans())

    def one_of(self, *choices: _Choice) -> _Choice:
        return self.draw(st.sampled_from(choices))

    def comment(self) -> str:
        self.comments += 1
        return f"# c{self.comments} " + self.one_of("é\tx", "- {tag: a, 'b' \"", "[x]: #", "tags:")

    def beside(self) -> str:
        return self.one_of("", "", f" {self.comment()}", f"   {self.comment()}")

    def add(self, line: str, *owner: str) -> None:
        self.lines.append((line, owner))

    def between(self, indent: int) -> None:
        """Blank lines, and comment lines that belong to no entry."""
        for _ in range(self.one_of(0, 0, 0, 1, 2)):
            self.add(self.one_of("", " " * self.one_of(0, indent) + self.comment()))

    def text(self, text: str) -> str:
        return self.one_of(json.dumps(text, ensure_ascii=False), "'" + text.replace("'", "''") + "'")

    def tag(self, text: str) -> str:
        return self.one_of(spelled_tag(text), self.text(text))

    def flow_item(self, entry: dict[str, str]) -> str:
        keys = self.draw(st.permutations(list(entry)))
        pad = self.one_of("", " ")
        value = {key: self.tag(text) if key == "tag" else self.text(text) for key, text in entry.items()}
        return "{" + pad + ", ".join(f"{key}: {value[key]}" for key in keys) + pad + "}"

    def item(self, entry: dict[str, str], *, bare: bool) -> str:
        return self.tag(entry["tag"]) if bare and len(entry) == 1 and self.maybe() else self.flow_item(entry)

    def block_list(self, image: str, key: str, indent: int, entries: Sequence[dict[str, str]]) -> None:
        self.add(f"{' ' * indent}{key}:{self.beside()}", image, key, KEY)
        dash = indent + self.one_of(0, 2, 4)
        gap = " " * self.one_of(1, 1, 3)
        for entry in entries:
            self.between(dash)
            owner = (image, key, entry["tag"])
            if self.maybe():
                self.add(f"{' ' * dash}-{gap}{self.item(entry, bare=key == 'tags')}{self.beside()}", *owner)
            else:
                self.block_item(dash, gap, entry, owner)
            for _ in range(self.one_of(0, 0, 0, 1)):
                self.add(f"{' ' * (dash + 1)}{self.comment()}", *owner)
        self.between(min(dash, indent))

    def block_item(self, dash: int, gap: str, entry: dict[str, str], owner: Owner) -> None:
        start = " " * dash + "-" + gap
        inner = " " * len(start)
        if self.one_of(False, False, True):
            self.add(" " * dash + "-" + self.beside(), *owner)
            start = inner
        for key in self.draw(st.permutations(list(entry))):
            if start == inner and self.one_of(False, False, True):
                self.add(inner + self.comment(), *owner)
            text = entry[key]
            if key == "reason" and not text[0].isspace() and self.maybe():
                self.add(f"{start}{key}: |-{self.beside()}", *owner)
                self.add(f"{inner} {text}", *owner)
            else:
                self.add(f"{start}{key}: {self.tag(text) if key == 'tag' else self.text(text)}{self.beside()}", *owner)
            start = inner

    def flow_list(self, image: str, key: str, indent: int, entries: Sequence[dict[str, str]]) -> None:
        items = [self.item(entry, bare=key == "tags") for entry in entries]
        owner = (image, key, BRACKETS)
        if self.maybe():
            comma = self.one_of("", ",", " , ")
            inner = self.one_of(", ", " , ", ",").join(items) + (comma if items else "")
            self.add(f"{' ' * indent}{key}: [{inner}]{self.beside()}", *owner)
            return
        start = f"{' ' * indent}{key}: ["
        hangs = self.maybe()
        if hangs:
            self.add(start + self.beside(), *owner)
            start = " " * (indent + 2)
        closes = self.one_of("]", " ]", "\n", "\n,") if items else "\n"
        for number, item in enumerate(items):
            is_last = number == len(items) - 1
            comma = "," if not is_last or closes == "\n," else closes if is_last and closes != "\n" else ""
            self.add(f"{start}{item}{comma}{self.beside()}", *owner)
            start = " " * (indent + self.one_of(2, 4))
        if closes.startswith("\n") or not items:
            start = start if not items and not hangs else " " * (indent + 1)
            self.add(f"{start}]{self.beside()}", *owner)

    def image(self, image: dict[str, Any], dash: int) -> None:
        name = image["name"]
        entries = {
            key: [{"tag": entry} if isinstance(entry, str) else entry for entry in image[key]]
            for key in ("tags", "retired")
        }
        if self.one_of(False, False, False, True):
            pairs = [f"name: {self.text(name)}", *([f"source: '{image['source']}'"] if "source" in image else [])]
            for key, items in entries.items():
                if items or self.maybe():
                    pairs.append(f"{key}: [{', '.join(self.item(entry, bare=key == 'tags') for entry in items)}]")
            line = "{" + ", ".join(self.draw(st.permutations(pairs))) + "}"
            self.add(f"{' ' * dash}- {line}{self.beside()}", name, BRACKETS, BRACKETS)
            return
        first = len(self.lines)
        indent = dash + 2
        keys = ["name", *(["source"] if "source" in image else []), *(key for key in entries if entries[key])]
        for key in self.draw(st.permutations(keys)):
            if len(self.lines) > first:
                self.between(indent)
            if key in ("name", "source"):
                self.add(f"{' ' * indent}{key}: {self.text(image[key])}{self.beside()}")
            elif self.one_of(True, True, False):
                self.block_list(name, key, indent, entries[key])
            else:
                self.flow_list(name, key, indent, entries[key])
        line, owner = self.lines[first]
        self.lines[first] = (f"{' ' * dash}- {line[indent:]}", owner)


@dataclass(frozen=True)
class Written:
    """A manifest in bytes, its lines with their owners, and the images in it."""

    data: bytes
    lines: list[tuple[str, Owner]]
    images: list[dict[str, Any]]

    def has_to_keep(self, image: str, tag: str) -> list[str]:
        """Return the lines that may not change when `tag` is moved."""
        kept = []
        for line, owner in self.lines:
            match owner:
                case (name, _, last) if name == image and last in (tag, KEY, BRACKETS):
                    continue
            kept.append(line)
        return kept


@st.composite
def written_manifests(draw: st.DrawFn, key: str = "tags") -> Written:
    """A manifest whose first image has an entry below `key`."""
    images = [draw(values.images(name)) for name in draw(st.lists(values.NAMES, min_size=1, max_size=2, unique=True))]
    first = images[0]
    if not first["tags"] and key == "tags":
        first["tags"], first["retired"] = [entry["tag"] for entry in first["retired"]], []
    elif not first["retired"] and key == "retired":
        tags = [tag if isinstance(tag, str) else tag["tag"] for tag in first["tags"]]
        first["tags"], first["retired"] = [], [{"tag": tag, "reason": draw(values.REASONS)} for tag in tags]
    sheet = Sheet(draw)
    sheet.between(2)
    sheet.add("version: 1" + sheet.beside())
    sheet.between(2)
    sheet.add("images:" + sheet.beside())
    dash = sheet.one_of(0, 2, 3)
    for image in images:
        sheet.between(dash)
        sheet.image(image, dash)
    sheet.between(0)
    newline = sheet.one_of("\n", "\n", "\r\n")
    end = newline if sheet.maybe() else ""
    mark = sheet.one_of("", "", "\ufeff")
    return Written((mark + newline.join(line for line, _ in sheet.lines) + end).encode(), sheet.lines, images)


@dataclass(frozen=True)
class Chosen:
    """One entry of a written manifest."""

    file: Written
    image: str
    tag: str
    entry: dict[str, str]


@st.composite
def chosen_entries(draw: st.DrawFn, key: str) -> Chosen:
    file = draw(written_manifests(key))
    image = draw(st.sampled_from([image for image in file.images if image[key]]))
    entry = draw(st.sampled_from(image[key]))
    entry = {"tag": entry} if isinstance(entry, str) else entry
    return Chosen(file, image["name"], entry["tag"], entry)


def model(data: bytes) -> dict[str, Any]:
    return read_manifest(data, "f").manifest.model_dump()


def comments(data: bytes) -> Counter[str]:
    return Counter(found.rstrip() for found in re.findall(r"# c\d+ .[^\r\n]*", data.decode()))


def assert_in_order(lines: list[str], data: bytes) -> None:
    """Check that `data` has all of `lines`, byte for byte and in this order."""
    found = iter(re.split("\r\n|\n", data.decode("utf-8-sig")))
    missing = [line for line in lines if line.strip() and line not in found]
    assert missing == [], data.decode()


def assert_same_frame(before: bytes, after: bytes) -> None:
    """Check the byte order mark, the line ends and the end of the file."""
    assert before.startswith(b"\xef\xbb\xbf") == after.startswith(b"\xef\xbb\xbf")
    assert (b"\r" in before) == (b"\r" in after)
    assert after.count(b"\r\n") == (after.count(b"\n") if b"\r" in before else 0)
    # A blank line may have become the last one.
    assert after.endswith(b"\n") or not before.endswith(b"\n")


def with_moved(data: bytes, image: str, tag: str, kind: str, entry: dict[str, Any]) -> dict[str, Any]:
    expected = model(data)
    (found,) = (each for each in expected["images"] if each["name"] == image)
    for key in ("tags", "retired"):
        found[key] = tuple(each for each in found[key] if each["tag"] != tag)
    found[kind] = (*found[kind], entry)
    return expected


@given(chosen_entries("tags"), values.REASONS)
@settings(max_examples=60)
def test_a_retired_tag_is_moved_and_nothing_else_is_touched(chosen: Chosen, reason: str) -> None:
    data = chosen.file.data
    new = moved_to_retired(data, "f", chosen.image, chosen.tag, reason)
    after = model(new)
    (image,) = (each for each in after["images"] if each["name"] == chosen.image)
    assert (image["retired"][-1]["tag"], image["retired"][-1]["reason"]) == (chosen.tag, reason)
    assert after == with_moved(data, chosen.image, chosen.tag, "retired", image["retired"][-1])
    assert_in_order(chosen.file.has_to_keep(chosen.image, chosen.tag), new)
    assert comments(new) == comments(data)
    assert_same_frame(data, new)


@given(chosen_entries("retired"), st.sampled_from([None, "ghcr.io/a/b:1", "docker-daemon:x"]))
@settings(max_examples=60)
def test_a_restored_tag_is_moved_and_nothing_else_is_touched(chosen: Chosen, source: str | None) -> None:
    data = chosen.file.data
    new = moved_to_tags(data, "f", chosen.image, NewTag(chosen.tag, source=source))
    after = model(new)
    (image,) = (each for each in after["images"] if each["name"] == chosen.image)
    assert image["tags"][-1]["tag"] == chosen.tag
    assert (image["tags"][-1]["source"] is None) == (source is None)
    assert after == with_moved(data, chosen.image, chosen.tag, "tags", image["tags"][-1])
    assert_in_order(chosen.file.has_to_keep(chosen.image, chosen.tag), new)
    assert comments(new) == comments(data)
    assert_same_frame(data, new)


@given(chosen_entries("retired"), values.REASONS)
@settings(max_examples=40)
def test_a_new_reason_is_written_in_the_place_of_the_old(chosen: Chosen, reason: str) -> None:
    data = chosen.file.data
    new = moved_to_retired(data, "f", chosen.image, chosen.tag, reason)
    expected = model(data)
    for image in expected["images"]:
        for entry in image["retired"]:
            if image["name"] == chosen.image and entry["tag"] == chosen.tag:
                entry["reason"] = reason
    assert model(new) == expected
    assert_in_order(chosen.file.has_to_keep(chosen.image, chosen.tag), new)
    assert comments(new) == comments(data)
    assert_same_frame(data, new)


@given(chosen_entries("tags"), values.REASONS)
@settings(max_examples=30)
def test_a_tag_that_is_retired_and_restored_is_listed_as_before(chosen: Chosen, reason: str) -> None:
    data = chosen.file.data
    retired = moved_to_retired(data, "f", chosen.image, chosen.tag, reason)
    source, digest = chosen.entry.get("source"), chosen.entry.get("digest")
    (image,) = (each for each in read_manifest(data, "f").manifest.images if each.name == chosen.image)
    (tag,) = (each for each in image.tags if each.tag == chosen.tag)
    assert (tag.digest is None) == (digest is None)
    restored = moved_to_tags(retired, "f", chosen.image, NewTag(chosen.tag, tag.digest, source))
    dumped = tag.model_dump()
    assert model(restored) == with_moved(data, chosen.image, chosen.tag, "tags", dumped)
    assert_in_order(chosen.file.has_to_keep(chosen.image, chosen.tag), restored)
    assert comments(restored) == comments(data)
    assert_same_frame(data, restored)


@given(chosen_entries("tags"), st.lists(st.tuples(st.integers(0, 2000), PIECES), min_size=1, max_size=3))
@settings(max_examples=60)
@example(Chosen(Written(b"version: 1\nimages: [{name: a, tags: [b]}]", [], []), "a", "b", {}), [(0, "# c1 x\n")])
def test_a_file_in_any_style_is_edited_rightly_or_not_at_all(chosen: Chosen, pieces: list[tuple[int, str]]) -> None:
    text = chosen.file.data.decode()
    for place, piece in pieces:
        at = place % (len(text) + 1)
        text = text[:at] + piece + text[at:]
    data = text.encode()
    try:
        before = model(data)
        new = moved_to_retired(data, "f", chosen.image, chosen.tag, "why")
    except InvalidInput:
        return
    after = model(new)
    (image,) = (each for each in before["images"] if each["name"] == chosen.image)
    if chosen.tag not in [entry["tag"] for entry in image["retired"]]:
        retired = {"tag": chosen.tag, "reason": "why"}
        added = next(each for each in after["images"] if each["name"] == chosen.image)["retired"][-1]
        assert {key: added[key] for key in retired} == retired
        assert after == with_moved(data, chosen.image, chosen.tag, "retired", added)
        assert comments(new) == comments(data)


@given(written_manifests())
@settings(max_examples=20)
def test_a_written_manifest_says_what_it_was_made_from(file: Written) -> None:
    said = [(image["name"], len(image["tags"]), len(image["retired"])) for image in model(file.data)["images"]]
    assert said == [(image["name"], len(image["tags"]), len(image["retired"])) for image in file.images]
