"""The forms in which a text, or the keys of a mapping, name an image: references, templates, split values. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import TypeGuard

from replsync.oci.reference import DOCKER_HUB, Reference, parse_reference
from replsync.plan.release_yaml import Items, Node, Pairs, Scalar

_MAX_IMAGE = 4096
"""Characters of a value that is an image; more are only searched."""
_MAX_REFERENCE = 1000
_MAX_COMBINATIONS = 64
"""References that one value is expanded to."""

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
_LOCAL_IMAGE = re.compile(
    r"""(?:repl\{\{|\{\{repl\s)-?\s*LocalImageName\s+(?:"([^"]*)"|'([^']*)'|`([^`]*)`)\s*-?\}\}"""
)
_LITERAL = re.compile(r"""\\?"([A-Za-z0-9._:/@-]*)\\?"|'([A-Za-z0-9._:/@-]*)'|`([A-Za-z0-9._:/@-]*)`""")
_PLACEHOLDER = "repl.template"
_IMAGE_LINE = re.compile(r"""(?:-[ \t]+)*(?:\{[ \t]*)?["']?[\w.-]*image["']?:[ \t]+(\S.*)""", re.IGNORECASE)
_SCHEME = re.compile(r"(?:https?|oci|docker)://")


@dataclass(frozen=True, slots=True)
class Named:
    """A name that was found; the fields mean what they mean in a Mention."""

    text: str
    reference: Reference | None
    any_prefix: bool = False
    any_tag: bool = False


def in_text(text: str) -> Iterator[tuple[int, Named]]:
    """Yield the images in a text of any kind, by `image:` and full references, with their line counted from 0."""
    for offset, line in enumerate(text.split("\n")):
        found = _IMAGE_LINE.fullmatch(line.strip()) if len(line) <= _MAX_IMAGE else None
        names = in_line(line) if found is None else _in_image_line(line, found[1])
        for named in names:
            yield offset, named


def _in_image_line(line: str, value: str) -> Iterator[Named]:
    value = value.partition(" #")[0].strip().rstrip(",")
    if value[:1] in ('"', "'") and value[-1:] == value[:1] and len(value) > 1:
        value = value[1:-1]
    for named in in_image(value):
        # The rest of such a line may be anything, so that only a template makes it unresolved.
        if named.reference or "{{" in named.text:
            yield named
    yield from _full(line)


def in_line(text: str) -> Iterator[Named]:
    """Yield the full references in a text, HOST/PATH with a tag or a digest, and those that templates are part of."""
    if "/" not in text:
        return
    yield from _full(text)
    if "{{" in text and len(text) <= _MAX_IMAGE:
        masked = _TEMPLATE.sub(_PLACEHOLDER, text)
        if any(_PLACEHOLDER in found for found in _FULL.findall(masked)):
            yield from _templated(text.strip())


def _full(text: str) -> Iterator[Named]:
    for found in _FULL.finditer(text):
        yield from _parsed(found[0])
        if found[0].endswith((".", "-")):
            yield from _parsed(found[0].rstrip(".-"))  # the end of a sentence


def in_image(text: str) -> Iterator[Named]:
    """Yield what a text names where an image belongs. One that can't be told is unresolved."""
    text = text.strip()
    local = _LOCAL_IMAGE.fullmatch(text)
    if local:
        text = next(part for part in local.groups() if part is not None)
    if not text:
        return
    if "{{" in text:
        yield from _templated(text)
        return
    named = next(_parsed(text), None)
    if named is not None:
        yield named
        return
    yield from _full(text)
    if not text.startswith(("http://", "https://")):
        yield Named(text, None)


def in_value(key: str, node: Scalar, *, any_prefix: bool = False) -> Iterator[Named]:
    """Yield what the value of `key` names. Keys like `logoImage` may hold something else, so that it may be no name.

    With `any_prefix` a name without a host is not Docker Hub's: a chart may put the registry in front.
    """
    if node.missing:
        return
    for named in in_image(node.text.strip().lstrip("/") if any_prefix else node.text):
        if named.reference or "{{" in named.text or key == "image" or key.endswith("Images"):
            yield replace(named, any_prefix=True) if any_prefix and _is_short(named) else named


def field_of(node: Pairs, name: str) -> Node | None:
    """The last value of a key."""
    for key, value in reversed(node.nodes):
        if isinstance(key, Scalar) and key.text == name:
            return value
    return None


def image_keys(pairs: Sequence[tuple[Node, Node]]) -> Iterator[tuple[Scalar, Scalar]]:
    """Yield the keys whose values are images, unless other keys beside them say more: `split_images` has those."""
    keys = {_plain(key.text) for key, _ in pairs if isinstance(key, Scalar)}
    for key, value in pairs:
        match key, value:
            case Scalar(text), Scalar() if (name := _plain(text)).endswith("image"):
                if _has_own_tag(value.text) or not _completing(name.removesuffix("image")) & keys:
                    yield key, value
            case Scalar(text), Items(nodes) if _plain(text).endswith("images"):
                yield from ((key, item) for item in nodes if isinstance(item, Scalar))


# What the keys of a split image end in: what is in front, such as `worker` in `workerImageTag`, is theirs in common.
_REPOSITORIES = ("imagerepository", "repository", "repo")
_NAMES = (*_REPOSITORIES, "imagename", "image", "name")
_REGISTRIES = ("registry", "imageregistry")
_TAGS = ("tag", "imagetag", "newtag")
_DIGESTS = ("digest", "imagedigest", "sha", "sha256")


def split_images(pairs: Sequence[tuple[Node, Node]]) -> Iterator[tuple[int, Named]]:
    """Yield the images that several keys of a mapping name together, with the line of the one that holds the name."""
    keys: set[str] = set()
    texts: dict[str, list[str]] = {}
    for key, value in pairs:
        if isinstance(key, Scalar):
            keys.add(_plain(key.text))
            known = texts.setdefault(_plain(key.text), [])
            # Keys that stand here twice are in the two branches of a template.
            if _holds(value) and len(known) <= _MAX_COMBINATIONS:
                known.append(value.text.strip())
    for key, value in pairs:
        if not (isinstance(key, Scalar) and _holds(value)):
            continue
        plain = _plain(key.text)
        suffix = next((name for name in _NAMES if plain.endswith(name)), None)
        if suffix is None:
            continue
        prefix = plain.removesuffix(suffix)
        registries = _of(texts, prefix, _REGISTRIES) or _of(texts, "", _REGISTRIES)
        tags, digests = _of(texts, prefix, _TAGS), _of(texts, prefix, _DIGESTS)
        if suffix != "name":
            tags, digests = tags or _of(texts, "", _TAGS), digests or _of(texts, "", _DIGESTS)
        if not tags and (registries or _has_host(value.text)):
            # Without a registry a name with a version may be that of anything.
            tags = _of(texts, prefix, ("version",))
        completed = suffix != "name" and bool(_completing(prefix) & keys)
        if suffix in _REPOSITORIES or tags or digests or completed:
            for named in _composed(value.text.strip(), registries, tags, digests):
                yield value.line, named


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
        # What a template without a literal comes to isn't known: as if it were not there.
        parts = [[literal for text in choice for literal in _expanded(text)] for choice in parts]
    if prod(map(len, parts)) > _MAX_COMBINATIONS:
        yield Named(written, None)
        return
    for one, registry, tag, digest in product(*parts):
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
    own = _has_own_tag(name)
    text = _written(name, registry, "" if own else tag, "" if "@" in name else digest)
    for named in _parsed(_SCHEME.sub("", text)):
        reference = named.reference
        if reference is not None:
            any_tag = reference.tag is None and reference.digest is None
            yield Named(named.text, reference, _is_short(named), any_tag)


def _templated(text: str) -> Iterator[Named]:
    """The unresolved name itself, and what it can come to as far as it holds literals."""
    yield Named(text, None)
    yield from _full(text)
    for candidate in _expanded(text):
        # In front of the slash was a template without a literal: the registry.
        any_prefix = candidate.startswith("/")
        for named in _parsed(candidate.strip("/").removeprefix("docker://")):
            yield Named(named.text, named.reference, any_prefix)


def _expanded(text: str) -> list[str]:
    """Put each literal of a template in its place. Without templates it is the text itself."""
    if "{{" not in text or len(text) > _MAX_IMAGE:
        return [text]
    parts = [""]
    end = 0
    for found in _TEMPLATE.finditer(text):
        literals = [next((part for part in one if part), "") for one in _LITERAL.findall(found[0])]
        between = text[end : found.start()]
        parts = [part + between + literal for part in parts for literal in dict.fromkeys(literals or [""])]
        parts = parts[:_MAX_COMBINATIONS]
        end = found.end()
    return [part + text[end:] for part in parts]


def _parsed(text: str) -> Iterator[Named]:
    if len(text) > _MAX_REFERENCE:
        return
    try:
        yield Named(text, parse_reference(text))
    except ValueError:
        return


def _is_short(named: Named) -> bool:
    """Whether no registry is written, so that it would be Docker Hub."""
    reference = named.reference
    return reference is not None and reference.repository.host == DOCKER_HUB and not named.text.startswith(DOCKER_HUB)


def _has_own_tag(text: str) -> bool:
    return "@" in text or ":" in text.rpartition("/")[2]


def _has_host(text: str) -> bool:
    first, slash, _ = text.partition("/")
    return bool(slash) and ("." in first or ":" in first)


def _plain(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")
