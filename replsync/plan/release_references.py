"""Which images the files of a KOTS release name: a tag that one of them names must not be retired. Pure.

A mention too many costs the user an explicit override, one too few breaks a
customer's installation. So hardly anything here depends on a document's kind:
a key that is called like an image makes one of its value, and full references
count wherever they stand. Only an Application can exclude images, and only a
HelmChart leaves open which registry a short name belongs to.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import total_ordering

from replsync.oci.digest import Digest
from replsync.oci.reference import DOCKER_HUB, Reference
from replsync.plan.release_images import Named, field_of, image_keys, in_line, in_text, in_value, split_images
from replsync.plan.release_yaml import (
    MAX_DOCUMENTS,
    Document,
    Items,
    Node,
    Pairs,
    Scalar,
    Unreadable,
    documents,
    read_document,
    without_templates,
)

MAX_SIZE = 8 * 1024 * 1024
"""Bytes of a release's file."""

_MAX_SHOWN = 200
_MAX_INSIDE = 3
"""Texts inside each other that are read as YAML, such as Helm's values in a ConfigMap."""
_MAX_EMBEDDED = 512 * 1024
"""Characters of a file that are read once more for that."""
_MAX_MERGED = 100_000
_ESCAPED = re.compile(r"\\(?:[xuU\n])")
_NOT_YAML = "can't be read as YAML"


@dataclass(frozen=True)
class ReleaseFile:
    """A file of a release: its name as the user knows it, such as `kots/deployment.yaml`, and its bytes."""

    name: str
    data: bytes


@total_ordering
@dataclass(frozen=True)
class Mention:
    """A place in a release that names an image. Sorted by file and line.

    `line` counts from 1. `text` is what was written, or what it comes to, on
    one line of 200 characters at most; it may hold control characters.
    `reference` is None where the mention is unresolved: a template, no
    reference at all, or a file that can't be read, which may name anything.

    Helm values may leave a part to the chart. With `any_prefix` the registry,
    and with it the beginning of the path, is written elsewhere; with `any_tag`
    the tag is, such as in the chart's `appVersion`.
    """

    file: str
    line: int
    text: str
    reference: Reference | None
    any_prefix: bool = False
    any_tag: bool = False

    def __lt__(self, other: "Mention") -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple[str, int, str, str, bool, bool]:
        return self.file, self.line, self.text, str(self.reference or ""), self.any_prefix, self.any_tag


def mentions(files: Iterable[ReleaseFile], images: Collection[str]) -> tuple[Mention, ...]:
    """Return every mention of an image, each once, sorted by file and line.

    `images` are the names of those that matter. Documents that can name none of
    them are not looked at: what is read takes three to ten seconds for each MiB, and the
    definitions of custom resources have many. Never raises for what a file holds.
    """
    endings = {image.rpartition("/")[2] for image in images}
    return tuple(sorted({mention for file in files for mention in _in_file(file, endings)}))


def names(mention: Mention, tag: Reference, hosts: frozenset[str], digest: Digest | None) -> bool:
    """Whether a mention names `tag`, whose registry answers to all of `hosts` and which holds `digest` now.

    A tag and a digest both count: by the digest the image is run, by the tag
    a person goes. A mention with neither means `latest`. Those that are
    unresolved name nothing: they are for the caller to report.
    """
    reference = mention.reference
    if reference is None or not _same_repository(mention, reference, tag, hosts):
        return False
    if mention.any_tag or (digest is not None and reference.digest == digest):
        return True
    wanted = reference.tag or (None if reference.digest else "latest")
    return wanted == tag.tag


def _same_repository(mention: Mention, reference: Reference, tag: Reference, hosts: frozenset[str]) -> bool:
    host, path = reference.repository.host, reference.repository.path
    if mention.any_prefix:
        written = path.removeprefix("library/") if host == DOCKER_HUB else path
        return f"/{tag.repository.path}".endswith(f"/{written}")
    return path == tag.repository.path and _host(host) in {_host(name) for name in hosts}


def _host(name: str) -> str:
    return name.lower().removesuffix(":443")


def _in_file(file: ReleaseFile, endings: Collection[str]) -> Iterator[Mention]:
    text, fault = _decoded(file.data)
    if fault:
        yield Mention(file.name, 1, fault, None)
        yield from _all_lines(file.name, text, 1)
        return
    found = list(documents(text))
    if len(found) > MAX_DOCUMENTS:
        yield Mention(file.name, found[MAX_DOCUMENTS].line, f"more than {MAX_DOCUMENTS} documents", None)
        yield from _all_lines(file.name, text, 1)
        return
    budget = _Budget(_MAX_EMBEDDED)
    for document in found:
        if _matters(document.text, endings):
            yield from _in_document(file.name, document, budget)


def _matters(text: str, endings: Collection[str]) -> bool:
    """Whether a document may name an image whose name ends so: in clear, by a template, or in escapes."""
    return any(ending in text for ending in endings) or "{{" in text or bool(_ESCAPED.search(text))


def _decoded(data: bytes) -> tuple[str, str | None]:
    """Return the text with `\\n` at the end of each line, and what keeps it from being read as YAML."""
    fault = None
    if len(data) > MAX_SIZE:
        fault = "can't be read: larger than 8 MiB"
        text = data[:MAX_SIZE].decode("utf-8", "replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            fault = "can't be read: not UTF-8"
            # References are ASCII: without the zero bytes those in UTF-16 are legible too.
            text = data.replace(b"\0", b"").decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n"), fault


def _all_lines(file: str, text: str, line: int) -> Iterator[Mention]:
    for offset, named in in_text(text):
        yield _mention(file, line + offset, named)


def _mention(file: str, line: int, named: Named) -> Mention:
    text = " ".join(named.text[: 2 * _MAX_SHOWN].split())[:_MAX_SHOWN]
    return Mention(file, line, text, named.reference, named.any_prefix, named.any_tag)


@dataclass
class _Budget:
    """Characters of texts inside of texts that are still going to be read as YAML."""

    left: int


def _in_document(file: str, document: Document, budget: _Budget) -> Iterator[Mention]:
    try:
        yield from _in_tree(file, document, budget)
        return
    except Unreadable as error:
        yield Mention(file, error.line, _NOT_YAML, None)
    yield from _all_lines(file, document.text, document.line)
    mended = without_templates(document)
    if mended != document:
        try:
            yield from _in_tree(file, mended, budget)
        except Unreadable:
            return


def _in_tree(file: str, document: Document, budget: _Budget, depth: int = 0) -> Iterator[Mention]:
    root = read_document(document)
    walk = _Walk(file, budget, document.line, depth, isinstance(root, Pairs) and _is_kots(root, "HelmChart"))
    todo = [] if root is None else [root]
    seen: set[Node] = set()
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        match node:
            case Scalar():
                yield from walk.scalar(node)
            case Items(nodes):
                todo += nodes
            case Pairs():
                yield from walk.pairs(node)
                todo += walk.inner(node)


@dataclass
class _Walk:
    file: str
    budget: _Budget
    line: int
    depth: int
    is_chart: bool
    merged: int = 0
    excluding: dict[Pairs, frozenset[Reference]] = field(default_factory=dict)
    """The `spec` of an Application, and what it excludes."""

    def scalar(self, node: Scalar) -> Iterator[Mention]:
        """Full references anywhere in a text; texts of several lines may be YAML themselves."""
        if "\n" not in node.text:
            for named in in_line(node.text):
                yield _mention(self.file, node.line, named)
            return
        for offset, named in in_text(node.text):
            yield _mention(self.file, node.line + 1 + offset if node.literal else node.line, named)
        if self.depth < _MAX_INSIDE and "tag" in node.text.lower() and len(node.text) <= self.budget.left:
            self.budget.left -= len(node.text)
            yield from self._embedded(node)

    def _embedded(self, node: Scalar) -> Iterator[Mention]:
        for document in documents(node.text, node.line + 1 if node.literal else node.line):
            try:
                found = list(_in_tree(self.file, document, self.budget, self.depth + 1))
            except Unreadable:
                continue  # any text may be no YAML; its lines were looked at
            for mention in found:
                yield mention if node.literal else replace(mention, line=node.line)

    def pairs(self, node: Pairs) -> Iterator[Mention]:
        """The images that the keys of a mapping make of its values."""
        pairs = self._with_merged(node)
        spec = field_of(node, "spec")
        if isinstance(spec, Pairs) and _is_kots(node, "Application"):
            self.excluding[spec] = _references(field_of(spec, "excludedImages"))
        excluded = self.excluding.get(node)
        for key, value in image_keys(pairs):
            if excluded is not None and key.text == "excludedImages":
                continue
            for named in in_value(key.text, value, any_prefix=self.is_chart):
                if not (excluded and key.text == "additionalImages" and named.reference in excluded):
                    yield _mention(self.file, value.line, named)
        for line, named in split_images(pairs):
            yield _mention(self.file, line, named)

    def inner(self, node: Pairs) -> Iterator[Node]:
        """What is inside of a mapping, without what `pairs` has settled for an Application."""
        for key, value in node.nodes:
            yield key
            name = key.text if isinstance(key, Scalar) and node in self.excluding else ""
            if name == "additionalImages" and isinstance(value, Items):
                yield from (item for item in value.nodes if not isinstance(item, Scalar))
            elif name != "excludedImages":
                yield value

    def _with_merged(self, node: Pairs) -> list[tuple[Node, Node]]:
        """The pairs of a mapping and of those that `<<` puts into it (yaml.org/type/merge.html)."""
        pairs = list(node.nodes)
        seen = {node}
        todo = _merges(node)
        while todo:
            other = todo.pop()
            if isinstance(other, Items):
                todo += [inner for inner in other.nodes if isinstance(inner, Pairs)]
            elif isinstance(other, Pairs) and other not in seen:
                seen.add(other)
                todo += _merges(other)
                pairs += other.nodes
                self.merged += len(other.nodes) + 1
                if self.merged > _MAX_MERGED:
                    raise Unreadable(self.line)
        return pairs


def _merges(node: Pairs) -> list[Node]:
    return [value for key, value in node.nodes if isinstance(key, Scalar) and key.text == "<<"]


def _is_kots(node: Pairs, wanted: str) -> bool:
    kind, version = field_of(node, "kind"), field_of(node, "apiVersion")
    return (
        isinstance(kind, Scalar)
        and kind.text == wanted
        and isinstance(version, Scalar)
        and version.text.startswith("kots.io/")
    )


def _references(node: Node | None) -> frozenset[Reference]:
    """The references in a list, without what is not certain to be one."""
    if not isinstance(node, Items):
        return frozenset()
    found = [list(in_value("excludedImages", item)) for item in node.nodes if isinstance(item, Scalar)]
    return frozenset(one[0].reference for one in found if len(one) == 1 and one[0].reference)
