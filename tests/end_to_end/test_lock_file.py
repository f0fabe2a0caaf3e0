"""The lock file: what `replsync lock` writes, and what a plan makes of it when the sources move on."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Asked, Proxy, Reaction, error
from tests.end_to_end.workplace import Workplace, assert_refused
from tests.servers.docker import DockerDaemon
from tests.servers.hello import native_platform
from tests.servers.images import BuiltImage, build_image, load_into
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.skopeo import Skopeo

LOCK = "replicated-images.lock.yaml"
HEADER = "# Written by `replsync lock`: what each source was when it was looked up. Commit it with the manifest."
OLD, NEW = (build_image({"version": name}, platform=native_platform()) for name in (b"old", b"new"))


@dataclass(frozen=True)
class Upstream:
    """A registry to copy `worker` from, which keeps a record of what it was asked."""

    proxy: Proxy
    behind: str
    repository: str

    def push(self, image: BuiltImage, *tags: str) -> None:
        """Push as its owner does, past the record."""
        for tag in tags:
            push(self.behind, self.repository, tag, image)

    def source(self, tag: str) -> str:
        """The name of a tag in a lock file."""
        return f"docker://{self.proxy.host}/{self.repository}:{tag}"

    def worker(self, *tags: str) -> dict[str, Any]:
        """The image of a manifest that takes these tags from here."""
        return {"name": "worker", "source": f"{self.proxy.host}/{self.repository}", "tags": tags, "mutable": ["latest"]}


@dataclass(frozen=True)
class Place:
    """A workplace with a target, an upstream and a lock file."""

    workplace: Workplace
    target: str
    upstream: Upstream

    @property
    def lock(self) -> str:
        """The text of the lock file."""
        return (self.workplace.folder / LOCK).read_text()

    def write(self, *tags: str) -> None:
        """Write a manifest with these tags of `worker`."""
        self.workplace.write(self.target, self.upstream.worker(*tags))

    def has(self, skopeo: Skopeo, tag: str) -> str:
        """The digest that a tag of the target has."""
        return skopeo.digest(f"{self.target}/{self.workplace.app}/worker:{tag}")


@pytest.fixture
def place(workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy) -> Place:
    """`worker` has OLD as 1.10 and latest upstream; the manifest lists both, and there is no lock file yet."""
    upstream = Upstream(start_proxy(docker_registry.host), docker_registry.host, f"up/{workplace.app}/worker")
    upstream.push(OLD, "1.10", "latest")
    place = Place(workplace, docker_registry.host, upstream)
    place.write("1.10", "latest")
    return place


@pytest.fixture
def locked(place: Place) -> Place:
    """The same with a lock file, written as `lock` does it."""
    entries = [f"  {place.upstream.source(tag)}: {OLD.digest}" for tag in ("1.10", "latest")]
    text = "\n".join([HEADER, "version: 1", "sources:", *entries, ""])
    (place.workplace.folder / LOCK).write_text(text)
    return place


def gone(asked: Asked) -> Reaction:
    return error(404, "NAME_UNKNOWN") if "/manifests/" in asked.path else None


def test_a_lock_file_has_the_digest_of_every_source(place: Place) -> None:
    done = place.workplace.run("lock")
    assert done.returncode == 0, done.stderr
    assert place.lock.splitlines() == [
        HEADER,
        "version: 1",
        "sources:",
        f"  {place.upstream.source('1.10')}: {OLD.digest}",
        f"  {place.upstream.source('latest')}: {OLD.digest}",
    ]
    assert done.stdout.splitlines() == [
        f"  + {place.upstream.source('1.10')}  (none) -> {OLD.digest[7:19]}",
        f"  + {place.upstream.source('latest')}  (none) -> {OLD.digest[7:19]}",
        f"{LOCK}: 2 sources, 2 changed",
    ]


def test_a_second_run_leaves_the_file_untouched_and_a_new_one_has_the_same_bytes(place: Place) -> None:
    place.workplace.run("lock")
    path = place.workplace.folder / LOCK
    text, before = place.lock, path.stat()
    done = place.workplace.run("lock")
    assert done.stdout == f"{LOCK}: 2 sources, no changes\n"
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    path.unlink()
    place.workplace.run("lock")
    assert place.lock == text


def test_check_names_what_has_moved_and_writes_nothing(locked: Place) -> None:
    quiet = locked.workplace.run("lock", "--check")
    assert (quiet.returncode, quiet.stdout) == (0, "Lock: 2 sources; all as locked.\n")
    text = locked.lock
    locked.upstream.push(NEW, "latest")
    done = locked.workplace.run("lock", "--check")
    assert done.returncode == 2, done.stderr
    moved = f"{OLD.digest[7:19]} -> {NEW.digest[7:19]}"
    assert done.stdout.splitlines() == [
        f"  ~ {locked.upstream.source('latest')}  {moved}  (for worker:latest)",
        "Lock: 2 sources; 1 moved.",
        "To take what has moved: replsync lock --upgrade IMAGE:TAG",
    ]
    assert locked.lock == text


def test_a_plan_keeps_to_the_lock_when_the_source_has_moved(locked: Place, skopeo: Skopeo) -> None:
    locked.upstream.push(NEW, "latest")
    locked.workplace.apply()
    assert locked.has(skopeo, "latest") == OLD.digest
    assert locked.workplace.is_in_sync()


def test_an_upgrade_takes_one_tag_and_changes_one_line(locked: Place, skopeo: Skopeo) -> None:
    before = locked.lock.splitlines()
    locked.upstream.push(NEW, "1.10", "latest")
    done = locked.workplace.run("lock", "--upgrade", "worker:latest")
    assert done.returncode == 0, done.stderr
    after = locked.lock.splitlines()
    assert [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]] == [
        (f"  {locked.upstream.source('latest')}: {OLD.digest}", f"  {locked.upstream.source('latest')}: {NEW.digest}")
    ]
    locked.workplace.apply()
    assert (locked.has(skopeo, "1.10"), locked.has(skopeo, "latest")) == (OLD.digest, NEW.digest)


def test_an_upgrade_of_what_is_not_there_is_refused(locked: Place) -> None:
    text = locked.lock
    assert_refused(locked.workplace.run("lock", "--upgrade", "wroker:*"), 64, "`wroker:*`: it matches no tag")
    assert locked.lock == text


def test_a_tag_that_leaves_the_manifest_leaves_the_lock_file(locked: Place) -> None:
    locked.write("latest")
    check = locked.workplace.run("lock", "--check")
    assert check.returncode == 0  # nothing has moved
    assert f"  - {locked.upstream.source('1.10')}  nothing in the manifest needs it\n" in check.stdout
    assert "Lock: 1 source; 1 not needed.\nTo make the lock file fit the manifest: replsync lock\n" in check.stdout
    locked.workplace.run("lock")
    assert "1.10" not in locked.lock
    assert f"  {locked.upstream.source('latest')}: {OLD.digest}\n" in locked.lock


@pytest.mark.parametrize("command", [["plan"], ["plan", "--locked"], ["apply", "--auto-approve"]], ids=" ".join)
def test_a_manifest_that_outgrew_its_lock_file_is_not_planned(locked: Place, command: list[str]) -> None:
    locked.upstream.push(OLD, "2.0")
    locked.write("1.10", "latest", "2.0")
    done = locked.workplace.run(*command)
    lacking = f"the lock file {LOCK} does not have {locked.upstream.source('2.0')} (for worker:2.0)"
    assert_refused(done, 3, lacking, "next: run `replsync lock`")


def test_a_part_of_the_manifest_is_planned_where_the_lock_file_has_that_part(locked: Place) -> None:
    locked.upstream.push(OLD, "2.0")
    locked.write("1.10", "latest", "2.0")
    assert locked.workplace.kinds("--locked", "--target", "worker:1.*") == {"worker:1.10": "create"}
    assert_refused(locked.workplace.run("plan", "--target", "worker:*0"), 3, "(for worker:2.0)")
    done = locked.workplace.run("retire", "worker:latest", "--reason", "use 1.10", "--auto-approve")
    assert done.returncode == 0, done.stderr


def test_check_tells_what_the_lock_file_lacks_and_lock_adds_it(locked: Place) -> None:
    locked.upstream.push(NEW, "2.0", "latest")
    locked.write("1.10", "latest", "2.0")
    done = locked.workplace.run("lock", "--check")
    assert done.returncode == 2, done.stderr
    assert f"  + {locked.upstream.source('2.0')}  not in the lock file  (for worker:2.0)\n" in done.stdout
    assert "Lock: 3 sources; 1 moved, 1 not in the lock file.\n" in done.stdout
    locked.workplace.run("lock")
    assert f"  {locked.upstream.source('2.0')}: {NEW.digest}\n" in locked.lock
    assert f"  {locked.upstream.source('latest')}: {OLD.digest}\n" in locked.lock
    assert locked.workplace.kinds("--locked") == dict.fromkeys(["worker:1.10", "worker:2.0", "worker:latest"], "create")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["plan", "--locked"], "--locked: there is no lock file"),
        (["apply", "--locked", "--auto-approve"], "--locked: there is no lock file"),
        (["lock", "--check"], "lock --check: there is no lock file"),
    ],
    ids=["plan", "apply", "lock --check"],
)
def test_without_a_lock_file_nothing_is_locked(place: Place, command: list[str], said: str) -> None:
    assert_refused(place.workplace.run(*command), 3, f"{said} {LOCK}", "replsync lock")
    assert place.upstream.proxy.asked == []


def test_a_locked_plan_asks_no_source_and_a_locked_apply_reads_it_by_digest(locked: Place, skopeo: Skopeo) -> None:
    locked.upstream.push(NEW, "latest")
    asked = locked.upstream.proxy.asked
    asked.clear()
    planned = locked.workplace.actions("--locked")
    assert {name: (action["kind"], action["bytes"]) for name, action in planned.items()} == {
        "worker:1.10": ("create", None),
        "worker:latest": ("create", None),
    }
    text = locked.workplace.run("plan", "--locked").stdout
    assert f"+ latest  create     (none) -> {OLD.digest[7:19]}  (size unknown)\n" in text
    assert "Plan: 2 to create. How much is to send isn't known.\n" in text
    assert asked == []
    locked.workplace.apply("--locked")
    assert (locked.has(skopeo, "1.10"), locked.has(skopeo, "latest")) == (OLD.digest, OLD.digest)
    manifests = {one.path.rpartition("/")[2] for one in asked if "/manifests/" in one.path}
    assert manifests == {OLD.digest}


def test_a_source_that_is_gone_is_told_by_check_and_hinders_no_plan_of_what_is_there(locked: Place) -> None:
    locked.workplace.apply()
    locked.upstream.proxy.script = gone
    done = locked.workplace.run("lock", "--check")
    assert_refused(done, 1, "lock --check: 2 of 2 sources can't be read")
    assert f"  ! {locked.upstream.source('1.10')}  can't be read: " in done.stdout
    assert locked.workplace.is_in_sync()
    assert locked.workplace.is_in_sync("--locked")


def test_a_locked_digest_that_the_source_has_no_more_blocks_the_plan_with_the_way_out(locked: Place) -> None:
    locked.upstream.push(NEW, "latest")
    locked.upstream.proxy.script = lambda asked: error(404, "MANIFEST_UNKNOWN") if OLD.digest in asked.path else None
    reason = locked.workplace.actions()["worker:latest"]["reason"]
    assert OLD.digest in reason
    assert f"; {LOCK} has this digest: to take what the source is now, replsync lock --upgrade IMAGE:TAG" in reason
    assert locked.workplace.run("lock", "--upgrade", "worker:latest").returncode == 0
    assert locked.workplace.kinds()["worker:latest"] == "create"


def test_sources_that_refuse_the_sign_in_have_their_own_exit_code(locked: Place) -> None:
    locked.upstream.proxy.script = lambda _: error(403, "DENIED")
    assert_refused(locked.workplace.run("lock", "--check"), 4, "lock --check: 2 of 2 sources can't be read")
    assert_refused(locked.workplace.run("lock", "--upgrade", "*"), 4, "2 of 2 sources can't be resolved")


def test_a_source_that_is_gone_is_not_upgraded(locked: Place) -> None:
    text = locked.lock
    locked.upstream.proxy.script = gone
    done = locked.workplace.run("lock", "--upgrade", "worker")
    assert_refused(done, 1, "lock: 2 of 2 sources can't be resolved; nothing was written:", "worker:1.10", ":latest")
    assert_refused(locked.workplace.run("lock", "--upgrade", "worker:1.10"), 1, locked.upstream.source("1.10")[9:])
    assert locked.lock == text


def conflicted(text: str) -> str:
    lines = text.splitlines(keepends=True)
    mine, theirs = lines[-1], lines[-1].replace(OLD.digest, NEW.digest)
    return "".join([*lines[:-1], "<<<<<<< HEAD\n", mine, "=======\n", theirs, ">>>>>>> renovate\n"])


def cut_off(text: str) -> str:
    return text[:-20]


@pytest.mark.parametrize(
    ("command", "broken", "said"),
    [
        (["plan"], conflicted, f"{LOCK}:5:1: this is a merge conflict"),
        (["lock"], conflicted, f"{LOCK}:5:1: this is a merge conflict"),
        (["lock", "--check"], cut_off, f"{LOCK}:5:"),
    ],
    ids=["plan", "lock", "check"],
)
def test_a_broken_lock_file_is_named_by_line_and_kept(
    locked: Place, command: list[str], broken: Callable[[str], str], said: str
) -> None:
    path = locked.workplace.folder / LOCK
    path.write_text(broken(locked.lock))
    before = path.read_bytes()
    done = locked.workplace.run(*command)
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stderr.startswith(said), done.stderr
    assert "`replsync lock`" in done.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_locked_does_not_go_with_the_docker_engine(locked: Place, command: str) -> None:
    more = ["--auto-approve"] if command == "apply" else []
    done = locked.workplace.run(command, "--locked", "--engine", "docker", *more)
    assert_refused(done, 64, "--locked", "use --engine registry")


def test_a_daemons_image_is_locked_by_its_image_id_and_no_other_is_pushed(
    workplace: Workplace, docker_registry: RegistryServer, dockerd: DockerDaemon
) -> None:
    workplace.env.update(dockerd.env())
    name = f"{workplace.app}-worker:dev"
    load_into(dockerd, OLD, name)
    dev = {"tag": "dev", "source": f"docker-daemon:{name}"}
    workplace.write(docker_registry.host, {"name": "worker", "tags": [dev]}, unlisted="ignore")
    workplace.run("lock")
    assert f"  docker-daemon:{name}: {OLD.config_digest}\n" in (workplace.folder / LOCK).read_text()
    assert workplace.run("lock", "--check").returncode == 0
    assert workplace.run("plan", "--locked", "--out", "plan.json").returncode == 0
    load_into(dockerd, NEW, name)
    check = workplace.run("lock", "--check")
    assert check.returncode == 2, check.stderr
    assert f"{OLD.config_digest[7:19]} -> {NEW.config_digest[7:19]}  (for worker:dev)" in check.stdout
    done = workplace.run("apply", "plan.json")
    assert_refused(done, 5, f"image ID {OLD.config_digest[7:19]}", "nothing was written")
    assert json.loads(workplace.run("history", "worker:dev", "--format", "json").stdout)["now"] == {"kind": "absent"}


def test_a_plan_of_locked_images_that_are_not_changed_can_be_saved_and_applied(
    workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer
) -> None:
    push(source.host, "acme/worker", "1", NEW)
    worker = {"name": "worker", "source": f"{source.host}/acme/worker", "tags": ["1"]}
    workplace.write(docker_registry.host, worker, unlisted="ignore")
    assert workplace.run("lock").returncode == 0
    assert workplace.run("plan", "--locked", "--out", "plan.json").returncode == 0
    applied = workplace.run("apply", "plan.json")
    assert applied.returncode == 0, applied.stderr
    assert workplace.is_in_sync("--locked")
