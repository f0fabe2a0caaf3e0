"""A disk that is full, and other reasons for which there is no journal: nothing is written without one."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.killing import journals
from tests.end_to_end.proxy import Asked, Reaction
from tests.end_to_end.workplace import Done, Workplace, digests
from tests.servers.command import clean_environment, replsync_command
from tests.servers.images import build_image
from tests.servers.process import leave_out
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.skopeo import Skopeo

OLD, NEW = (build_image({"version": name}) for name in (b"old", b"new"))
_LIMITED = (
    "import os, resource, sys; size = int(sys.argv[1]); "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)); os.execvp(sys.argv[2], sys.argv[2:])"
)


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A file system in memory at `folder`."""
    if os.geteuid():
        leave_out("only root can mount a file system")
    folder.mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, text=True)
    if done.returncode:
        leave_out(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def run_limited(workplace: Workplace, size: int, *args: str) -> Done:
    """Run replsync where no file can be larger than `size` bytes."""
    return subprocess.run(
        [sys.executable, "-c", _LIMITED, str(size), *replsync_command(*args)],
        cwd=workplace.folder,
        env=clean_environment(workplace.folder, {"PYTHONDONTWRITEBYTECODE": "1"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def prepare(workplace: Workplace, target: str) -> list[str]:
    """A tag to create in one repository, one to retire in another: the retirement comes last."""
    push(target, f"{workplace.app}-source/api", "1", NEW)
    push(target, f"{workplace.app}/worker", "0.9", OLD)
    push(target, f"{workplace.app}/api", "0", OLD)
    workplace.write(
        target,
        {"name": "api", "source": f"{target}/{workplace.app}-source/api", "tags": ["1"]},
        {"name": "worker", "retired": [{"tag": "0.9", "reason": "old"}]},
        unlisted="ignore",
    )
    return [f"{target}/{workplace.app}/{image}" for image in ("api", "worker")]


@pytest.fixture
def repositories(workplace: Workplace, docker_registry: RegistryServer) -> list[str]:
    """The application's; a run of `apply` has a tag to write in each."""
    return prepare(workplace, docker_registry.host)


def assert_no_journal(done: Done, why: str) -> None:
    """It failed as a run of which no action succeeded, in a sentence."""
    assert done.returncode == 6, done.stdout + done.stderr
    assert "Apply: nothing done; 2 failed." in done.stdout
    assert f": {why}" in done.stdout, done.stdout
    assert "nothing is written without a journal" in done.stdout
    assert "Traceback" not in done.stderr, done.stderr


def test_nothing_is_written_where_the_disk_is_full(
    workplace: Workplace, repositories: list[str], skopeo: Skopeo
) -> None:
    before = digests(skopeo, repositories)
    folder = workplace.folder / ".replsync"
    with mounted(folder, "size=4k"):
        filler = folder / "filler"
        filler.write_bytes(bytes(4096))
        assert_no_journal(workplace.run("apply", "--auto-approve"), "No space left on device")
        assert digests(skopeo, repositories) == before

        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=1m", folder], check=True)
        workplace.apply()
        assert workplace.is_in_sync()
        assert (folder / ".gitignore").read_text() == "*\n"


def test_a_journal_of_which_not_even_the_first_line_could_be_written_harms_nothing(
    workplace: Workplace, repositories: list[str], skopeo: Skopeo
) -> None:
    before = digests(skopeo, repositories)
    assert_no_journal(run_limited(workplace, 100, "apply", "--auto-approve"), "File too large")
    assert digests(skopeo, repositories) == before
    (journal,) = journals(workplace.folder)
    assert journal.stat().st_size == 100
    back = workplace.run("rollback", journal, "--auto-approve")
    assert back.returncode == 0, back.stderr
    told = workplace.run("history", "worker:0.9")
    assert told.returncode == 0, told.stderr
    workplace.apply()
    assert workplace.is_in_sync()


def test_where_only_what_became_of_a_tag_could_not_be_recorded_the_tag_is_right_and_the_others_are_left(
    workplace: Workplace, repositories: list[str], docker_registry: RegistryServer, skopeo: Skopeo
) -> None:
    before = digests(skopeo, repositories)
    twin = replace(workplace, folder=workplace.folder / "twin", app=workplace.app.replace("test", "twin"))
    twin.folder.mkdir()
    prepare(twin, docker_registry.host)
    twin.apply("--target", "api:1")
    writing, wrote = journals(twin.folder)[0].read_bytes().splitlines(keepends=True)

    done = run_limited(workplace, len(writing) + len(wrote) // 2, "apply", "--auto-approve")
    assert done.returncode == 6, done.stdout + done.stderr
    assert "Apply: 2 failed; 1 of them written, but not recorded." in done.stdout
    assert ": File too large" in done.stdout
    assert f"write {repositories[1]}:0.9: not tried, since the journal can't be written" in done.stdout
    assert "Traceback" not in done.stderr
    assert digests(skopeo, repositories) == {**before, f"{repositories[0]}:1": NEW.digest}

    cut_off = journals(workplace.folder)
    assert cut_off[0].read_bytes().count(b"\n") == 1
    workplace.apply()
    assert workplace.is_in_sync()
    for journal in reversed(journals(workplace.folder)):
        back = workplace.run("rollback", journal, "--auto-approve")
        assert back.returncode == 0, back.stdout + back.stderr
    after = digests(skopeo, repositories)
    assert {name for name in after if after[name] != before.get(name)} == {f"{repositories[0]}:1"}


def _file(place: Path) -> None:
    place.parent.mkdir(exist_ok=True)
    place.write_text("in the way")


def _loop(place: Path) -> None:
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(place.name)


def _nowhere(place: Path) -> None:
    place.parent.mkdir(exist_ok=True)
    place.symlink_to("nowhere")


@pytest.mark.parametrize("name", [".replsync", ".replsync/journal"])
@pytest.mark.parametrize(
    ("obstruct", "why"),
    [
        (_file, ("Not a directory", "File exists")),
        (_loop, ("Too many levels of symbolic links", "File exists")),
        (_nowhere, ("No such file or directory", "File exists")),
    ],
    ids=["a file", "a link to itself", "a link to nowhere"],
)
def test_nothing_is_written_where_the_folder_of_journals_cannot_be(
    workplace: Workplace,
    repositories: list[str],
    skopeo: Skopeo,
    name: str,
    obstruct: Callable[[Path], None],
    why: tuple[str, ...],
) -> None:
    before = digests(skopeo, repositories)
    obstruct(workplace.folder / name)
    done = workplace.run("apply", "--auto-approve")
    assert any(f": {reason}" in done.stdout for reason in why), done.stdout
    assert_no_journal(done, "")
    assert digests(skopeo, repositories) == before


def test_nothing_is_written_where_the_folder_of_journals_is_read_only(
    workplace: Workplace, repositories: list[str], skopeo: Skopeo
) -> None:
    before = digests(skopeo, repositories)
    with mounted(workplace.folder / ".replsync", "ro"):
        assert_no_journal(workplace.run("apply", "--auto-approve"), "Read-only file system")
    assert digests(skopeo, repositories) == before


def test_the_line_that_announces_a_tag_is_in_the_file_when_the_registry_is_asked_to_write_it(
    workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy
) -> None:
    found: dict[str, dict[str, str]] = {}

    def look(asked: Asked) -> Reaction:
        if asked.method == "PUT" and "/manifests/" in asked.path and "sha256:" not in asked.path:
            lines = journals(workplace.folder)[0].read_text().splitlines()
            found[asked.path] = {json.loads(line)["reference"]: json.loads(line)["event"] for line in lines}
        return None

    slow = start_proxy(docker_registry.host, look)
    push(docker_registry.host, f"{workplace.app}/worker", "0.9", OLD)
    push(docker_registry.host, f"{workplace.app}-source", "1", NEW)
    listed = [{"tag": tag, "source": f"{docker_registry.host}/{workplace.app}-source:1"} for tag in ("1", "2", "3")]
    workplace.write(slow.host, {"name": "worker", "tags": listed, "retired": [{"tag": "0.9", "reason": "old"}]})
    workplace.apply()
    tags = ("1", "2", "3", "0.9")
    assert found.keys() == {f"/v2/{workplace.app}/worker/manifests/{tag}" for tag in tags}
    for path, events in found.items():
        assert events[f"{slow.host}/{workplace.app}/worker:{path.rpartition('/')[2]}"] == "writing"
