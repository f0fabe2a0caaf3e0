"""At a terminal: the approval, colours and the progress display."""

import re

import pytest

from tests.end_to_end.terminal import Terminal, terminal
from tests.end_to_end.workplace import Workplace
from tests.servers.command import clean_environment, replsync_command
from tests.servers.images import build_image
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.skopeo import Skopeo

ONE = build_image({"one": b"1"})
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9]")  # a foreground colour in Select Graphic Rendition (ECMA-48, 8.3.117)
QUESTION = "\nType yes to carry this out: "


@pytest.fixture
def one_to_create(workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer) -> Workplace:
    """A manifest with one tag to create beside one that is there."""
    push(source.host, "acme/worker", "2", ONE)
    push(docker_registry.host, f"{workplace.app}/worker", "1", ONE)
    worker = {"name": "worker", "source": f"{source.host}/acme/worker", "tags": ["2"]}
    workplace.write(docker_registry.host, worker, unlisted="ignore")
    return workplace


def answered(workplace: Workplace, answer: str) -> tuple[int, Terminal]:
    """The exit code of `apply` after this answer to its question."""
    with terminal(replsync_command("apply"), workplace.folder, clean_environment(workplace.folder)) as shown:
        shown.wait_for(QUESTION)
        shown.type(answer)
        return shown.ended(), shown


def tags(skopeo: Skopeo, docker_registry: RegistryServer, workplace: Workplace) -> list[str]:
    return skopeo.tags(f"{docker_registry.host}/{workplace.app}/worker")


def test_yes_carries_the_plan_out_and_shows_its_progress(
    one_to_create: Workplace, docker_registry: RegistryServer, skopeo: Skopeo
) -> None:
    code, shown = answered(one_to_create, "yes\n")
    assert code == 0, shown.output
    assert "1/1 tags" in shown.output
    assert "+ worker:2 create: done, " in shown.output
    assert "Apply: 1 created.\n" in shown.output
    assert "Traceback" not in shown.output
    assert tags(skopeo, docker_registry, one_to_create) == ["1", "2"]


@pytest.mark.parametrize("answer", ["no\n", "y\n", "\n", "\x04"], ids=["no", "y", "nothing", "Ctrl-D"])
def test_any_other_answer_writes_nothing(
    one_to_create: Workplace, docker_registry: RegistryServer, skopeo: Skopeo, answer: str
) -> None:
    code, shown = answered(one_to_create, answer)
    assert code == 1, shown.output
    assert "replsync: not approved; nothing was written" in shown.output
    assert tags(skopeo, docker_registry, one_to_create) == ["1"]


def test_a_plan_without_changes_asks_nothing(workplace: Workplace, docker_registry: RegistryServer) -> None:
    push(docker_registry.host, f"{workplace.app}/worker", "1", ONE)
    workplace.write(docker_registry.host, {"name": "worker", "tags": ["1"]})
    with terminal(replsync_command("apply"), workplace.folder, clean_environment(workplace.folder)) as shown:
        assert shown.ended() == 0
    assert shown.output.endswith("Plan: no changes; 1 unchanged.\n")
    assert "yes" not in shown.output


def plan_at_terminal(workplace: Workplace, *options: str, **env: str) -> str:
    environment = clean_environment(workplace.folder, env)
    with terminal(replsync_command("plan", *options), workplace.folder, environment) as shown:
        assert shown.ended() == 0
    return shown.output


def test_a_plan_at_a_terminal_has_colours(one_to_create: Workplace) -> None:
    assert "  \x1b[32m+\x1b[0m 2  \x1b[32mcreate\x1b[0m  " in plan_at_terminal(one_to_create)


@pytest.mark.parametrize(
    ("options", "env"),
    [(["--no-color"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})],
    ids=["--no-color", "NO_COLOR", "TERM=dumb"],
)
def test_colours_can_be_switched_off(one_to_create: Workplace, options: list[str], env: dict[str, str]) -> None:
    shown = plan_at_terminal(one_to_create, *options, **env)
    assert "  + 2  create" in shown
    assert "\x1b" not in shown


def test_without_colours_the_progress_display_has_none_either(one_to_create: Workplace) -> None:
    command = replsync_command("apply", "--auto-approve", "--no-color")
    with terminal(command, one_to_create.folder, clean_environment(one_to_create.folder)) as shown:
        assert shown.ended() == 0
    assert "1/1 tags" in shown.output
    assert not COLOUR.search(shown.output)


@pytest.mark.parametrize("columns", ["wide", "-3", "60"])
def test_an_error_is_folded_whatever_stands_in_columns(workplace: Workplace, columns: str) -> None:
    env = clean_environment(workplace.folder, {"COLUMNS": columns})
    with terminal(replsync_command("validate", "-f", "none.yaml"), workplace.folder, env) as shown:
        assert shown.ended() == 3
    assert "Traceback" not in shown.output
    assert "next: name it with -f" in shown.output
