"""A JSON Schema as Markdown: a section for each object, and in it one for each key."""

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML

from replsync.manifest.spelling import spelled_tag

Schema = dict[str, Any]

_CODE = re.compile(r"(`[^`]*`)")


@dataclass(frozen=True)
class Part:
    """An object of the schema that has a section of its own: its title, and what stands in front of its keys."""

    title: str
    prefix: str = ""

    @property
    def link(self) -> str:
        """A link to the section, within the page."""
        return f"[{self.title.lower()}](#{self.title.lower().replace(' ', '-')})"


Parts = Mapping[str, Part]
"""By the names of the schema's definitions, in the page's order; the document itself is named ROOT."""

ROOT = ""


def schema_sections(schema: Schema, parts: Parts) -> Iterator[str]:
    """Yield the lines of a page: a section for each of `parts`, in it one for each key."""
    definitions = schema.get("$defs", {})
    for name, part in parts.items():
        found = schema if name == ROOT else definitions[name]
        yield from (f"## {part.title}", "", literal(found.get("description", "")), "")
        for key, value in found["properties"].items():
            yield from (f"### {part.prefix}{key}", "")
            if said := literal(_description(value, definitions)):
                yield from (said, "")
            yield from _key(key, value, key in found.get("required", ()), parts, definitions)


def literal(text: str) -> str:
    """Return a description as Markdown that shows what a terminal would: only what is in backticks is code."""
    parts = _CODE.split(text)
    return "".join(part if part.startswith("`") else re.sub(r"([*<>_\[\]|])", r"\\\1", part) for part in parts)


def _key(key: str, schema: Schema, required: bool, parts: Parts, definitions: Schema) -> Iterator[str]:
    yield f"- type: {_type(schema, parts, definitions)}"
    if "default" in schema:
        default = schema["default"]
        yield f"- default: {'none' if default in ([], {}) else f'`{_inline(default)}`'}"
    elif "examples" in schema:
        yield f"- default: {'none, it has to be there' if required else 'none'}"
    for inner, value in _inner(schema).items():
        said = literal(_description(value, definitions))
        yield f"  - `{inner}`: {_type(value, parts, definitions)}{f'. {said}' if said else ''}"
    yield ""
    if "examples" in schema:
        yield from ("```yaml", *(f"{key}: {_inline(example)}" for example in schema["examples"][:2]), "```", "")


def _inner(schema: Schema) -> Schema:
    """The members of an object that has no section of its own."""
    found: Schema = schema.get("properties") or schema.get("items", {}).get("properties", {})
    return found


def _description(schema: Schema, definitions: Schema) -> str:
    own = schema.get("description")
    if own is None and "$ref" in schema:
        own = definitions[_reference(schema)].get("description")
    return str(own or "")


def _type(schema: Schema, parts: Parts, definitions: Schema) -> str:
    if "$ref" in schema:
        name = _reference(schema)
        found = definitions[name]
        if "anyOf" in found and "properties" not in found:
            return _alternatives(found["anyOf"], parts, definitions)
        return parts[name].link
    if "const" in schema:
        return f"always `{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    if "anyOf" in schema:
        return _alternatives(schema["anyOf"], parts, definitions)
    kind = schema.get("type")
    if isinstance(kind, list) and "null" in kind:
        kinds = [one for one in kind if one != "null"]
        return f"{_type({**schema, 'type': kinds[0] if len(kinds) == 1 else kinds}, parts, definitions)} or null"
    match kind:
        case "array":
            return f"a list: {_type(schema['items'], parts, definitions)}"
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            return f"a mapping of names to {_type(schema['additionalProperties'], parts, definitions)}"
        case "object":
            return "a mapping"
        case "integer":
            return f"a whole number{_bounds(schema)}"
        case "boolean":
            return "`true` or `false`"
        case "string" | ["string", "number"] | ["string", "number", "boolean"]:
            return "text"  # what YAML takes for a number is text to replsync
        case ["string", "integer"]:
            return "text or a whole number"
        case _:
            return str(kind)


def _alternatives(schemas: Iterable[Schema], parts: Parts, definitions: Schema) -> str:
    return " or ".join(dict.fromkeys(_type(one, parts, definitions) for one in schemas))


def _bounds(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None and most < 2**53:
        return f", {least} to {most}"
    return f", {least} at least" if least is not None else ""


def _reference(schema: Schema) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _inline(value: Any) -> str:
    """The value as YAML in one line."""
    if isinstance(value, str):
        return spelled_tag(value)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    yaml = YAML(typ="safe")
    yaml.default_flow_style = True
    yaml.width = 1000
    out = io.StringIO()
    yaml.dump(value, out)
    return out.getvalue().removesuffix("...\n").strip()
