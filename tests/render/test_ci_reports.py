"""What CIs are told: GitHub's commands and outputs, GitLab's reports."""

import hashlib
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.errors import ReplsyncError
from replsync.manifest.faults import Fault, InvalidManifest
from replsync.oci.tag_state import Absent
from replsync.plan.document import Plan, plan_digest
from replsync.plan.findings import Finding, Place, fault_findings
from replsync.plan.report import Done, Failed, Report
from replsync.render.ci_values import plan_values, report_values
from replsync.render.github import MAX_ANNOTATIONS, annotations, error_annotation, outputs
from replsync.render.gitlab import code_quality, dotenv, terraform
from tests.end_to_end.test_ci_examples import read_outputs
from tests.plan.situations import WORKER, action, digest, listing, present, resolved
from tests.render.runners import acted_on
from tests.render.test_markdown import ANY, plan
from tests.render.test_text import every_kind

PLACE = Place("replicated-images.yaml", 3, 5)
_COMMAND = re.compile(r"::(error|warning) file=([^,:]*),line=([0-9]+),col=([0-9]+),title=([^,:]*)::(.*)")


def blocked(message: str, subject: str = "worker:1.0", path: str = PLACE.path) -> Finding:
    return Finding("error", "blocked", replace(PLACE, path=path), subject, message)


def unescaped(text: str) -> str:
    """As the runner reads a property; data have fewer escapes."""
    for escape, char in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(escape, char)
    return text


def test_an_annotation_stands_on_its_line_and_escapes_what_github_would_take_for_its_own() -> None:
    assert annotations([blocked("100% gone: a, b")]) == (
        "::error file=replicated-images.yaml,line=3,col=5,title=worker%3A1.0 blocked::100%25 gone: a, b\n"
    )
    assert error_annotation("read x: 50%") == "::error title=replsync::read x: 50%25\n"


@given(message=ANY, subject=ANY, path=ANY)
def test_whatever_an_annotation_says_it_is_one_command(message: str, subject: str, path: str) -> None:
    (line, end) = annotations([blocked(message, subject, path)]).split("\n")
    assert end == ""
    found = _COMMAND.fullmatch(line)
    assert found
    assert acted_on(unescaped(found[6])) == []
    assert unescaped(found[5]).endswith("blocked")
    assert len(line) < 20_000 + len(path) * 3 + len(subject) * 3


def test_annotations_that_github_would_not_show_are_counted() -> None:
    many = [blocked("no", f"worker:{number}") for number in range(30)]
    warning = Finding("warning", "tombstone", PLACE, "worker:0.9", "old")
    lines = annotations([*many, warning]).splitlines()
    assert len(lines) == MAX_ANNOTATIONS + 1
    assert lines[MAX_ANNOTATIONS - 1].endswith("::and 21 more, from worker:9 on")
    assert lines[-1].startswith("::warning file=")
    assert len(annotations(many[:MAX_ANNOTATIONS]).splitlines()) == MAX_ANNOTATIONS
    assert "more" not in annotations(many[:MAX_ANNOTATIONS])


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")))
def test_an_output_ends_where_it_ends(value: str) -> None:
    for one in (value, f"replsync-end{value}", "replsync-end"):
        assert read_outputs(outputs({"a": one, "b": "c"})) == {"a": one, "b": "c"}


def test_a_plan_tells_its_counts_and_what_it_comes_to() -> None:
    made = every_kind()
    values = plan_values(made, "plan.json")
    assert values == {
        **{"outcome": "blocked", "has-changes": "true", "create": "1", "update": "1", "restore": "1"},
        **{"tombstone": "1", "unchanged": "1", "blocked": "1", "unlisted": "1", "upload-bytes": "1500000"},
        **{"digest": plan_digest(made), "plan-file": "plan.json"},
    }
    assert plan_values(plan(), None)["outcome"] == "no-changes"
    assert terraform(made) == '{"create": 1, "update": 2, "delete": 1}\n'


CREATED = action(listing(), Absent(), resolved("E"))
SECOND = replace(CREATED, reference=WORKER.tagged("2.0"))
DONE = Done(CREATED, digest("E"))
FAILED = Failed(CREATED, ReplsyncError("no"))


@pytest.mark.parametrize(
    ("report", "outcome", "written"),
    [
        (Report(plan(CREATED), (DONE,)), "applied", 1),
        (Report(plan(CREATED), (replace(DONE, is_written=False),)), "no-changes", 0),
        (Report(plan(), ()), "no-changes", 0),
        (Report(plan(CREATED, SECOND), (DONE,)), "interrupted", 1),
        (Report(plan(CREATED), (FAILED,)), "failed", 0),
        (Report(plan(CREATED), (replace(FAILED, is_written=True),)), "failed", 1),
        (Report(every_kind(), ()), "blocked", 0),
    ],
)
def test_a_report_tells_what_it_comes_to(report: Report, outcome: str, written: int) -> None:
    values = report_values(report)
    assert (values["outcome"], values["written"]) == (outcome, str(written))


def test_variables_have_names_that_a_shell_takes_and_values_of_one_line() -> None:
    text = dotenv({"has-changes": "true", "plan-file": "a\nREPLSYNC_X=1"})
    assert text.splitlines()[0] == "REPLSYNC_HAS_CHANGES=true"
    assert len(text.splitlines()) == 2


def test_a_fault_is_a_finding_with_its_proposal() -> None:
    (finding,) = fault_findings([InvalidManifest("a.yaml", [Fault(2, 3, "no such key", "write\n  this")])])
    assert finding == Finding("error", "invalid", Place("a.yaml", 2, 3), "", "no such key; write this")


def test_a_report_on_code_quality_has_the_keys_that_gitlab_wants_and_a_fingerprint_that_stays() -> None:
    twice = [blocked("no"), blocked("no"), replace(blocked("no"), place=replace(PLACE, line=9), level="warning")]
    items = json.loads(code_quality(twice))
    assert items[0] == {
        "description": "worker:1.0: no",
        "check_name": "replsync-blocked",
        "fingerprint": items[0]["fingerprint"],
        "severity": "blocker",
        "location": {"path": "replicated-images.yaml", "lines": {"begin": 3}},
    }
    assert len({item["fingerprint"] for item in items}) == 3
    assert len(items[0]["fingerprint"]) == len(hashlib.sha256().hexdigest())
    (moved,) = json.loads(code_quality([replace(blocked("no"), place=replace(PLACE, line=9))]))
    assert moved["fingerprint"] == items[0]["fingerprint"]
    assert json.loads(code_quality([])) == []


def test_a_plan_that_is_made_of_unchanged_tags_has_no_changes() -> None:
    made: Plan = plan(action(listing(), present("E"), resolved("E")))
    assert plan_values(made, None)["has-changes"] == "false"
