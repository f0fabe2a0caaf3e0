"""`select`: tags of the source's repository that nobody listed, planned, carried out and locked."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Proxy, error
from tests.end_to_end.workplace import Done, Workplace, assert_refused
from tests.servers.images import BuiltImage, build_image
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox
from tests.servers.skopeo import Skopeo

LOCK = "replicated-images.lock.yaml"
TAGS = ("1.7.0", "1.8.0", "1.9.0", "1.10.0", "1.11.0-rc.1", "2.0.0", "latest", "sha256-" + "a" * 64 + ".sig")
IMAGES = {tag: build_image({"version": tag.encode()}) for tag in (*TAGS, "1.11.0", "1.6.0")}


@dataclass(frozen=True)
class Place:
    """A workplace whose target is the sandbox, and a repository in another registry that `worker` comes from."""

    workplace: Workplace
    sandbox: RunningSandbox
    upstream: RegistryServer
    proxy: Proxy

    @property
    def repository(self) -> str:
        return f"up/{self.workplace.app}/worker"

    @property
    def lock(self) -> str:
        return (self.workplace.folder / LOCK).read_text()

    def push(self, *tags: str) -> None:
        """Push as the source's owner does."""
        for tag in tags:
            push(self.upstream.host, self.repository, tag, IMAGES[tag])

    def push_to_target(self, tag: str, image: BuiltImage) -> None:
        push(self.sandbox.host, f"{self.workplace.app}/worker", tag, image, self.sandbox.credentials)

    def write(self, select: dict[str, Any], unlisted: str = "report", **more: Any) -> None:
        worker = {"name": "worker", "source": f"{self.proxy.host}/{self.repository}", "select": select, **more}
        self.workplace.write(self.sandbox.host, worker, unlisted=unlisted)

    def held(self, skopeo: Skopeo) -> dict[str, str]:
        """The tags of the target, with their digests."""
        repository = f"{self.sandbox.host}/{self.workplace.app}/worker"
        creds = self.sandbox.credentials
        return {tag: skopeo.digest(f"{repository}:{tag}", creds) for tag in skopeo.tags(repository, creds)}


@pytest.fixture
def place(
    workplace: Workplace, sandbox: RunningSandbox, docker_registry: RegistryServer, start_proxy: StartProxy
) -> Place:
    workplace.sign_in(sandbox)
    place = Place(workplace, sandbox, docker_registry, start_proxy(docker_registry.host))
    place.push(*TAGS)
    return place


def notes(done: Done) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith(("Note:", "Warning:"))]


def test_what_is_chosen_is_shown_with_its_reason_and_pushed_and_then_nothing_is_left_to_do(
    place: Place, skopeo: Skopeo
) -> None:
    place.write({"semver": ">=1.8 <2", "newest": 2})
    plan = place.workplace.plan()
    assert (
        plan.stdout.count('      note: chosen by `select`: semver ">=1.8 <2", newest 2 of 3 that fit\n') == 1
    )  # they stand together
    assert notes(plan) == [
        'Note: worker: `select` (semver ">=1.8 <2", newest 2) chooses 2 of the source\'s 8 tags; '
        "left out: 1 signatures and the like, 1 no versions, 1 prereleases, 2 outside of the range, 1 older."
    ]
    assert place.workplace.kinds() == {"worker:1.9.0": "create", "worker:1.10.0": "create"}
    place.workplace.apply()
    assert place.held(skopeo) == {tag: IMAGES[tag].digest for tag in ("1.9.0", "1.10.0")}
    assert place.workplace.is_in_sync()


def test_a_saved_plan_keeps_what_was_chosen_whatever_the_source_has_by_then(place: Place, skopeo: Skopeo) -> None:
    place.write({"semver": ">=1.8 <2", "newest": 1})
    assert place.workplace.run("plan", "--out", "plan.json").returncode == 0
    place.push("1.11.0")
    assert "chosen by `select`" in place.workplace.run("show", "plan.json").stdout
    assert place.workplace.run("apply", "plan.json").returncode == 0
    assert set(place.held(skopeo)) == {"1.10.0"}


def test_a_tag_that_is_listed_or_retired_is_no_business_of_the_selector(place: Place, skopeo: Skopeo) -> None:
    other = {"tag": "1.8.0", "source": f"{place.proxy.host}/{place.repository}:2.0.0"}
    place.write({"semver": ">=1.8 <2"}, tags=[other], retired=[{"tag": "1.9.0", "reason": "old"}])
    place.push_to_target("1.9.0", IMAGES["1.9.0"])
    actions = place.workplace.actions()
    kinds = {name: (action["kind"], action["notes"]) for name, action in actions.items()}
    chosen = 'chosen by `select`: semver ">=1.8 <2"'
    assert kinds == {
        "worker:1.8.0": ("create", []),
        "worker:1.9.0": ("tombstone", []),
        "worker:1.10.0": ("create", [chosen]),
    }
    place.workplace.apply()
    assert place.held(skopeo)["1.8.0"] == IMAGES["2.0.0"].digest
    assert place.workplace.is_in_sync()


def test_a_selected_tag_is_retired_and_restored_by_name(place: Place, skopeo: Skopeo) -> None:
    place.write({"semver": ">=1.8 <2"})
    place.workplace.apply()
    place.proxy.script = lambda _: error(503, "UNAVAILABLE")  # retiring must not wait for the source
    done = place.workplace.run("retire", "worker:1.9.0", "--reason", "CVE", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    place.proxy.script = lambda _: None
    assert place.held(skopeo)["1.9.0"] != IMAGES["1.9.0"].digest
    assert place.workplace.is_in_sync()
    done = place.workplace.run("restore", "worker:1.9.0", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    assert place.held(skopeo)["1.9.0"] == IMAGES["1.9.0"].digest
    assert place.workplace.is_in_sync()


def test_more_than_may_be_chosen_is_refused_with_both_numbers(place: Place, skopeo: Skopeo) -> None:
    place.push_to_target("0.1", IMAGES["1.7.0"])
    place.write({"regex": "[0-9.]+", "max": 4})
    assert_refused(place.workplace.run("plan"), 3, "select tags for worker: 5 fit, and `select` may choose 4", "`max`")
    assert_refused(place.workplace.run("apply", "--auto-approve"), 3, "5 fit")
    assert set(place.held(skopeo)) == {"0.1"}


@pytest.mark.parametrize(("status", "code", "exit_code"), [(503, "UNAVAILABLE", 1), (403, "DENIED", 4)])
def test_a_list_that_cannot_be_read_is_not_taken_for_an_empty_one(
    place: Place, skopeo: Skopeo, status: int, code: str, exit_code: int
) -> None:
    place.write({"semver": ">=1.8 <2"}, unlisted="tombstone")
    place.push_to_target("1.9.0", IMAGES["1.9.0"])
    place.proxy.script = lambda asked: error(status, code) if "/tags/" in asked.path else None
    for command in (["plan"], ["apply", "--auto-approve"], ["lock"]):
        assert_refused(place.workplace.run(*command), exit_code, "select tags for worker: list the tags of")
    assert place.held(skopeo) == {"1.9.0": IMAGES["1.9.0"].digest}


def test_a_repository_that_is_not_there_is_not_taken_for_an_empty_one(place: Place) -> None:
    place.write({"semver": ">=1.8 <2"}, source=f"{place.proxy.host}/up/nobody/nothing")
    assert_refused(place.workplace.run("plan"), 1, "up/nobody/nothing has no tags at all", "check its name")


def test_a_selector_that_chooses_nothing_is_a_warning_and_said_once(place: Place) -> None:
    place.write({"semver": "^3"})
    (warning,) = notes(place.workplace.plan())
    assert warning.startswith('Warning: worker: `select` (semver "^3") chooses 0 of the source\'s 8 tags; left out: ')


def test_what_the_selector_leaves_by_the_way_is_never_retired(place: Place, skopeo: Skopeo) -> None:
    for tag in ("1.6.0", "1.8.0", "latest"):
        place.push_to_target(tag, IMAGES[tag])
    place.write({"semver": "1.x", "newest": 1}, unlisted="tombstone")
    # 1.8.0 is older than the newest, and the source has lost 1.6.0; `latest` never was the selector's.
    actions = place.workplace.actions()
    assert {name: action["kind"] for name, action in actions.items()} == {
        "worker:1.6.0": "unlisted",
        "worker:1.8.0": "unlisted",
        "worker:1.10.0": "create",
        "worker:latest": "tombstone",
    }
    assert "it fits `select`, which doesn't choose it now" in actions["worker:1.8.0"]["reason"]


@pytest.fixture
def locked(place: Place) -> Place:
    place.write({"semver": ">=1.8 <2", "newest": 2})
    done = place.workplace.run("lock")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("  + worker  selects +1.10.0, +1.9.0\n")
    assert done.stdout.endswith(f"{LOCK}: 2 sources, 1 selection, 3 changed\n")
    return place


def test_a_lock_file_has_what_was_chosen_and_by_what(locked: Place) -> None:
    assert locked.lock.splitlines()[1:8] == [
        "version: 1",
        "selected:",
        "  worker:",
        f"    by: 'semver \">=1.8 <2\", newest 2, of docker://{locked.proxy.host}/{locked.repository}'",
        "    tags:",
        "      - 1.10.0",
        "      - 1.9.0",
    ]
    assert locked.workplace.run("lock").stdout == f"{LOCK}: 2 sources, 1 selection, no changes\n"


def test_a_new_tag_at_the_source_changes_nothing_until_it_is_chosen_anew(locked: Place) -> None:
    quiet = locked.workplace.run("lock", "--check")
    assert (quiet.returncode, quiet.stdout) == (0, "Lock: 2 sources, 1 selection; all as locked.\n")
    text = locked.lock
    locked.push("1.11.0")
    assert set(locked.workplace.kinds()) == {"worker:1.9.0", "worker:1.10.0"}
    check = locked.workplace.run("lock", "--check")
    assert (check.returncode, check.stdout) == (
        2,
        "  ~ worker  would select +1.11.0, -1.9.0\n"
        "Lock: 2 sources, 1 selection; 1 moved.\n"
        "To choose tags anew: replsync lock --upgrade IMAGE\n",
    )
    assert locked.lock == text
    assert "selects" not in locked.workplace.run("lock", "--upgrade", "worker:1.10.0").stdout
    upgrade = locked.workplace.run("lock", "--upgrade", "worker")
    assert upgrade.stdout.startswith("  ~ worker  selects +1.11.0, -1.9.0\n"), upgrade.stdout + upgrade.stderr
    assert set(locked.workplace.kinds()) == {"worker:1.10.0", "worker:1.11.0"}


def test_locked_asks_no_source(locked: Place, skopeo: Skopeo) -> None:
    locked.push("1.11.0")
    locked.proxy.asked.clear()
    plan = locked.workplace.plan("--locked")
    assert 'note: chosen by `select`: semver ">=1.8 <2", newest 2 (as locked)' in plan.stdout
    assert notes(plan) == ['Note: worker: `select` (semver ">=1.8 <2", newest 2) chooses 2 tags, by the lock file.']
    assert locked.proxy.asked == []
    locked.workplace.apply("--locked")
    assert not any("/tags/" in asked.path for asked in locked.proxy.asked)
    assert locked.held(skopeo) == {tag: IMAGES[tag].digest for tag in ("1.9.0", "1.10.0")}


def test_a_selector_that_was_changed_makes_its_part_of_the_lock_file_stale(locked: Place) -> None:
    locked.write({"semver": ">=1.8 <2"})
    said = f"the lock file {LOCK} has what another selector chose for worker"
    assert_refused(locked.workplace.run("plan"), 3, said, "run `replsync lock`")
    assert_refused(locked.workplace.run("plan", "--locked"), 3, said)
    check = locked.workplace.run("lock", "--check")
    assert check.returncode == 2, check.stderr
    assert "  + worker  what its `select` chooses is not in the lock file\n" in check.stdout
    assert locked.workplace.run("lock").stdout.startswith("  ~ worker  selects +1.8.0\n")
    assert len(locked.workplace.kinds("--locked")) == 3


def test_a_lock_file_without_a_selection_is_outgrown(place: Place) -> None:
    source = f"{place.proxy.host}/{place.repository}"
    place.workplace.write(place.sandbox.host, {"name": "worker", "source": source, "tags": ["1.8.0"]})
    assert place.workplace.run("lock").returncode == 0
    assert "selected" not in place.lock
    place.write({"semver": "1.x"}, tags=["1.8.0"])
    assert_refused(place.workplace.run("plan"), 3, "does not have what is chosen for worker", "run `replsync lock`")
    assert place.workplace.run("lock").returncode == 0
    place.workplace.write(place.sandbox.host, {"name": "worker", "source": source, "tags": ["1.8.0"]})
    check = place.workplace.run("lock", "--check")
    assert "  - worker  selects no tags in the manifest\n" in check.stdout
    assert place.workplace.run("lock").stdout.startswith("  - worker  selects no tags any more\n")


def test_check_tells_that_a_list_cannot_be_read(locked: Place) -> None:
    locked.proxy.script = lambda asked: error(403, "DENIED") if "/tags/" in asked.path else None
    done = locked.workplace.run("lock", "--check")
    assert_refused(done, 4, "1 of 1 selections can't be made now")
    assert "  ! worker  select tags for worker: list the tags of" in done.stdout


def test_a_retired_tag_stays_away_and_the_lock_file_need_not_change(locked: Place, skopeo: Skopeo) -> None:
    locked.workplace.apply()
    done = locked.workplace.run("retire", "worker:1.9.0", "--reason", "CVE", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    assert locked.workplace.is_in_sync("--locked")
    check = locked.workplace.run("lock", "--check")
    assert check.returncode == 0, check.stderr
    assert locked.workplace.run("lock").returncode == 0
    assert locked.workplace.is_in_sync("--locked")


def test_of_several_manifests_the_one_that_names_a_tag_has_it(place: Place, skopeo: Skopeo) -> None:
    source = f"{place.proxy.host}/{place.repository}"
    for name, worker in (
        ("a", {"select": {"semver": ">=1.8 <2"}}),
        ("b", {"tags": [{"tag": "1.9.0", "source": f"{source}:2.0.0"}], "source": source}),
    ):
        place.workplace.write(place.sandbox.host, {"name": "worker", "source": source, **worker})
        place.workplace.manifest.rename(place.workplace.folder / f"{name}.yaml")
    both = ("-f", "a.yaml", "-f", "b.yaml")
    plan = place.workplace.run("plan", *both)
    assert plan.returncode == 0, plan.stdout + plan.stderr
    assert plan.stdout.count("note: chosen by `select`") == 1  # they stand together
    assert 'Note: a.yaml: worker: `select` (semver ">=1.8 <2") chooses 2 of the source\'s 8 tags' in plan.stdout
    assert place.workplace.run("lock", *both, "--upgrade", "worker").returncode == 0
    assert place.workplace.run("lock", *both, "--check").returncode == 0
    assert place.workplace.run("apply", *both, "--locked", "--auto-approve").returncode == 0
    assert place.held(skopeo) == {
        "1.8.0": IMAGES["1.8.0"].digest,
        "1.9.0": IMAGES["2.0.0"].digest,
        "1.10.0": IMAGES["1.10.0"].digest,
    }


def test_two_manifests_that_choose_the_same_tag_contradict_each_other(place: Place) -> None:
    for name in ("a", "b"):
        place.write({"newest": 1})
        place.workplace.manifest.rename(place.workplace.folder / f"{name}.yaml")
    done = place.workplace.run("plan", "-f", "a.yaml", "-f", "b.yaml")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "`worker:2.0.0` belongs to a.yaml" in done.stderr
