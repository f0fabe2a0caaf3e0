"""Slips that only a whole run shows: each is told with what was probably meant."""

import pytest

from tests.end_to_end.workplace import Workplace, assert_refused
from tests.servers.images import build_image
from tests.servers.layouts import layout_archive, saved
from tests.servers.push import push
from tests.servers.sandbox import RunningSandbox

IMAGE = build_image({"a": b"1"})


@pytest.mark.parametrize(
    ("given", "data", "right"),
    [
        ("oci-archive:dist.tar", saved({"worker:dev": IMAGE}), "docker-archive:dist.tar"),
        ("docker-archive:dist.tar", layout_archive({"1": IMAGE}), "oci-archive:dist.tar"),
    ],
)
def test_an_archive_of_the_other_kind_is_known(
    workplace: Workplace, sandbox: RunningSandbox, given: str, data: bytes, right: str
) -> None:
    workplace.sign_in(sandbox)
    (workplace.folder / "dist.tar").write_bytes(data)
    workplace.write(sandbox.host, {"name": "worker", "tags": [{"tag": "1", "source": given}]})
    action = workplace.actions()["worker:1"]
    assert action["kind"] == "blocked"
    assert action["reason"].endswith(f"; write {right}")
    workplace.write(sandbox.host, {"name": "worker", "tags": [{"tag": "1", "source": right}]})
    assert workplace.kinds() == {"worker:1": "create"}


def test_a_name_with_the_application_in_front_is_noted(workplace: Workplace) -> None:
    workplace.manifest.write_text("version: 1\napp: myapp\nimages:\n  - name: myapp/w\n    tags: [a]\n")
    done = workplace.run("validate")
    assert done.returncode == 0
    assert "note: replicated-images.yaml:4:11: myapp/w is registry.replicated.com/myapp/myapp/w; " in done.stderr
    assert "write `name: w`" in done.stderr


def test_a_saved_plan_in_place_of_a_manifest_is_known(workplace: Workplace, sandbox: RunningSandbox) -> None:
    workplace.sign_in(sandbox)
    push(sandbox.host, f"{workplace.app}/worker", "1", IMAGE, sandbox.credentials)
    workplace.write(sandbox.host, {"name": "worker", "tags": ["1"]})
    assert workplace.run("plan", "--out", "plan.json").returncode == 0
    done = workplace.run("plan", "-f", "plan.json")
    assert done.returncode == 3
    assert "plan.json:1:1: this is a saved plan, not a manifest" in done.stderr
    assert workplace.run("lock").returncode == 0
    done = workplace.run("plan", "-f", "replicated-images.lock.yaml")
    assert done.returncode == 3
    assert "replicated-images.lock.yaml:1:1: this is a lock file, not a manifest" in done.stderr


def test_lock_check_of_a_folder_goes_on_behind_a_manifest_without_a_lock_file(
    workplace: Workplace, sandbox: RunningSandbox
) -> None:
    workplace.sign_in(sandbox)
    push(sandbox.host, f"{workplace.app}-source/worker", "1", IMAGE, sandbox.credentials)
    source = f"{sandbox.host}/{workplace.app}-source/worker"
    for name in ("a", "b", "c"):
        workplace.write(sandbox.host, {"name": name, "tags": [{"tag": "1", "source": source}]})
        workplace.manifest.rename(workplace.folder / f"{name}.yaml")
    assert workplace.run("lock", "-f", "b.yaml").returncode == 0
    done = workplace.run("lock", "--check", "-f", ".")
    assert_refused(done, 3, "there is no lock file a.lock.yaml", "there is no lock file c.lock.yaml")
    assert "all as locked" in done.stdout


def test_an_option_out_of_bounds_is_told_in_words(workplace: Workplace) -> None:
    done = workplace.run("plan", "--parallelism", "0")
    assert_refused(done, 64, "'--parallelism': it has to be greater than or equal to 1")
