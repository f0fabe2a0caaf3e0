"""What is said while a run goes: at a terminal, in a log, and for programs."""

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest

from replsync.sandbox.server import SandboxOptions
from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.desk import Desk
from tests.end_to_end.proxy import Asked, Proxy, Reply
from tests.end_to_end.terminal import terminal
from tests.end_to_end.workplace import Done, Workplace
from tests.servers.command import clean_environment, replsync_command
from tests.servers.images import build_image
from tests.servers.layouts import Images, write_layout
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox, StartSandbox

IMAGES: Images = {f"1.{number}": build_image({"number": b"%d" % number}) for number in range(3)}
LONG, SHORT = 12, 2  # seconds: longer than from one line to the next, and as long as it takes to see it at a terminal
APPLY = ("apply", "--auto-approve", "--no-color")


@dataclass
class Site:
    """A manifest with three tags to create in a registry which asks for a wait before the first blob it is sent."""

    workplace: Workplace
    registry: Proxy

    def set_up(self, *refused: str, seconds: int) -> None:
        """Have the registry answer 429 to the first request of each of these methods, and write the manifest."""
        left = list(refused)

        def answer(asked: Asked) -> Reply | None:
            if asked.method in left and asked.path != "/v2/":
                left.remove(asked.method)
                return Reply(429, headers=(("Retry-After", str(seconds)),))
            return None

        self.registry.script = answer
        write_layout(self.workplace.folder / "layout", IMAGES)
        worker = {"name": "worker", "source": "oci:layout", "tags": list(IMAGES)}
        self.workplace.write(self.registry.host, worker, unlisted="ignore")

    @property
    def why(self) -> str:
        """What is waited for."""
        return f"429 from {self.registry.host}"


@pytest.fixture
def site(workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy) -> Site:
    """It begins to refuse once it is set up."""
    return Site(workplace, start_proxy(docker_registry.host))


def events(stderr: str) -> list[dict[str, Any]]:
    """Every line has to be an object with what each of them has."""
    found = [json.loads(line) for line in stderr.splitlines()]
    for one in found:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"])
        assert one["level"] in ("info", "warning", "error")
        assert one["event"]
    return found


def test_a_log_gets_a_line_now_and_then_with_what_is_waited_for(site: Site) -> None:
    site.set_up("POST", seconds=LONG)
    done = site.workplace.run(*APPLY)
    assert done.returncode == 0, done.stderr
    (told,) = (line for line in done.stderr.splitlines() if line.startswith("  "))
    sent = r"0 B of [0-9.]+ k?B sent"
    assert re.fullmatch(rf"  0 of 3 tags; {sent}; retry in [123] s: {re.escape(site.why)}(; .*)?", told), told
    assert len([line for line in done.stderr.splitlines() if line.startswith("+ worker:1.")]) == 3


def test_a_program_gets_an_object_a_line(site: Site) -> None:
    site.set_up("POST", seconds=LONG)
    done = site.workplace.run(*APPLY, "--log-format", "json")
    assert done.returncode == 0, done.stderr
    told = events(done.stderr)
    assert {one["tag"] for one in told if one["event"] == "begun"} == {
        f"{site.registry.host}/{site.workplace.app}/worker:{tag}" for tag in IMAGES
    }
    assert {one["digest"] for one in told if one["event"] == "done"} == {image.digest for image in IMAGES.values()}
    wait = next(one for one in told if one["event"] == "wait")
    assert (wait["host"], wait["why"], wait["level"]) == (site.registry.host, site.why, "warning")
    (progress,) = (one for one in told if one["event"] == "progress")
    assert progress.keys() >= {"tags_done", "tags", "bytes_sent", "bytes", "bytes_per_second", "waits", "message"}
    assert site.why in progress["waits"][0]
    (journal,) = (one for one in told if one["event"] == "journal")
    assert (site.workplace.folder / journal["path"]).is_file()
    assert "Plan: 3 to create." in done.stdout


def test_a_program_is_told_how_far_planning_is(site: Site) -> None:
    site.set_up("HEAD", seconds=LONG)
    done = site.workplace.run("plan", "--log-format", "json")
    assert done.returncode == 0, done.stderr
    (progress,) = (one for one in events(done.stderr) if one["event"] == "progress")
    assert progress["asked"]["tags"]["of"] == 3
    assert site.why in progress["message"]


def test_a_terminal_shows_what_is_waited_for_while_planning_and_while_writing(site: Site) -> None:
    site.set_up("HEAD", "POST", seconds=SHORT)
    environment = clean_environment(site.workplace.folder)
    with terminal(replsync_command("apply", "--auto-approve"), site.workplace.folder, environment) as shown:
        assert shown.ended() == 0, shown.output
    planning, _, writing = shown.output.partition("0/3 tags")
    assert re.search(rf"asked [012] of 3 tags; retry in [12] s: {re.escape(site.why)}", planning)
    assert {"retry in 2 s", "retry in 1 s"} == set(re.findall("retry in . s", writing))  # it moves while it waits
    assert "Apply: 3 created.\n" in writing


def test_quiet_says_nothing_while_it_goes(site: Site) -> None:
    site.set_up("POST", seconds=LONG)
    done = site.workplace.run(*APPLY, "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_that_ends_soon_says_nothing_of_its_progress(site: Site) -> None:
    site.set_up(seconds=0)
    assert site.workplace.run("plan").stderr == ""


def failed(done: Done) -> dict[str, Any]:
    """The last object, which is the error that ended it."""
    *_, error = events(done.stderr)
    assert (error["level"], error["event"], error["exit_code"]) == ("error", "error", done.returncode)
    assert done.returncode
    return error


@pytest.mark.parametrize("option", [("--log-format", "json"), ("--log-format=json",)])
@pytest.mark.parametrize("command", ["plan", "apply", "lock"])
def test_errors_are_objects_too(workplace: Workplace, command: str, option: tuple[str, ...]) -> None:
    args = ("--auto-approve",) if command == "apply" else ()
    missing = failed(workplace.run(command, *args, *option))
    assert "there is no such file" in missing["message"]
    assert missing["next"]
    workplace.manifest.write_text("version: 1\napp: [\n")
    assert f"{workplace.manifest.name}:" in failed(workplace.run(command, *args, *option))["message"]
    assert "No such option" in failed(workplace.run(command, *option, "--nonsense"))["message"]


def test_a_failure_is_an_object_with_its_next_move(workplace: Workplace, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(SandboxOptions(pull_only_passwords=("licence",)))
    write_layout(workplace.folder / "layout", IMAGES)
    workplace.write(sandbox.host, {"name": "worker", "source": "oci:layout", "tags": ["1.0"]})
    workplace.env["REPLICATED_API_TOKEN"] = "licence"
    done = workplace.run("apply", "--auto-approve", "--log-format", "json")
    assert failed(done)["next"]
    (one,) = (one for one in events(done.stderr) if one["event"] == "failed")
    assert one["tag"] == f"{sandbox.host}/{workplace.app}/worker:1.0"
    assert "answered 403" in one["message"]
    assert "replsync login" in one["next"]
    assert done.returncode == 4


def test_a_saved_plan_is_not_shown_again_where_quiet_is_wanted(workplace: Workplace, sandbox: RunningSandbox) -> None:
    desk = Desk(workplace, sandbox.host, sandbox.credentials)
    desk.set_up()
    desk.plan()
    done = workplace.run("apply", "plan.json", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Apply: 1 created, 1 updated, 1 tombstoned.\n", "")


def test_an_interrupted_run_names_what_is_left_and_how_to_go_on(site: Site) -> None:
    site.set_up("POST", seconds=LONG)
    environment = clean_environment(site.workplace.folder)
    with terminal(replsync_command(*APPLY), site.workplace.folder, environment) as shown:
        shown.wait_for(site.why)
        shown.press_ctrl_c()
        assert shown.ended() == 130
    left = "Not done: worker:1.0, worker:1.1, worker:1.2.\n  next: replsync apply --auto-approve --no-color\n"
    assert left in shown.output
    assert not [one for one in site.registry.asked if one.method == "PUT" and "/manifests/" in one.path]
