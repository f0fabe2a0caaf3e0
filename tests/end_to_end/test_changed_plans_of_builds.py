"""Saved plans of images that are made: what was changed in them is refused before anything is sent."""

import json
from pathlib import Path

import pytest

from tests.end_to_end.desk import writes
from tests.end_to_end.test_split_layers import SPLIT, files, image
from tests.end_to_end.workplace import Workplace
from tests.layers.tars import directory, tar
from tests.plan.tampering import signed, written
from tests.servers.push import push
from tests.servers.sandbox import RunningSandbox


@pytest.fixture
def built(workplace: Workplace, sandbox: RunningSandbox) -> Workplace:
    """A manifest with a build, planned by its lock file: that takes no Docker."""
    workplace.sign_in(sandbox)
    (workplace.folder / "context").mkdir()
    (workplace.folder / "context" / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    workplace.write(sandbox.host, {"name": "worker", "tags": [{"tag": "1", "build": {"context": "context"}}]})
    assert workplace.run("lock").returncode == 0
    assert workplace.run("plan", "--locked", "--out", "plan.json").returncode == 0
    return workplace


@pytest.mark.parametrize("context", ["/etc", "..", "context?secret.a=/etc/shadow", "context?dockerfile=../x"])
def test_a_plan_builds_only_what_its_manifest_says(built: Workplace, sandbox: RunningSandbox, context: str) -> None:
    path = built.folder / "plan.json"
    document = json.loads(path.read_text())
    document["actions"][0]["source"]["reference"] = f"build:{context}"
    path.write_bytes(written(signed(document)))
    done = built.run("apply", "plan.json")
    assert done.returncode == 5, done.stdout + done.stderr
    assert "no manifest says what it would build" in done.stderr
    assert writes(sandbox) == []


@pytest.mark.parametrize(("oversize", "limit"), [("reject", "refuse_over"), ("split", "split_over")])
def test_a_build_that_is_planned_by_the_lock_file_alone_is_held_to_the_limit_too(
    built: Workplace, sandbox: RunningSandbox, oversize: str, limit: str
) -> None:
    policy = {"max_layer_size": "1MB", "oversize_layers": oversize}
    tags = [{"tag": "1", "build": {"context": "context"}}]
    built.write(sandbox.host, {"name": "worker", "tags": tags}, policy=policy)
    assert built.actions("--locked")["worker:1"]["source"][limit] == 1_000_000


def test_what_a_split_image_is_made_from_is_compared_before_it_is_sent(
    workplace: Workplace, sandbox: RunningSandbox
) -> None:
    workplace.sign_in(sandbox)
    source = f"{workplace.app}/source"
    push(sandbox.host, source, "1", image(tar([directory("opt"), *files(1)])), sandbox.credentials)
    tags = [{"tag": "1", "source": f"{sandbox.host}/{source}:1"}]
    workplace.write(sandbox.host, {"name": "worker", "tags": tags}, policy=SPLIT)
    workplace.plan("--out", "plan.json")
    path: Path = workplace.folder / "plan.json"
    document = json.loads(path.read_text())
    after = document["actions"][0]["after"]
    other = "sha256:" + "e" * 64
    after["made_from"] = other + after["made_from"][len(other) :]
    path.write_bytes(written(signed(document)))
    before = len(writes(sandbox))
    done = workplace.run("apply", "plan.json")
    assert done.returncode == 5, done.stdout + done.stderr
    assert len(writes(sandbox)) == before
