"""The forms in which a text, or the keys of a mapping, name an image: references, templates, split values. Pure."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from math import prod
from typing import Self, TypeGuard

from replsync.oci.reference import DOCKER_HUB, Reference, parse_reference
from replsync.plan.release_yaml import Items, Node, Pairs, Scalar

_MAX_EXPANDED = 4096
"""Characters of a text whose templates are looked into."""
_MAX_COMBINATIONS = 64
"""References that one value is expanded to."""
_MAX_SPLIT = 256
"""References that the keys of one mapping make together."""

_LABEL = r"[A-Za-z0-9-]+"
# Bounded, so that a line of nothing but slashes and dots takes linear time.
_FULL = re.compile(
    rf"(?<![A-Za-z0-9.-])"
    rf"(?:(?:{_LABEL}\.)+{_LABEL}(?::[0-9]{{1,5}})?|{_LABEL}:[0-9]{{1,5}}|\[[0-9a-fA-F:]{{2,45}}\](?::[0-9]{{1,5}})?)"
    r"/[a-z0-9][a-z0-9._/-]{0,254}"
    r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(?:@sha(?:256|512):[0-9a-f]{64,128})?|@sha(?:256|512):[0-9a-f]{64,128})"
)
# Without another `{{` inside, so that many of them without an end take linear time.
_TEMPLATE = re.compile(r"(?:repl)?\{\{(?:(?!\{\{).)*?\}\}", re.DOTALL)
_CONTROL = re.compile(r"(?:repl)?\{\{-?\s*(?:repl\s+)?(if|with|range|else|end)\b")
_LOCAL_IMAGE = re.compile(
    r"""(?:repl\{\{|\{\{repl\s)-?\s*LocalImageName\s+(?:"([^"]*)"|'([^']*)'|`([^`]*)`)\s*-?\}\}"""
)
_LITERAL = re.compile(r"""\\?"([A-Za-z0-9._:/@-]*)\\?"|'([A-Za-z0-9._:/@-]*)'|`([A-Za-z0-9._:/@-]*)`""")
_OPTION = re.compile(r"""\b(?:Config\w+|LicenseFieldValue)(?:\s+(?:\\?"[^"]*"|'[^']*'|`[^`]*`))+""")
"""What names an option, other than a value."""
_UNKNOWN = "repl.template"
"""What a template without a literal comes to: fits as a host, in a path and as a tag."""
_ESCAPED = re.compile(r"\\(?:[xuU\n])")
_ESCAPED_BLANK = re.compile(r"(?<!\\)\\+[nrt]")
_ESCAPED_SLASH = re.compile(r"(?<!\\)\\+/")
_SCHEME = re.compile(r"(?:https?|oci|docker)://")


@dataclass(frozen=True, slots=True)
class Named:
    """A name that was found; the fields mean what they mean in a Mention."""

    text: str
    reference: Reference | None
    any_prefix: bool = False
    any_tag: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """The images that matter: the ends of their names, and their repositories on every host."""

    ending: re.Pattern[str]
    repository: re.Pattern[str]

    @classmethod
    def of(cls, images: Collection[str], hosts: Iterable[str]) -> Self:
        """Take paths, such as `myapp/worker`, and the hosts that have them."""
        # Only what follows is looked at: text in front of it may be escaped, such as `\\n`.
        ending = _one_of(image.rpartition("/")[2] for image in images) + "(?![A-Za-z0-9_-])"
        host = _one_of(host.removesuffix(":443") for host in hosts)
        # Behind another path it is a proxy's.
        before, after = r"(?<![\w.-])(?<!\w/)", r"(?![\w/-]|\.\w)"
        return cls(re.compile(ending), re.compile(f"{before}(?i:{host})(?::443)?/{_one_of(images)}{after}"))

    def may_be_in(self, text: str) -> bool:
        """Whether one may be named in a text: in clear, by a template, or in escapes."""
        return "{{" in text or bool(self.ending.search(text) or _ESCAPED.search(text))


def _one_of(texts: Iterable[str]) -> str:
    return f"(?:{'|'.join(sorted(map(re.escape, set(texts))))})"


def in_line(text: str, wanted: Wanted) -> Iterator[Named]:
    """Yield the full references in a text, HOST/PATH with a tag or a digest, and those that templates are part of.

    Where a wanted repository is not part of one, its tag may be anywhere, and the whole text is unresolved.
    """
    if "/" not in text:
        return
    if "\\" in text:
        text = _ESCAPED_SLASH.sub("/", _ESCAPED_BLANK.sub(" ", text))
    candidates = _expanded(text)
    found = [reference for candidate in candidates for reference in _FULL.findall(candidate)]
    plain = text.replace("repl{{", "{{")
    unknown = wanted.repository.search(_FULL.sub(" ", plain)) or any(_UNKNOWN in reference for reference in found)
    cut = "{{" in text and wanted.ending.search(text) and (len(text) > _MAX_EXPANDED or _is_cut(candidates))
    if unknown or cut:
        yield Named(text.strip(), None)
    for reference in dict.fromkeys(chain(_FULL.findall(plain), found)):
        yield from _in_full(reference)


def _in_full(found: str) -> Iterator[Named]:
    yield from _parsed(found)
    if found.endswith((".", "-")):
        yield from _parsed(found.rstrip(".-"))  # the end of a sentence


def _in_image(text: str) -> Iterator[Named]:
    """Yield what a text names where an image belongs. One that can't be told is unresolved."""
    text = text.strip()
    local = _LOCAL_IMAGE.fullmatch(text)
    if local:
        text = next(part for part in local.groups() if part is not None)
    named = None if "{{" in text else next(_parsed(text), None)
    if named is not None:
        yield named
    elif text:
        if not text.startswith(("http://", "https://")):
            yield Named(text, None)
        for candidate in _expanded(text):
            yield from _parsed(_SCHEME.sub("", candidate.strip()).strip("/"))
        for found in _FULL.findall(text.replace("repl{{", "{{")):
            yield from _in_full(found)


def in_value(key: str, node: Scalar, *, in_chart: bool = False) -> Iterator[Named]:
    """Yield what the value of `key` names. Keys like `logoImage` may hold something else, so that it may be no name.

    What a chart is given need not be all: it may put the registry in front, and a tag behind.
    """
    if node.missing:
        return
    for named in _in_image(node.text.strip().lstrip("/") if in_chart else node.text):
        if named.reference or "{{" in named.text or key == "image" or key.endswith("Images"):
            yield _left_open(named) if in_chart else named


def _left_open(named: Named) -> Named:
    reference = named.reference
    if reference is None:
        return named
    any_tag = reference.tag is None and reference.digest is None
    return replace(named, any_prefix=named.any_prefix or _is_short(named), any_tag=any_tag)


def field_of(node: Node | None, name: str) -> Node | None:
    """The last value of a key, None where the node is no mapping."""
    for key, value in reversed(node.nodes if isinstance(node, Pairs) else ()):
        if isinstance(key, Scalar) and key.text == name:
            return value
    return None


def image_key(text: str) -> str:
    """Return `image` or `images` where a key ends so in any spelling, else nothing."""
    return next((name for name in ("image", "images") if _plain(text).endswith(name)), "")


def image_keys(pairs: Sequence[tuple[Node, Node]]) -> Iterator[tuple[Scalar, Scalar]]:
    """Yield the keys whose values are images, unless other keys beside them say more: `split_images` has those."""
    keys = {_plain(key.text) for key, _ in pairs if isinstance(key, Scalar)}
    for key, value in pairs:
        match key, value:
            case Scalar(text), Scalar() if image_key(text) == "image":
                if has_own_tag(value.text) or not _completing(_plain(text).removesuffix("image")) & keys:
                    yield key, value
            case Scalar(text), Items(nodes) if image_key(text) == "images":
                yield from ((key, item) for item in nodes if isinstance(item, Scalar))


# What the keys of a split image end in: what is in front, such as `worker` in `workerImageTag`, is theirs in common.
_REPOSITORIES = ("imagerepository", "repository", "repo")
_NAMES = (*_REPOSITORIES, "imagename", "image", "name")
_REGISTRIES = ("registry", "imageregistry")
_TAGS = ("tag", "imagetag", "newtag")
_DIGESTS = ("digest", "imagedigest", "sha", "sha256")


def tags_in(pairs: Sequence[tuple[Node, Node]]) -> list[Scalar]:
    """Return the tags, versions and digests among the values of a mapping."""
    wanted = {*_TAGS, *_DIGESTS, "version"}
    return [value for key, value in pairs if isinstance(key, Scalar) and _plain(key.text) in wanted and _holds(value)]


def split_images(pairs: Sequence[tuple[Node, Node]], below: str) -> Iterator[tuple[Scalar, Named]]:
    """Yield the images that several keys of a mapping name together, with the value that holds the name.

    `below` is what `image_key` says of the key that has the mapping: a `name` may be that of anything elsewhere.
    """
    keys: set[str] = set()
    texts: dict[str, list[str]] = {}
    for key, value in pairs:
        if isinstance(key, Scalar):
            keys.add(_plain(key.text))
            known = texts.setdefault(_plain(key.text), [])
            # Keys that stand here twice are in the two branches of a template.
            if _holds(value) and len(known) <= _MAX_COMBINATIONS:
                known.append(value.text.strip())
    count = 0
    for key, value in pairs:
        if isinstance(key, Scalar) and _holds(value):
            for named in _split(_plain(key.text), value.text.strip(), keys, texts, below):
                count += 1
                if count > _MAX_SPLIT:
                    yield value, Named(f"more than {_MAX_SPLIT} images in one mapping", None)
                    return
                yield value, named


def _split(key: str, text: str, keys: set[str], texts: Mapping[str, list[str]], below: str) -> Iterator[Named]:
    suffix = next((name for name in _NAMES if key.endswith(name)), None)
    if suffix is None:
        return
    prefix = key.removesuffix(suffix)
    registries = _of(texts, prefix, _REGISTRIES) or _of(texts, "", _REGISTRIES)
    has_registry = bool(registries) or _has_host(text)
    if suffix == "name" and not (has_registry or below):
        return
    tags = _of(texts, prefix, _TAGS) or _of(texts, "", _TAGS)
    digests = _of(texts, prefix, _DIGESTS) or _of(texts, "", _DIGESTS)
    if not tags and has_registry:
        # Without a registry a name with a version may be that of anything.
        tags = _of(texts, prefix, ("version",)) or _of(texts, "", ("version",))
    completed = below == "image" if suffix == "name" else bool(_completing(prefix) & keys)
    if suffix in _REPOSITORIES or tags or digests or completed:
        yield from _composed(text, registries, tags, digests)


def _holds(node: Node) -> TypeGuard[Scalar]:
    return isinstance(node, Scalar) and not node.missing and bool(node.text.strip())


def _completing(prefix: str) -> set[str]:
    """The keys that complete the image of a key with this prefix."""
    return {*_REGISTRIES, *(prefix + suffix for suffix in (*_REGISTRIES, *_TAGS, *_DIGESTS))}


def _of(texts: Mapping[str, list[str]], prefix: str, suffixes: Sequence[str]) -> list[str]:
    return [text for suffix in suffixes for text in texts.get(prefix + suffix, ())]


def _composed(name: str, registries: list[str], tags: list[str], digests: list[str]) -> Iterator[Named]:
    parts = [[name], registries or [""], tags or [""], digests or [""]]
    written = _written(*(choice[0] for choice in parts))
    if any("{{" in text for choice in parts for text in choice):
        yield Named(written, None)
    if prod(map(len, parts)) <= _MAX_COMBINATIONS:
        parts = [[candidate for text in choice for candidate in _expanded(text)] for choice in parts]
    if prod(map(len, parts)) > _MAX_COMBINATIONS:
        yield Named(written, None)
        return
    for one, registry, *behind in product(*parts):
        tag, digest = ("" if _UNKNOWN in text else text for text in behind)
        yield from _put_together(one, registry, tag, digest)
        if registry and _has_host(one):
            yield from _put_together(one, "", tag, digest)


def _written(name: str, registry: str, tag: str, digest: str) -> str:
    registry = _SCHEME.sub("", registry).strip("/")
    whole = f"{registry}/{name.strip('/')}" if registry else name.strip("/")
    if digest.startswith("@"):
        digest = digest[1:]
    if digest and ":" not in digest:
        digest = f"sha256:{digest}"
    if tag.startswith(("sha256:", "sha512:")):
        tag, digest = "", tag
    return whole + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def _put_together(name: str, registry: str, tag: str, digest: str) -> Iterator[Named]:
    text = _written(name, registry, "" if has_own_tag(name) else tag, "" if "@" in name else digest)
    for named in map(_left_open, _parsed(_SCHEME.sub("", text))):
        # Between a registry and the name a chart may put a namespace that other keys hold.
        between = registry and named.reference and named.reference.repository.host != DOCKER_HUB
        yield replace(named, any_prefix=True) if between else named


def _expanded(text: str) -> list[str]:
    """Return what a text may come to: its templates' literals in their places, each branch of an `if` by itself."""
    if "{{" not in text or len(text) > _MAX_EXPANDED:
        return [text]
    parts = [""]
    above: list[tuple[list[str], list[str]]] = []  # what is in front of each open `if`, and its branches up to here
    end = 0
    for found in _TEMPLATE.finditer(text):
        parts = _glued(parts, [text[end : found.start()]])
        end = found.end()
        control = _CONTROL.match(found[0])
        if control is None:
            parts = _glued(parts, _literals(found[0]))
        elif control[1] not in ("else", "end"):
            above.append((parts, []))
            parts = [""]
        elif above and control[1] == "else":
            above[-1][1].extend(parts)
            parts = [""]
        elif above:
            parts = _branched(*above.pop(), parts)
    parts = _glued(parts, [text[end:]])
    while above:
        parts = _branched(*above.pop(), parts)
    return parts


def _branched(before: list[str], branches: list[str], last: list[str]) -> list[str]:
    return _glued(before, [*last, *(branches or [""])])


def _glued(texts: list[str], others: Iterable[str]) -> list[str]:
    return [text + other for text in texts for other in dict.fromkeys(others)][:_MAX_COMBINATIONS]


def _is_cut(candidates: list[str]) -> bool:
    return len(candidates) >= _MAX_COMBINATIONS


def _literals(template: str) -> list[str]:
    found = _LITERAL.findall(_OPTION.sub("", template))
    return [next((part for part in one if part), "") for one in found] or [_UNKNOWN]


def _parsed(text: str) -> Iterator[Named]:
    """Yield the reference that a text is. What is in front of an unknown part, and that part, are left open."""
    _, unknown, behind = text.rpartition(_UNKNOWN)
    rest = behind.partition("/")[2] if unknown else text
    try:
        yield Named(rest, parse_reference(f"{DOCKER_HUB}/{rest}" if unknown else rest), bool(unknown))
    except ValueError:
        return


def _is_short(named: Named) -> bool:
    """Whether no registry is written, so that it would be Docker Hub."""
    reference = named.reference
    return reference is not None and reference.repository.host == DOCKER_HUB and not named.text.startswith(DOCKER_HUB)


def has_own_tag(text: str) -> bool:
    """Whether a text holds a tag or a digest behind the name."""
    return "@" in text or ":" in text.rpartition("/")[2]


def _has_host(text: str) -> bool:
    first, slash, _ = text.partition("/")
    return bool(slash) and ("." in first or ":" in first)


def _plain(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")
