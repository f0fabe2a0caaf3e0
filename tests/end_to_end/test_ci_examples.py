"""The workflows in examples/ci, the action and the hooks: each script is run as the CI runs it, at a sandbox."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from replsync.cli.main import command
from tests.end_to_end.forge import TOKEN, Forge, serving
from tests.end_to_end.workplace import Workplace
from tests.servers.command import clean_environment
from tests.servers.images import build_image
from tests.servers.process import program
from tests.servers.push import push
from tests.servers.sandbox import RunningSandbox

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / "examples/ci/github"
GITLAB = ROOT / "examples/ci/gitlab/.gitlab-ci.yml"
ACTION = ROOT / "action.yml"
HOOKS = ROOT / ".pre-commit-hooks.yaml"
_EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")
ONE = build_image({"one": b"1"})


def loaded(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_bytes())


def steps(path: Path, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = loaded(path)["jobs"][job]["steps"]
    return found


def scripts() -> Iterator[tuple[str, str]]:
    """Every script, with a name of where it stands."""
    for path in sorted(GITHUB.glob("*.yml")):
        for job, content in loaded(path)["jobs"].items():
            for step in content["steps"]:
                if "run" in step:
                    yield f"{path.name}:{job}:{step.get('name', 'install')}", step["run"]
    for job, content in loaded(GITLAB).items():
        if isinstance(content, dict) and "script" in content:
            yield f"gitlab:{job}", "\n".join(content["script"])
    for step in loaded(ACTION)["runs"]["steps"]:
        if "run" in step:
            yield f"action:{step['name']}", step["run"]


SCRIPTS = dict(scripts())


@pytest.mark.parametrize(
    ("schema", "path", "options"),
    [
        *(("github-workflows", path, ()) for path in sorted(GITHUB.glob("*.yml"))),
        ("github-actions", ACTION, ()),
        ("gitlab-ci", GITLAB, ("--data-transform", "gitlab-ci")),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_a_file_is_as_the_schema_of_its_ci_wants_it(schema: str, path: Path, options: tuple[str, ...]) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *options, str(path)]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_a_script_is_shell_and_what_it_asks_of_replsync_is_there(script: str) -> None:
    assert not _EXPRESSION.search(script), "an expression in a script may hold a command"
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    for line in re.findall(r"^(?:- )?(replsync .*)$", script, re.MULTILINE):
        assert_understood(re.split(r" (?:>|\|\|) ?", line)[0])


def assert_understood(line: str) -> None:
    """The command and all its options exist; parsing runs nothing."""
    whole = command()
    name, *arguments = shlex.split(line)[1:]
    whole.commands[name].make_context(name, arguments).close()


def test_scripts_that_run_replsync_are_found() -> None:
    assert sum("replsync plan" in script for script in SCRIPTS.values()) >= 4
    assert sum("replsync apply" in script for script in SCRIPTS.values()) >= 2


def test_the_workflows_ask_for_no_more_than_they_need() -> None:
    for path in GITHUB.glob("*.yml"):
        workflow = loaded(path)
        assert workflow["permissions"]["contents"] == "read"
        assert workflow["defaults"] == {"run": {"shell": "bash"}}  # with which GitHub sets pipefail
        granted = [workflow, *workflow["jobs"].values()]
        written = [name for one in granted for name, level in one.get("permissions", {}).items() if level == "write"]
        assert written == {"drift": ["issues"], "plan": ["pull-requests"]}.get(path.stem.removeprefix("replsync-"), [])
        assert "pull_request_target" not in path.read_text()
        for job in workflow["jobs"].values():
            for step in job["steps"]:
                assert re.fullmatch(r"actions/[a-z-]+@v[0-9]+", step.get("uses", "actions/checkout@v6"))


@dataclass
class Runner:
    """Runs scripts as a CI does, in one folder, with the files that it gives them. `env` is of the whole workflow."""

    folder: Path
    env: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        return (self.folder / "summary").read_text()

    def run(self, script: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run it with bash -e -o pipefail, as the workflows ask for, and GitLab does; then read its outputs."""
        (self.folder / "outputs").write_text("")
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=self.folder,
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            timeout=100,
        )
        self.outputs |= read_outputs((self.folder / "outputs").read_text())
        return done

    def step(self, path: Path, job: str, name: str, env: Mapping[str, str] | None = None) -> Any:
        """Run a step of a workflow. Its own variables are expressions, which `env` settles."""
        (step,) = [one for one in steps(path, job) if one.get("name") == name]
        assert step.get("env", {}).keys() <= {*self.env, *(env or {})}
        return self.run(step["run"], env)


def read_outputs(text: str) -> dict[str, str]:
    """Read the file of $GITHUB_OUTPUT as the runner does: NAME=VALUE, or NAME<<END, lines, END."""
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        if "<<" in line.partition("=")[0]:
            name, _, end = line.partition("<<")
            value = []
            while (one := next(lines)) != end:
                value.append(one)
            found[name] = "\n".join(value)
        else:
            name, equals, one = line.partition("=")
            assert equals
            found[name] = one
    return found


@pytest.fixture
def forge() -> Iterator[Forge]:
    """What the scripts talk to, with curl and jq."""
    for name in ("curl", "jq"):
        program(name, package=name)
    with serving() as started:
        yield started


@pytest.fixture
def place(workplace: Workplace, sandbox: RunningSandbox) -> Workplace:
    """A manifest that lists one image which is to be created."""
    push(sandbox.host, "acme/worker", "1.0", ONE, sandbox.credentials)
    workplace.sign_in(sandbox)
    listing(workplace, sandbox)
    return workplace


def listing(place: Workplace, sandbox: RunningSandbox, **worker: Any) -> None:
    image = {"name": "worker", "source": f"{sandbox.host}/acme/worker", "tags": ["1.0"]}
    place.write(sandbox.host, {**image, **worker})


def environment(place: Workplace, forge: Forge, **more: str) -> dict[str, str]:
    binaries = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    base = clean_environment(place.folder, {"PATH": binaries, "REPLICATED_API_TOKEN": "", **place.env})
    return {**base, "GITHUB_API_URL": forge.url, "GITHUB_REPOSITORY": "acme/app", "GITHUB_TOKEN": TOKEN, **more}


@pytest.fixture
def github(place: Workplace, forge: Forge) -> Runner:
    files = {"GITHUB_OUTPUT": str(place.folder / "outputs"), "GITHUB_STEP_SUMMARY": str(place.folder / "summary")}
    more = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(place.folder), "NUMBER": "7", **files}
    more |= {"GITHUB_SHA": "merge", "GITHUB_REF_NAME": "main"}
    forge.merged["merge"] = ["head"]
    return Runner(place.folder, environment(place, forge, **more))


PLAN, APPLY, DRIFT = (GITHUB / f"replsync-{name}.yml" for name in ("plan", "apply", "drift"))


RUN = {"path": ".github/workflows/replsync-plan.yml", "event": "pull_request", "head_sha": "head", "head_branch": "x"}


def keep(
    forge: Forge, name: str, run: int, *, fork: bool = False, expired: bool = False, made_by: Mapping[str, str] = RUN
) -> None:
    """List an artifact, as GitHub does after an upload, and the run that made it."""
    forge.runs[run] = dict(made_by)
    workflow_run = {"id": run, "repository_id": 1, "head_repository_id": 2 if fork else 1}
    made = {"name": name, "expired": expired, "created_at": f"2026-01-01T00:00:{run % 60:02}Z"}
    forge.artifacts.append({**made, "workflow_run": workflow_run})


def test_a_pull_request_gets_one_comment_which_later_runs_replace(
    github: Runner, forge: Forge, place: Workplace, sandbox: RunningSandbox
) -> None:
    forge.comments[1] = {"id": 1, "user": {"type": "User"}, "body": "<!-- replsync: plan -->"}
    assert github.step(PLAN, "plan", "Plan").returncode == 0
    assert github.step(PLAN, "plan", "Comment").returncode == 0
    listing(place, sandbox, tags=[], retired=[{"tag": "0.9", "reason": "old @all"}])
    assert github.step(PLAN, "plan", "Plan").returncode == 0
    assert github.step(PLAN, "plan", "Comment").returncode == 0
    first, ours = forge.comments.values()
    assert first["body"] == "<!-- replsync: plan -->"
    assert ours["body"] == (place.folder / "plan.md").read_text()
    assert "**No changes.**" in ours["body"]
    assert github.summary.count("### Plan for ") == 2


def test_a_blocked_plan_is_commented_too_and_fails_the_job(
    github: Runner, forge: Forge, place: Workplace, sandbox: RunningSandbox
) -> None:
    listing(place, sandbox, tags=["2.0"])
    planned = github.step(PLAN, "plan", "Plan")
    assert planned.returncode == 7
    assert "::error file=replicated-images.yaml,line=1," in planned.stderr
    assert github.step(PLAN, "plan", "Comment").returncode == 0
    (comment,) = forge.comments.values()
    assert "#### 1 blocked" in comment["body"]


def test_a_plan_that_could_not_be_made_leaves_the_comments_alone(
    github: Runner, forge: Forge, place: Workplace
) -> None:
    place.manifest.write_text("version: 1\napps: myapp\n")
    planned = github.step(PLAN, "plan", "Plan")
    assert planned.returncode == 3
    assert "::error file=replicated-images.yaml,line=2,col=1,title=invalid manifest::" in planned.stderr
    assert github.step(PLAN, "plan", "Comment").returncode == 0
    assert forge.comments == {}


def test_after_the_merge_exactly_the_plan_that_was_reviewed_is_applied(
    github: Runner, forge: Forge, place: Workplace, sandbox: RunningSandbox
) -> None:
    github.step(PLAN, "plan", "Plan")
    name = github.outputs["name"]
    keep(forge, name, 11)
    keep(forge, name, 12)
    keep(forge, name, 13, expired=True)
    keep(forge, name, 14, fork=True)
    keep(forge, name, 15, made_by={**RUN, "path": ".github/workflows/mine.yml"})
    keep(forge, name, 16, made_by={**RUN, "head_sha": "another"})
    keep(forge, name, 17, made_by={**RUN, "event": "push"})
    keep(forge, name, 18, made_by={**RUN, "event": "workflow_dispatch"})
    found = github.step(APPLY, "apply", "Find the plan")
    assert found.returncode == 0, found.stderr
    assert (github.outputs["name"], github.outputs["run"]) == (name, "12")
    applied = github.step(APPLY, "apply", "Apply")
    assert applied.returncode == 0, applied.stderr
    assert github.outputs["outcome"] == "applied"
    assert (place.folder / github.outputs["journal"]).is_file()
    assert "### Applied to " in github.summary
    assert place.is_in_sync()


def test_a_plan_that_somebody_made_by_hand_on_the_branch_is_found(github: Runner, forge: Forge) -> None:
    github.step(PLAN, "plan", "Plan")
    keep(forge, github.outputs["name"], 11, made_by={**RUN, "event": "workflow_dispatch", "head_branch": "main"})
    assert github.step(APPLY, "apply", "Find the plan").returncode == 0
    assert github.outputs["run"] == "11"


@pytest.mark.parametrize(
    ("path", "job", "name"), [(APPLY, "apply", "Find the plan"), (PLAN, "plan", "Comment"), (DRIFT, "drift", "Issue")]
)
def test_where_github_does_not_answer_the_step_fails_and_claims_nothing(
    github: Runner, forge: Forge, path: Path, job: str, name: str
) -> None:
    github.step(PLAN, "plan", "Plan")
    forge.is_down = True
    done = github.step(path, job, name, {"CODE": "2"} if name == "Issue" else None)
    assert done.returncode not in (0, 1)
    assert "No plan was made" not in done.stdout


def test_a_plan_of_another_manifest_is_not_found(
    github: Runner, forge: Forge, place: Workplace, sandbox: RunningSandbox
) -> None:
    github.step(PLAN, "plan", "Plan")
    keep(forge, github.outputs["name"], 11)
    listing(place, sandbox, mutable=["latest"])
    found = github.step(APPLY, "apply", "Find the plan")
    assert found.returncode == 1
    assert found.stdout.startswith("::error title=No plan was made for this manifest::Run 'replsync plan'")


def test_where_somebody_pushed_since_the_review_the_plan_is_refused_and_nothing_is_written(
    github: Runner, place: Workplace, sandbox: RunningSandbox
) -> None:
    github.step(PLAN, "plan", "Plan")
    push(sandbox.host, f"{place.app}/worker", "1.0", build_image({"other": b"2"}), sandbox.credentials)
    applied = github.step(APPLY, "apply", "Apply")
    assert applied.returncode == 5
    assert "::error title=replsync::apply the plan: since it was made a tag has changed" in applied.stderr
    assert not (place.folder / ".replsync").exists()


def test_drift_opens_an_issue_and_closes_it_when_it_is_gone(github: Runner, forge: Forge, place: Workplace) -> None:
    def check() -> None:
        assert github.step(DRIFT, "drift", "Plan").returncode == 0
        code = {"CODE": github.outputs["exit-code"]}
        assert github.step(DRIFT, "drift", "Issue", code).returncode == 0

    check()
    check()
    (issue,) = forge.issues.values()
    assert issue["state"] == "open"
    assert "| **1** | 0 |" in issue["body"]
    place.apply()
    check()
    check()
    assert [one["state"] for one in forge.issues.values()] == ["closed"]


def test_what_is_no_drift_fails_the_check(github: Runner, place: Workplace) -> None:
    place.manifest.write_text("version: 1\n")
    assert github.step(DRIFT, "drift", "Plan").returncode == 3


@pytest.fixture
def gitlab(place: Workplace, forge: Forge) -> Runner:
    more = {"GITLAB_CI": "true", "CI_PROJECT_DIR": str(place.folder), "CI_PROJECT_ID": "5", "CI_JOB_TOKEN": TOKEN}
    return Runner(place.folder, environment(place, forge, CI_API_V4_URL=f"{forge.url}/api/v4", **more))


def test_at_gitlab_a_merge_request_is_planned_and_after_the_merge_that_plan_is_applied(
    gitlab: Runner, forge: Forge, place: Workplace
) -> None:
    reports = loaded(GITLAB)["plan"]["artifacts"]["reports"]
    assert gitlab.run(SCRIPTS["gitlab:validate"]).returncode == 0
    planned = gitlab.run(SCRIPTS["gitlab:plan"])
    assert planned.returncode == 0, planned.stderr
    assert json.loads((place.folder / reports["terraform"]).read_text()) == {"create": 1, "update": 0, "delete": 0}
    assert json.loads((place.folder / reports["codequality"]).read_text()) == []
    assert "REPLSYNC_HAS_CHANGES=true\n" in (place.folder / reports["dotenv"]).read_text()
    assert "<!doctype html>" in (place.folder / "plan.html").read_text()[:100].lower()
    saved = (place.folder / "plan.json").read_bytes()
    assert list(forge.packages.values()) == [saved]
    (place.folder / "plan.json").unlink()
    applied = gitlab.run(SCRIPTS["gitlab:apply"])
    assert applied.returncode == 0, applied.stderr
    assert (place.folder / "plan.json").read_bytes() == saved
    assert gitlab.run(SCRIPTS["gitlab:drift"]).returncode == 0


def test_at_gitlab_drift_fails_the_job_and_a_missing_plan_the_apply(gitlab: Runner) -> None:
    assert gitlab.run(SCRIPTS["gitlab:drift"]).returncode == 2
    applied = gitlab.run(SCRIPTS["gitlab:apply"])
    assert applied.returncode == 1
    assert "No plan was made for this manifest" in applied.stdout


@pytest.fixture
def action(github: Runner) -> Runner:
    """The action after its steps that install: replsync is where they put it."""
    binaries = github.folder / "temp/replsync/bin"
    binaries.mkdir(parents=True)
    (binaries / "replsync").symlink_to(Path(sys.executable).parent / "replsync")
    inputs = {"COMMAND": "plan", "FILES": "", "PLAN": "", "ARGUMENTS": ""}
    github.env |= {"RUNNER_TEMP": str(github.folder / "temp"), **inputs}
    return github


def test_the_action_plans_and_applies_with_its_inputs_and_tells_what_came_of_it(
    action: Runner, place: Workplace
) -> None:
    place.manifest.rename(place.folder / "my images.yaml")
    files = {"FILES": "my images.yaml\n", "PLAN": "a plan.json"}
    planned = action.run(SCRIPTS["action:Run"], {**files, "ARGUMENTS": "--target\nworker:*\n"})
    assert planned.returncode == 0, planned.stderr
    later = {"journal", "undo", "written", "already", "failed", "left"}
    named = loaded(ACTION)["outputs"].keys() - later
    assert {name: action.outputs[name] for name in named} == {
        **{"outcome": "changes", "has-changes": "true", "create": "1", "update": "0", "restore": "0"},
        **{"tombstone": "0", "unchanged": "0", "blocked": "0", "plan-file": "a plan.json", "exit-code": "0"},
        **{"unlisted": "0", "upload-bytes": action.outputs["upload-bytes"]},
        "digest": json.loads((place.folder / "a plan.json").read_text())["digest"],
    }
    applied = action.run(SCRIPTS["action:Run"], {"COMMAND": "apply", "PLAN": "a plan.json"})
    assert applied.returncode == 0, applied.stderr
    assert action.outputs["outcome"] == "applied"
    assert (place.folder / action.outputs["journal"]).is_file()
    validated = action.run(SCRIPTS["action:Run"], {"COMMAND": "validate", "FILES": "my images.yaml"})
    assert validated.returncode == 0


def test_the_action_takes_no_other_command_and_runs_nothing_that_stands_in_an_input(action: Runner) -> None:
    other = action.run(SCRIPTS["action:Run"], {"COMMAND": "sandbox"})
    assert other.returncode == 64
    assert other.stdout.startswith("::error title=replsync::")
    done = action.run(SCRIPTS["action:Run"], {"FILES": "$(touch owned)\n`touch owned`", "ARGUMENTS": "; touch owned"})
    assert done.returncode == 64
    assert not (action.folder / "owned").exists()


def test_the_outputs_of_the_action_are_those_that_replsync_writes(action: Runner) -> None:
    action.run(SCRIPTS["action:Run"], {"COMMAND": "apply", "ARGUMENTS": "--auto-approve"})
    action.run(SCRIPTS["action:Run"])
    assert loaded(ACTION)["outputs"].keys() == action.outputs.keys()
    for name, output in loaded(ACTION)["outputs"].items():
        assert output["value"] == f"${{{{ steps.run.outputs.{name} }}}}"
        assert name in action.outputs


HOOK_IDS = ["replsync-validate", "replsync-fmt"]


def try_hooks(folder: Path, manifest: str) -> subprocess.CompletedProcess[str]:
    """Run the hooks by pre-commit in a new repository: from the PATH, where at home it would install replsync."""
    hooks = [{**hook, "language": "system"} for hook in loaded(HOOKS) if hook["id"] in HOOK_IDS]
    repository = folder / "repository"
    repository.mkdir()
    (repository / "replicated-images.yaml").write_text(manifest)
    (repository / ".pre-commit-config.yaml").write_text(json.dumps({"repos": [{"repo": "local", "hooks": hooks}]}))
    env = clean_environment(folder, {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"})
    env["PRE_COMMIT_HOME"] = str(folder / "cache")
    for arguments in (["git", "init", "--quiet"], ["git", "add", "--all"]):
        subprocess.run(arguments, cwd=repository, env=env, check=True)
    pre_commit = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
    return subprocess.run(pre_commit, cwd=repository, env=env, capture_output=True, text=True, timeout=100)


VALID = "version: 1\napp: myapp\nimages:\n  - name: worker\n    source: ghcr.io/acme/worker\n    tags:\n      - 1.10\n"


def test_the_hooks_pass_a_valid_manifest_and_stop_an_invalid_one(tmp_path: Path) -> None:
    (tmp_path / "valid").mkdir()
    done = try_hooks(tmp_path / "valid", VALID)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Passed") == len(HOOK_IDS)
    (tmp_path / "invalid").mkdir()
    done = try_hooks(tmp_path / "invalid", VALID.replace("source", "sauce"))
    assert done.returncode == 1
    assert "replicated-images.yaml:5:5: " in done.stdout


def test_each_hook_is_as_pre_commit_wants_it_and_for_manifests_and_their_lock_files() -> None:
    check = [sys.executable, "-m", "pre_commit", "validate-manifest", str(HOOKS)]
    assert subprocess.run(check, capture_output=True).returncode == 0
    for hook in loaded(HOOKS):
        assert re.search(hook["files"], "deploy/replicated-images.yaml")
        assert re.search(hook["files"], "replicated-images.lock.yaml")
        assert not re.search(hook["files"], "kots/worker.yaml")
