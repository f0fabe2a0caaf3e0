"""The files of a release, found by patterns on a real disk."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from replsync.cli.release_files import release_files
from replsync.errors import InvalidInput
from replsync.plan.release_references import MAX_SIZE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for the manifest, with a release in it and one beside it."""
    for name in ("repo/kots/app.yaml", "repo/kots/db/.hidden.yaml", "repo/kots/db/a/b/deep.yaml", "beside/other.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "repo"


def names(folder: Path, *patterns: str) -> list[str]:
    return [file.name for file in release_files(patterns, folder)]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("kots/app.yaml", ["kots/app.yaml"]),
        ("./kots//app.yaml", ["kots/app.yaml"]),
        ("kots/*.yaml", ["kots/app.yaml"]),
        ("*/*.yaml", ["kots/app.yaml"]),
        ("kots/ap?.[xy]aml", ["kots/app.yaml"]),
        ("kots/**/*.yaml", ["kots/app.yaml", "kots/db/.hidden.yaml", "kots/db/a/b/deep.yaml"]),
        ("kots/**/**/*.yaml", ["kots/app.yaml", "kots/db/.hidden.yaml", "kots/db/a/b/deep.yaml"]),
        ("kots/**", ["kots/app.yaml", "kots/db/.hidden.yaml", "kots/db/a/b/deep.yaml"]),
        ("**/b/*", ["kots/db/a/b/deep.yaml"]),
        ("../beside/*.yaml", ["../beside/other.yaml"]),
    ],
)
def test_a_pattern_finds_files_and_names_them_from_the_manifests_folder(
    folder: Path, pattern: str, found: list[str]
) -> None:
    assert names(folder, pattern) == found


def test_a_file_is_read_once_however_many_patterns_match_it(folder: Path) -> None:
    assert names(folder, "kots/db/**", "kots/*.yaml", "./kots/app.yaml", "kots/**/deep.yaml") == [
        "kots/app.yaml",
        "kots/db/.hidden.yaml",
        "kots/db/a/b/deep.yaml",
    ]


def test_the_bytes_are_those_of_the_file(folder: Path) -> None:
    (folder / "kots/app.yaml").write_bytes(b"\xff\0\r\n")
    (file,) = release_files(["kots/app.yaml"], folder)
    assert file.data == b"\xff\0\r\n"


@pytest.mark.parametrize("pattern", ["kots/*.json", "nothing/**/*.yaml", "kots", "", "kots/app.yaml/x"])
def test_a_pattern_that_matches_no_file_is_an_error_that_names_it(folder: Path, pattern: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        names(folder, "kots/*.yaml", pattern)
    assert str(caught.value) == f"read the releases: no file matches `{pattern}`"


def test_what_the_system_refuses_is_an_error(folder: Path) -> None:
    with pytest.raises(InvalidInput, match="File name too long"):
        names(folder, "kots/" + "a" * 300)


@pytest.mark.parametrize("pattern", ["/etc/*.yaml", "kots/../kots/*.yaml", "**/../x"])
def test_a_pattern_stays_relative(folder: Path, pattern: str) -> None:
    with pytest.raises(InvalidInput, match=r"is absolute|has a `\.\.` behind"):
        names(folder, pattern)


def test_a_pattern_with_a_zero_byte_is_an_error(folder: Path) -> None:
    with pytest.raises(InvalidInput):
        names(folder, "kots/\0.yaml")


def test_folders_that_link_to_each_other_are_each_read_once(folder: Path) -> None:
    links = [folder / "kots" / f"linked{number}" for number in range(12)]
    for link in links:
        link.mkdir()
        (link / f"{link.name}.yaml").write_text("a")
    for link in links:
        for other in links:
            if other is not link:
                (link / f"to-{other.name}").symlink_to(other, target_is_directory=True)
    found = names(folder, "kots/**/linked*.yaml")
    assert found == sorted(f"kots/{link.name}/{link.name}.yaml" for link in links)


def test_only_regular_files_count(folder: Path) -> None:
    (folder / "pipe").mkdir()
    os.mkfifo(folder / "pipe/queue.yaml")
    with pytest.raises(InvalidInput, match="no file matches"):
        names(folder, "pipe/*")


def test_a_link_that_leads_back_up_is_not_followed_for_ever(folder: Path) -> None:
    (folder / "kots/loop").symlink_to(folder, target_is_directory=True)
    assert names(folder, "kots/**/app.yaml") == ["kots/app.yaml"]


def test_a_linked_folder_is_one_like_any_other(folder: Path) -> None:
    (folder / "kots/linked").symlink_to(folder.parent / "beside", target_is_directory=True)
    (folder.parent / "beside/back").symlink_to(folder / "kots", target_is_directory=True)
    (folder / "kots/nowhere").symlink_to("nothing")
    assert names(folder, "kots/**/o*.yaml") == ["kots/linked/other.yaml"]
    assert names(folder, "kots/**/a*.yaml") == ["kots/app.yaml"]


@contextmanager
def closed(path: Path) -> Iterator[None]:
    """Take all rights from `path`, and root's own from this process: they would open everything."""
    user = os.geteuid()
    path.chmod(0)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        path.chmod(0o700)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder with a release that any user may read."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "kots/db").mkdir(parents=True)
        (Path(name) / "kots/app.yaml").write_text("a")
        yield Path(name)


def test_a_file_that_cannot_be_opened_is_an_error(public: Path) -> None:
    assert names(public, "kots/*") == ["kots/app.yaml"]
    with closed(public / "kots/app.yaml"), pytest.raises(InvalidInput, match=r"kots/app\.yaml.*Permission denied"):
        names(public, "kots/app.yaml")


def test_a_folder_that_cannot_be_listed_is_an_error(public: Path) -> None:
    with closed(public / "kots/db"), pytest.raises(InvalidInput, match="Permission denied"):
        names(public, "kots/**/*.yaml")


def test_a_name_that_is_not_utf8_is_an_error(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/kots/\xff.yaml")).write_text("a")
    with pytest.raises(InvalidInput, match="its name is not UTF-8"):
        names(folder, "kots/*.yaml")


def test_of_a_huge_file_no_more_is_read_than_shows_that_it_is_too_large(folder: Path) -> None:
    with (folder / "kots/app.yaml").open("wb") as file:
        file.truncate(MAX_SIZE + 1000)
    (read,) = release_files(["kots/app.yaml"], folder)
    assert len(read.data) == MAX_SIZE + 1
