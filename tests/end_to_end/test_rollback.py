"""Taking back what a run wrote: of fifty mixed actions, and of runs that ended badly."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from replsync.sandbox.server import SandboxOptions
from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.held import LABEL, Grave
from tests.end_to_end.place import Place
from tests.end_to_end.proxy import Reply, error
from tests.end_to_end.terminal import terminal
from tests.end_to_end.workplace import Done, Workplace, assert_refused, digests
from tests.servers.command import clean_environment, replsync_command
from tests.servers.images import BuiltImage, BuiltIndex, build_image, build_index, digest_of
from tests.servers.push import Uploader
from tests.servers.registry import RegistryServer, StartRegistry
from tests.servers.sandbox import RunningSandbox, StartSandbox
from tests.servers.skopeo import Skopeo

TAKEN_BACK = "taken back: the tag did not exist before"
REPOSITORIES = ["worker", "api", "tools/migrate"]
BASE = build_image({"base": b"shared"})
OLD, NEW, OTHER = (build_image({"version": name}, base=BASE) for name in (b"old", b"new", b"other"))
INDEX = build_index([BASE, build_image({"base": b"shared"}, platform="linux/arm64")])
DOCKER = build_image({"version": b"docker"}, base=BASE, media="docker")
IMAGES: list[BuiltImage | BuiltIndex] = [OLD, INDEX, DOCKER]


@pytest.fixture
def at_sandbox(sandbox: RunningSandbox, workplace: Workplace) -> Place:
    workplace.env["REPLICATED_API_TOKEN"] = sandbox.credentials.password
    return Place(sandbox.host, sandbox.credentials, workplace)


def fifty(place: Place) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Push what is there before; return the manifest's images before and after the run of fifty actions.

    Ten tags are created, ten overwritten, ten restored (half of them with
    another image), ten retired, and ten tombstones get another reason.
    """
    upstream: dict[str, BuiltImage | BuiltIndex] = {"new": NEW, "other": OTHER, "index": INDEX, "docker": DOCKER}
    for name, image in upstream.items():
        place.push("upstream", name, image)
    names = ["new", "index", "docker"]
    before: list[dict[str, Any]] = [{"name": image, "retired": []} for image in REPOSITORIES]
    after: list[dict[str, Any]] = [
        {"name": image, "mutable": ["edge-*"], "tags": [], "retired": []} for image in REPOSITORIES
    ]
    for number in range(10):
        repository, content = REPOSITORIES[number % 3], IMAGES[number % 3]
        source = place.source(names[(number + number // 3) % 3])
        for tag in (f"1.{number}", f"2.{number}", f"3.{number}", f"mine-{number}"):
            place.push(repository, tag, content)
        place.push(repository, f"edge-{number}", OTHER)
        before[number % 3]["retired"] += [{"tag": f"{major}.{number}", "reason": "old"} for major in (1, 2)]
        after[number % 3]["tags"] += [
            {"tag": f"1.{number}", "source": place.source("other")} if number % 2 else f"1.{number}",
            {"tag": f"4.{number}", "source": source},
            {"tag": f"edge-{number}", "source": source},
        ]
        after[number % 3]["retired"] += [
            {"tag": f"2.{number}", "reason": "older"},
            {"tag": f"3.{number}", "reason": "use 4"},
        ]
    return before, after


def run_fifty(place: Place, look: Callable[[], dict[str, str]]) -> tuple[dict[str, str], Path]:
    """What `look` saw before the run, and its journal."""
    before, after = fifty(place)
    place.workplace.write(place.host, *before)
    place.apply()
    place.workplace.write(place.host, *after)
    kinds = Counter(place.workplace.kinds().values())
    assert kinds == {"create": 10, "update": 10, "restore": 10, "tombstone": 20, "unlisted": 10}
    return look(), place.apply()


def test_rolling_back_fifty_mixed_actions_leaves_nothing_different_but_tombstones_that_say_so(
    at_sandbox: Place,
) -> None:
    """And rolling back the rollback brings the applied state back."""
    place = at_sandbox
    earlier, journal = run_fifty(place, lambda: place.tags(*REPOSITORIES))
    applied = place.tags(*REPOSITORIES)
    assert len([name for name in applied if applied[name] != earlier.get(name)]) == 50

    back = place.journal_of(lambda: place.roll_back(journal))
    gone = place.tags(*REPOSITORIES)
    created = applied.keys() - earlier.keys()
    assert len(created) == 10
    assert {name for name in gone.keys() | earlier.keys() if gone.get(name) != earlier.get(name)} == created
    for name in created:
        assert place.grave(name) == Grave(f"{place.host}/{place.app}/{name}", TAKEN_BACK, applied[name])

    assert "Plan: no changes; 50 unchanged." in place.roll_back(journal).stdout  # once is enough
    place.journal_of(lambda: place.roll_back(back))
    assert place.tags(*REPOSITORIES) == applied
    assert place.workplace.is_in_sync()


def test_skopeo_sees_the_same_of_fifty_actions_on_docker_registry(
    docker_registry: RegistryServer, workplace: Workplace, skopeo: Skopeo
) -> None:
    place = Place(docker_registry.host, None, workplace)
    repositories = [f"{place.host}/{place.app}/{image}" for image in REPOSITORIES]
    earlier, journal = run_fifty(place, lambda: digests(skopeo, repositories))
    applied = place.tags(*REPOSITORIES)
    back = place.journal_of(lambda: place.roll_back(journal))
    gone = digests(skopeo, repositories)
    created = gone.keys() - earlier.keys()
    assert len(created) == 10
    assert {reference: gone[reference] for reference in earlier} == earlier
    for reference in created:
        name = reference.removeprefix(f"{place.host}/{place.app}/")
        labels = json.loads(skopeo.config(reference))["config"]["Labels"]
        assert labels[LABEL] == "1"
        assert labels[f"{LABEL}.reason"] == TAKEN_BACK
        assert labels[f"{LABEL}.reference"] == reference
        assert labels[f"{LABEL}.replaces"] == applied[name]

    place.journal_of(lambda: place.roll_back(back))
    assert place.tags(*REPOSITORIES) == applied


@dataclass(frozen=True)
class Ran:
    """A run that created 2, overwrote edge and retired 1: its journal, and the tags before and after it."""

    place: Place
    journal: Path
    before: dict[str, str]
    after: dict[str, str]


def run_one_of_each(place: Place) -> Ran:
    place.push("upstream", "new", NEW)
    place.push("worker", "1", OLD)
    place.push("worker", "edge", OTHER)
    before = place.tags()
    new = place.source("new")
    tags = [{"tag": "2", "source": new}, {"tag": "edge", "source": new}]
    place.write(mutable=["edge"], tags=tags, retired=[{"tag": "1", "reason": "use 2"}])
    return Ran(place, place.apply(), before, place.tags())


@pytest.fixture
def ran(at_sandbox: Place) -> Ran:
    return run_one_of_each(at_sandbox)


def assert_taken_back(ran: Ran) -> None:
    now = ran.place.tags()
    assert {name: now.get(name) for name in ran.before} == ran.before
    assert ran.place.grave("worker:2") == Grave(
        f"{ran.place.host}/{ran.place.app}/worker:2", TAKEN_BACK, ran.after["worker:2"]
    )


def assert_blocked(ran: Ran, done: Done, *said: str) -> None:
    """It ended with 7, said so, and wrote neither a tag nor a journal."""
    assert done.returncode == 7, done.stdout + done.stderr
    for text in said:
        assert text in done.stdout, done.stdout
    assert ran.place.journals() == [ran.journal]


def test_the_way_back_can_be_saved_looked_at_and_applied(ran: Ran) -> None:
    workplace = ran.place.workplace
    done = workplace.run("rollback", ran.journal, "--out", "back.json")
    assert done.returncode == 0, done.stderr
    assert ran.place.tags() == ran.after
    assert workplace.run("show", "back.json").stdout == done.stdout
    assert workplace.run("apply", "back.json").returncode == 0
    assert_taken_back(ran)
    again = workplace.run("apply", "back.json")
    assert again.returncode == 0
    assert "already applied" in again.stdout


def test_a_saved_way_back_is_stale_once_somebody_else_has_pushed(ran: Ran) -> None:
    ran.place.workplace.run("rollback", ran.journal, "--out", "back.json")
    ran.place.push("worker", "edge", OLD)
    now = ran.place.tags()
    assert_refused(ran.place.workplace.run("apply", "back.json"), 5, "worker:edge holds image")
    assert ran.place.tags() == now


def test_target_takes_back_a_part(ran: Ran) -> None:
    done = ran.place.roll_back(ran.journal, "--target", "worker:edge")
    assert done.returncode == 0, done.stderr
    assert ran.place.tags() == {**ran.after, "worker:edge": ran.before["worker:edge"]}
    assert ran.place.roll_back(ran.journal).returncode == 0
    assert_taken_back(ran)


def test_a_target_that_the_journal_does_not_have_is_wrong_usage(ran: Ran) -> None:
    assert_refused(ran.place.roll_back(ran.journal, "--target", "worker:3"), 64, "no tag matches")


def test_without_approval_and_away_from_a_terminal_nothing_is_written(ran: Ran) -> None:
    assert_refused(ran.place.workplace.run("rollback", ran.journal), 64, "--auto-approve")
    assert ran.place.tags() == ran.after


def test_who_takes_back_is_told_that_the_manifest_still_wants_it(ran: Ran) -> None:
    assert "the next plan wants the changes again" in ran.place.roll_back(ran.journal).stdout
    assert set(ran.place.workplace.kinds().values()) == {"restore", "update", "tombstone"}


def test_a_tag_that_somebody_else_pushed_since_is_blocked_and_nothing_is_written(ran: Ran) -> None:
    ran.place.push("worker", "edge", OLD)
    now = ran.place.tags()
    done = ran.place.roll_back(ran.journal)
    assert_blocked(ran, done, f"{ran.place.app}/worker:edge", "the tag was written again since")
    assert ran.place.tags() == now
    assert ran.place.roll_back(ran.journal, "--target", "worker:[12]").returncode == 0  # the others can be had


@pytest.mark.parametrize("kind", ["manifests", "blobs"])
def test_what_a_registry_has_cleaned_away_is_blocked(
    start_docker_registry: StartRegistry, workplace: Workplace, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Once its image manifest, once a layer alone."""
    monkeypatch.setenv("REGISTRY_STORAGE_DELETE_ENABLED", "true")
    server = start_docker_registry()
    ran = run_one_of_each(Place(server.host, None, workplace))
    lost = OTHER.digest if kind == "manifests" else digest_of(OTHER.layers[-1])
    path = f"/v2/{workplace.app}/worker/{kind}/{lost}"
    assert Uploader(server.host, f"{workplace.app}/worker").request("DELETE", path).status == 202
    done = ran.place.roll_back(ran.journal)
    short = OTHER.digest[7:19]
    assert_blocked(ran, done, f"what the tag was before, image {short}, can't be read from the registry any more")
    assert ran.place.tags() == ran.after


def test_a_blob_that_the_sandbox_lost_is_blocked(
    start_sandbox: StartSandbox, workplace: Workplace, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    server = start_sandbox(SandboxOptions(data=data))
    workplace.env["REPLICATED_API_TOKEN"] = server.credentials.password
    ran = run_one_of_each(Place(server.host, server.credentials, workplace))
    (data / "blobs" / digest_of(OTHER.layers[-1]).replace(":", "/")).unlink()
    assert_blocked(
        ran, ran.place.roll_back(ran.journal), "can't be read from the registry any more\n      next: push it again"
    )
    assert ran.place.tags() == ran.after


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (error(404, "MANIFEST_UNKNOWN"), "can't be read from the registry any more"),
        (error(403, "DENIED"), None),
        (error(400, "UNSUPPORTED"), "the registry's tag can't be read: "),
    ],
    ids=["gone", "refused", "unclear"],
)
def test_a_registry_that_does_not_give_back_what_was_is_never_written_to(
    docker_registry: RegistryServer,
    workplace: Workplace,
    start_proxy: StartProxy,
    answer: Reply,
    said: str | None,
) -> None:
    target = start_proxy(docker_registry.host)
    ran = run_one_of_each(Place(target.host, None, workplace))
    target.script = lambda asked: answer if OTHER.digest in asked.path else None
    target.asked.clear()
    done = ran.place.roll_back(ran.journal)
    if said:
        assert_blocked(ran, done, said)
    else:
        assert_refused(done, 4, "403")
    assert {asked.method for asked in target.asked} <= {"GET", "HEAD"}
    assert ran.place.tags() == ran.after


def test_the_journal_of_another_application_is_refused(ran: Ran) -> None:
    manifest = ran.place.workplace.manifest
    manifest.write_text(manifest.read_text().replace(f'"app": "{ran.place.app}"', '"app": "other"'))
    done = ran.place.roll_back(ran.journal)
    assert_refused(done, 3, f"it is of {ran.place.host}/{ran.place.app}/worker", f"{ran.place.host}/other")
    assert ran.place.tags() == ran.after


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no such file"),
        (b"version: 1\n", "line 1 is not an entry of a journal"),
        (b"{}", "it is no journal"),
        (b'{"after": null}\n', "line 1 is not an entry of a journal"),
        (bytes(range(256)) * 8, "is not an entry of a journal"),
        ("folder", "Is a directory"),
    ],
    ids=["missing", "yaml", "json", "half an entry", "binary", "folder"],
)
def test_what_is_no_journal_is_refused(ran: Ran, content: bytes | str | None, said: str) -> None:
    path = ran.place.workplace.folder / "journal.jsonl"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.mkdir()
    assert_refused(ran.place.roll_back(path), 3, "read the journal ", "journal.jsonl", said)
    assert ran.place.tags() == ran.after


def test_a_plan_is_no_journal(ran: Ran) -> None:
    ran.place.workplace.run("plan", "--out", "plan.json")
    path = ran.place.workplace.folder / "plan.json"
    assert_refused(ran.place.roll_back(path), 3, "line 1 is not an entry of a journal")


def test_a_journal_that_ends_in_half_a_line_is_worth_the_lines_before(ran: Ran) -> None:
    ran.journal.write_bytes(ran.journal.read_bytes() + b'{"after":{"config":"sha25')
    done = ran.place.roll_back(ran.journal)
    assert done.returncode == 0, done.stderr
    assert_taken_back(ran)


def cut(journal: Path, event: str) -> None:
    """Leave out the lines of this event, as if the run had been killed before each of them."""
    lines = journal.read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["event"] != event]
    assert len(kept) == len(lines) / 2
    journal.write_text("".join(kept))


def test_what_a_run_that_was_killed_announced_and_wrote_is_taken_back(ran: Ran) -> None:
    cut(ran.journal, "wrote")
    assert ran.place.roll_back(ran.journal).returncode == 0
    assert_taken_back(ran)


def test_what_a_run_that_was_killed_announced_and_never_wrote_is_left_alone(at_sandbox: Place) -> None:
    """The registry says which of the two it was: nothing of it is there."""
    ran = run_one_of_each(at_sandbox)
    cut(ran.journal, "wrote")
    text = ran.journal.read_text().replace(f"{at_sandbox.app}/worker:", f"{at_sandbox.app}/api:")
    ran.journal.write_text(text.replace('"image":"worker"', '"image":"api"'))
    at_sandbox.push("api", "1", OLD)
    at_sandbox.push("api", "edge", OTHER)
    before = at_sandbox.tags("api")
    done = at_sandbox.roll_back(ran.journal)
    assert done.returncode == 0, done.stderr
    assert "Plan: no changes; 3 unchanged." in done.stdout
    assert at_sandbox.tags("api") == before


def test_a_rollback_that_was_cut_off_is_run_again_and_finishes(ran: Ran) -> None:
    """The tag that is a tombstone already is not taken for one of somebody else's."""
    assert ran.place.roll_back(ran.journal, "--target", "worker:2").returncode == 0
    done = ran.place.roll_back(ran.journal)
    assert done.returncode == 0, done.stdout
    assert_taken_back(ran)


def test_an_empty_journal_takes_nothing_back(ran: Ran) -> None:
    ran.journal.write_bytes(b"")
    done = ran.place.roll_back(ran.journal)
    assert done.returncode == 0
    assert "no changes" in done.stdout


def test_a_tag_that_a_release_names_by_now_is_not_taken_back(ran: Ran) -> None:
    workplace = ran.place.workplace
    release = workplace.folder / "kots" / "app.yaml"
    release.parent.mkdir()
    release.write_text(f"kind: Pod\nspec:\n  containers:\n    - image: {ran.place.host}/{ran.place.app}/worker:2\n")
    content = json.loads(workplace.manifest.read_text())
    workplace.manifest.write_text(json.dumps({**content, "releases": ["kots/*.yaml"]}))
    assert_blocked(ran, ran.place.roll_back(ran.journal), "a release names this tag: kots/app.yaml:4")
    assert ran.place.tags() == ran.after


@pytest.mark.parametrize(("answer", "code"), [("no\n", 1), ("yes\n", 0)])
def test_at_a_terminal_the_way_back_is_shown_and_asked_for(ran: Ran, answer: str, code: int) -> None:
    workplace = ran.place.workplace
    env = clean_environment(workplace.folder, workplace.env)
    command = replsync_command("rollback", ran.journal, "--no-color")
    with terminal(command, workplace.folder, env) as shown:
        shown.wait_for("Type yes to carry this out: ")
        assert "taken back: the tag did not exist before" in shown.output
        assert "Plan: 1 to update, 1 to restore, 1 to tombstone" in shown.output
        shown.type(answer)
        assert shown.ended() == code, shown.output
    if code:
        assert ran.place.tags() == ran.after
        assert ran.place.journals() == [ran.journal]
    else:
        assert_taken_back(ran)


def test_without_a_journal_the_last_one_is_named_and_nothing_is_asked(at_sandbox: Place) -> None:
    workplace = at_sandbox.workplace
    workplace.write(at_sandbox.host, {"name": "worker", "retired": [{"tag": "1.0", "reason": "old"}]})
    assert_refused(workplace.run("rollback"), 64, "no journal is named", "there is no journal beside the manifest")
    at_sandbox.push("worker", "1.0", OLD)
    workplace.apply()
    (journal,) = (workplace.folder / ".replsync/journal").glob("*.jsonl")
    assert_refused(workplace.run("rollback"), 64, f"rollback .replsync/journal/{journal.name}\n")
    folder = workplace.folder.name
    named = workplace.replsync("rollback", "-f", folder, cwd=workplace.folder.parent, env=workplace.env)
    assert_refused(named, 64, f"rollback {folder}/.replsync/journal/{journal.name} --file={folder}\n")
