"""`policy.max_layer_size`: a layer that is too large is named before anything is sent."""

import json
import random
from dataclasses import dataclass
from typing import Any

import pytest

from tests.end_to_end.desk import writes
from tests.end_to_end.workplace import Workplace
from tests.servers.images import BuiltImage, BuiltIndex, build_image, build_index, digest_of
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox

LIMIT = {"max_layer_size": "2MB"}
LARGE, OTHER = (random.Random(seed).randbytes(3_000_000) for seed in (1, 2))  # gzip makes them no smaller
BIG = build_image({"large": LARGE})
SMALL = build_image({"small": b"x"})
NEXT = "set policy.oversize_layers: split, make the layer smaller, or raise policy.max_layer_size"


def short(layer: bytes) -> str:
    return digest_of(layer).removeprefix("sha256:")[:12]


@dataclass
class Place:
    """A manifest for a sandbox, with a source elsewhere."""

    workplace: Workplace
    sandbox: RunningSandbox
    source: RegistryServer

    def push(self, tag: str, image: BuiltImage | BuiltIndex, name: str = "worker") -> None:
        push(self.sandbox.host, f"{self.workplace.app}/{name}", tag, image, self.sandbox.credentials)

    def write(self, *tags: str, limit: dict[str, str] | None = LIMIT, **worker: Any) -> None:
        """Write a manifest with the image `worker`, and `api` beside it."""
        image = {"name": "worker", "source": f"{self.source.host}/{self.workplace.app}", "tags": tags, **worker}
        beside = {"name": "api", "source": f"{self.source.host}/{self.workplace.app}"}
        self.workplace.write(self.sandbox.host, image, beside, policy=limit or {})

    def offer(self, tag: str, image: BuiltImage | BuiltIndex) -> None:
        push(self.source.host, self.workplace.app, tag, image)


@pytest.fixture
def place(workplace: Workplace, sandbox: RunningSandbox, docker_registry: RegistryServer) -> Place:
    """A place without any image."""
    workplace.env["REPLICATED_API_TOKEN"] = sandbox.credentials.password
    return Place(workplace, sandbox, docker_registry)


def test_a_layer_over_the_limit_blocks_the_plan_and_nothing_is_sent(place: Place) -> None:
    place.offer("1", SMALL)
    place.offer("2", BIG)
    place.write("1", "2")
    for command in (["plan"], ["apply", "--auto-approve"]):
        done = place.workplace.run(*command)
        assert done.returncode == 7, done.stderr
        assert f"/worker:2\n      layer {short(BIG.layers[0])} (3.0 MB) is larger than" in done.stdout
        assert f"policy.max_layer_size, 2.0 MB\n      next: {NEXT}\n" in done.stdout
        assert "Plan: 1 to create; 1 blocked.\n" in done.stdout
    assert writes(place.sandbox) == []


def test_a_higher_limit_lets_it_through(place: Place) -> None:
    place.offer("2", BIG)
    place.write("2", limit={"max_layer_size": "3.1MB"})
    assert "Apply: 1 created.\n" in place.workplace.apply().stdout
    assert place.workplace.is_in_sync()


def test_without_a_limit_it_is_not_spoken_of(place: Place) -> None:
    place.offer("2", BIG)
    place.write("2", limit=None)
    action = place.workplace.actions()["worker:2"]
    assert (action["kind"], action["notes"]) == ("create", [])


def test_the_layers_of_an_index_are_named_with_their_platforms(place: Place) -> None:
    arm = build_image({"large": OTHER}, platform="linux/arm64", base=SMALL)
    place.offer("2", build_index([BIG, arm]))
    place.write("2")
    reason = place.workplace.actions()["worker:2"]["reason"]
    assert f"layers {short(BIG.layers[0])} (3.0 MB, linux/amd64) and {short(arm.layers[1])} (3.0 MB, linux/" in reason
    assert "make them smaller, or raise policy.max_layer_size" in reason


def test_a_layer_that_is_there_already_is_not_sent_and_blocks_nothing(place: Place) -> None:
    place.push("0", BIG)
    place.offer("2", build_image({"more": b"y"}, base=BIG))
    place.write("2")
    assert "Apply: 1 created.\n" in place.workplace.apply().stdout


def test_a_layer_that_is_mounted_is_not_sent_and_blocks_nothing(place: Place) -> None:
    place.push("0", BIG, "api")
    place.offer("2", build_image({"more": b"y"}, base=BIG))
    place.write("2")
    action = place.workplace.actions()["worker:2"]
    assert (action["kind"], action["bytes"]["mount"]) == ("create", len(BIG.layers[0]))


def test_all_tags_that_need_the_layer_are_blocked_and_not_only_the_first(place: Place) -> None:
    place.offer("2", BIG)
    place.offer("3", build_image({"more": b"y"}, base=BIG))
    place.write("2", "3")
    assert place.workplace.kinds() == {"worker:2": "blocked", "worker:3": "blocked"}
    assert place.workplace.kinds("--target", "worker:3") == {"worker:3": "blocked"}


def test_an_update_that_sends_it_is_blocked(place: Place) -> None:
    place.push("2", SMALL)
    place.offer("2", BIG)
    place.write("2", mutable=["2"])
    assert place.workplace.kinds() == {"worker:2": "blocked"}


def test_a_restore_that_puts_back_what_is_there_is_free_and_one_that_copies_is_not(place: Place) -> None:
    place.push("1", BIG)
    place.push("2", SMALL)
    place.write(retired=[{"tag": tag, "reason": "old"} for tag in ("1", "2")])
    assert "Apply: 2 tombstoned.\n" in place.workplace.apply().stdout
    place.offer("1", BIG)
    place.offer("2", build_image({"large": OTHER}))
    place.write("1", "2")
    assert place.workplace.kinds() == {"worker:1": "restore", "worker:2": "blocked"}
    assert "Apply: 1 restored.\n" in place.workplace.apply("--target", "worker:1").stdout


@pytest.mark.parametrize("way_back", ["restore", "rollback"])
def test_the_ways_back_put_back_a_large_image(place: Place, way_back: str) -> None:
    place.push("1", BIG)
    place.write("1")
    run = place.workplace.run
    assert run("retire", "worker:1", "--reason", "old", "--auto-approve").returncode == 0
    (journal,) = (place.workplace.folder / ".replsync/journal").iterdir()
    done = run(way_back, journal if way_back == "rollback" else "worker:1", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Apply: 1 restored.\n" in done.stdout


def test_a_saved_plan_keeps_the_block(place: Place) -> None:
    place.offer("2", BIG)
    place.write("2")
    assert place.workplace.run("plan", "--out", "plan.json").returncode == 7
    shown = place.workplace.run("show", "plan.json")
    assert (shown.returncode, NEXT in shown.stdout) == (0, True)
    applied = place.workplace.run("apply", "plan.json")
    assert applied.returncode == 7
    assert NEXT in applied.stdout
    assert writes(place.sandbox) == []


def test_with_locked_no_source_is_asked_and_a_warning_says_what_was_not_checked(place: Place) -> None:
    place.offer("2", BIG)
    place.write("2")
    assert place.workplace.run("lock").returncode == 0
    done = place.workplace.run("plan", "--locked", "--format", "json")
    assert done.returncode == 0, done.stderr
    (warning,) = json.loads(done.stdout)["warnings"]
    assert warning.startswith("policy.max_layer_size is not checked for 1 tag: ")
    place.write("2", limit=None)
    assert place.workplace.run("lock").returncode == 0
    assert json.loads(place.workplace.run("plan", "--locked", "--format", "json").stdout)["warnings"] == []
