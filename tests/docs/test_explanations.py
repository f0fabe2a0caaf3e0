"""Every error is explained, says where, and can happen."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import replsync
from replsync.cli.explaining import codes, explanation
from replsync.errors import RegistryError, ReplsyncError, SeveralInvalid
from tests.servers.command import RunReplsync

SOURCE = Path(replsync.__file__).parent
SECTIONS = ["Why replsync stops", "What it comes from", "What to do", "An example"]
INTERRUPTED = "interrupted"  # ends a run, and is no class of errors
WIDTH = 80


def all_errors() -> list[type[ReplsyncError]]:
    """Every class of errors, wherever it is defined."""
    for module in pkgutil.walk_packages([str(SOURCE)], "replsync."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def below(error: type[ReplsyncError]) -> Iterator[type[ReplsyncError]]:
        yield error
        for one in error.__subclasses__():
            yield from below(one)

    return sorted(below(ReplsyncError), key=lambda error: error.__qualname__)


ERRORS = all_errors()
OF_STATUS = {RegistryError("", status=status).code for status in range(400, 600)}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_a_class_of_errors_is_explained_with_its_exit_code(error: type[ReplsyncError]) -> None:
    assert error.code in codes()
    assert re.search(rf"\bExit code {error.exit_code}\b", explanation(error.code))


@pytest.mark.parametrize("error", [one for one in ERRORS if one.__module__ == "replsync.errors"])
def test_a_public_class_of_errors_has_a_code_of_its_own(error: type[ReplsyncError]) -> None:
    if error is not SeveralInvalid:  # it is never said itself: each of those in it is
        assert [one for one in ERRORS if one.__dict__.get("code") == error.code] == [error]


@pytest.mark.parametrize("error", [one for one in ERRORS if one is not ReplsyncError])
def test_a_class_of_errors_is_raised_somewhere(error: type[ReplsyncError]) -> None:
    name = error.__name__
    use = re.compile(rf"(?:raise|return) {name}\b|Ends\({name}\.|return \(?{name}\.exit_code")
    found = [path for path in SOURCE.rglob("*.py") if use.search(path.read_text())]
    assert found or error.__subclasses__(), f"nothing raises {error.__name__}"


def test_nothing_is_explained_that_cannot_happen() -> None:
    assert set(codes()) == {error.code for error in ERRORS} | OF_STATUS | {INTERRUPTED}


@pytest.mark.parametrize("code", codes())
def test_an_explanation_has_all_parts_and_fits_a_terminal(code: str) -> None:
    text = explanation(code)
    assert text.startswith("# ")
    assert re.findall(r"(?m)^## (.*)$", text) == SECTIONS
    parts = re.split(r"(?m)^## .*$", text)
    assert [part for part in parts if not part.strip()] == []
    prose = [line for line in text.splitlines() if not line.startswith("    ")]
    assert [line for line in prose if len(line) > WIDTH] == []


@pytest.mark.parametrize("code", codes())
def test_explain_prints_the_text_of_an_error(run_replsync: RunReplsync, tmp_path: Path, code: str) -> None:
    done = run_replsync("explain", code, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{code}: " + re.sub(r"(?m)^#+ ", "", explanation(code))


def test_explain_lists_every_code_with_its_title(run_replsync: RunReplsync, tmp_path: Path) -> None:
    done = run_replsync("explain", cwd=tmp_path)
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(codes())
    assert "stale-plan            The saved plan was changed, or no longer fits\n" in done.stdout


def test_explain_takes_several_codes_as_a_failed_run_names_them(run_replsync: RunReplsync, tmp_path: Path) -> None:
    done = run_replsync("explain", "partial-failure", "cut-off", cwd=tmp_path)
    assert done.stdout.startswith("partial-failure: ")
    assert "\n\n\ncut-off: " in done.stdout


def test_an_unknown_code_is_wrong_usage_with_a_proposal(run_replsync: RunReplsync, tmp_path: Path) -> None:
    done = run_replsync("explain", "stale-plan", "stale-plans", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == (
        "replsync: explain: there is no error 'stale-plans'\n"
        "  next: did you mean stale-plan? replsync explain lists all\n"
        "  more: replsync explain usage\n"
    )


def test_an_error_names_the_command_that_explains_it(run_replsync: RunReplsync, tmp_path: Path) -> None:
    done = run_replsync("plan", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.endswith("\n  more: replsync explain invalid-input\n")


def test_the_faults_of_several_files_name_their_explanations_once(run_replsync: RunReplsync, tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("version: 1\n")
    done = run_replsync("validate", "-f", "a.yaml", "-f", "b.yaml", "-f", "c.yaml", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.count("more: ") == 1
    assert done.stderr.endswith("\n  more: replsync explain invalid-input invalid-manifest\n")
