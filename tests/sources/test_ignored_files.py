"""`.dockerignore`, beside Docker itself: what is sent is what docker sends."""

import contextlib
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from replsync.sources.build_inputs import sent_files
from replsync.sources.ignored_files import Ignored, patterns_in
from tests.servers.docker import DockerDaemon

NAMES = ["a", "b", "ab", "a.txt", "b.md", ".git", "a-b", "[x]", "ä"]
FILES = st.sets(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join), min_size=1, max_size=12)
PIECES = [
    *NAMES,
    "*",
    "**",
    "?",
    "a*",
    "*.txt",
    "*.md",
    "[ab]",
    "[^a]",
    "[a-b]*",
    "..",
    ".",
    "",
    "\\[x]",
    "\\*",
    "**.md",
    "a**",
]
PATTERNS = st.lists(
    st.tuples(
        st.sampled_from(["", "!", "! ", "/", "!/", "  "]),
        st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("/".join),
        st.sampled_from(["", "/", " ", "/**", "\r"]),
    ).map("".join),
    max_size=6,
)
OWN = ("Dockerfile", ".dockerignore")


def write(context: Path, files: Iterable[str], ignore: str) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (context / ".dockerignore").write_text(ignore, newline="")
    for name in sorted(files, key=len, reverse=True):  # the deepest first: what is a folder by then stays one
        path = context / name
        if not path.exists() and all(not parent.is_file() for parent in path.parents):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)


def sent(context: Path, ignore: str) -> set[str]:
    """The files that replsync takes for sent."""
    found = sent_files(context, Ignored(patterns_in(ignore)))
    return {path for path, _ in found if not (context / path).is_dir() or (context / path).is_symlink()}


def built(daemon: DockerDaemon, context: Path) -> set[str] | str:
    """The files that BuildKit got; what it said where it refused."""
    command = [daemon.program, "buildx", "build", "--provenance=false", "--output", "type=tar,dest=-", str(context)]
    done = subprocess.run(command, env={**daemon.env(), "PATH": "/usr/bin:/bin"}, capture_output=True)
    if done.returncode:
        return done.stderr.decode()
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        return {member.name.removeprefix("./") for member in archive if not member.isdir()}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES, PATTERNS)
@example({"a/b", "a/ab", "b"}, ["a", "!a/b"])
@example({"a/b", "a/ab", "b/ab"}, ["*", "!**/ab"])
@example({"a/a/a.txt", "a.txt", "b/b.md"}, ["**/*.txt", "b/**"])
@example({"a/b", "b"}, ["#a", "\ufeff", "!", ""])
@example({"[x]/a", "a"}, ["\\[x\\]"])
@example({"a/a/a/a", "a/a/b"}, ["a/*", "!a/a", "a/a/a"])
def test_what_is_sent_is_what_buildkit_gets(buildx: DockerDaemon, files: set[str], patterns: list[str]) -> None:
    ignore = "\n".join(patterns)
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        write(context, files, ignore)
        got = built(buildx, context)
        if isinstance(got, str):
            assert "pattern" in got, got
            with pytest.raises(ValueError, match="pattern"):
                sent(context, ignore)
        else:
            assert sent(context, ignore) == got


@pytest.mark.parametrize(
    "ignore",
    [
        "",
        "*",
        "a\n!a/b",
        "**/*.md\n!a/b.md",
        "Dockerfile\n.dockerignore",
        "b/**\n!b/a\n/a/ab/",
        "# a\n!a\n*.txt",
    ],
)
def test_what_is_sent_is_what_the_classic_builder_gets(dockerd: DockerDaemon, tmp_path: Path, ignore: str) -> None:
    write(tmp_path, {"a/b", "a/ab/a", "a/b.md", "b/a", "b/b/a", "a.txt", "b.md", "c/a.txt"}, ignore)
    (tmp_path / "link").symlink_to("a.txt")
    wanted = sent(tmp_path, ignore)
    command = [dockerd.program, "build", "--quiet", str(tmp_path)]
    env = {**dockerd.env(), "DOCKER_BUILDKIT": "0", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if not wanted:  # then it has nothing to copy
        assert "no source files" in done.stderr or done.returncode == 0, done.stderr
        return
    assert done.returncode == 0, done.stderr
    container = dockerd.cli("create", done.stdout.strip(), "/none").stdout.strip()
    archive = tmp_path / "export.tar"
    dockerd.cli("export", "--output", str(archive), container)
    dockerd.cli("rm", container)
    with tarfile.open(archive) as exported:
        names = {member.name for member in exported if not member.isdir()}
    # What Docker adds to each container.
    assert names - {"etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", ".dockerenv", "dev/console"} == wanted


def test_a_folder_that_is_left_out_is_not_looked_into_without_need(tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir(mode=0o700)
    for index in range(3):
        (tmp_path / "node_modules" / f"{index}").write_text("")
    assert sent(tmp_path, "node_modules") == set()
    ignored = Ignored(patterns_in("node_modules\n!src"))
    assert not ignored.may_be_needed("node_modules")
    assert ignored.may_be_needed("src")


@pytest.mark.parametrize("pattern", ["[", "[]a]", "[a", "a\\", "[a-]", "!"])
def test_a_pattern_that_docker_refuses_is_refused(buildx: DockerDaemon, tmp_path: Path, pattern: str) -> None:
    write(tmp_path, {"a"}, pattern)
    assert isinstance(built(buildx, tmp_path), str)
    with pytest.raises(ValueError, match="pattern"):
        sent(tmp_path, pattern)


def test_a_letter_with_a_backslash_is_refused_since_go_means_something_else_by_it() -> None:
    with pytest.raises(ValueError, match="can't be read; folders are joined by /"):
        Ignored(patterns_in("folder\\file"))


@given(st.text(max_size=60), st.sampled_from(["a", "a/b", "ä"]))
def test_any_text_is_read_or_refused(text: str, path: str) -> None:
    with contextlib.suppress(ValueError):
        assert Ignored(patterns_in(text)).ignores(path, None)[0] in (True, False)
