"""What a CI is told by the commands, where it looks for it; and nothing of that elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.test_ci_examples import read_outputs
from tests.end_to_end.workplace import MANIFEST, Workplace
from tests.render.runners import acted_on
from tests.servers.images import build_image
from tests.servers.push import push
from tests.servers.sandbox import RunningSandbox

ONE, TWO = build_image({"one": b"1"}), build_image({"two": b"2"})
HOSTILE = "::error::fake %0A::error::fake ##[error]fake"
MANIFEST_TEXT = """\
version: 1
app: {app}
registry: {host}
images:
  - name: worker
    source: {host}/acme/worker
    tags:
      - "1.0"
    retired:
      - tag: "0.9"
        reason: "{reason}"
"""


@pytest.fixture
def place(workplace: Workplace, sandbox: RunningSandbox) -> Workplace:
    """One tag to create, one to retire."""
    push(sandbox.host, "acme/worker", "1.0", ONE, sandbox.credentials)
    push(sandbox.host, f"{workplace.app}/worker", "0.9", TWO, sandbox.credentials)
    workplace.sign_in(sandbox)
    text = MANIFEST_TEXT.format(app=workplace.app, host=sandbox.host, reason=HOSTILE)
    workplace.manifest.write_text(text)
    return workplace


@pytest.fixture
def github(place: Workplace) -> Workplace:
    """It is in a folder of the checkout, as GitHub Actions runs it."""
    place.env.update(
        GITHUB_ACTIONS="true",
        GITHUB_WORKSPACE=str(place.folder.parent),
        GITHUB_OUTPUT=str(place.folder / "outputs"),
        GITHUB_STEP_SUMMARY=str(place.folder / "summary"),
    )
    return place


@pytest.fixture
def gitlab(place: Workplace) -> Workplace:
    place.env.update(GITLAB_CI="true", CI_PROJECT_DIR=str(place.folder))
    return place


def commands(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("::")]


def outputs(place: Workplace) -> dict[str, str]:
    return read_outputs((place.folder / "outputs").read_text())


def reports(place: Workplace) -> dict[str, Any]:
    found = sorted((place.folder / "replsync-reports").iterdir())
    return {path.name: json.loads(path.read_text()) if path.suffix == ".json" else path.read_text() for path in found}


def file_in_checkout(place: Workplace) -> str:
    return f"{place.folder.name}/{MANIFEST}"


def test_a_plan_in_github_has_annotations_a_summary_and_outputs(github: Workplace) -> None:
    done = github.run("plan", "--out", "plan.json", "--format", "markdown")
    assert done.returncode == 0, done.stderr
    (warning,) = commands(done.stderr)
    start = (
        f"::warning file={file_in_checkout(github)},line=10,col=9,title=worker%3A0.9 will be replaced by a tombstone::"
    )
    assert warning.startswith(start)
    assert warning.endswith(
        ":\N{REPLACEMENT CHARACTER}:error::fake %250A::error::fake #\N{REPLACEMENT CHARACTER}#[error]fake"
    )
    assert acted_on(done.stdout + done.stderr) == [warning]
    assert (github.folder / "summary").read_text() == done.stdout + "\n"
    told = outputs(github)
    counts = {name: told[name] for name in ("create", "tombstone", "unchanged", "blocked", "plan-file", "has-changes")}
    assert counts == {
        **{"create": "1", "tombstone": "1", "unchanged": "0", "blocked": "0"},
        **{"plan-file": "plan.json", "has-changes": "true"},
    }
    assert told["digest"] == json.loads((github.folder / "plan.json").read_text())["digest"]


def test_an_apply_in_github_is_reported_in_summary_and_outputs(github: Workplace) -> None:
    done = github.run("apply", "--auto-approve", "--format", "markdown")
    assert done.returncode == 0, done.stderr
    assert commands(done.stderr) == []
    assert (github.folder / "summary").read_text() == done.stdout + "\n"
    told = outputs(github)
    assert (told["outcome"], told["written"]) == ("applied", "2")
    assert told["undo"] == f"replsync rollback {told['journal']}"
    again = github.run("apply", "--auto-approve")
    assert again.returncode == 0
    assert outputs(github)["outcome"] == "no-changes"


def test_a_blocked_apply_in_github_shows_what_blocks_it(github: Workplace, sandbox: RunningSandbox) -> None:
    push(sandbox.host, f"{github.app}/worker", "1.0", TWO, sandbox.credentials)
    done = github.run("apply", "--auto-approve")
    assert done.returncode == 7
    error, warning = commands(done.stderr)
    assert error.startswith(
        f"::error file={file_in_checkout(github)},line=8,col=9,title=worker%3A1.0 blocked::immutable"
    )
    assert warning.startswith("::warning ")
    assert "#### 1 blocked" in (github.folder / "summary").read_text()
    assert outputs(github)["outcome"] == "blocked"


def test_a_tag_that_fails_is_an_annotation_on_its_line(github: Workplace) -> None:
    journal = github.folder / ".replsync"
    journal.write_text("")  # a file where the folder should be: nothing can be recorded, so nothing is written
    done = github.run("apply", "--auto-approve")
    assert done.returncode == 6, done.stderr
    buried, created = commands(done.stderr)  # in the order of the tags
    assert created.startswith(f"::error file={file_in_checkout(github)},line=8,col=9,title=worker%3A1.0 failed::")
    assert ",line=10," in buried
    assert outputs(github)["outcome"] == "failed"


@pytest.mark.parametrize("command", [["validate"], ["plan"], ["apply", "--auto-approve"]])
def test_every_fault_of_the_manifest_is_an_annotation(github: Workplace, command: list[str]) -> None:
    github.manifest.write_text("version: 1\napps: x\nimages:\n  - name: worker\n    sauce: y\n")
    done = github.run(*command)
    assert done.returncode == 3
    starts = ["::".join(line.split("::")[:2]) for line in commands(done.stderr)]
    file = file_in_checkout(github)
    assert f"::error file={file},line=2,col=1,title=invalid manifest" in starts
    assert f"::error file={file},line=5,col=5,title=invalid manifest" in starts
    assert f"{MANIFEST}:2:1: " in done.stderr  # and said as everywhere


def test_what_stops_a_command_is_an_annotation_without_a_line(github: Workplace) -> None:
    github.env["DOCKER_CONFIG"] = str(github.folder / "none")
    done = github.run("plan")
    assert done.returncode == 4
    (error,) = commands(done.stderr)
    assert error.startswith("::error title=replsync::")


def test_a_plan_in_gitlab_writes_its_reports(gitlab: Workplace, sandbox: RunningSandbox) -> None:
    push(sandbox.host, f"{gitlab.app}/worker", "1.0", TWO, sandbox.credentials)
    done = gitlab.run("plan")
    assert done.returncode == 7
    assert acted_on(done.stdout + done.stderr) == []
    found = reports(gitlab)
    assert found.keys() == {"gl-code-quality-report.json", "replsync.env", "terraform.json"}
    assert found["terraform.json"] == {"create": 0, "update": 0, "delete": 1}
    assert "REPLSYNC_BLOCKED=1\n" in found["replsync.env"]
    places = [(item["check_name"], item["location"]) for item in found["gl-code-quality-report.json"]]
    assert places == [
        ("replsync-blocked", {"path": MANIFEST, "lines": {"begin": 8}}),
        ("replsync-tombstone", {"path": MANIFEST, "lines": {"begin": 10}}),
    ]


def test_faults_and_their_end_are_told_to_gitlab(gitlab: Workplace) -> None:
    valid = gitlab.manifest.read_text()
    gitlab.manifest.write_text(valid.replace("app:", "apps:"))
    assert gitlab.run("validate").returncode == 3
    (fault,) = [item for item in reports(gitlab)["gl-code-quality-report.json"] if "apps" in item["description"]]
    assert (fault["check_name"], fault["location"]["lines"]) == ("replsync-invalid", {"begin": 2})
    gitlab.manifest.write_text(valid)
    assert gitlab.run("validate").returncode == 0
    assert reports(gitlab)["gl-code-quality-report.json"] == []


def test_an_apply_in_gitlab_tells_what_was_written(gitlab: Workplace) -> None:
    assert gitlab.run("apply", "--auto-approve").returncode == 0
    assert reports(gitlab)["gl-code-quality-report.json"] == []
    assert "REPLSYNC_OUTCOME=applied\nREPLSYNC_WRITTEN=2\n" in reports(gitlab)["replsync.env"]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(("ci", "env"), [("github", {}), ("gitlab", {}), ("none", {"GITHUB_ACTIONS": "true"})])
def test_the_option_goes_before_the_variables(place: Workplace, ci: str, env: dict[str, str]) -> None:
    before = files(place.folder)
    outputs = {"GITHUB_OUTPUT": str(place.folder / "outputs"), "GITHUB_STEP_SUMMARY": str(place.folder / "summary")}
    done = place.run("plan", "--ci", ci, env={**env, **outputs})
    assert done.returncode == 0, done.stderr
    written = {"github": {"outputs", "summary"}, "gitlab": {"replsync-reports"}, "none": set[str]()}
    assert files(place.folder) - before == written[ci]
    assert len(commands(done.stderr)) == (ci == "github")


def test_on_ones_own_machine_nothing_is_told_to_a_ci(place: Workplace) -> None:
    before = files(place.folder)
    done = place.run("plan", env={"GITHUB_ACTIONS": "false", "GITLAB_CI": ""})
    assert commands(done.stderr) == []
    assert files(place.folder) == before


def test_a_ci_that_can_not_be_told_is_no_reason_to_fail(github: Workplace) -> None:
    github.env.update(GITHUB_OUTPUT=str(github.folder / "none/x"), GITHUB_STEP_SUMMARY=str(github.folder))
    done = github.run("apply", "--auto-approve")
    assert done.returncode == 0
    assert done.stderr.count("note: GitHub can't be told: write ") == 2
    place = {"GITHUB_ACTIONS": "", "GITLAB_CI": "true", "CI_PROJECT_DIR": str(github.manifest)}
    done = github.run("plan", env=place)
    assert done.returncode == 0
    assert "note: GitLab can't be told: write " in done.stderr


def test_a_summary_that_is_full_is_left_as_it_is(github: Workplace) -> None:
    (github.folder / "summary").write_bytes(b"x" * 1_000_000)
    done = github.run("plan")
    assert "note: the step's summary has no room for this" in done.stderr
    assert (github.folder / "summary").stat().st_size == 1_000_000
