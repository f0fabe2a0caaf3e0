"""Help: short, with examples that work."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from replsync.cli.examples import EXAMPLES, FIRST
from replsync.cli.main import command
from tests.servers.command import RunReplsync

WHOLE: Any = command()


def calls(line: str) -> list[str]:
    """The arguments of replsync in a line for a shell."""
    words = [word for word in shlex.split(line, comments=True) if word != "|"]
    start = next(number for number, word in enumerate(words) if word.endswith("replsync"))
    taken = []
    for word in words[start + 1 :]:
        if word in ("<", ">", "source"):
            break
        taken.append(word.rstrip(")"))
    return taken


def test_every_command_has_examples_and_a_place_in_the_list() -> None:
    assert set(EXAMPLES) == set(WHOLE.commands)
    context = WHOLE.make_context("replsync", [], resilient_parsing=True)
    assert set(WHOLE.list_commands(context)) == set(EXAMPLES)


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in EXAMPLES.items() for line in lines])
def test_an_example_is_one_of_its_command_and_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    called, *args = calls(line)
    assert called == name
    parent = WHOLE.make_context("replsync", [called], resilient_parsing=True)
    WHOLE.commands[name].make_context(name, args, parent=parent)


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_help_fits_80_columns_and_shows_the_examples_before_the_options(
    run_replsync: RunReplsync, tmp_path: Path, name: str
) -> None:
    said = run_replsync(name, "--help", cwd=tmp_path, env={"COLUMNS": "80"}).stdout
    assert said.index(EXAMPLES[name][0]) < said.index("Options:")
    assert [line for line in said.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["completion"], "Missing argument 'shell'. Choose from: bash, zsh, fish\n  next: replsync completion --help"),
        (["plan", "--target"], "requires an argument.\n  next: replsync plan --help"),
        (["validate", "x.yaml"], "(x.yaml)\n  next: a manifest is named with -f FILE; see replsync validate --help"),
    ],
)
def test_wrong_usage_is_told_on_one_line_with_the_way_to_the_command_s_help(
    run_replsync: RunReplsync, tmp_path: Path, args: list[str], said: str
) -> None:
    done = run_replsync(*args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (64, "")
    assert said in done.stderr


def test_the_first_help_shows_examples_before_the_commands(run_replsync: RunReplsync, tmp_path: Path) -> None:
    said = run_replsync("--help", cwd=tmp_path, env={"COLUMNS": "80"}).stdout
    assert said.index(FIRST[0]) < said.index("Commands:")
    assert [line for line in said.splitlines() if len(line) > 80] == []
