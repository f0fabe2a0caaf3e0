"""Ending an apply at each of its steps: the same command once more makes the registry what it was to become."""

import base64
import contextlib
import itertools
import json
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from replsync.oci.digest import parse_digest
from replsync.oci.tombstone import EMPTY_LAYER, Epitaph, tombstone_config, tombstone_manifest
from tests.end_to_end.fork_server import JournalStop
from tests.end_to_end.killing import (
    Barrier,
    Ended,
    Moment,
    Reader,
    Runs,
    Stop,
    assert_journal_is_true,
    barrier,
    journals,
    runs,
)
from tests.servers.images import BuiltImage, BuiltIndex, build_image, build_index, digest_of
from tests.servers.push import Uploader, push
from tests.servers.registry import Credentials, RegistryServer
from tests.servers.sandbox import RunningSandbox

AMD64, ARM64 = (build_image({"base": b"base"}, platform=f"linux/{name}") for name in ("amd64", "arm64"))
BOTH = build_index([AMD64, ARM64])
OLD, NEW = (build_image({"v": b"1"}, labels={"v": name}) for name in ("old", "new"))
API = build_image({"base": b"base"}, labels={"v": "api"})
CREATED = ("worker:1.0", "api:2")
GO_ON = (
    "replsync: interrupted\n"
    "  next: no tag is half-made: run the same command again to go on\n"
    "  more: replsync explain interrupted\n"
)
TAKEN_BACK = "taken back: the tag did not exist before"

pytestmark = pytest.mark.timeout(400)  # dozens of runs each
APPLY = ("apply", "--auto-approve", "--parallelism", "1")
TAGS = ("PUT worker:1.0", "PUT worker:1.1", "PUT worker:latest", "PUT worker:0.9", "PUT api:2")
SAMPLE = 9
"""At every so-manieth point the costlier looks are taken, too."""


@dataclass(frozen=True)
class Place:
    """An application of its own with a manifest, and what its registry holds at the start."""

    runs: Runs
    barrier: Barrier
    folder: Path
    reader: Reader

    def run(self, *args: str | Path, stop: Stop | JournalStop | None = None) -> Ended:
        return self.runs.run(self.barrier, self.folder, *args, stop=stop)


@dataclass(frozen=True)
class Scene:
    """A registry behind a barrier, for one application after another."""

    runs: Runs
    barrier: Barrier
    folder: Path
    registry: str
    creds: Credentials | None
    namespace: str
    numbers: Iterator[int]

    def place(self) -> Place:
        """A create with two platforms, one that shares a layer, an update, a restore and a tombstone are due."""
        app = f"{self.namespace}-{next(self.numbers):03}"
        uploaders = {image: Uploader(self.registry, f"{app}/{image}", self.creds) for image in ("worker", "api")}
        worker = uploaders["worker"]
        worker.put_image("latest", OLD)
        worker.put_image("0.9", OLD)
        worker.put_image("1.1", tombstone(f"{self.barrier.host}/{app}/worker:1.1"))
        folder = self.folder / app
        folder.mkdir()
        source = f"{self.registry}/{self.namespace}-source/"
        images = [
            {
                "name": "worker",
                "source": source + "worker",
                "mutable": ["latest"],
                "tags": ["1.0", "1.1", "latest"],
                "retired": [{"tag": "0.9", "reason": "old"}],
            },
            {"name": "api", "source": source + "api", "tags": ["2"]},
        ]
        manifest = {"version": 1, "app": app, "registry": self.barrier.host, "images": images}
        (folder / "replicated-images.yaml").write_text(json.dumps(manifest))
        return Place(self.runs, self.barrier, folder, Reader(uploaders, app))


def tombstone(reference: str) -> BuiltImage:
    epitaph = Epitaph(reference, "too early", parse_digest(OLD.digest), OLD.media_type)
    config = tombstone_config(epitaph)
    manifest = tombstone_manifest(config)
    media_type = json.loads(manifest)["mediaType"]
    return BuiltImage(manifest, media_type, config, {digest_of(blob): blob for blob in (EMPTY_LAYER, config)}, "")


@contextlib.contextmanager
def scene(started: Runs, registry: str, creds: Credentials | None, namespace: str, folder: Path) -> Iterator[Scene]:
    sources: dict[str, dict[str, BuiltImage | BuiltIndex]] = {
        "worker": {"1.0": BOTH, "1.1": OLD, "latest": NEW},
        "api": {"2": API},
    }
    for image, tags in sources.items():
        for tag, content in tags.items():
            push(registry, f"{namespace}-source/{image}", tag, content, creds)
    with barrier(registry) as between:
        auth = {"auth": base64.b64encode(":".join(creds).encode()).decode()} if creds else {}
        auths = {registry: auth, between.host: auth} if creds else {}
        (started.home / ".docker").mkdir(exist_ok=True)
        (started.home / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))
        yield Scene(started, between, folder, registry, creds, namespace, itertools.count(1))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with runs(tmp_path_factory.mktemp("home")) as made:
        yield made


@pytest.fixture
def docker_scene(started: Runs, docker_registry: RegistryServer, namespace: str, tmp_path: Path) -> Iterator[Scene]:
    with scene(started, docker_registry.host, None, namespace, tmp_path) as made:
        yield made


@pytest.fixture
def sandbox_scene(started: Runs, sandbox: RunningSandbox, namespace: str, tmp_path: Path) -> Iterator[Scene]:
    with scene(started, sandbox.host, sandbox.credentials, namespace, tmp_path) as made:
        yield made


@dataclass(frozen=True)
class Course:
    """An apply that nobody stopped: what the application became, and the steps and journal lines on the way."""

    contents: dict[str, object]
    steps: list[str]
    lines: int


def never_stopped(scene: Scene) -> Course:
    place = scene.place()
    ended = place.run(*APPLY)
    assert ended.code == 0, ended
    steps, (journal,) = scene.barrier.steps, journals(place.folder)
    assert len(steps) == len(set(steps))
    assert place.run("plan", "--detailed-exitcode").code == 0
    return Course(place.reader.contents(), steps, journal.read_text().count("\n"))


def stopped(place: Place, stop: Stop | JournalStop, *apply: str | Path) -> None:
    """Have an apply end at `stop`: the registry and the journal agree."""
    before = place.reader.digests()
    ended = place.run(*apply, stop=stop)
    if stop.number == signal.SIGKILL:
        assert ended.code == -signal.SIGKILL, (stop, ended)
    else:
        assert ended.code == 130, (stop, ended)
        assert ended.err.endswith(GO_ON), (stop, ended.err)
        assert "Traceback" not in ended.err, (stop, ended.err)
    found = journals(place.folder)
    assert len(found) <= 1, stop
    if found and stop.number != signal.SIGKILL:
        assert found[0].read_bytes().endswith(b"}\n"), stop
    assert_journal_is_true(found[0] if found else None, before, place.reader.digests(), place.barrier.host)


def check(scene: Scene, course: Course, stops: Sequence[Stop | JournalStop]) -> None:
    """Stop an apply at each of `stops`; the same command ends what it began."""
    assert stops
    for number, stop in enumerate(stops):
        place = scene.place()
        is_sample = number % SAMPLE == 0
        at_the_start = place.reader.contents() if is_sample else {}
        stopped(place, stop, *APPLY)
        again = place.run(*APPLY)
        assert again.code == 0, (stop, again)
        assert place.reader.contents() == course.contents, stop
        if is_sample:
            look_closer(place, at_the_start)


def look_closer(place: Place, at_the_start: dict[str, object]) -> None:
    """Nothing is left to do, the history can be told, and the way back leads to the start."""
    assert place.run("plan", "--detailed-exitcode").code == 0
    told = place.run("history", "worker:1.0")
    assert told.code == 0, told.err
    for journal in reversed(journals(place.folder)):
        back = place.run("rollback", journal, "--auto-approve")
        assert back.code == 0, (journal.read_text(), back)
    left = place.reader.contents()
    for tag in CREATED:
        assert place.reader.labels(tag)["dev.replsync.tombstone.reason"] == TAKEN_BACK
        del left[tag]
    assert left == at_the_start


def requests(course: Course, moment: Moment, number: int = signal.SIGKILL) -> list[Stop]:
    """A stop at each step; half of a body can be sent only where there is one."""
    return [Stop(step, moment, number) for step in course.steps if moment != "half" or step.startswith("PUT blob")]


def lines(course: Course, moment: str, number: int = signal.SIGKILL) -> list[JournalStop]:
    return [JournalStop(line, moment, number) for line in range(1, course.lines + 1)]


Record = Callable[[str, int], None]


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Puts a number beside the test in a report in JUnit's XML, of whichever family."""
    return lambda name, value: request.node.user_properties.append((name, str(value)))


@pytest.mark.parametrize("moment", ["before", "half", "after"])
def test_an_apply_that_was_killed_at_any_request_is_ended_by_the_next_on_docker_registry(
    docker_scene: Scene, moment: Moment, record: Record
) -> None:
    course = never_stopped(docker_scene)
    stops = requests(course, moment)
    check(docker_scene, course, stops)
    record("kill points", len(stops))


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_apply_that_was_killed_at_any_request_is_ended_by_the_next_on_the_sandbox(
    sandbox_scene: Scene, moment: Moment, record: Record
) -> None:
    course = never_stopped(sandbox_scene)
    stops = requests(course, moment)
    check(sandbox_scene, course, stops)
    record("kill points", len(stops))


def test_an_apply_that_was_killed_in_any_line_of_its_journal_is_ended_by_the_next_on_docker_registry(
    docker_scene: Scene, record: Record
) -> None:
    course = never_stopped(docker_scene)
    stops = lines(course, "half")
    check(docker_scene, course, stops)
    record("kill points", len(stops))


@pytest.mark.parametrize("moment", ["half", "written"])
def test_an_apply_that_was_killed_at_any_line_of_its_journal_is_ended_by_the_next_on_the_sandbox(
    sandbox_scene: Scene, moment: str, record: Record
) -> None:
    course = never_stopped(sandbox_scene)
    stops = lines(course, moment)
    check(sandbox_scene, course, stops)
    record("kill points", len(stops))


def test_an_apply_that_was_told_to_stop_at_any_request_says_so_and_is_ended_by_the_next(
    sandbox_scene: Scene, record: Record
) -> None:
    course = never_stopped(sandbox_scene)
    kinds: list[tuple[Moment, int]] = [
        ("before", signal.SIGINT),
        ("after", signal.SIGTERM),
        ("after", signal.SIGINT),
        ("before", signal.SIGTERM),
    ]
    stops = [Stop(step, *kind) for step, kind in zip(course.steps, itertools.cycle(kinds), strict=False)]
    check(sandbox_scene, course, stops)
    record("stop points", len(stops))


def test_an_apply_that_was_told_to_stop_at_any_tag_is_ended_by_the_next_on_docker_registry(
    docker_scene: Scene, record: Record
) -> None:
    course = never_stopped(docker_scene)
    stops = [stop for stop in requests(course, "after", signal.SIGINT) if stop.step in TAGS]
    assert len(stops) == len(TAGS)
    check(docker_scene, course, stops)
    record("stop points", len(stops))


def test_an_apply_that_was_told_to_stop_in_any_line_of_its_journal_ends_the_line(
    sandbox_scene: Scene, record: Record
) -> None:
    course = never_stopped(sandbox_scene)
    stops = lines(course, "half", signal.SIGINT)
    check(sandbox_scene, course, stops)
    record("stop points", len(stops))


def test_a_line_is_safe_before_its_tag_is_written(sandbox_scene: Scene) -> None:
    """Killed with the line in the file and the sync still to come: no request for the tag has gone out."""
    place = sandbox_scene.place()
    before = place.reader.digests()
    assert place.run(*APPLY, stop=JournalStop(1, "written", signal.SIGKILL)).code == -signal.SIGKILL
    (line,) = journals(place.folder)[0].read_text().splitlines()
    assert json.loads(line)["event"] == "writing"
    assert not set(sandbox_scene.barrier.steps) & set(TAGS)
    assert place.reader.digests() == before


def test_a_saved_plan_whose_apply_was_killed_is_carried_on_with(sandbox_scene: Scene, record: Record) -> None:
    course = never_stopped(sandbox_scene)
    at_tags = [stop for moment in ("before", "after") for stop in requests(course, moment) if stop.step in TAGS]
    stops: list[Stop | JournalStop] = [*at_tags, *lines(course, "half")[::2]]
    for stop in stops:
        place = sandbox_scene.place()
        assert place.run("plan", "--out", "plan.json").code == 0
        stopped(place, stop, "apply", "plan.json")
        again = place.run("apply", "plan.json")
        assert again.code == 0, (stop, again)
        assert place.reader.contents() == course.contents, stop
    record("kill points", len(stops))
