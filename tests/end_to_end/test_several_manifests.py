"""Several manifests in one run, each with its own application and registry."""

import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from replsync.oci.digest import short
from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Asked, Reaction, error
from tests.end_to_end.workplace import Done, Workplace, assert_refused
from tests.plan.tampering import Document, signed, written
from tests.servers.images import BuiltImage, build_image
from tests.servers.layouts import write_layout
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox, StartSandbox
from tests.servers.skopeo import Skopeo

OLD, NEW = (build_image({"version": name}) for name in (b"old", b"new"))
A, B = "stacks/a.yaml", "stacks/b.yaml"
BOTH = ("-f", A, "-f", B)


@dataclass
class Two:
    """Two manifests in a folder, of two applications in two registries; both want a tag `worker:1`."""

    workplace: Workplace
    first: RunningSandbox
    second: RunningSandbox
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)

    def set_up(self) -> None:
        self.workplace.sign_in(self.first, self.second)
        for name, sandbox in ((A, self.first), (B, self.second)):
            self.push(name, "upstream", "1", NEW)
            self.push(name, "worker", "0", OLD)
            worker = {
                "name": "worker",
                "tags": [{"tag": "1", "source": f"{sandbox.host}/{self.app(name)}/upstream:1"}],
                "retired": [{"tag": "0", "reason": "old"}],
            }
            self.write(name, worker)

    def app(self, name: str) -> str:
        return f"{self.workplace.app}-{Path(name).stem[0]}"

    def at(self, name: str) -> RunningSandbox:
        return self.second if name == B else self.first

    def push(self, name: str, image: str, tag: str, content: BuiltImage) -> None:
        sandbox = self.at(name)
        push(sandbox.host, f"{self.app(name)}/{image}", tag, content, sandbox.credentials)

    def write(self, name: str, *images: Mapping[str, Any], **more: Any) -> None:
        """Write a manifest; `more` are keys at its top."""
        content = {"version": 1, "app": self.app(name), "registry": self.at(name).host, **more, "images": images}
        path = self.workplace.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=1))
        self.manifests[name] = content

    def repository(self, name: str, image: str = "worker") -> str:
        return f"{self.at(name).host}/{self.app(name)}/{image}"

    def run(self, *args: str) -> Done:
        return self.workplace.run(*args)

    def done(self, *args: str) -> Done:
        done = self.run(*args)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def journals(self) -> list[Path]:
        return sorted(self.workplace.folder.glob("**/journal/*.jsonl"))

    def kinds(self, *args: str) -> dict[str, str]:
        document = json.loads(self.run("plan", "--format", "json", *args).stdout)
        return {action["reference"]: action["kind"] for action in document["actions"]}

    def journal_of(self, name: str) -> str:
        """The one journal that has tags of this manifest's application."""
        (path,) = [path for path in self.journals() if f"{self.app(name)}/" in path.read_text()]
        return str(path)


@pytest.fixture
def two(workplace: Workplace, start_sandbox: StartSandbox) -> Two:
    made = Two(workplace, start_sandbox(), start_sandbox())
    made.set_up()
    return made


def digest(two: Two, skopeo: Skopeo, name: str, tag: str) -> str:
    return skopeo.digest(f"{two.repository(name)}:{tag}", two.at(name).credentials)


# One plan of all


def test_one_plan_is_saved_of_both_and_carried_out(two: Two, skopeo: Skopeo) -> None:
    planned = two.done("plan", *BOTH, "--out", "plan.json")
    assert two.done("show", "plan.json").stdout == planned.stdout
    document = json.loads((two.workplace.folder / "plan.json").read_bytes())
    assert [(one["path"], one["registry"], one["app"]) for one in document["manifests"]] == [
        (name, two.at(name).host, two.app(name)) for name in (A, B)
    ]
    assert document["summary"]["create"] == document["summary"]["tombstone"] == 2
    done = two.done("apply", "plan.json")
    assert "Apply: 2 created, 2 tombstoned." in done.stdout
    for name in (A, B):
        assert digest(two, skopeo, name, "1") == NEW.digest
        assert digest(two, skopeo, name, "0") != OLD.digest
        assert f"+ {two.repository(name)}:1 create: done, {short(NEW.digest)}" in done.stderr
    assert "no changes" in two.done("plan", *BOTH, "--detailed-exitcode").stdout
    assert "already applied" in two.done("apply", "plan.json").stdout
    assert len(two.journals()) == 2


def test_the_text_has_a_heading_for_each_application(two: Two) -> None:
    two.write(B, {"name": "web", "retired": [{"tag": "0", "reason": "never there"}]})
    text = two.done("plan", *BOTH).stdout
    first, second = (f"# {name} ({two.at(name).host}/{two.app(name)})" for name in (A, B))
    assert f"{first}\n\n{two.repository(A)}  (1 to create, 1 to tombstone)\n  + 1" in text
    assert f"{second}: nothing to show\n" in text
    assert f"Note: retired, but not in the registry: {two.repository(B, 'web')}:0." in text
    assert "# " not in two.done("plan", "-f", A).stdout


def test_apply_makes_the_plan_of_both(two: Two) -> None:
    done = two.done("apply", *BOTH, "--auto-approve")
    assert "Apply: 2 created, 2 tombstoned." in done.stdout
    two.done("plan", *BOTH, "--detailed-exitcode")


def test_a_part_is_chosen_of_both(two: Two) -> None:
    assert two.kinds(*BOTH, "--target", "*:1") == {f"{two.repository(name)}:1": "create" for name in (A, B)}
    two.write(B, {"name": "web", "retired": [{"tag": "0", "reason": "old"}]})
    assert two.kinds(*BOTH, "--target", "web") == {f"{two.repository(B, 'web')}:0": "unchanged"}
    assert_refused(two.run("plan", *BOTH, "--target", "nobody"), 64, "no tag matches --target 'nobody'")


def test_what_is_blocked_in_one_blocks_the_plan(two: Two) -> None:
    two.write(B, {"name": "worker", "tags": ["9"]})
    done = two.run("apply", *BOTH, "--auto-approve")
    assert done.returncode == 7
    assert f"! {two.repository(B)}:9" in done.stdout
    assert two.journals() == []


def test_each_has_its_own_policy(two: Two) -> None:
    two.write(A, *two.manifests[A]["images"], policy={"max_tombstones": 0})
    kinds = two.kinds(*BOTH)
    assert kinds[f"{two.repository(A)}:0"] == "blocked"
    assert kinds[f"{two.repository(B)}:0"] == "tombstone"


def test_a_release_of_one_protects_the_tags_of_the_other(two: Two) -> None:
    (two.workplace.folder / "stacks" / "kots").mkdir()
    (two.workplace.folder / "stacks" / "kots" / "app.yaml").write_text(
        f"spec:\n  containers:\n    - image: {two.repository(B)}:0\n"
    )
    two.write(A, *two.manifests[A]["images"], releases=["kots/*.yaml"])
    kinds = two.kinds(*BOTH)
    assert kinds[f"{two.repository(A)}:0"] == "tombstone"
    assert kinds[f"{two.repository(B)}:0"] == "blocked"
    done = two.run("retire", f"{two.repository(B)}:0", "--reason", "x", *BOTH, "--auto-approve")
    assert (done.returncode, "kots/app.yaml:3" in done.stdout) == (7, True), done.stdout + done.stderr
    done = two.done("retire", f"{two.repository(B)}:0", "--reason", "x", *BOTH, "--edit-only")
    assert "the plan will be blocked" in done.stderr


def test_a_registry_that_fails_is_no_matter_to_the_other(
    workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy, start_sandbox: StartSandbox
) -> None:
    def full(asked: Asked) -> Reaction:
        return error(507) if asked.method in ("POST", "PUT", "PATCH") else None

    good = start_sandbox()
    two = Two(workplace, good, good)
    two.set_up()
    front = start_proxy(docker_registry.host)
    push(front.host, f"{two.app(B)}/upstream", "1", NEW)
    worker = {"name": "worker", "tags": [{"tag": "1", "source": f"{front.host}/{two.app(B)}/upstream:1"}]}
    two.write(B, worker, registry=front.host)
    two.done("plan", *BOTH, "--out", "plan.json")
    front.script = full
    done = two.run("apply", "plan.json")
    assert done.returncode == 6, done.stdout + done.stderr
    assert f"! {front.host}/{two.app(B)}/worker:1 create" in done.stdout
    assert "Apply: 1 created, 1 tombstoned; 1 failed." in done.stdout
    first = _relative(two, two.journal_of(A))
    front.script = lambda _: None
    done = two.done("apply", "plan.json")
    assert f"an earlier run of this plan left {first}" in done.stderr
    assert f"To take this back: replsync rollback {_relative(two, two.journal_of(B))} -f {B}" in done.stderr


# A folder


def test_a_folder_stands_for_all_yaml_files_in_it(two: Two) -> None:
    folder = two.workplace.folder / "stacks"
    (folder / "c.YML").write_text((folder / "a.yaml").read_text().replace(two.app(A), f"{two.workplace.app}-c"))
    (folder / ".replicated.yaml").write_text("appSlug: x\n")
    (folder / "a.lock.yaml").write_text("version: 1\nsources: {}\n")
    (folder / "notes.txt").write_text("no manifest\n")
    (folder / "deeper").mkdir()
    (folder / "deeper" / "d.yaml").write_text("no: manifest\n")
    done = two.done("validate", "-f", "stacks")
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [A, B, "stacks/c.YML"]


def test_the_order_given_is_kept_and_the_same_file_counts_once(two: Two) -> None:
    (two.workplace.folder / "link.yaml").symlink_to(two.workplace.folder / A)
    done = two.done("validate", "-f", B, "-f", "link.yaml", "-f", "stacks", "-f", f"./{A}")
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [B, "link.yaml"]


def test_all_faults_of_all_files_are_told_at_once(two: Two) -> None:
    folder = two.workplace.folder / "stacks"
    shutil.copy(folder / "b.yaml", folder / "c.yaml")
    (folder / "compose.yaml").write_text("services: {}\n")
    (folder / "empty.yaml").write_text("")
    nameless = {"version": 1, "images": [{"name": "worker", "tags": ["1"]}]}
    (folder / "nameless.yaml").write_text(json.dumps(nameless))
    (folder / "gone.yaml").symlink_to("nowhere")
    for command in (["validate"], ["plan"]):
        done = two.run(*command, "-f", "stacks")
        assert done.returncode == 3
        assert "stacks/compose.yaml:1:1: " in done.stderr
        assert "stacks/empty.yaml:1:1: the file is empty" in done.stderr
        assert "read the manifest stacks/gone.yaml: there is no such file" in done.stderr
        assert f"stacks/c.yaml:9:5: `worker:1` belongs to {B}:" in done.stderr
        told = "find the application: the manifest names no `app` (stacks/nameless.yaml)" in done.stderr
        assert told == (command != ["validate"])
        assert "Traceback" not in done.stderr


def test_lock_files_and_releases_that_cannot_be_read_are_told_at_once(two: Two) -> None:
    for name in ("a", "b"):
        (two.workplace.folder / "stacks" / f"{name}.lock.yaml").write_text("")
    done = two.run("plan", *BOTH)
    assert done.returncode == 3
    assert "stacks/a.lock.yaml:1:1: " in done.stderr
    assert "stacks/b.lock.yaml:1:1: " in done.stderr


# Manifests that meet


def test_a_tag_of_two_is_a_fault_for_every_command(two: Two) -> None:
    shutil.copy(two.workplace.folder / B, two.workplace.folder / "stacks/c.yaml")
    for command in (["validate"], ["plan"], ["apply", "--auto-approve"], ["lock"], ["history", "worker:1"]):
        done = two.run(*command, "-f", "stacks")
        assert done.returncode == 3, done.stdout + done.stderr
        assert f"stacks/c.yaml:9:5: `worker:1` belongs to {B}:9:5 already" in done.stderr, done.stderr
        assert "`worker:0`" in done.stderr


def test_the_application_may_be_named_elsewhere(two: Two) -> None:
    content = {**two.manifests[A], "version": 1}
    del content["app"]
    for name in ("x.yaml", "y.yaml"):
        (two.workplace.folder / name).write_text(json.dumps(content))
    done = two.run("validate", "-f", "x.yaml", "-f", "y.yaml")
    assert "y.yaml:1:" in done.stderr
    two.workplace.env["REPLICATED_APP"] = two.app(A)
    done = two.run("validate", "-f", A, "-f", "x.yaml")
    assert f"`worker:1` belongs to {A}:9:5 already" in done.stderr


def test_an_image_may_be_in_two_with_other_tags(two: Two, skopeo: Skopeo) -> None:
    for policy, kind in (("report", "unlisted"), ("tombstone", "tombstone")):
        for name, tag in (("stacks/a1.yaml", "0"), ("stacks/a2.yaml", "1")):
            two.push(A, "worker", "1", NEW)
            two.push(A, "worker", "2", NEW)
            two.write(name, {"name": "worker", "tags": [tag]}, policy={"unlisted": policy})
        assert two.kinds("-f", "stacks/a1.yaml", "-f", "stacks/a2.yaml") == {
            f"{two.repository(A)}:0": "unchanged",
            f"{two.repository(A)}:1": "unchanged",
            f"{two.repository(A)}:2": kind,
        }
    two.done("apply", "-f", "stacks/a2.yaml", "-f", "stacks/a1.yaml", "--auto-approve")
    assert digest(two, skopeo, A, "1") == NEW.digest
    assert digest(two, skopeo, A, "0") == OLD.digest
    assert digest(two, skopeo, A, "2") != NEW.digest


def test_two_that_have_an_image_agree_on_what_is_unlisted(two: Two) -> None:
    two.write("stacks/a2.yaml", {"name": "worker", "tags": ["2"]}, policy={"unlisted": "tombstone"})
    done = two.run("plan", "-f", A, "-f", "stacks/a2.yaml")
    assert done.returncode == 3
    assert f"`worker` is an image of {A}, too, where policy.unlisted is report" in done.stderr


# What goes with each


def test_each_has_its_journal_and_is_rolled_back_by_itself(two: Two, skopeo: Skopeo) -> None:
    done = two.done("apply", *BOTH, "--auto-approve")
    for name in (A, B):
        assert f"To take this back: replsync rollback {_relative(two, two.journal_of(name))} -f {name}" in done.stderr
    assert "earlier run" not in done.stderr
    two.done("rollback", two.journal_of(B), *BOTH, "--auto-approve")
    assert digest(two, skopeo, B, "0") == OLD.digest
    assert digest(two, skopeo, A, "0") != OLD.digest
    assert_refused(two.run("rollback", two.journal_of(A), "-f", B, "--auto-approve"), 3, "stands for", "-f")


def test_a_rollback_names_what_no_manifest_stands_for(two: Two) -> None:
    two.done("apply", "-f", A, "--auto-approve")
    two.write(A, *two.manifests[A]["images"], app="another")
    done = two.run("rollback", two.journal_of(A), *BOTH, "--auto-approve")
    assert_refused(done, 3, f"it is of {two.repository(A)}, and none of the 2 manifests stands for all")


def test_manifests_in_other_folders_have_their_journals_there(two: Two) -> None:
    other = two.workplace.folder / "other"
    other.mkdir()
    shutil.move(two.workplace.folder / B, other / "b.yaml")
    two.done("apply", "-f", A, "-f", "other/b.yaml", "--auto-approve")
    assert two.app(A) in next((two.workplace.folder / "stacks/.replsync/journal").iterdir()).read_text()
    assert two.app(B) in next((other / ".replsync/journal").iterdir()).read_text()


def test_each_has_its_lock_file(two: Two) -> None:
    assert_refused(two.run("lock", "--check", *BOTH), 3, "no lock file stacks/a.lock.yaml", "stacks/b.lock.yaml")
    assert len(two.done("lock", *BOTH).stdout.splitlines()) == 4
    assert (two.workplace.folder / "stacks/b.lock.yaml").is_file()
    checked = two.done("lock", "--check", "-f", "stacks").stdout
    assert checked.count("all as locked") == 2
    assert "stacks/a.lock.yaml:\n" in checked
    two.push(B, "upstream", "1", OLD)
    done = two.run("lock", "--check", *BOTH)
    assert done.returncode == 2
    assert "1 moved" in done.stdout
    assert two.kinds(*BOTH, "--locked")[f"{two.repository(B)}:1"] == "create"
    two.write(A, {"name": "web", "tags": [{"tag": "1", "source": f"{two.repository(A, 'upstream')}:1"}]})
    two.done("lock", "--upgrade", "worker", *BOTH)
    assert two.run("lock", "--check", *BOTH).returncode == 0
    assert_refused(two.run("lock", "--upgrade", "nobody", *BOTH), 64, "matches no tag")


def test_no_lock_file_is_written_where_a_source_of_one_is_missing(two: Two) -> None:
    two.write(B, {"name": "worker", "tags": [{"tag": "1", "source": f"{two.repository(B, 'upstream')}:none"}]})
    assert two.run("lock", *BOTH).returncode == 1
    assert list(two.workplace.folder.glob("**/*.lock.yaml")) == []


def test_paths_of_each_start_from_its_own_folder(two: Two, skopeo: Skopeo) -> None:
    files = {"one/m.yaml": (A, OLD), "two/m.yaml": (B, NEW)}
    for path, (name, image) in files.items():
        write_layout(two.workplace.folder / Path(path).parent / "image", {"1": image})
        worker = {"name": "worker", "tags": [{"tag": "1", "source": "oci:image:1"}]}
        two.write(path, worker, app=two.app(name), registry=two.at(name).host)
    every = [option for path in files for option in ("-f", path)]
    two.done("lock", *every)
    two.done("lock", "--check", *every)
    two.done("apply", *every, "--auto-approve")
    assert (digest(two, skopeo, A, "1"), digest(two, skopeo, B, "1")) == (OLD.digest, NEW.digest)


def test_runs_that_name_them_in_another_order_do_not_wait_for_each_other(two: Two) -> None:
    with ThreadPoolExecutor(2) as pool:
        orders = (BOTH, (*BOTH[2:], *BOTH[:2]))
        runs = list(pool.map(lambda order: two.run("apply", *order, "--auto-approve"), orders))
    assert [run.returncode for run in runs] == [0, 0], [run.stderr for run in runs]
    two.done("plan", *BOTH, "--detailed-exitcode")


# Commands of one tag


def test_a_tag_of_several_applications_is_named_in_full(two: Two) -> None:
    for command in (["retire", "worker:0", "--reason", "x", "--edit-only"], ["restore", "worker:0", "--edit-only"]):
        done = two.run(*command, *BOTH)
        assert_refused(done, 64, f"{two.repository(A)}:0 ({A}), {two.repository(B)}:0 ({B})", "REGISTRY/APP/IMAGE:TAG")
    assert_refused(two.run("history", "worker:0", *BOTH), 64, "'worker:0' may be")
    assert_refused(two.run("history", "nobody:0", *BOTH), 64, "one of the 2 manifests")
    before = (two.workplace.folder / A).read_text()
    two.done("retire", f"{two.repository(B)}:0", "--reason", "another", *BOTH, "--auto-approve")
    assert "another" in (two.workplace.folder / B).read_text()
    assert (two.workplace.folder / A).read_text() == before
    assert "tombstone" in two.done("history", f"{two.repository(B)}:0", *BOTH).stdout
    two.done("restore", f"{two.repository(B)}:0", *BOTH, "--auto-approve")
    assert two.kinds("-f", B)[f"{two.repository(B)}:0"] == "unchanged"


def test_the_one_that_names_the_tag_is_meant_where_two_have_its_image(two: Two) -> None:
    two.write("stacks/a2.yaml", {"name": "worker", "tags": ["2"]})
    two.done("retire", "worker:2", "--reason", "old", "--edit-only", "-f", A, "-f", "stacks/a2.yaml")
    assert "retired" in (two.workplace.folder / "stacks/a2.yaml").read_text()


# Plans that were changed


def assert_stale(two: Two, document: Document, *said: str) -> None:
    (two.workplace.folder / "plan.json").write_bytes(written(signed(document)))
    assert_refused(two.run("apply", "plan.json"), 5, *said)


def test_a_plan_is_refused_where_one_of_its_manifests_was_changed(two: Two) -> None:
    two.done("plan", *BOTH, "--out", "plan.json")
    two.write(B, *two.manifests[B]["images"], policy={"max_tombstones": 3})
    assert_refused(two.run("apply", "plan.json"), 5, f"the manifest {B} has changed")


def test_an_action_belongs_to_a_manifest_of_the_plan(two: Two) -> None:
    two.done("plan", *BOTH, "--out", "plan.json")
    document = json.loads((two.workplace.folder / "plan.json").read_bytes())
    first, second = document["manifests"]
    assert_stale(two, {**document, "manifests": [first]}, "is not a tag of a manifest's application")
    crossed = [{**first, "app": second["app"]}, {**second, "app": first["app"]}]
    assert_stale(two, {**document, "manifests": crossed}, "is not a tag of a manifest's application")
    assert_stale(two, {**document, "manifests": [first, second, first]}, "a manifest is named twice")
    assert_stale(two, {**document, "manifests": []}, "$.manifests")
    assert two.journals() == []


def _relative(two: Two, path: str) -> str:
    return str(Path(path).relative_to(two.workplace.folder))
