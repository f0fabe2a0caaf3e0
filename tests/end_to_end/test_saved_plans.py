"""Plans that are saved, looked at, and carried out later: just that, or nothing."""

from collections.abc import Callable

import pytest

from replsync.oci.digest import short
from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.desk import FOREIGN, NEW, OLD, Desk, writes
from tests.end_to_end.workplace import Workplace, assert_refused, digests
from tests.servers.docker import DockerDaemon
from tests.servers.hello import native_platform
from tests.servers.images import build_image, load_into
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox
from tests.servers.skopeo import Skopeo

NOTHING = "Nothing was written."
ALREADY = "The plan is already applied: every tag is as it says. Nothing was written.\n"


@pytest.fixture
def desk(workplace: Workplace, sandbox: RunningSandbox) -> Desk:
    """A desk at the sandbox."""
    made = Desk(workplace, sandbox.host, sandbox.credentials)
    made.set_up()
    return made


@pytest.fixture
def busy_desk(workplace: Workplace, docker_registry: RegistryServer) -> Desk:
    """A desk at docker-registry."""
    made = Desk(workplace, docker_registry.host)
    made.set_up()
    return made


def assert_carried_out_once(desk: Desk, skopeo: Skopeo) -> None:
    """A plan is saved, shown, applied, and applied again."""
    planned = desk.plan()
    assert desk.workplace.run("show", "plan.json").stdout == planned.stdout
    assert desk.workplace.run("show", "plan.json", "--format", "json").stdout.encode() == desk.saved.read_bytes()
    assert {a["tag"]: a["kind"] for a in desk.document()["actions"]} == {
        **{"0.9": "tombstone", "1.0": "unchanged"},
        **{"1.1": "create", "latest": "update"},
    }
    desk.push_source(FOREIGN)  # no matter: it is the digests of the plan that are applied
    done = desk.workplace.run("apply", "plan.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Apply: 1 created, 1 updated, 1 tombstoned." in done.stdout
    wanted = {f"{desk.repository}:{a['tag']}": a["after"]["digest"] for a in desk.document()["actions"]}
    assert digests(skopeo, [desk.repository], desk.creds) == wanted
    assert wanted[f"{desk.repository}:latest"] == NEW.digest
    assert len(desk.journals) == 1


def assert_already_applied(desk: Desk) -> None:
    again = desk.workplace.run("apply", "plan.json")
    assert (again.returncode, again.stdout.endswith(ALREADY)) == (0, True), again.stdout + again.stderr
    assert len(desk.journals) == 1


def test_a_saved_plan_is_what_is_applied_at_the_sandbox(desk: Desk, sandbox: RunningSandbox, skopeo: Skopeo) -> None:
    assert_carried_out_once(desk, skopeo)
    sandbox.answered.clear()
    assert_already_applied(desk)
    assert sandbox.answered
    assert writes(sandbox) == []


def test_a_saved_plan_is_what_is_applied_at_docker_registry(
    workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy, skopeo: Skopeo
) -> None:
    front = start_proxy(docker_registry.host)
    desk = Desk(workplace, front.host)
    desk.set_up()
    assert_carried_out_once(desk, skopeo)
    front.asked.clear()
    assert_already_applied(desk)
    assert {asked.method for asked in front.asked} <= {"GET", "HEAD"}
    assert len(front.asked) > len(desk.document()["actions"])


def _as_it_was(desk: Desk) -> None:
    pass


def _lock(desk: Desk) -> None:
    done = desk.workplace.run("lock")
    assert done.returncode == 0, done.stderr


def _leave_the_app_open(desk: Desk) -> None:
    desk.workplace.env["REPLICATED_APP"] = desk.manifest.pop("app")
    desk.save()


def _change_manifest(desk: Desk) -> None:
    desk.workplace.manifest.write_bytes(desk.workplace.manifest.read_bytes() + b"\n")


def _remove_manifest(desk: Desk) -> None:
    desk.workplace.manifest.unlink()


def _break_manifest(desk: Desk) -> None:
    desk.workplace.manifest.write_text("version: [")


def _change_lock(desk: Desk) -> None:
    desk.lock.write_bytes(b"# seen\n" + desk.lock.read_bytes())


def _break_lock(desk: Desk) -> None:
    desk.lock.write_text("<<<<<<< ours\n")


def _remove_lock(desk: Desk) -> None:
    desk.lock.unlink()


def _name_in_release(desk: Desk) -> None:
    desk.release(f"{desk.repository}:0.9")


def _name_in_release_by_digest(desk: Desk) -> None:
    desk.release(f"{desk.repository}@{OLD.digest}")


def _stand_for_another_app(desk: Desk) -> None:
    desk.workplace.env["REPLICATED_APP"] = "another"


def _take_the_tag(desk: Desk) -> None:
    desk.push("1.1", FOREIGN)


def _move_what_is_to_be_retired(desk: Desk) -> None:
    desk.push("0.9", FOREIGN)


def _move_what_is_unchanged(desk: Desk) -> None:
    desk.push("1.0", FOREIGN)


FOREIGN_SHORT = short(FOREIGN.digest)


@pytest.mark.parametrize(
    ("before", "change", "said"),
    [
        (_as_it_was, _change_manifest, "the manifest replicated-images.yaml has changed since"),
        (_as_it_was, _remove_manifest, "its manifest replicated-images.yaml can't be read any more"),
        (_as_it_was, _break_manifest, "its manifest replicated-images.yaml can't be read any more"),
        (_as_it_was, _lock, "the lock file of replicated-images.yaml has changed since"),
        (_lock, _change_lock, "the lock file of replicated-images.yaml has changed since"),
        (_lock, _remove_lock, "the lock file of replicated-images.yaml has changed since"),
        (_lock, _break_lock, "the lock file of replicated-images.yaml "),
        (_as_it_was, _name_in_release, "worker:0.9: a release names this tag: kots/app.yaml:6"),
        (_as_it_was, _name_in_release_by_digest, "worker:0.9: a release names this tag: kots/app.yaml:6"),
        (_leave_the_app_open, _stand_for_another_app, "replicated-images.yaml stands for HOST/another here"),
        (_as_it_was, _take_the_tag, f"worker:1.1 holds image {FOREIGN_SHORT} instead of nothing"),
        (_as_it_was, _move_what_is_to_be_retired, f"worker:0.9 holds image {FOREIGN_SHORT} instead of image "),
        (_as_it_was, _move_what_is_unchanged, f"worker:1.0 holds image {FOREIGN_SHORT} instead of image "),
    ],
)
def test_a_plan_that_no_longer_fits_is_refused_before_anything_is_written(
    desk: Desk, sandbox: RunningSandbox, before: Callable[[Desk], None], change: Callable[[Desk], None], said: str
) -> None:
    before(desk)
    desk.plan()
    change(desk)
    sandbox.answered.clear()
    done = desk.workplace.run("apply", "plan.json")
    assert_refused(done, 5, "replsync: apply the plan: ", said.replace("HOST", desk.host))
    assert writes(sandbox) == []
    assert desk.journals == []


def test_a_blocked_plan_is_saved_and_never_applied(desk: Desk, sandbox: RunningSandbox) -> None:
    desk.release(f"{desk.repository}:0.9")
    planned = desk.workplace.run("plan", "--out", "plan.json")
    assert planned.returncode == 7
    assert desk.document()["summary"] == {
        **dict.fromkeys(("restore", "tombstone", "unlisted"), 0),
        **dict.fromkeys(("create", "update", "unchanged", "blocked"), 1),
    }
    sandbox.answered.clear()
    done = desk.workplace.run("apply", "plan.json")
    more = "  more: replsync explain blocked-plan\n"
    assert (done.returncode, done.stdout, done.stderr) == (7, planned.stdout, more)
    assert sandbox.answered == []
    part = desk.workplace.run("apply", "plan.json", "--target", "worker:1.1")
    assert (part.returncode, "Apply: 1 created." in part.stdout) == (0, True), part.stderr
    again = desk.workplace.run("apply", "plan.json", "--target", "worker:1.1")
    assert again.stdout == f"This part of the plan is already applied: every tag of it is as it says. {NOTHING}\n"


def test_a_plan_that_was_applied_in_part_goes_on(desk: Desk, sandbox: RunningSandbox) -> None:
    desk.plan()
    part = desk.workplace.run("apply", "plan.json", "--target", "worker:l*", "--target", "worker:0.9")
    assert part.returncode == 0, part.stderr
    assert "Partial: only the tags that match worker:l* or worker:0.9." in part.stdout
    assert "Apply: 1 updated, 1 tombstoned." in part.stdout
    sandbox.answered.clear()
    rest = desk.workplace.run("apply", "plan.json")
    assert rest.returncode == 0, rest.stderr
    tags = [write for write in writes(sandbox) if write.startswith("PUT") and "/manifests/" in write]
    assert [write for write in tags if "sha256" not in write] == [f"PUT /v2/{desk.workplace.app}/worker/manifests/1.1"]
    assert desk.workplace.is_in_sync()


def test_a_target_that_the_plan_does_not_have_is_wrong_usage(desk: Desk, sandbox: RunningSandbox) -> None:
    desk.plan("--target", "worker:1.*")
    sandbox.answered.clear()
    assert_refused(desk.workplace.run("apply", "plan.json", "--target", "worker:latest"), 64, "'worker:latest'")
    assert sandbox.answered == []


@pytest.mark.parametrize(
    "option", [("-f", "other.yaml"), ("--engine", "docker"), ("--engine", "registry"), ("--locked",)]
)
def test_what_a_saved_plan_says_itself_can_not_be_said_beside_it(desk: Desk, option: tuple[str, ...]) -> None:
    desk.plan()
    assert_refused(desk.workplace.run("apply", "plan.json", *option), 64, "a saved one says it itself")


def test_a_plan_for_docker_is_carried_out_by_docker(busy_desk: Desk, dockerd: DockerDaemon, skopeo: Skopeo) -> None:
    desk = busy_desk
    desk.workplace.env.update(dockerd.env())
    image = build_image({"version": b"by docker"}, platform=native_platform())
    desk.push_source(image)
    desk.plan("--engine", "docker", "--target", "worker:1.1", "--target", "worker:0.9")
    assert desk.document()["engine"] == "docker"
    done = desk.workplace.run("apply", "plan.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert skopeo.config(f"{desk.repository}:1.1") == image.config
    assert dockerd.cli("image", "inspect", f"{desk.repository}:1.1", "--format", "{{.Id}}").stdout
    assert_already_applied(desk)


def test_an_image_of_the_daemon_that_moved_is_not_pushed(
    busy_desk: Desk, dockerd: DockerDaemon, skopeo: Skopeo
) -> None:
    desk = busy_desk
    desk.workplace.env.update(dockerd.env())
    name = f"{desk.workplace.app}-worker:dev"
    load_into(dockerd, OLD, name)
    desk.manifest["images"][0]["tags"].append({"tag": "dev", "source": f"docker-daemon:{name}"})
    desk.save()
    desk.plan("--target", "worker:dev")
    load_into(dockerd, FOREIGN, name)
    done = desk.workplace.run("apply", "plan.json")
    said = f"the daemon has another image by the name docker-daemon:{name} than image ID {short(OLD.config_digest)}"
    assert_refused(done, 5, said, "nothing was written")
    assert "dev" not in skopeo.tags(desk.repository)


def test_a_plan_is_written_in_one_step_through_a_link(desk: Desk) -> None:
    real = desk.workplace.folder / "plans" / "today.json"
    real.parent.mkdir()
    real.write_text("yesterday's")
    real.chmod(0o640)
    was = real.stat().st_ino
    desk.saved.symlink_to(real)
    desk.plan()
    assert desk.saved.is_symlink()
    assert desk.document()["format"] == "replsync.plan/1"
    assert (real.stat().st_ino != was, real.stat().st_mode & 0o777) == (True, 0o640)  # replaced, not written over
    assert list(real.parent.iterdir()) == [real]


@pytest.mark.parametrize("out", ["missing/plan.json", "replicated-images.yaml/plan.json", "kots", "/proc/plan.json"])
def test_a_plan_that_can_not_be_saved_is_an_error(desk: Desk, out: str) -> None:
    assert_refused(desk.workplace.run("plan", "--out", out), 1, "write the plan ", out, "nothing was changed")
    assert list(desk.workplace.folder.glob(".*plan*")) + list(desk.workplace.folder.glob(".kots*")) == []
