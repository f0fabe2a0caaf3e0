"""The JSON Schema of the manifest, for editors: it describes what their YAML reader sees.

There a tag such as 1.10 is a number, so that numbers are taken for tags too;
replsync itself reads the text. What a schema can't say, such as that no tag is
listed twice, is said by `read_manifest` alone.
"""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from replsync.manifest.grammar import TAG_SCHEMA
from replsync.manifest.model import Manifest, Tag


class _Schema(GenerateJsonSchema):
    """pydantic's schema without null: in the file, a key is either given or left out."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default") is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def encode_default(self, dft: Any) -> Any:
        encoded = super().encode_default(dft)
        if isinstance(encoded, dict):
            return {key: value for key, value in encoded.items() if value is not None}
        return encoded


def manifest_schema() -> dict[str, Any]:
    """Return the schema, draft 2020-12."""
    schema = Manifest.model_json_schema(schema_generator=_Schema)
    parts = schema["$defs"]
    plain = {**TAG_SCHEMA, "title": "Plain tag", "description": Tag.model_fields["tag"].description}
    parts["TagMapping"] = {**parts.pop("Tag"), "title": "Tag with more"}
    parts["Tag"] = {"title": "Tag", "anyOf": [plain, {"$ref": "#/$defs/TagMapping"}]}
    parts["Image"]["anyOf"] = [
        {"required": ["source"]},
        {"required": ["build"]},
        {"required": ["tags"], "properties": {"tags": {"minItems": 1}}},
        {"required": ["retired"], "properties": {"retired": {"minItems": 1}}},
    ]
    parts["Image"]["dependentRequired"] = {"select": ["source"]}
    parts["Select"]["anyOf"] = [{"required": [key]} for key in ("semver", "regex", "newest")]
    parts["Select"]["not"] = {"required": ["newest", "max"]}
    parts = {name: parts[name] for name in sorted(parts)}
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": "replicated-images.yaml", "$defs": parts}


def schema_text() -> str:
    """Return the schema as JSON, as it stands in `schemas/replicated-images.schema.json`."""
    return json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n"
