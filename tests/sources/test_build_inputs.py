"""The digest of all that goes into a build: what changes it, and what doesn't."""

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from replsync.errors import InvalidInput
from replsync.manifest.lock import Lock
from replsync.manifest.lock_text import lock_text
from replsync.oci.build_source import BuildSource
from replsync.oci.platform import Platform
from replsync.plan.document import plan_json
from replsync.sources.build_inputs import inputs_digest
from tests.plan.saved_plans import every_kind


@pytest.fixture
def build(tmp_path: Path) -> BuildSource:
    context = tmp_path / "context"
    (context / "folder").mkdir(parents=True)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (context / "file").write_text("file")
    (context / "link").symlink_to("file")
    return BuildSource(str(context))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file's content": lambda context: (context / "file").write_text("other"),
    "a file's name": lambda context: (context / "file").rename(context / "other"),
    "JSON of another kind": lambda context: (context / "plan.json").write_text('{"actions":[1]}'),
    "a file more": lambda context: (context / "more").write_text(""),
    "a file less": lambda context: (context / "file").unlink(),
    "an empty folder more": lambda context: (context / "more").mkdir(),
    "the executable bit": lambda context: (context / "file").chmod(0o755),
    "where a link points": lambda context: _link(context / "link", "folder"),
    "a link that was a file": lambda context: _link(context / "file", "x"),
    "the Dockerfile": lambda context: (context / "Dockerfile").write_text("FROM scratch\n"),
    "a name that is not UTF-8": lambda context: (context / os.fsdecode(b"\xff")).write_text(""),
}
SAME: dict[str, Callable[[Path], object]] = {
    "nothing": lambda context: None,
    "times": lambda context: os.utime(context / "file", (1, 1)),
    "other permissions": lambda context: (context / "file").chmod(0o600),
    "a file that is left out": lambda context: (context / "a.log").write_text(""),
    "a socket": lambda context: _socket(context),
    "a manifest": lambda context: (context / "replicated-images.yaml").write_text("version: 1\n"),
    "a lock file": lambda context: (context / "x.lock.yaml").write_bytes(lock_text(Lock("x", {})).encode()),
    "a journal": lambda context: _journal(context),
    "a saved plan": lambda context: (context / "folder" / "plan.json").write_text(plan_json(every_kind())),
    "what a link points at, outside": lambda context: (context.parent / "outside").write_text("other"),
}


def _journal(context: Path) -> None:
    (context / ".replsync" / "journal").mkdir(parents=True)
    (context / ".replsync" / "journal" / "1.jsonl").write_text("{}\n")


def _link(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def _socket(context: Path) -> None:
    here = Path.cwd()
    os.chdir(context)  # the path of a socket is short
    try:
        socket.socket(socket.AF_UNIX).bind("socket")
    finally:
        os.chdir(here)


@pytest.mark.parametrize("change", CHANGES)
def test_it_changes_with(build: BuildSource, change: str) -> None:
    before = inputs_digest(build)
    CHANGES[change](Path(build.context))
    assert inputs_digest(build) != before


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the socket is left open, so that it is there
@pytest.mark.parametrize("change", SAME)
def test_it_stays_with(build: BuildSource, change: str) -> None:
    context = Path(build.context)
    (context / ".dockerignore").write_text("*.log\n")
    (context.parent / "outside").write_text("outside")
    (context / "out").symlink_to("../outside")
    before = inputs_digest(build)
    SAME[change](context)
    assert inputs_digest(build) == before


def test_it_changes_with_what_is_asked_for(build: BuildSource) -> None:
    builds = [
        build,
        replace(build, target="a"),
        replace(build, args=(("A", "1"),)),
        replace(build, args=(("A", "2"),)),
        replace(build, args=(("A1", ""),)),
        replace(build, secrets=(("A", "file"),)),
        replace(build, platforms=(Platform("linux", "amd64"),)),
    ]
    assert len({inputs_digest(one) for one in builds}) == len(builds)


def test_it_stays_where_only_names_are_others(build: BuildSource, tmp_path: Path) -> None:
    (tmp_path / "context").rename(tmp_path / "moved")
    moved = replace(build, context=str(tmp_path / "moved"))
    arm, amd = Platform("linux", "arm64"), Platform("linux", "amd64")
    assert inputs_digest(replace(moved, platforms=(arm, amd))) == inputs_digest(replace(moved, platforms=(amd, arm)))
    one, other = (replace(moved, secrets=(("a", file),)) for file in ("x", "y"))
    assert inputs_digest(one) == inputs_digest(other)


@pytest.mark.parametrize(
    ("ignore", "words"), [("[", "the pattern '\\['"), ("a" * 2_000_000, "more than"), ("!", "excepts nothing")]
)
def test_an_ignore_file_that_cant_be_read_is_named(build: BuildSource, ignore: str, words: str) -> None:
    (Path(build.context) / ".dockerignore").write_text(ignore)
    with pytest.raises(InvalidInput, match=words) as caught:
        inputs_digest(build)
    assert ".dockerignore" in caught.value.message


def test_it_can_be_interrupted(build: BuildSource) -> None:
    with pytest.raises(InvalidInput, match="interrupted"):
        inputs_digest(build, lambda: True)
