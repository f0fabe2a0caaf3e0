"""What keeps retirements from doing damage: tags that a release names, and too many of them at once."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.end_to_end.workplace import Workplace, assert_refused, digests
from tests.servers.images import build_image
from tests.servers.push import Uploader
from tests.servers.registry import RegistryServer
from tests.servers.skopeo import Skopeo

OLD = build_image({"version": b"old"})
ALIAS = "images.example.com"
RETIRED = {"tag": "1.9", "reason": "CVE-1, use 1.10"}
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      containers:
        - name: worker
          image: {image}
"""


def put(workplace: Workplace, registry: RegistryServer, *tags: str) -> None:
    """Push OLD as these tags of `worker`."""
    uploader = Uploader(registry.host, f"{workplace.app}/worker")
    uploader.put_image(tags[0], OLD)
    for tag in tags[1:]:
        uploader.put_manifest(tag, OLD.manifest, OLD.media_type)


def write(workplace: Workplace, registry: RegistryServer, retired: Sequence[dict[str, Any]], **more: Any) -> None:
    """Write a manifest that retires these tags of `worker`; the release is in `kots`."""
    image = {"name": "worker", "retired": retired}
    content = {"version": 1, "app": workplace.app, "registry": registry.host, "releases": ["kots/*.yaml"], **more}
    workplace.manifest.write_text(json.dumps({**content, "images": [image]}))


def release(workplace: Workplace, image: str) -> None:
    """Write a release whose line 8 names `image`."""
    (workplace.folder / "kots").mkdir(exist_ok=True)
    (workplace.folder / "kots" / "app.yaml").write_text(DEPLOYMENT.format(image=image))


def actions(done_stdout: str) -> dict[str, Any]:
    return {action["tag"]: action for action in json.loads(done_stdout)["actions"]}


@pytest.fixture
def there(workplace: Workplace, docker_registry: RegistryServer) -> RegistryServer:
    """A registry that has OLD as `worker:1.9`."""
    put(workplace, docker_registry, "1.9")
    return docker_registry


@pytest.mark.parametrize(
    "image",
    [
        "{host}/{app}/worker:1.9",
        f"{{host}}/{{app}}/worker@{OLD.digest}",
        f"{ALIAS}/{{app}}/worker:1.9",
        """'{{{{repl LocalImageName "{host}/{app}/worker:1.9" }}}}'""",
    ],
    ids=["by tag", "by the digest that it has", "under an alias", "under LocalImageName"],
)
def test_a_tag_that_a_release_names_is_not_retired(workplace: Workplace, there: RegistryServer, image: str) -> None:
    release(workplace, image.format(host=there.host, app=workplace.app))
    write(workplace, there, [RETIRED], registry_aliases=[ALIAS])
    as_json = workplace.run("plan", "--format", "json")
    assert as_json.returncode == 7, as_json.stderr
    action = actions(as_json.stdout)["1.9"]
    assert (action["kind"], action["after"]) == ("blocked", None)
    assert action["reason"].startswith("a release names this tag: kots/app.yaml:8; ")
    as_text = workplace.run("plan")
    assert as_text.returncode == 7
    why, _, move = action["reason"].partition("; ")
    assert f"  ! {there.host}/{workplace.app}/worker:1.9\n      {why}\n      next: {move}\n" in as_text.stdout


def test_a_blocked_retirement_writes_nothing(workplace: Workplace, there: RegistryServer, skopeo: Skopeo) -> None:
    release(workplace, f"{there.host}/{workplace.app}/worker:1.9")
    write(workplace, there, [RETIRED])
    assert workplace.run("apply", "--auto-approve").returncode == 7
    assert skopeo.digest(f"{there.host}/{workplace.app}/worker:1.9") == OLD.digest
    assert not (workplace.folder / ".replsync").exists()


def test_another_registrys_image_of_the_same_name_protects_nothing(workplace: Workplace, there: RegistryServer) -> None:
    release(workplace, f"{ALIAS}/{workplace.app}/worker:1.9")
    write(workplace, there, [RETIRED])
    assert workplace.kinds() == {"worker:1.9": "tombstone"}


def test_even_if_referenced_lifts_the_guard_and_says_so(
    workplace: Workplace, there: RegistryServer, skopeo: Skopeo
) -> None:
    release(workplace, f"{there.host}/{workplace.app}/worker:1.9")
    write(workplace, there, [{**RETIRED, "even_if_referenced": True}])
    note = "retired even though kots/app.yaml:8 names it (even_if_referenced)"
    action = workplace.actions()["worker:1.9"]
    assert (action["kind"], action["notes"]) == ("tombstone", [note])
    done = workplace.apply()
    assert f"      CVE-1, use 1.10\n      note: {note}\n" in done.stdout
    assert skopeo.digest(f"{there.host}/{workplace.app}/worker:1.9") == action["after"]["digest"]


def test_retire_lifts_the_guard_by_an_option_that_goes_into_the_manifest(
    workplace: Workplace, there: RegistryServer, skopeo: Skopeo
) -> None:
    release(workplace, f"{there.host}/{workplace.app}/worker:1.9")
    workplace.manifest.write_text(
        f"version: 1\napp: {workplace.app}\nregistry: {there.host}\nreleases: [kots/*.yaml]\n"
        "images:\n  - name: worker\n    tags:\n      - 1.9\n"
    )
    retire = ["retire", "worker:1.9", "--reason", RETIRED["reason"], "--auto-approve"]
    blocked = workplace.run(*retire)
    assert blocked.returncode == 7, blocked.stderr
    assert blocked.stdout.endswith("was not changed; --even-if-referenced retires what a release names\n")
    before = workplace.manifest.read_bytes()
    edited = workplace.run("retire", "worker:1.9", "--reason", RETIRED["reason"], "--edit-only")
    assert edited.returncode == 0
    assert "note: the plan will be blocked: a release names this tag: kots/app.yaml:8; " in edited.stderr
    by_hand = workplace.run(*retire)
    assert by_hand.stdout.endswith(
        "was not changed; `even_if_referenced: true` in its entry retires what a release names\n"
    )
    workplace.manifest.write_bytes(before)
    done = workplace.run(*retire, "--even-if-referenced")
    assert done.returncode == 0, done.stdout + done.stderr
    assert skopeo.digest(f"{there.host}/{workplace.app}/worker:1.9") != OLD.digest
    assert "even_if_referenced: true" in workplace.manifest.read_text()
    assert workplace.is_in_sync()


def test_a_tombstone_of_the_policy_for_unlisted_tags_is_guarded_likewise(
    workplace: Workplace, there: RegistryServer
) -> None:
    put(workplace, there, "1.8")
    release(workplace, f"{there.host}/{workplace.app}/worker:1.8")
    write(workplace, there, [RETIRED], policy={"unlisted": "tombstone"})
    assert workplace.kinds() == {"worker:1.8": "blocked", "worker:1.9": "tombstone"}


def test_a_pattern_of_releases_that_matches_nothing_is_an_error(workplace: Workplace, there: RegistryServer) -> None:
    write(workplace, there, [RETIRED], releases=["kots/*.yml"])
    assert_refused(workplace.run("apply", "--auto-approve"), 3, "read the releases: no file matches `kots/*.yml`")


def test_what_a_release_leaves_open_is_a_warning(workplace: Workplace, there: RegistryServer) -> None:
    release(workplace, """'{{repl ConfigOption "image"}}'""")
    write(workplace, there, [RETIRED])
    done = workplace.run("plan")
    said = 'kots/app.yaml:8: only what is written out here protects a tag: {{repl ConfigOption "image"}}'
    assert done.returncode == 0
    assert done.stdout.endswith(f" to send.\nWarning: {said}\n")
    assert json.loads(workplace.run("plan", "--format", "json").stdout)["warnings"] == [said]


MANY = [f"0.{number}" for number in range(21)]


@pytest.fixture
def many(workplace: Workplace, docker_registry: RegistryServer) -> RegistryServer:
    """A registry that has OLD as 21 tags."""
    put(workplace, docker_registry, *MANY)
    release(workplace, "nginx:1")
    return docker_registry


def test_more_tombstones_than_the_policy_allows_are_blocked(
    workplace: Workplace, many: RegistryServer, skopeo: Skopeo
) -> None:
    write(workplace, many, [{"tag": tag, "reason": "old"} for tag in MANY])
    done = workplace.run("apply", "--auto-approve")
    assert done.returncode == 7
    assert "one of 21 tombstones, and policy.max_tombstones allows 20 in one run" in done.stdout
    assert "Plan: 21 blocked.\n" in done.stdout
    repository = f"{many.host}/{workplace.app}/worker"
    assert {skopeo.digest(f"{repository}:{tag}") for tag in (MANY[0], MANY[10], MANY[20])} == {OLD.digest}


def test_with_a_higher_limit_they_are_all_written(workplace: Workplace, many: RegistryServer, skopeo: Skopeo) -> None:
    write(workplace, many, [{"tag": tag, "reason": "old"} for tag in MANY], policy={"max_tombstones": 21})
    assert "Apply: 21 tombstoned.\n" in workplace.apply().stdout
    assert OLD.digest not in digests(skopeo, [f"{many.host}/{workplace.app}/worker"]).values()


def test_below_the_limit_they_can_be_written_in_parts(workplace: Workplace, many: RegistryServer) -> None:
    write(workplace, many, [{"tag": tag, "reason": "old"} for tag in MANY])
    done = workplace.apply("--target", "worker:0.?")
    assert "\nPlan: 10 to tombstone." in done.stdout
    assert "\nPartial: only the tags that match worker:0.?.\n" in done.stdout
    assert "Apply: 10 tombstoned.\n" in done.stdout
    assert "Apply: 11 tombstoned.\n" in workplace.apply().stdout
    assert workplace.is_in_sync()
