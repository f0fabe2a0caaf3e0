"""What the documentation shows is so: its commands run, its options exist, its manifests are valid."""

import re
import shlex
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from replsync.cli.main import command
from replsync.manifest.read import read_manifest
from tests.docs.pages import PAGES, ROOT, Block, Shell, blocks_of, is_as_shown
from tests.servers.command import clean_environment

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
CONSOLES = [block for block in BLOCKS if block.commands]
RUN = sorted({block.page for block in CONSOLES if block.not_run is None})
MOST_NOT_RUN = 13
"""Blocks of commands that say why no test runs them. A page that needs one more says so here, too."""

_CALL = re.compile(r"\breplsync ((?:[a-z]+)(?:[^\n|;&`#<>]|\\\n)*)")
EXPLANATIONS = sorted((ROOT / "replsync/explanations").glob("*.md"))
COMMANDS: Any = command().commands


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in an empty folder, with a home of its own and replsync on PATH."""
    home, folder = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = clean_environment(home, {"COLUMNS": "100", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"})
    opened = Shell(folder, env, f"{sys.executable} -W error -m replsync", port)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.parametrize("page", RUN, ids=page_id)
def test_the_commands_of_a_page_do_what_it_shows(shell: Shell, page: Path) -> None:
    for block in blocks_of(page):
        if block.file:
            shell.write(block.file, block.text)
        elif block.commands and block.not_run is None:
            *others, last = block.commands
            for line, shown in others:
                run(shell, block, line, shown, 0)
            run(shell, block, *last, block.ends_with)


def run(shell: Shell, block: Block, line: str, shown: str, expected: int) -> None:
    output, code = shell.run(line)
    assert code == expected, f"{block}: {line}\n{output}"
    shows_output = any(shown for _, shown in block.commands)  # some blocks are there for their commands alone
    assert not shows_output or is_as_shown(shown, output), f"{block}: $ {line}\n{output}"


def test_few_blocks_of_commands_are_not_run_and_each_says_why() -> None:
    skipped = [block for block in CONSOLES if block.not_run is not None]
    assert [str(block) for block in skipped if not block.not_run] == []
    told = "\n".join(map(str, skipped))
    assert len(skipped) <= MOST_NOT_RUN, f"{len(skipped)} aren't run; if that has to be, raise MOST_NOT_RUN:\n{told}"


def test_the_tutorial_is_run_from_its_first_command_to_its_last() -> None:
    blocks = [block for block in CONSOLES if block.page.stem == "tutorial"]
    assert len(blocks) > 5
    assert [block for block in blocks if block.not_run is not None] == []


def calls() -> Iterator[tuple[str, str, list[str]]]:
    """Where a page names a command of replsync, which it is, and the options that it has there."""
    for page in (*PAGES, *EXPLANATIONS):
        code = [found[0] for found in re.finditer(r"(?ms)^```.*?^```$|`[^`\n]+`", page.read_text())]
        code = [part for part in code if not part.startswith("```console")]  # what they show isn't typed
        for part in (*code, *(line for block in blocks_of(page) for line, _ in block.commands)):
            for found in _CALL.finditer(re.sub(r'"?\$\([^)]*\)"?', "", part)):  # what another program says
                try:
                    words = shlex.split(found[1].replace("\\\n", " "))
                except ValueError:  # a quote that ends behind a `|` or the like
                    words = found[1].split()
                options = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
                yield page_id(page), words[0], options


def test_every_command_and_option_that_a_page_names_exists() -> None:
    wrong = []
    found = list(calls())
    for page, name, options in found:
        known = {option for one in COMMANDS[name].params for option in one.opts} if name in COMMANDS else set()
        known |= {"-h", "--help"}
        wrong += [(page, name, option) for option in options if option not in known]
        wrong += [] if name in COMMANDS else [(page, name, "")]
    assert wrong == []
    assert len(found) > 50


YAMLS = [block for block in BLOCKS if block.language == "yaml"]


@pytest.mark.parametrize("block", YAMLS, ids=str)
def test_yaml_is_well_formed_and_a_whole_manifest_valid(block: Block) -> None:
    loaded = YAML(typ="safe").load(block.text)
    if isinstance(loaded, dict) and {"version", "images"} <= set(loaded):
        read_manifest(block.text.encode(), str(block))


def test_there_are_whole_manifests_in_the_pages() -> None:
    assert sum("version: 1\n" in block.text and "\nimages:" in block.text for block in YAMLS) >= 4


@pytest.mark.parametrize(
    ("shown", "output", "expected"),
    [
        ("", "", True),
        ("a\n", "a\n", True),
        ("a\n", "b\n", False),
        ("a\n", "a\nb\n", False),
        ("a\n...\nz\n", "a\nb\nc\nz\n", True),
        ("a\n...\n", "a\n", True),
        ("a … z\n", "a b c z\n", True),
        ("7a7d33077e48 (1.2 MB)\n", "0123456789ab (760 B)\n", True),
        ("7a7d33077e48\n", "none\n", False),
    ],
)
def test_output_is_compared_but_for_what_changes(shown: str, output: str, expected: bool) -> None:
    assert is_as_shown(shown, output) is expected
