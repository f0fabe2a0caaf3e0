"""The report document, and its schema."""

import json
from dataclasses import replace
from typing import Any

from jsonschema import Draft202012Validator

from replsync.errors import ReplsyncError
from replsync.oci.tag_state import Absent
from replsync.plan.action import ByteCount
from replsync.plan.document import plan_digest
from replsync.plan.report import Done, Failed, Report
from replsync.render.report_json import report_json, report_schema
from tests.plan.situations import WORKER, action, digest, listing, present, resolved
from tests.render.runners import ALL, acted_on
from tests.render.test_markdown import plan

WORDS = ALL.replace("\ud800", "")  # what JSON in UTF-8 can hold

CREATED = replace(action(listing(), Absent(), resolved("E")), bytes=ByteCount(9, 5, 4))


def document(report: Report) -> dict[str, Any]:
    text = report_json(report)
    assert acted_on(text) == []
    made: dict[str, Any] = json.loads(text)
    Draft202012Validator(report_schema()).validate(made)
    return made


def test_a_report_has_an_outcome_for_each_tag_that_the_plan_writes() -> None:
    tags = ["1.0", "2.0", "3.0", "4.0", "5.0"]
    writes = [replace(CREATED, reference=WORKER.tagged(tag)) for tag in tags]
    writes[1] = replace(writes[1], bytes=None)
    outcomes = (
        Done(writes[0], digest("E")),
        Done(writes[1], digest("E"), is_written=False),
        Failed(writes[2], ReplsyncError(WORDS, hint="mend it")),
        Failed(writes[3], ReplsyncError("no room"), is_written=True),
    )
    unchanged = replace(action(listing(), present("E"), resolved("E")), reference=WORKER.tagged("6.0"))
    report = Report(plan(*writes, unchanged), outcomes, ("j.jsonl",), ("replsync rollback j.jsonl",))
    made = document(report)
    assert [one["status"] for one in made["outcomes"]] == ["done", "already", "failed", "failed", "left"]
    assert [one["written"] for one in made["outcomes"]] == [True, False, False, True, False]
    assert made["summary"] == {
        "done": 1,
        "already": 1,
        "failed": 2,
        "left": 1,
        "unchanged": 1,
        "unlisted": 0,
        "blocked": 0,
    }
    assert made["outcomes"][0]["digest"] == digest("E")
    assert made["outcomes"][0]["bytes"] == {"total": 9, "upload": 5, "mount": 4}
    assert made["outcomes"][1]["bytes"] is None
    assert (made["outcomes"][2]["error"], made["outcomes"][2]["hint"]) == (WORDS, "mend it")
    assert (made["journals"], made["undo"]) == (["j.jsonl"], ["replsync rollback j.jsonl"])
    assert made["plan"] == plan_digest(report.plan)


def test_a_report_on_a_part_names_the_plan_that_was_looked_at() -> None:
    assert document(Report(plan(CREATED), (), reviewed=digest("whole")))["plan"] == digest("whole")
