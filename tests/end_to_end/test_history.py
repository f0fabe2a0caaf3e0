"""`replsync history`: what the journals beside a manifest and the registry know of a tag."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Proxy, error
from tests.end_to_end.workplace import Workplace, assert_refused
from tests.servers.images import build_image
from tests.servers.push import push
from tests.servers.registry import RegistryServer

ONE = build_image({"version": b"one"})
REASON = "CVE-1, use 1.10"


@dataclass(frozen=True)
class Place:
    """A workplace whose manifest lists `worker:1`, which the registry behind `proxy` doesn't have yet."""

    workplace: Workplace
    proxy: Proxy

    @property
    def reference(self) -> str:
        """The tag's full name."""
        return f"{self.proxy.host}/{self.workplace.app}/worker:1"

    @property
    def journals(self) -> list[Path]:
        """All journals."""
        return sorted((self.workplace.folder / ".replsync" / "journal").glob("*.jsonl"))

    def done(self, *command: str) -> str:
        """What a command printed, which must succeed."""
        done = self.workplace.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def apply(self) -> Path:
        """Create the tag; returns the journal."""
        self.workplace.apply("--quiet")
        (journal,) = self.journals
        return journal

    def history(self) -> list[str]:
        """The lines of `history`."""
        return self.done("history", "worker:1").splitlines()

    def history_json(self) -> Any:
        """The document of `history --format json`."""
        return json.loads(self.done("history", "worker:1", "--format", "json"))


@pytest.fixture
def place(workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy) -> Place:
    push(docker_registry.host, f"up/{workplace.app}", "1", ONE)
    proxy = start_proxy(docker_registry.host)
    source = f"{docker_registry.host}/up/{workplace.app}"
    workplace.write(proxy.host, {"name": "worker", "source": source, "tags": ["1"]}, unlisted="ignore")
    return Place(workplace, proxy)


def test_every_run_that_wrote_the_tag_is_told_the_oldest_first(place: Place) -> None:
    place.apply()
    place.done("retire", "worker:1", "--reason", REASON, "--auto-approve")
    retired = place.history()
    assert retired[0] == place.reference
    assert [line[24:33] for line in retired if line[22:23] and line.startswith("  20")] == ["+ create ", "x tombsto"]
    assert f"  + create     (none) -> {ONE.digest[7:19]}" in retired[1]
    assert retired[2] == "      the registry has no such tag"
    assert retired[5] == f"      {REASON}"
    assert retired[-2].startswith("  now                     tombstone ")
    assert retired[-2].endswith(f", in place of {ONE.digest[7:19]}, which can be put back")
    assert retired[-1] == f"      {REASON}"
    place.done("restore", "worker:1", "--auto-approve")
    document = place.history_json()
    assert document["reference"] == place.reference
    assert [(one["event"], one["kind"]) for one in document["journal"]] == [
        ("wrote", "create"),
        ("wrote", "tombstone"),
        ("wrote", "restore"),
    ]
    assert {one["journal"] for one in document["journal"]} == {
        str(path.relative_to(place.workplace.folder)) for path in place.journals
    }
    assert document["now"] == {"kind": "image", "digest": ONE.digest}


def test_runs_of_the_same_second_are_told_in_the_order_in_which_they_were_written(place: Place) -> None:
    first = place.apply()
    place.done("retire", "worker:1", "--reason", REASON, "--auto-approve")
    (second,) = set(place.journals) - {first}
    for number, (journal, name) in enumerate([(first, "z"), (second, "a")]):
        lines = [json.loads(line) | {"time": "2026-01-01T00:00:00Z"} for line in journal.read_text().splitlines()]
        same_second = journal.with_name(f"{name}.jsonl")
        same_second.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        os.utime(same_second, ns=(0, number))
        journal.unlink()
    assert [one["kind"] for one in place.history_json()["journal"]] == ["create", "tombstone"]


def test_without_a_journal_the_registry_is_asked_alone(place: Place, docker_registry: RegistryServer) -> None:
    push(docker_registry.host, f"{place.workplace.app}/worker", "1", ONE)
    assert place.history() == [
        place.reference,
        "  no run that left a journal here wrote it",
        f"  now                     image {ONE.digest[7:19]}",
    ]
    assert place.history_json()["journal"] == []


def test_a_tag_that_nobody_knows_is_absent(place: Place) -> None:
    assert place.history()[1:] == [
        "  no run that left a journal here wrote it",
        "  now                     the registry has no such tag",
    ]
    assert place.history_json()["now"] == {"kind": "absent"}


def test_a_run_that_ended_too_early_is_told_as_uncertain(place: Place) -> None:
    journal = place.apply()
    first, _, _ = journal.read_bytes().partition(b"\n")
    journal.write_bytes(first + b"\n")
    assert "      uncertain: the run ended before the tag was read back" in place.history()
    assert place.history_json()["journal"][0]["event"] == "writing"


def test_a_journal_whose_last_line_was_cut_off_is_worth_what_it_has(place: Place) -> None:
    journal = place.apply()
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-50])
    assert place.history_json()["journal"][0]["event"] == "writing"
    journal.write_bytes(whole[:50])
    assert place.history_json()["journal"] == []


def test_a_journal_that_was_changed_is_named_and_hides_no_other(place: Place) -> None:
    journal = place.apply()
    broken = journal.with_name("0.jsonl")
    broken.write_bytes(b"{}\n" + journal.read_bytes())
    done = place.workplace.run("history", "worker:1")
    assert done.returncode == 0
    name = broken.relative_to(place.workplace.folder)
    assert done.stderr == f"note: read the journal {name}: line 1 is not an entry of a journal; it is left out\n"
    assert str(journal.relative_to(place.workplace.folder)) in done.stdout


def test_a_tombstone_whose_image_has_lost_a_part_says_so(place: Place) -> None:
    place.apply()
    place.done("retire", "worker:1", "--reason", REASON, "--auto-approve")
    lost = f"/blobs/{ONE.config_digest}"
    place.proxy.script = lambda asked: error(404, "BLOB_UNKNOWN") if asked.path.endswith(lost) else None
    assert place.history()[-2].endswith(f", in place of {ONE.digest[7:19]}, which can't be read any more")
    now = place.history_json()["now"]
    assert (now["kind"], now["reason"], now["replaces"]) == ("tombstone", REASON, ONE.digest)
    assert now["replaced_is_readable"] is False


def test_what_is_no_name_of_a_tag_is_refused(place: Place) -> None:
    assert_refused(place.workplace.run("history", "worker"), 64, "'worker' is not the name of a tag", "IMAGE:TAG")
