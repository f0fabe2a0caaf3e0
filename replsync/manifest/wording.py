"""pydantic's errors about a manifest in words for people, with proposals."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from replsync.manifest.build import Build
from replsync.manifest.faults import shown
from replsync.manifest.model import VERSION, Image, Manifest, Policy, Retired, Tag, Transfer
from replsync.manifest.select import Select
from replsync.manifest.yaml_tree import Empty

Path = tuple[str | int, ...]

_MODELS = (Manifest, Policy, Transfer, Image, Select, Tag, Retired, Build)
_LONGEST_KEY = max(len(key) for part in _MODELS for key in part.model_fields)

_PARTS: Mapping[str, tuple[type[BaseModel], str]] = {
    "images": (Image, "an image"),
    "policy": (Policy, "`policy`"),
    "transfer": (Transfer, "`transfer`"),
    "select": (Select, "`select`"),
    "tags": (Tag, "a tag"),
    "retired": (Retired, "a retired tag"),
    "build": (Build, "`build`"),
}
_LISTS = {
    "images": "a list of images",
    "tags": "a list of tags",
    "retired": "a list of retired tags",
    "mutable": "a list of patterns",
    "exclude": "a list of patterns",
    "platforms": "a list of platforms",
    "releases": "a list of patterns of files",
    "registry_aliases": "a list of registries",
}
_ENTRIES = {
    "images": "a mapping with `name` and `tags`",
    "tags": "a tag, or a mapping with `tag`",
    "retired": "a mapping with `tag` and `reason`",
    "mutable": "a pattern",
    "exclude": "a pattern",
    "platforms": "a platform",
    "releases": "a pattern of files",
    "registry_aliases": "a registry",
}
_MISSING = {
    "version": f"begin with `version: {VERSION}`",
    "images": "add `images:` and below it `- name: worker`, for example",
    "name": "add `name: worker`, for example",
    "tag": "add `tag: 1.10`, for example",
    "context": "add `context: ./worker`, for example",
    "reason": 'write `{tag: 1.9.3, reason: "CVE-2026-1234, use 1.10"}`, for example',
}


_CHOICES = {
    "unlisted": ("report", "ignore", "tombstone"),
    "attestations": ("strip", "reject"),
    "oversize_layers": ("reject", "split"),
}


@dataclass(frozen=True)
class Complaint:
    """What is wrong with the value, or the key, at `path`."""

    path: Path
    message: str
    proposal: str | None
    about_key: bool = False


def complaint(error: ErrorDetails, path: Path) -> Complaint:
    """Return `error` in words. `path` is its place, or that of the innermost value around it that the file has."""
    value = error["input"]
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            key = str(error["loc"][-1])
            return Complaint(path, f"{place(path)} has no `{key}`", _MISSING.get(key))
        case "extra_forbidden":
            key = str(path[-1])
            return Complaint(path, f"{place(path[:-1])} has the unknown key {shown(key)}", _known_key(path), True)
        case _ if isinstance(value, Empty):
            return Complaint(path, f"{place(path)} is empty", _filled(path, value))
        case "refused":
            proposal = context["proposal"]
            return Complaint(path, f"{place(path)} is {_text(value)}: {context['explanation']}", proposal)
        case "newer_version":
            message = f"this is a manifest of version {shown(str(value))}, this replsync reads {VERSION}"
            return Complaint(path, message, "upgrade replsync")
        case "literal_error":
            allowed = _CHOICES.get(str(path[-1]), ())
            near = get_close_matches(value, allowed, 1) if isinstance(value, str) else []
            proposal = f"did you mean `{near[0]}`?" if near else None
            return Complaint(path, f"{place(path)} is {_text(value)}, expected {_expected(path)}", proposal)
        case "no_images":
            return Complaint(path, f"{place(path)} is an empty list, a manifest has one image at least", None)
        case "no_platforms":
            message = f"{place(path)} is an empty list, which would leave no platform"
            return Complaint(path, message, "name some, or remove the key: then all are pushed")
        case _:
            message = f"{place(path)} is {_text(value)}, expected {_expected(path)}"
            return Complaint(path, message, _reshaped(path, value))


def place(path: Path) -> str:
    """Return `path` as it is written in messages: `images[0].tags[2]`."""
    if not path:
        return "the file"
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return shown(text[1:])


def _text(value: object) -> str:
    match value:
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return shown(str(value))


def _expected(path: Path) -> str:
    match path:
        case (*_, str() as key) if key in _LISTS:
            return _LISTS[key]
        case (*_, str() as key, int()) if key in _ENTRIES:
            return _ENTRIES[key]
        case ():
            return "a mapping with `version` and `images`"
        case ("policy",):
            return "a mapping with `unlisted`, `max_tombstones`, `max_layer_size` or `oversize_layers`"
        case ("transfer",):
            return "a mapping with `parallelism`, `min_chunk_size` or `max_chunk_size`"
        case (*_, "build"):
            return "a mapping with `context`"
        case (*_, "args" | "secrets"):
            return "a mapping of names and values"
        case ("policy", str() as key) if key in _CHOICES:
            *others, last = [f"`{choice}`" for choice in _CHOICES[key]]
            return f"{', '.join(others)} or {last}"
        case ("version",):
            return f"the number {VERSION}"
        case (*_, "select"):
            return "a mapping with `semver`, `regex` or `newest`"
        case (*_, "select", "newest" | "max"):
            return "a whole number from 1"
        case ("policy", "max_tombstones") | ("transfer", "parallelism"):
            return "a whole number"
        case ("policy", "max_layer_size") | ("transfer", _):
            return "a size such as `500MB`"
        case (*_, "even_if_referenced"):
            return "`true` or `false`"
        case _:
            return "a text"


def _reshaped(path: Path, value: object) -> str | None:
    """A proposal for a value of the wrong type."""
    match path, value:
        case (*_, "tags" | "mutable" | "platforms" | "exclude" | "releases" | "registry_aliases" as key), str() if (
            value
        ):
            return f"write `{key}: [{_quoted(value)}]`"
        case (*_, "build"), str() if value:
            return f"write `build: {{context: {value}}}`"
        case (*_, "images" | "tags" | "retired"), dict():
            return "begin each entry with `- `"
        case ("images", int()), str() if value:
            return f"write `- name: {value}`"
        case (*_, "retired", int()), str() if value:
            return f'write `{{tag: {value}, reason: "…"}}`: a retired tag needs a reason'
        case (*_, "select"), str() if re.match(r"[0-9<>=~^*v]", value):
            return f'write `select: {{semver: "{value}"}}`'
        case ("policy",), str() if value:
            return f"write `policy: {{unlisted: {value}}}`"
        case ((), _) | (("version",), str()):
            return _MISSING["version"]
        case _:
            return None


def _quoted(value: str) -> str:
    """A text as YAML takes it within a list: an alias, a quote and the like would start something else."""
    return value if re.match(r"[A-Za-z0-9_./]", value) and not re.search(r"[\[\]{},:#]", value) else f'"{value}"'


def _filled(path: Path, value: Empty) -> str:
    if value.written and len(path) > 2:
        return f'to mean the text, write "{value.written}"; else remove it'
    if path and isinstance(path[-1], int):
        return f"expected {_expected(path)}"
    return f"expected {_expected(path)}; or remove the key"


def _known_key(path: Path) -> str | None:
    """A key that was probably meant, or the place where this one belongs."""
    *parents, key = map(str, path)
    part = next((_PARTS[step][0] for step in reversed(parents) if step in _PARTS), Manifest)
    if len(key) > 2 * _LONGEST_KEY:
        return None
    owners = [name for owner, name in _PARTS.values() if key in owner.model_fields]
    # What is a key elsewhere was rather misplaced than misspelled.
    near = get_close_matches(key.lower().replace("-", "_"), part.model_fields, 1, 0.8 if owners else 0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    if key in Manifest.model_fields:
        return f"`{key}` belongs to the top of the file"
    return f"`{key}` belongs to {' or '.join(owners)}" if owners else f"known here are {_listed(part)}"


def _listed(part: type[BaseModel]) -> str:
    *most, last = (f"`{key}`" for key in part.model_fields)
    return f"{', '.join(most)} and {last}" if most else last
