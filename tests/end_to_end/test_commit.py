"""The git commit that a journal names."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from replsync.cli.git import commit_of
from tests.end_to_end.workplace import MANIFEST, Workplace
from tests.servers.images import build_image
from tests.servers.push import push
from tests.servers.registry import RegistryServer


def git(folder: Path, *arguments: str) -> str:
    """Run git, whatever configuration the machine has."""
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(["git", *who, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest in a repository, committed."""
    path = tmp_path / "images" / "replicated-images.yaml"
    path.parent.mkdir()
    path.write_text("version: 1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    return path


def test_it_is_the_one_that_is_checked_out(manifest: Path) -> None:
    assert commit_of(manifest) == git(manifest.parent, "rev-parse", "HEAD")


def test_another_changed_file_does_not_matter(manifest: Path) -> None:
    (manifest.parent / "other").write_text("")
    assert commit_of(manifest) == git(manifest.parent, "rev-parse", "HEAD")


def test_a_manifest_that_was_changed_is_dirty(manifest: Path) -> None:
    manifest.write_text("version: 2\n")
    assert commit_of(manifest) == git(manifest.parent, "rev-parse", "HEAD") + "-dirty"


@pytest.mark.parametrize("ignored", [False, True])
def test_a_manifest_that_was_never_committed_is_dirty(manifest: Path, ignored: bool) -> None:
    (manifest.parent / "new.yaml").write_text("version: 1\n")
    (manifest.parent / ".gitignore").write_text("new.yaml\n" if ignored else "")
    assert commit_of(manifest.parent / "new.yaml") == git(manifest.parent, "rev-parse", "HEAD") + "-dirty"


def test_a_repository_that_git_names_for_a_hook_is_not_taken_for_the_manifests(
    manifest: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path_factory.mktemp("elsewhere")))
    own = commit_of(manifest)
    monkeypatch.delenv("GIT_DIR")
    assert own == git(manifest.parent, "rev-parse", "HEAD")


def test_without_a_repository_or_a_commit_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "replicated-images.yaml").write_text("")
    assert commit_of(tmp_path / "replicated-images.yaml") is None
    git(tmp_path, "init", "--quiet")
    assert commit_of(tmp_path / "replicated-images.yaml") is None


def test_without_git_there_is_none(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert commit_of(manifest) is None


def test_each_line_of_a_journal_has_time_tag_states_plan_and_commit(
    workplace: Workplace, docker_registry: RegistryServer
) -> None:
    image = build_image({"a": b"1"})
    push(docker_registry.host, f"up/{workplace.app}", "1", image)
    worker = {"name": "worker", "source": f"{docker_registry.host}/up/{workplace.app}", "tags": ["1"]}
    workplace.write(docker_registry.host, worker)
    git(workplace.folder, "init", "--quiet")
    git(workplace.folder, "add", MANIFEST)
    git(workplace.folder, "commit", "--quiet", "--message", "first")
    assert workplace.run("plan", "--out", "plan.json").returncode == 0
    assert workplace.run("apply", "plan.json").returncode == 0
    plan = json.loads((workplace.folder / "plan.json").read_bytes())
    (journal,) = (workplace.folder / ".replsync/journal").iterdir()
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["writing", "wrote"]
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["time"])
        assert line["reference"] == f"{docker_registry.host}/{workplace.app}/worker:1"
        assert (line["before"], line["after"]["digest"]) == (None, image.digest)
        assert line["plan"] == plan["digest"]
        assert line["commit"] == git(workplace.folder, "rev-parse", "HEAD")
    assert git(workplace.folder, "status", "--porcelain") == "?? plan.json"  # .replsync ignores itself
