"""Somebody else writes to a tag at the worst moment: it is found out, told by name, and all other tags are done."""

import re
import threading
from dataclasses import dataclass, replace
from subprocess import Popen

import pytest

from replsync.oci.digest import short
from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Asked, Hold, Proxy, Reaction
from tests.end_to_end.raced import FOREIGN, KINDS, NEW, OLD, Event, Point, Race, Stage, calm, raced
from tests.end_to_end.test_interruption import started
from tests.end_to_end.workplace import Done, Workplace, assert_refused
from tests.servers.images import digest_of
from tests.servers.push import Uploader, push
from tests.servers.registry import RegistryServer

_DEADLINE = 60  # seconds
SAID: dict[Point, str] = {
    "its own read": "the tag changed since the plan was made: ",
    "the guard": "the tag changed while its image was on the way; it was left alone",
    "the read back": "not what was pushed",
}
RECORDED: dict[Point, list[str]] = {
    "its own read": [],
    "the guard": ["writing", "left"],  # nothing was written
    "the read back": ["writing", "failed"],
}


@pytest.fixture
def stage(workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy) -> Stage:
    """A registry in which every kind of action is to be done."""
    made = Stage(workplace, docker_registry.host, start_proxy(docker_registry.host))
    made.set_up()
    return made


def assert_found_out(race: Race, done: Done) -> None:
    """Each race is told by the tag's name and recorded, each other tag is done, and what somebody pushed is there."""
    stage, said = race.stage, done.stdout
    assert (done.returncode, "Traceback" in done.stderr) == (6, False), said + done.stderr
    assert race.happened == {raced(*one) for one in race.races}
    recorded = stage.events()
    for kind in KINDS:
        assert stage.digest(calm(kind)) == stage.after(kind, calm(kind))
        assert recorded[calm(kind)] == ["writing", "wrote"]
    for event, kind in race.races:
        image = raced(event, kind)
        assert re.search(rf"  ! {image}:1 {kind}\n(?:  ! .*\n)*      .*: .*{SAID[race.point]}", said), said
        assert recorded.get(image, []) == RECORDED[race.point]
        if event == "moved":
            assert stage.digest(image) == FOREIGN.digest
    assert f"; {len(race.races)} failed." in said
    for entry in stage.journal():
        assert (entry["error"] is None) == (entry["event"] != "failed")
        if entry["event"] == "wrote":
            assert entry["after"]["digest"] == stage.digest(entry["image"])


def test_what_happens_between_plan_and_apply_makes_the_plan_stale(stage: Stage) -> None:
    stage.workplace.plan("--out", "plan.json")
    race = Race(stage, "the plan")
    stage.front.script = race
    stage.front.asked.clear()
    done = stage.workplace.run("apply", "plan.json")
    what: dict[Event, str] = {"moved": f"image {short(FOREIGN.digest)}", "deleted": "nothing"}
    names = [
        f"{stage.front.host}/{stage.repository(raced(event, kind))}:1 holds {what[event]}" for event, kind in race.races
    ]
    assert_refused(done, 5, f"since it was made {len(names)} tags have changed: ", "nothing was written", *names)
    assert "calm" not in done.stderr
    assert stage.writes() == []
    assert stage.journal() == []


@pytest.mark.parametrize("point", SAID)
def test_what_happens_while_a_saved_plan_is_carried_out_is_found_out(stage: Stage, point: Point) -> None:
    stage.workplace.plan("--out", "plan.json")
    race = Race(stage, point)
    stage.front.script = race
    assert_found_out(race, stage.workplace.run("apply", "plan.json"))


@pytest.mark.parametrize("point", ["its own read", "the guard"])
def test_what_happens_while_a_new_plan_is_carried_out_is_found_out(stage: Stage, point: Point) -> None:
    race = Race(stage, point, is_planned=False)
    stage.front.script = race
    assert_found_out(race, stage.workplace.run("apply", "--auto-approve"))


@dataclass
class Contest:
    """Two runs for one mutable tag: `first` would make it NEW, `second` FOREIGN. It is OLD before."""

    first: Workplace
    second: Workplace
    registry: RegistryServer
    front: Proxy
    source: Proxy

    @property
    def digest(self) -> str | None:
        """What the tag points at."""
        path = f"/v2/{self.first.app}/worker/manifests/1"
        answer = Uploader(self.registry.host, f"{self.first.app}/worker").request(
            "HEAD", path, headers={"Accept": OLD.media_type}
        )
        return answer.headers.get("docker-content-digest")

    def is_tag(self, asked: Asked, method: str) -> bool:
        """Whether the tag is asked for, or written."""
        return asked == Asked(method, f"/v2/{self.first.app}/worker/manifests/1")

    def asked(self, method: str) -> int:
        """How often the tag was asked for, or written."""
        return sum(self.is_tag(asked, method) for asked in self.front.asked)

    def puts(self) -> int:
        """How often the tag was written."""
        return self.asked("PUT")


@pytest.fixture
def contest(workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy) -> Contest:
    """Two folders, each with the temporary files of a machine of its own."""
    host, app = docker_registry.host, workplace.app
    front, source = start_proxy(host), start_proxy(host)
    push(host, f"{app}/worker", "1", OLD)
    places = []
    for name, image in (("first", NEW), ("second", FOREIGN)):
        push(host, f"{app}-source/worker", name, image)
        folder = workplace.folder / name
        (folder / "tmp").mkdir(parents=True)
        place = replace(workplace, folder=folder, env={"TMPDIR": str(folder / "tmp")})
        tag = {"tag": "1", "source": f"{source.host}/{app}-source/worker:{name}"}
        place.write(front.host, {"name": "worker", "mutable": ["1"], "tags": [tag]})
        places.append(place)
    return Contest(places[0], places[1], docker_registry, front, source)


def outcome(process: Popen[str]) -> tuple[int, str]:
    """The exit code of a run that ends by itself, and all that it says."""
    out, said = process.communicate(timeout=_DEADLINE)
    assert "Traceback" not in said, said
    return process.returncode, out + said


def test_of_two_machines_the_one_that_comes_late_to_its_last_look_leaves_the_tag_alone(contest: Contest) -> None:
    looking, go_on = threading.Event(), threading.Event()

    def script(asked: Asked) -> Reaction:
        if contest.is_tag(asked, "HEAD") and contest.asked("HEAD") == 2:  # the first was for the plan
            looking.set()
            assert go_on.wait(_DEADLINE)
        return None

    contest.front.script = script
    with started(contest.first, "apply", "--auto-approve") as first:
        assert looking.wait(_DEADLINE)
        contest.second.apply()
        go_on.set()
        code, out = outcome(first)
    assert (code, SAID["the guard"] in out) == (6, True), out
    assert (contest.digest, contest.puts()) == (FOREIGN.digest, 1)


def test_of_two_machines_that_write_at_once_the_one_that_is_overwritten_says_so(contest: Contest) -> None:
    """No registry writes a tag on condition: the second comes between the first one's last look and its write."""
    about_to_write, write, has_read = threading.Event(), threading.Event(), threading.Event()

    def script(asked: Asked) -> Reaction:
        if contest.is_tag(asked, "PUT") and not about_to_write.is_set():
            about_to_write.set()
            assert write.wait(_DEADLINE)
        elif contest.is_tag(asked, "GET") and contest.puts() == 2:
            if write.is_set():
                has_read.set()  # the first run's: its write was answered
            else:
                write.set()
                assert has_read.wait(_DEADLINE)
        return None

    contest.front.script = script
    with started(contest.first, "apply", "--auto-approve") as first:
        assert about_to_write.wait(_DEADLINE)
        late = contest.second.run("apply", "--auto-approve")
        assert outcome(first)[0] == 0
    assert late.returncode == 6, late.stdout + late.stderr
    assert f"worker:1: it holds image {short(NEW.digest)}, not what was pushed" in late.stdout
    assert (contest.digest, contest.puts()) == (NEW.digest, 2)


def test_two_machines_that_want_the_same_are_both_content(contest: Contest) -> None:
    contest.second.manifest.write_bytes(contest.first.manifest.read_bytes())
    with (
        started(contest.first, "apply", "--auto-approve") as one,
        started(contest.second, "apply", "--auto-approve") as two,
    ):
        assert [outcome(one)[0], outcome(two)[0]] == [0, 0]
    assert contest.digest == NEW.digest
    assert contest.first.is_in_sync()


def read_until(process: Popen[str], text: str) -> None:
    """Read what the process says on stderr until `text` comes; the test's own limit is the deadline."""
    assert process.stderr
    for line in process.stderr:
        if text in line:
            return
    pytest.fail(f"it ended without {text!r}")


def on_one_machine(contest: Contest) -> None:
    """Both runs are the same user's, and want the same."""
    contest.second.env.update(contest.first.env)
    contest.second.manifest.write_bytes(contest.first.manifest.read_bytes())


def test_of_two_runs_on_one_machine_the_second_waits_and_finds_everything_done(contest: Contest) -> None:
    on_one_machine(contest)
    hold = Hold()
    contest.source.script = lambda asked: hold if digest_of(NEW.layers[0]) in asked.path else None
    with started(contest.first, "apply", "--auto-approve") as first:
        assert hold.reached.wait(_DEADLINE)
        with started(contest.second, "apply", "--auto-approve") as second:
            read_until(second, f"waiting for another run of replsync for {contest.front.host}/{contest.first.app}")
            assert (first.poll(), second.poll(), contest.puts()) == (None, None, 0)
            hold.go_on.set()
            assert [outcome(first)[0], outcome(second)[0]] == [0, 0]
    assert (contest.digest, contest.puts()) == (NEW.digest, 1)
    assert not (contest.second.folder / ".replsync").exists()


@pytest.mark.parametrize("saved", [False, True], ids=["a new plan", "a saved plan"])
def test_a_manifest_that_changes_while_a_run_waits_stops_it(contest: Contest, saved: bool) -> None:
    on_one_machine(contest)
    if saved:
        assert contest.second.run("plan", "--out", "plan.json").returncode == 0
    hold = Hold()
    contest.source.script = lambda asked: hold if digest_of(NEW.layers[0]) in asked.path else None
    with started(contest.first, "apply", "--auto-approve") as first:
        assert hold.reached.wait(_DEADLINE)
        with started(contest.second, "apply", "plan.json" if saved else "--auto-approve") as second:
            read_until(second, "waiting for another run of replsync")
            contest.second.manifest.write_text(contest.second.manifest.read_text() + "\n")
            hold.go_on.set()
            assert outcome(first)[0] == 0
            code, said = outcome(second)
            assert code == 5
            assert "the manifest replicated-images.yaml has changed since it was made" in said
    assert not (contest.second.folder / ".replsync").exists()


def test_a_run_that_is_killed_leaves_its_place_to_the_next(contest: Contest) -> None:
    on_one_machine(contest)
    hold = Hold()
    contest.source.script = lambda asked: hold if digest_of(NEW.layers[0]) in asked.path else None
    with started(contest.first, "apply", "--auto-approve") as first:
        assert hold.reached.wait(_DEADLINE)
        with started(contest.second, "apply", "--auto-approve") as second:
            read_until(second, f"(process {first.pid})")
            first.kill()
            contest.source.script = lambda _: None
            assert outcome(second)[0] == 0
    hold.go_on.set()
    assert (contest.digest, contest.puts()) == (NEW.digest, 1)
