"""Which images the files of a KOTS release name: a tag that one of them names must not be retired. Pure.

A mention too many costs the user an explicit override, one too few breaks a
customer's installation. So hardly anything here depends on a document's kind:
a key that is called like an image makes one of its value, full references
count wherever they stand, and a repository without a tag is unresolved where
nothing else explains it. Only an Application can exclude images, and only a
HelmChart leaves open which registry a short name belongs to.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import total_ordering

from replsync.oci.digest import Digest
from replsync.oci.reference import DOCKER_HUB, Reference
from replsync.plan.release_images import (
    Named,
    Wanted,
    field_of,
    has_own_tag,
    image_key,
    image_keys,
    in_line,
    in_value,
    split_images,
    tags_in,
)
from replsync.plan.release_yaml import (
    MAX_DEPTH,
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

    Helm values may leave a part to the chart. With `any_prefix` the beginning
    of the path is written elsewhere, and so is the registry where it is Docker
    Hub's; with `any_tag` the tag is, such as in the chart's `appVersion`.
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


def mentions(files: Iterable[ReleaseFile], images: Collection[str], hosts: frozenset[str]) -> tuple[Mention, ...]:
    """Return every mention of an image, each once, sorted by file and line.

    `images` are the paths of those that matter, such as `myapp/worker`, and
    `hosts` what their registry answers to. Documents that can name none of
    them are not looked at: what is read takes three to ten seconds for each MiB, and the
    definitions of custom resources have many. Never raises for what a file holds.
    """
    wanted = Wanted.of(images, hosts)
    return tuple(sorted({mention for file in files for mention in _in_file(file, wanted)}))


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
    is_own = _host(host) in {_host(name) for name in hosts}
    if mention.any_prefix:
        written = path.removeprefix("library/") if host == DOCKER_HUB else path
        return (is_own or host == DOCKER_HUB) and f"/{tag.repository.path}".endswith(f"/{written}")
    return is_own and path == tag.repository.path


def _host(name: str) -> str:
    return name.lower().removesuffix(":443")


def _in_file(file: ReleaseFile, wanted: Wanted) -> Iterator[Mention]:
    reader = _Reader(file.name, wanted)
    text, fault = _decoded(file.data)
    if fault:
        yield reader.unknown(1, fault)
        yield from reader.lines(Document(text, 1))
        return
    found = list(documents(text))
    if len(found) > MAX_DOCUMENTS:
        yield reader.unknown(found[MAX_DOCUMENTS].line, f"more than {MAX_DOCUMENTS} documents")
        yield from reader.lines(Document(text, 1))
        return
    for document in found:
        if wanted.may_be_in(document.text):
            yield from reader.document(document)


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


@dataclass
class _Reader:
    """One file. `left` are the characters of texts inside of texts that are still going to be read as YAML."""

    file: str
    wanted: Wanted
    left: int = _MAX_EMBEDDED

    def unknown(self, line: int, text: str) -> Mention:
        return Mention(self.file, line, text, None)

    def named(self, line: int, named: Named) -> Mention:
        text = " ".join(named.text[: 2 * _MAX_SHOWN].split())[:_MAX_SHOWN]
        return Mention(self.file, line, text, named.reference, named.any_prefix, named.any_tag)

    def lines(self, document: Document) -> Iterator[Mention]:
        """What can be told without the structure of a text."""
        for number, line in enumerate(document.text.split("\n"), document.line):
            for named in in_line(line, self.wanted):
                yield self.named(number, named)

    def document(self, document: Document, depth: int = 0) -> Iterator[Mention]:
        """The mentions of a document, or of one that stands in a text, which need not be YAML."""
        try:
            yield from self._in_tree(document, depth)
            return
        except Unreadable as error:
            fault = self.unknown(error.line, "can't be read as YAML")
        mended = without_templates(document)
        found: list[Mention] | None = None
        with suppress(Unreadable):
            found = None if mended == document else list(self._in_tree(mended, depth))
        if depth == 0 or (found is None and "{{" in document.text):
            yield fault
        yield from found or ()
        explained = {mention.line for mention in found or ()}
        for mention in self.lines(document):
            if mention.reference or mention.line not in explained:
                yield mention

    def _in_tree(self, document: Document, depth: int) -> Iterator[Mention]:
        root = read_document(document)
        if depth and isinstance(root, Scalar):
            yield from self.lines(document)
            return
        walk = _Walk(self, document.line, _is_kots(root, "HelmChart"))
        todo = [(node, "") for node in walk.roots(root)]
        seen: set[tuple[Node, str]] = set()
        scalars: list[Scalar] = []
        while todo:
            node, below = todo.pop()
            if (node, below) in seen:
                continue
            seen.add((node, below))
            match node:
                case Scalar():
                    scalars.append(node)
                case Items(nodes):
                    todo += [(inner, below) for inner in nodes]
                case Pairs(nodes):
                    yield from walk.pairs(node, below)
                    for key, value in nodes:
                        todo += [(key, ""), (value, image_key(key.text) if isinstance(key, Scalar) else "")]
        yield from walk.lone_tags()
        for scalar in reversed(scalars):
            for mention in self._in_scalar(scalar, depth):
                if mention.reference or scalar not in walk.explained:
                    yield mention

    def _in_scalar(self, node: Scalar, depth: int) -> Iterator[Mention]:
        """Full references anywhere in a text; one of several lines may be YAML itself, and so may JSON in one."""
        text = Document(node.text, node.line + node.literal)
        if "\n" not in text.text and (text.text.startswith("{{") or text.text[:1] not in ("{", "[")):
            yield from self.lines(text)
        elif self.wanted.may_be_in(text.text):
            for mention in self._embedded(text, depth):
                yield mention if node.literal else replace(mention, line=node.line)

    def _embedded(self, text: Document, depth: int) -> Iterator[Mention]:
        if depth == _MAX_INSIDE or len(text.text) > self.left:
            yield self.unknown(text.line, f"not looked into: too {'deep' if depth == _MAX_INSIDE else 'large'}")
            yield from self.lines(text)
            return
        self.left -= len(text.text)
        for document in documents(text.text, text.line):
            yield from self.document(document, depth + 1)


@dataclass
class _Walk:
    """One tree. `explained` are the texts that keys have made an image of, or a part of one."""

    reader: _Reader
    line: int
    is_chart: bool
    merged: int = 0
    explained: set[Scalar] = field(default_factory=set)
    lone: list[Scalar] = field(default_factory=list)

    def roots(self, root: Node | None) -> Iterator[Node]:
        """The tree, as far as it counts, and what a HelmChart's `values` come to with each of its `optionalValues`."""
        if isinstance(root, Pairs) and _is_kots(root, "Application"):
            yield _without_excluded(root)
        elif root is not None:
            yield root
        spec = field_of(root, "spec") if self.is_chart else None
        values, optional = field_of(spec, "values"), field_of(spec, "optionalValues")
        for item in optional.nodes if isinstance(optional, Items) else ():
            over = field_of(item, "values") if isinstance(item, Pairs) else None
            if isinstance(values, Pairs) and isinstance(over, Pairs):
                yield self._overridden(values, over)

    def pairs(self, node: Pairs, below: str) -> Iterator[Mention]:
        """The images that the keys of a mapping make of its values."""
        pairs = self._with_merged(node)
        split = list(split_images(pairs, below))
        for value, named in split:
            self.explained.add(value)
            yield self.reader.named(value.line, named)
        if below and split:
            self.explained.update(tags_in(pairs))
        elif below:
            self.lone += tags_in(pairs)
        keys = list(image_keys(pairs))
        if self.is_chart and below == "images" and not split:
            keys += [
                (k, v) for k, v in pairs if isinstance(k, Scalar) and isinstance(v, Scalar) and has_own_tag(v.text)
            ]
        for key, value in keys:
            for named in in_value(key.text, value, in_chart=self.is_chart):
                self.explained.add(value)
                yield self.reader.named(value.line, named)

    def lone_tags(self) -> Iterator[Mention]:
        """The tags below an image's key whose repository is written elsewhere, such as in the chart's own values."""
        for tag in self.lone:
            if tag not in self.explained:
                yield self.reader.named(tag.line, Named(f"image: {{tag: {tag.text}}} without a repository", None))

    def _overridden(self, base: Pairs, over: Pairs, depth: int = 0) -> Pairs:
        """Return a mapping as Helm merges it: what is in both is that of `over`, mappings are merged again."""
        self._count(base, over)
        if depth > MAX_DEPTH:  # an alias inside of itself
            raise Unreadable(self.line)
        mine = {key.text for key, _ in over.nodes if isinstance(key, Scalar)}
        nodes = [(key, value) for key, value in base.nodes if not (isinstance(key, Scalar) and key.text in mine)]
        bases = {key.text: value for key, value in base.nodes if isinstance(key, Scalar) and isinstance(value, Pairs)}
        for key, value in over.nodes:
            below = bases.get(key.text) if isinstance(key, Scalar) else None
            if isinstance(value, Pairs) and below is not None:
                nodes.append((key, self._overridden(below, value, depth + 1)))
            else:
                nodes.append((key, value))
        return Pairs(nodes)

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
                self._count(other)
        return pairs

    def _count(self, *nodes: Pairs) -> None:
        self.merged += sum(len(node.nodes) + 1 for node in nodes)
        if self.merged > _MAX_MERGED:
            raise Unreadable(self.line)


def _merges(node: Pairs) -> list[Node]:
    return [value for key, value in node.nodes if isinstance(key, Scalar) and key.text == "<<"]


def _is_kots(node: Node | None, wanted: str) -> bool:
    kind, version = field_of(node, "kind"), field_of(node, "apiVersion")
    return (
        isinstance(kind, Scalar)
        and kind.text == wanted
        and isinstance(version, Scalar)
        and version.text.startswith("kots.io/")
    )


def _without_excluded(application: Pairs) -> Pairs:
    """Return an Application without `excludedImages`, and without those of its `additionalImages`."""
    spec = field_of(application, "spec")
    if not isinstance(spec, Pairs):
        return application
    excluded = _references(field_of(spec, "excludedImages"))
    nodes: list[tuple[Node, Node]] = []
    for key, value in spec.nodes:
        name = key.text if isinstance(key, Scalar) else ""
        if name == "additionalImages" and isinstance(value, Items):
            nodes.append((key, Items([item for item in value.nodes if not _references(Items([item])) & excluded])))
        elif name != "excludedImages":
            nodes.append((key, value))
    return Pairs([(key, Pairs(nodes) if value is spec else value) for key, value in application.nodes])


def _references(node: Node | None) -> frozenset[Reference]:
    """The references in a list, without what is not certain to be one."""
    if not isinstance(node, Items):
        return frozenset()
    found = [list(in_value("excludedImages", item)) for item in node.nodes if isinstance(item, Scalar)]
    return frozenset(one[0].reference for one in found if len(one) == 1 and one[0].reference)
