"""The JSON Schema of the plan document `replsync.plan/1`."""

import json
from typing import Any

from replsync.plan.action import Kind
from replsync.plan.document import FORMAT
from replsync.plan.schema_parts import COUNT, TEXT, one_object

_DIGEST = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
_IMAGE_DIGEST = {"type": "string", "pattern": "^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$"}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}  # not anyOf: that takes twice as long to check


def _said(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {**schema, "description": description}


_STATE = one_object(
    "What a tag is. `digest` is null where a Docker daemon will choose it, or the image is made before it is pushed; "
    "`config` where it was not read.",
    kind={"enum": ["image", "tombstone"]},
    digest=_or_null(_IMAGE_DIGEST),
    config=_or_null(_IMAGE_DIGEST),
    made_from=_said(_or_null(TEXT), "What an image is made from whose digests are not known before."),
)
_ACTION = one_object(
    "One tag.",
    kind=_said({"enum": [str(kind) for kind in Kind]}, "What happens to the tag."),
    image=_said(TEXT, "The image's name in the manifest."),
    tag=TEXT,
    reference=_said(TEXT, "HOST/PATH:TAG"),
    before=_said(_or_null(_STATE), "What the tag is when the plan is carried out; null: nothing."),
    after=_said(_or_null(_STATE), "What the tag is then."),
    source=_or_null(
        one_object(
            "What is copied to the tag. `digest` is the image ID where `reference` is a daemon's or `docker save`'s, "
            "and that of all that goes into it where it is a build.",
            reference=TEXT,
            digest=_IMAGE_DIGEST,
            attestations=_said({"enum": ["keep", "strip", "reject"]}, "What happens to attestations."),
            platforms={"description": "The platforms that are copied; none: all.", "type": "array", "items": TEXT},
            split_over=_said(_or_null(COUNT), "Layers of more bytes are split; null: none is."),
            refuse_over=_said(_or_null(COUNT), "Exported layers of more bytes are refused; null: none."),
        )
    ),
    tombstone=_or_null(
        one_object(
            "The tombstone that is written: what it replaces, and why.",
            reason=TEXT,
            replaces=_IMAGE_DIGEST,
            media_type=TEXT,
        )
    ),
    reason=_said(TEXT, "Why; of a blocked tag with its next move at the end."),
    next_move=_said(_or_null(TEXT), "What to do about a blocked tag; null where nobody knows, and for all others."),
    notes={"description": "What a reviewer should know besides.", "type": "array", "items": TEXT},
    bytes=_said(
        _or_null(
            one_object("Bytes of blobs: of the image, to send, to mount.", total=COUNT, upload=COUNT, mount=COUNT)
        ),
        "null where no source was asked.",
    ),
)


def plan_schema() -> dict[str, Any]:
    """Return the schema, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "replsync plan",
        **one_object(
            "What `replsync apply` does. Canonical JSON: sorted keys, no white space.",
            format={"const": FORMAT},
            tool=_said(TEXT, "The program that made the plan, with its version."),
            created_at={
                "type": "string",
                "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
                "maxLength": 20,
            },
            engine=_said({"enum": ["registry", "docker"]}, "What moves the images."),
            manifests={
                "description": "The manifests that the plan was made from.",
                "type": "array",
                "minItems": 1,
                "items": one_object(
                    "A manifest, and the lock file that was used with it, by their digests.",
                    path=TEXT,
                    sha256=_DIGEST,
                    registry=TEXT,
                    app=TEXT,
                    lock=_or_null(_DIGEST),
                ),
            },
            targets={"description": "The patterns that chose a part of it.", "type": "array", "items": TEXT},
            warnings={"description": "What is to be known of the plan.", "type": "array", "items": TEXT},
            notes={"description": "What is to be known besides.", "type": "array", "items": TEXT},
            summary=one_object("How many actions of each kind.", **{str(kind): COUNT for kind in Kind}),
            actions={
                "description": "Sorted by repository and tag.",
                "type": "array",
                "items": {"$ref": "#/$defs/action"},
            },
            digest=_said(_DIGEST, "The sha256 of this document without this member."),
        ),
        "$defs": {"action": _ACTION},
    }


def plan_schema_text() -> str:
    """Return the schema as JSON, as it stands in `schemas/plan.schema.json`."""
    return json.dumps(plan_schema(), indent=2, ensure_ascii=False) + "\n"
