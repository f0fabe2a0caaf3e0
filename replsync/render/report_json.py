"""What became of a plan as the document `replsync.report/1`, and the JSON Schema of that. Pure functions to strings."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, assert_never

from replsync.plan.action import WRITING, Action, Kind
from replsync.plan.document import canonical, plan_digest
from replsync.plan.report import Done, Failed, Outcome, Report
from replsync.plan.schema_parts import COUNT, TEXT, one_object

FORMAT = "replsync.report/1"
STATUSES = ("done", "already", "failed", "left")

_DIGEST = {"type": "string", "pattern": "^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$"}
_TEXT_OR_NULL = {"type": ["string", "null"]}


def report_json(report: Report) -> str:
    """Return the report document: canonical JSON (sorted keys, no white space) and a newline."""
    outcomes = _outcomes(report)
    statuses = [outcome["status"] for outcome in outcomes]
    document = {
        "format": FORMAT,
        "tool": report.plan.tool,
        "plan": report.reviewed or plan_digest(report.plan),
        "applications": list(report.plan.applications),
        "targets": list(report.plan.targets),
        "summary": {
            **{status: statuses.count(status) for status in STATUSES},
            "unchanged": report.plan.summary[Kind.UNCHANGED],
            "unlisted": report.plan.summary[Kind.UNLISTED],
            "blocked": len(report.plan.blocked),
        },
        "outcomes": outcomes,
        "journals": list(report.journals),
        "undo": list(report.undo),
    }
    return canonical(document) + "\n"


def _outcomes(report: Report) -> list[dict[str, Any]]:
    """One for each action that writes, in the plan's order."""
    found = {outcome.action.reference: outcome for outcome in report.outcomes}
    return [_outcome(action, found.get(action.reference)) for action in report.plan.writes]


def _outcome(action: Action, outcome: Outcome | None) -> dict[str, Any]:
    said: Mapping[str, Any]
    match outcome:
        case None:
            said = {"status": "left", "digest": None, "error": None, "hint": None, "written": False}
        case Done(_, digest, is_written):
            status = "done" if is_written else "already"
            said = {"status": status, "digest": digest, "error": None, "hint": None, "written": is_written}
        case Failed(_, error, is_written):
            status = "failed"
            said = {
                "status": status,
                "digest": None,
                "error": error.message,
                "hint": error.hint,
                "written": is_written,
            }
        case _:
            assert_never(outcome)
    return {
        "kind": str(action.kind),
        "image": action.image,
        "tag": action.tag,
        "reference": str(action.reference),
        **said,
        "bytes": asdict(action.bytes) if action.bytes else None,
    }


def report_schema() -> dict[str, Any]:
    """Return the schema, draft 2020-12."""
    digest_or_null = {**_DIGEST, "type": ["string", "null"]}
    sizes = one_object("Bytes of blobs: of the image, to send, to mount.", total=COUNT, upload=COUNT, mount=COUNT)
    outcome = one_object(
        "What became of one tag.",
        kind={"enum": [str(kind) for kind in WRITING], "description": "What the plan wanted to do to the tag."},
        image={**TEXT, "description": "The image's name in the manifest."},
        tag=TEXT,
        reference={**TEXT, "description": "HOST/PATH:TAG"},
        status={
            "enum": list(STATUSES),
            "description": "`done`: written now; `already`: it was so; `failed`; `left`: not tried, or not finished.",
        },
        digest={**digest_or_null, "description": "What the tag points at now, where it is as planned."},
        error={**_TEXT_OR_NULL, "description": "Why it failed."},
        hint={**_TEXT_OR_NULL, "description": "What to do now."},
        written={
            "type": "boolean",
            "description": "Whether this run wrote it: a failed one may be written, and missing in the journal.",
        },
        bytes={**sizes, "type": ["object", "null"], "description": "As the plan has it; null: not known before."},
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "replsync report",
        **one_object(
            "What became of a plan. Canonical JSON: sorted keys, no white space.",
            format={"const": FORMAT},
            tool={**TEXT, "description": "The program that made the plan, with its version."},
            plan={**_DIGEST, "description": "The digest of the plan's document that was looked at."},
            applications={"description": "REGISTRY/APP of each.", "type": "array", "items": TEXT},
            targets={"description": "The patterns that chose a part of the plan.", "type": "array", "items": TEXT},
            summary=one_object(
                "How many tags; with blocked ones nothing was written.",
                **dict.fromkeys((*STATUSES, "unchanged", "unlisted", "blocked"), COUNT),
            ),
            outcomes={
                "description": "One for each tag that the plan writes, in its order.",
                "type": "array",
                "items": outcome,
            },
            journals={"description": "The journals that tell what was written.", "type": "array", "items": TEXT},
            undo={"description": "The commands that take it back.", "type": "array", "items": TEXT},
        ),
    }


def report_schema_text() -> str:
    """Return the schema as JSON, as it stands in `schemas/report.schema.json`."""
    return json.dumps(report_schema(), indent=2, ensure_ascii=False) + "\n"
