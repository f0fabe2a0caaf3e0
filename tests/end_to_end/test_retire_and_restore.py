"""`replsync retire` and `replsync restore`: one tag, in the manifest and in the registry, with one command."""

import json
import subprocess
import threading
from dataclasses import dataclass
from difflib import ndiff

import pytest

from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Asked, Reaction, error
from tests.end_to_end.terminal import terminal
from tests.end_to_end.workplace import Workplace, assert_refused
from tests.servers.any_registry import AnyRegistry
from tests.servers.command import clean_environment, replsync_command
from tests.servers.docker import DockerDaemon
from tests.servers.hello import native_platform
from tests.servers.images import build_image, build_index, load_into
from tests.servers.push import push
from tests.servers.registry import Credentials, RegistryServer
from tests.servers.skopeo import Skopeo

OLD, NEW = (build_image({"version": name}, platform=native_platform()) for name in (b"old", b"new"))
REASON = "CVE-1, use 1.10"
QUESTION = "\nType yes to carry this out: "
MANIFEST = """\
# What we ship.
version: 1
app: {app}
registry: {host}

images:
  - name: worker        # the one that works
    source: {source}
    tags:
      # Everything else is newer.
      - 1.9.3  # customers of 2024
      - "1.10"
    retired:
      - {{tag: 1.8, reason: "old"}}   # first of all

  - name: web
    tags: []
    source: {source}
"""
RETIRED = """\
images:
  - name: worker        # the one that works
    source: {source}
    tags:
      # Everything else is newer.
      - "1.10"
    retired:
      - {{tag: 1.8, reason: "old"}}   # first of all
      - {{tag: 1.9.3, reason: "CVE-1, use 1.10"}}  # customers of 2024
"""


@dataclass(frozen=True)
class Place:
    """A workplace whose registry has OLD as `worker:1.9.3` and NEW as `worker:1.10`, as its source has."""

    workplace: Workplace
    host: str
    source: str
    creds: Credentials | None = None

    @property
    def manifest(self) -> str:
        """The text of the manifest."""
        return self.workplace.manifest.read_text()

    def named(self, text: str) -> str:
        """Put this place's names into `text`."""
        return text.format(app=self.workplace.app, host=self.host, source=self.source)

    def reference(self, tag: str) -> str:
        """The full name of a tag of `worker`."""
        return f"{self.host}/{self.workplace.app}/worker:{tag}"

    def retire(self, *options: str, tag: str = "worker:1.9.3") -> subprocess.CompletedProcess[str]:
        """Retire a tag for REASON, without a question unless there are `options`."""
        return self.workplace.run("retire", tag, "--reason", REASON, *(options or ["--auto-approve"]))

    def restore(self, *options: str, tag: str = "worker:1.9.3") -> subprocess.CompletedProcess[str]:
        """Restore a tag, without a question unless there are `options`."""
        return self.workplace.run("restore", tag, *(options or ["--auto-approve"]))

    def retired(self) -> "Place":
        """Retire `worker:1.9.3`, which must succeed."""
        done = self.retire()
        assert done.returncode == 0, done.stdout + done.stderr
        return self


def made(workplace: Workplace, host: str, upstream: str, creds: Credentials | None = None, behind: str = "") -> Place:
    """Make a place at `host`; images are pushed to the registry `behind` it."""
    place = Place(workplace, host, f"{upstream}/up/{workplace.app}", creds)
    for tag, image in (("1.9.3", OLD), ("1.10", NEW)):
        push(behind or host, f"{workplace.app}/worker", tag, image, creds)
    workplace.manifest.write_text(place.named(MANIFEST))
    return place


@pytest.fixture
def place(workplace: Workplace, docker_registry: RegistryServer) -> Place:
    """At docker-registry; the source is not there yet, or not any more."""
    return made(workplace, docker_registry.host, docker_registry.host)


def changed(before: str, after: str) -> list[str]:
    """The lines that were removed and added."""
    return [line for line in ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


def retires_and_restores(place: Place, skopeo: Skopeo) -> None:
    """The main path."""
    before = place.manifest
    done = place.retire()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "replicated-images.yaml: worker:1.9.3 is under `retired` now\n" in done.stdout
    assert "Apply: 1 tombstoned.\n" in done.stdout
    assert done.stderr.endswith("To take this back: replsync restore worker:1.9.3\n")
    assert place.named(RETIRED) in place.manifest
    assert changed(before, place.manifest) == [
        "-       - 1.9.3  # customers of 2024",
        '+       - {tag: 1.9.3, reason: "CVE-1, use 1.10"}  # customers of 2024',
    ]
    labels = json.loads(skopeo.config(place.reference("1.9.3"), place.creds))["config"]["Labels"]
    assert labels["dev.replsync.tombstone.reason"] == REASON
    assert labels["dev.replsync.tombstone.replaces"] == OLD.digest
    # The other tags are as they were, and the manifest says what is there.
    assert skopeo.digest(place.reference("1.10"), place.creds) == NEW.digest
    assert place.workplace.actions()["worker:1.9.3"]["kind"] == "unchanged"

    done = place.restore()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "replicated-images.yaml: worker:1.9.3 is under `tags` now, pinned to what its tombstone replaced\n"
        in done.stdout
    )
    assert skopeo.digest(place.reference("1.9.3"), place.creds) == OLD.digest
    assert changed(before, place.manifest) == [
        "-       - 1.9.3  # customers of 2024",
        "+       - tag: 1.9.3  # customers of 2024",
        f"+         digest: {OLD.digest}",
    ]
    assert place.workplace.actions()["worker:1.9.3"]["kind"] == "unchanged"


def test_a_tag_is_retired_and_restored(
    workplace: Workplace, any_registry: AnyRegistry, docker_registry: RegistryServer, skopeo: Skopeo
) -> None:
    workplace.sign_in(any_registry)
    host, creds = any_registry.host, any_registry.credentials
    retires_and_restores(made(workplace, host, docker_registry.host, creds), skopeo)


def test_retiring_in_the_manifest_alone_asks_no_registry(
    workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy
) -> None:
    proxy = start_proxy(docker_registry.host)
    place = made(workplace, proxy.host, proxy.host, behind=docker_registry.host)
    done = place.retire("--edit-only")
    assert (done.returncode, done.stdout) == (0, "replicated-images.yaml: worker:1.9.3 is under `retired` now\n")
    assert place.named(RETIRED) in place.manifest
    assert proxy.asked == []


def test_restoring_in_the_manifest_alone_writes_to_no_registry(place: Place, skopeo: Skopeo) -> None:
    tombstone = skopeo.digest(place.retired().reference("1.9.3"))
    done = place.restore("--edit-only")
    assert (done.returncode, done.stdout) == (
        0,
        "replicated-images.yaml: worker:1.9.3 is under `tags` now, pinned to what its tombstone replaced\n",
    )
    assert f"        digest: {OLD.digest}\n" in place.manifest
    assert skopeo.digest(place.reference("1.9.3")) == tombstone


@pytest.mark.parametrize("command", [["retire", "--reason", REASON], ["restore"]], ids=lambda words: words[0])
def test_without_a_terminal_somebody_has_to_approve_beforehand(place: Place, command: list[str]) -> None:
    before = place.manifest
    assert_refused(place.workplace.run(*command, "worker:1.9.3"), 64, "nobody is there", "--edit-only")
    assert place.manifest == before


def test_a_tag_that_a_release_names_is_not_retired_and_the_manifest_stays(place: Place, skopeo: Skopeo) -> None:
    (place.workplace.folder / "app.yaml").write_text(f"image: {place.reference('1.9.3')}\n")
    before = place.named(MANIFEST).replace("version: 1\n", "version: 1\nreleases: [app.yaml]\n")
    place.workplace.manifest.write_text(before)
    done = place.retire()
    assert done.returncode == 7, done.stderr
    assert "a release names this tag: app.yaml:1\n      next: " in done.stdout
    assert done.stdout.endswith(
        "replicated-images.yaml was not changed; --even-if-referenced retires what a release names\n"
    )
    assert place.manifest == before
    assert skopeo.digest(place.reference("1.9.3")) == OLD.digest


def test_the_very_image_is_put_back_although_the_sources_tag_has_moved(
    workplace: Workplace, docker_registry: RegistryServer, skopeo: Skopeo
) -> None:
    index = build_index([OLD, build_image({"version": b"old"}, platform="linux/s390x")])
    place = made(workplace, docker_registry.host, docker_registry.host)
    place.workplace.manifest.write_text(place.manifest.replace("up/", "up/it/"))
    push(docker_registry.host, f"{workplace.app}/worker", "1.9.3", index)
    push(docker_registry.host, f"up/it/{workplace.app}", "1.9.3", NEW)
    push(docker_registry.host, f"up/it/{workplace.app}", "1.10", NEW)
    place.retired()
    assert place.restore().returncode == 0
    assert skopeo.inspect_raw(place.reference("1.9.3")) == index.manifest
    assert workplace.actions()["worker:1.9.3"]["kind"] == "unchanged"


def test_a_daemons_image_is_put_back_from_the_registry_itself(
    workplace: Workplace, docker_registry: RegistryServer, dockerd: DockerDaemon, skopeo: Skopeo
) -> None:
    workplace.env.update(dockerd.env())
    name = f"{workplace.app}-worker"
    load_into(dockerd, OLD, f"{name}:1")
    workplace.write(docker_registry.host, {"name": "worker", "source": f"docker-daemon:{name}", "tags": ["1"]})
    workplace.apply()
    reference = f"{docker_registry.host}/{workplace.app}/worker"
    pushed = skopeo.digest(f"{reference}:1")
    assert workplace.run("retire", "worker:1", "--reason", REASON, "--auto-approve").returncode == 0
    dockerd.cli("image", "rm", f"{name}:1")
    done = workplace.run("restore", "worker:1", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    assert skopeo.digest(f"{reference}:1") == pushed
    assert f"{reference}@{pushed}" in workplace.manifest.read_text()
    assert workplace.is_in_sync()


@pytest.mark.parametrize("lost", [f"/manifests/{OLD.digest}", f"/blobs/{OLD.config_digest}"], ids=["manifest", "blob"])
def test_what_the_registry_has_lost_is_not_restored_and_nothing_changes(
    workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy, skopeo: Skopeo, lost: str
) -> None:
    proxy = start_proxy(docker_registry.host)
    place = made(workplace, proxy.host, proxy.host, behind=docker_registry.host).retired()
    before, tombstone = place.manifest, skopeo.digest(place.reference("1.9.3"))
    proxy.script = lambda asked: error(404) if asked.path.endswith(lost) else None
    said = f"restore {place.reference('1.9.3')}: what the tombstone replaced, {OLD.digest}, can't be read"
    assert_refused(place.restore(), 1, said, "with a source that has the image")
    assert place.manifest == before
    assert skopeo.digest(place.reference("1.9.3")) == tombstone


def test_only_a_tombstone_is_restored(place: Place) -> None:
    place.retire("--edit-only")
    before = place.manifest
    done = place.restore()
    assert_refused(done, 1, f"the tag holds the image {OLD.digest[7:19]}, and no tombstone", "by hand")
    assert_refused(place.restore(tag="worker:1.8"), 1, "the registry has no such tag, so no tombstone", "with a source")
    assert place.manifest == before


@pytest.mark.parametrize(
    ("name", "code", "said", "hint"),
    [
        ("worker:1.10", 3, "replicated-images.yaml lists it already", "replsync plan --target worker:1.10"),
        ("worker:2.0", 3, "replicated-images.yaml doesn't retire it", "replsync history worker:2.0"),
        ("wroker:1.9.3", 3, "replicated-images.yaml doesn't list the image", "it lists worker, web"),
        ("worker", 64, "'worker' is not the name of a tag", "IMAGE:TAG"),
        ("worker:1:9", 64, "'worker:1:9' is not the name of a tag", "IMAGE:TAG"),
    ],
)
def test_what_cannot_be_restored_is_told_with_its_next_move(
    place: Place, name: str, code: int, said: str, hint: str
) -> None:
    before = place.manifest
    assert_refused(place.restore(tag=name), code, said, hint)
    assert place.manifest == before


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["wroker:1.9.3", "--reason", REASON], 3, "retire wroker:1.9.3: replicated-images.yaml doesn't list the image"),
        (["worker:", "--reason", REASON], 64, "'worker:' is not the name of a tag"),
        ([f"worker@{OLD.digest}", "--reason", REASON], 64, "is not the name of a tag"),
        (["worker:1.9.3", "--reason", ""], 3, "retire worker:1.9.3: "),
        (["worker:1.9.3", "--reason", "two\nlines"], 3, "retire worker:1.9.3: "),
    ],
    ids=["image", "no tag", "digest", "no reason", "two lines"],
)
def test_what_cannot_be_retired_is_told_with_its_next_move(
    place: Place, options: list[str], code: int, said: str
) -> None:
    before = place.manifest
    assert_refused(place.workplace.run("retire", *options, "--auto-approve"), code, said)
    assert place.manifest == before


def test_a_full_reference_is_a_name_too(place: Place, skopeo: Skopeo) -> None:
    assert place.retire(tag=place.reference("1.9.3")).returncode == 0
    assert place.named(RETIRED) in place.manifest
    assert place.restore(tag=place.reference("1.9.3")).returncode == 0
    assert skopeo.digest(place.reference("1.9.3")) == OLD.digest


def test_a_tag_that_the_manifest_does_not_list_is_retired_there_with_a_note(place: Place) -> None:
    done = place.retire("--edit-only", tag="worker:1.7")
    assert done.returncode == 0
    assert done.stderr == (
        "note: replicated-images.yaml did not list worker:1.7: only the registry can say whether there is such a tag\n"
    )


def test_a_tag_that_nobody_knows_is_not_retired(place: Place, skopeo: Skopeo) -> None:
    before = place.manifest
    done = place.retire(tag="worker:1.7")
    said = "retire worker:1.7: neither replicated-images.yaml nor the registry has such a tag"
    assert_refused(done, 3, said, "worker has 1.9.3, 1.10")
    assert place.manifest == before
    assert skopeo.tags(place.reference("1.7").rpartition(":")[0]) == ["1.10", "1.9.3"]


def test_a_restore_that_was_interrupted_behind_the_manifest_goes_on(place: Place) -> None:
    place.retired()
    assert place.restore("--edit-only").returncode == 0
    listed = place.manifest
    done = place.restore()
    assert done.returncode == 0, done.stderr
    assert "replicated-images.yaml: worker:1.9.3 is under `tags` already\n" in done.stdout
    assert done.stdout.endswith("Apply: 1 restored.\n")
    assert place.manifest == listed


def asked_at_terminal(place: Place) -> tuple[list[str], dict[str, str]]:
    return replsync_command("retire", "worker:1.9.3", "--reason", REASON), clean_environment(place.workplace.folder)


def test_at_a_terminal_it_asks_and_yes_retires(place: Place, skopeo: Skopeo) -> None:
    command, env = asked_at_terminal(place)
    with terminal(command, place.workplace.folder, env) as shown:
        shown.wait_for(QUESTION)
        assert place.manifest == place.named(MANIFEST)
        shown.type("yes\n")
        assert shown.ended() == 0, shown.output
    assert place.named(RETIRED) in place.manifest
    assert skopeo.digest(place.reference("1.9.3")) != OLD.digest


def test_a_manifest_that_changed_while_the_question_was_open_is_not_overwritten(place: Place, skopeo: Skopeo) -> None:
    command, env = asked_at_terminal(place)
    theirs = place.manifest + "# somebody was here\n"
    with terminal(command, place.workplace.folder, env) as shown:
        shown.wait_for(QUESTION)
        place.workplace.manifest.write_text(theirs)
        shown.type("yes\n")
        assert shown.ended() == 1, shown.output
    assert "it was changed meanwhile; nothing was written\n  next: run the command again" in shown.output
    assert place.manifest == theirs
    assert skopeo.digest(place.reference("1.9.3")) == OLD.digest


def test_after_a_crash_the_manifest_says_it_already_and_apply_goes_on(
    workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy, skopeo: Skopeo
) -> None:
    reached, dead = threading.Event(), threading.Event()

    def hold(asked: Asked) -> Reaction:
        if asked != Asked("PUT", f"/v2/{workplace.app}/worker/manifests/1.9.3"):
            return None
        reached.set()
        dead.wait(60)
        return error(503)

    proxy = start_proxy(docker_registry.host, hold)
    place = made(workplace, proxy.host, proxy.host, behind=docker_registry.host)
    command = replsync_command("retire", "worker:1.9.3", "--reason", REASON, "--auto-approve")
    with subprocess.Popen(
        command,
        cwd=workplace.folder,
        env=clean_environment(workplace.folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert reached.wait(60)
        process.kill()
    dead.set()
    assert place.named(RETIRED) in place.manifest
    assert skopeo.digest(place.reference("1.9.3")) == OLD.digest
    assert "uncertain: the run ended before the tag was read back" in workplace.run("history", "worker:1.9.3").stdout
    proxy.script = lambda _: None
    done = workplace.apply("--target", "worker:1.9.3")
    assert "Apply: 1 tombstoned.\n" in done.stdout
    assert skopeo.digest(place.reference("1.9.3")) != OLD.digest
