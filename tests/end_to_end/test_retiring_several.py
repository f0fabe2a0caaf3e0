"""`replsync retire` with several tags: one plan, one question, one change to the manifest."""

import pytest

from tests.end_to_end.workplace import Workplace, assert_refused
from tests.servers.images import build_image
from tests.servers.push import push
from tests.servers.sandbox import RunningSandbox

IMAGE = build_image({"a": b"1"})
TEXT = """\
version: 1
app: {app}
registry: {host}
images:
  - name: worker # ours
    tags: [1.8, 1.9, 1.10]
  - name: api
    tags:
      - 2.0 # good
      - 2.1
"""


@pytest.fixture
def place(workplace: Workplace, sandbox: RunningSandbox) -> Workplace:
    """A workplace in whose registry is all that the manifest lists."""
    workplace.sign_in(sandbox)
    for repository, tag in (("worker", "1.8"), ("worker", "1.9"), ("worker", "1.10"), ("api", "2.0"), ("api", "2.1")):
        push(sandbox.host, f"{workplace.app}/{repository}", tag, IMAGE, sandbox.credentials)
    workplace.manifest.write_text(TEXT.format(app=workplace.app, host=sandbox.host))
    return workplace


def test_several_tags_are_retired_at_once_and_one_rollback_takes_them_back(place: Workplace) -> None:
    before = place.manifest.read_text()
    done = place.run("retire", "worker:1.8", "worker:1.9", "api:2.1", "--reason", "old", "--auto-approve")
    assert done.returncode == 0, done.stderr
    assert "Apply: 3 tombstoned.\n" in done.stdout
    for tag in ("worker:1.8", "worker:1.9", "api:2.1"):
        assert f"replicated-images.yaml: {tag} is under `retired` now\n" in done.stdout
    assert "    tags: [1.10]\n" in place.manifest.read_text()
    assert place.is_in_sync()
    assert "To take this back: replsync rollback " in done.stderr
    place.manifest.write_text(before)
    (journal,) = (place.folder / ".replsync/journal").iterdir()
    assert place.run("rollback", journal, "--auto-approve").returncode == 0
    assert place.is_in_sync()


def test_a_tag_that_nobody_knows_keeps_the_others_as_they_are(place: Workplace) -> None:
    before = place.manifest.read_text()
    done = place.run("retire", "worker:1.8", "worker:1.88", "--reason", "old", "--auto-approve")
    assert_refused(done, 3, "retire worker:1.88: neither replicated-images.yaml nor the registry has such a tag")
    assert place.manifest.read_text() == before
    assert place.is_in_sync()


def test_tags_of_two_manifests_are_refused(place: Workplace) -> None:
    other = place.folder / "other.yaml"
    other.write_text(
        place.manifest.read_text().replace("- name: worker", "- name: web").replace("- name: api", "- name: x")
    )
    files = ("-f", "replicated-images.yaml", "-f", "other.yaml")
    done = place.run("retire", "worker:1.8", "web:1.8", "--reason", "old", "--auto-approve", *files)
    assert_refused(done, 64, "worker:1.8 is a tag of replicated-images.yaml, and web:1.8 one of other.yaml")


def test_several_tags_are_retired_in_the_manifest_alone(place: Workplace) -> None:
    done = place.run("retire", "worker:1.8", "api:2.0", "api:2.0", "--reason", "old", "--edit-only")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is under `retired` now") == 2
    assert place.kinds()["api:2.0"] == "tombstone"
    again = place.run("retire", "worker:1.8", "api:2.0", "--reason", "old", "--edit-only")
    assert again.stdout.count("is under `retired` already") == 2
