"""An output that can't be written is told in a sentence."""

import subprocess

import pytest

from tests.end_to_end.workplace import Workplace
from tests.servers.command import clean_environment, replsync_command


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [(">/dev/full", 1, "replsync: write the output: No space left on device"), (">&-", 0, "")],
    ids=["full", "closed"],
)
def test_an_output_that_can_not_be_written(workplace: Workplace, redirection: str, code: int, said: str) -> None:
    workplace.write("registry.test", {"name": "worker", "tags": ["1"]})
    shell = ["sh", "-c", f'"$@" {redirection}', "sh", *replsync_command("validate")]
    env = clean_environment(workplace.folder)
    done = subprocess.run(shell, cwd=workplace.folder, env=env, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(said)
