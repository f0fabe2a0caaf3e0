"""Completion, as bash asks for it."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.command import RunReplsync, clean_environment

_ASK = """
source <(replsync completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_replsync_completion replsync
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["replsync", "resto"], ["restore"]),
        (["replsync", "plan", "--detailed"], ["--detailed-exitcode"]),
        (["replsync", "plan", "--format", ""], ["text", "json", "markdown", "html"]),
        (["replsync", "completion", "z"], ["zsh"]),
    ],
)
def test_bash_completes_commands_options_and_their_values(tmp_path: Path, words: list[str], offered: list[str]) -> None:
    command = tmp_path / "replsync"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m replsync "$@"\n')
    command.chmod(0o755)
    env = clean_environment(tmp_path)
    env["PATH"] = f"{tmp_path}:{env['PATH']}"
    done = subprocess.run(["bash", "-c", _ASK, "bash", *words], env=env, capture_output=True, text=True, timeout=60)
    assert (done.stdout.split(), done.stderr) == (offered, "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_get_a_script_and_answers(run_replsync: RunReplsync, tmp_path: Path, shell: str) -> None:
    script = run_replsync("completion", shell, cwd=tmp_path).stdout
    assert f"_REPLSYNC_COMPLETE=complete_{shell}" in script
    asked = {
        "_REPLSYNC_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": "replsync rollb",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = run_replsync(cwd=tmp_path, env=asked)
    assert "rollback" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")
