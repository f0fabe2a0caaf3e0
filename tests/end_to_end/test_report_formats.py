"""What `apply` and `rollback` print in each format: stdout has the report and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.end_to_end.workplace import Done, Workplace, assert_refused
from tests.servers.images import build_image
from tests.servers.push import push
from tests.servers.sandbox import RunningSandbox

ONE, TWO = build_image({"one": b"1"}), build_image({"two": b"2"})
SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/report.schema.json").read_text())


@pytest.fixture
def place(workplace: Workplace, sandbox: RunningSandbox) -> Workplace:
    """Two tags to create."""
    for tag in ("1.0", "2.0"):
        push(sandbox.host, "acme/worker", tag, ONE, sandbox.credentials)
    workplace.sign_in(sandbox)
    workplace.write(sandbox.host, {"name": "worker", "source": f"{sandbox.host}/acme/worker", "tags": ["1.0", "2.0"]})
    return workplace


def report(done: Done) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(done.stdout)
    Draft202012Validator(SCHEMA).validate(document)
    return document


def statuses(document: dict[str, Any]) -> dict[str, str]:
    return {f"{one['image']}:{one['tag']}": one["status"] for one in document["outcomes"]}


def test_a_plan_that_is_made_and_applied_is_reported_as_json(place: Workplace) -> None:
    done = place.run("apply", "--auto-approve", "--format", "json")
    assert done.returncode == 0, done.stderr
    made = report(done)
    assert statuses(made) == {"worker:1.0": "done", "worker:2.0": "done"}
    assert made["outcomes"][0]["digest"] == ONE.digest
    assert (place.folder / made["journals"][0]).is_file()
    assert made["undo"] == [f"replsync rollback {made['journals'][0]}"]
    assert "2 to create" in done.stderr  # what was approved


def test_quiet_leaves_the_plan_out(place: Workplace) -> None:
    done = place.run("apply", "--auto-approve", "--format", "json", "--quiet")
    assert report(done)["summary"]["done"] == 2
    assert done.stderr == ""


def test_a_saved_plan_is_named_in_the_report_and_known_when_it_is_applied_again(place: Workplace) -> None:
    place.run("plan", "--out", "plan.json")
    digest = json.loads((place.folder / "plan.json").read_text())["digest"]
    part = report(place.run("apply", "plan.json", "--target", "worker:1.0", "--format", "json"))
    assert (statuses(part), part["plan"], part["targets"]) == ({"worker:1.0": "done"}, digest, ["worker:1.0"])
    rest = report(place.run("apply", "plan.json", "--format", "json"))
    assert statuses(rest) == {"worker:1.0": "already", "worker:2.0": "done"}
    again = place.run("apply", "plan.json", "--format", "json")
    assert again.returncode == 0
    assert statuses(report(again)) == {"worker:1.0": "already", "worker:2.0": "already"}
    assert report(again)["outcomes"][1]["digest"] == ONE.digest
    assert report(again)["plan"] == digest
    assert "already applied" in again.stderr


def test_where_there_is_nothing_to_do_the_report_says_so(place: Workplace) -> None:
    place.apply()
    made = report(place.run("apply", "--auto-approve", "--format", "json"))
    assert made["outcomes"] == []
    assert made["summary"]["unchanged"] == 2


@pytest.mark.parametrize("saved", [False, True])
def test_of_a_blocked_plan_the_report_says_that_nothing_was_done(
    place: Workplace, sandbox: RunningSandbox, saved: bool
) -> None:
    push(sandbox.host, f"{place.app}/worker", "1.0", TWO, sandbox.credentials)
    place.run("plan", "--out", "plan.json")
    done = place.run("apply", *(["plan.json"] if saved else ["--auto-approve"]), "--format", "json")
    assert done.returncode == 7
    made = report(done)
    assert statuses(made) == {"worker:2.0": "left"}
    assert made["summary"]["blocked"] == 1
    assert "immutable" in done.stderr


def test_what_failed_is_in_the_report_with_its_next_move(place: Workplace) -> None:
    (place.folder / ".replsync").write_text("")  # a file where the journal's folder should be
    done = place.run("apply", "--auto-approve", "--format", "json")
    assert done.returncode == 6
    made = report(done)
    assert set(statuses(made).values()) == {"failed"}
    assert "journal" in made["outcomes"][0]["error"]
    assert made["outcomes"][0]["hint"]


@pytest.mark.parametrize(
    ("form", "start", "said"),
    [("markdown", "<!-- replsync: report ", "### Applied to "), ("html", "<!doctype html>", "1.0")],
)
def test_a_report_is_a_comment_or_a_page(place: Workplace, form: str, start: str, said: str) -> None:
    done = place.run("apply", "--auto-approve", "--format", form)
    assert done.returncode == 0, done.stderr
    assert done.stdout.lower().startswith(start)
    assert said in done.stdout


def test_a_rollback_is_reported_too_and_one_that_is_saved_is_shown_otherwise(place: Workplace) -> None:
    (journal,) = report(place.run("apply", "--auto-approve", "--format", "json"))["journals"]
    saved = place.run("rollback", journal, "--out", "back.json", "--format", "json")
    assert_refused(saved, 64, "rollback --out: --format is that of the report")
    done = place.run("rollback", journal, "--auto-approve", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert statuses(report(done)) == {"worker:1.0": "done", "worker:2.0": "done"}
    assert {one["kind"] for one in report(done)["outcomes"]} == {"tombstone"}
