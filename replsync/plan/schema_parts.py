"""What the JSON Schemas of plans and reports are put together from."""

from typing import Any

TEXT: dict[str, Any] = {"type": "string"}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}


def one_object(description: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of an object that has all these members, and no others."""
    return {
        "description": description,
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
