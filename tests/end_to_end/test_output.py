"""What is printed, where, and byte for byte."""

import hashlib
import json
import os
import re
import subprocess
from typing import Any

import pytest

from replsync import __version__
from replsync.oci.digest import Digest, sha256, short
from replsync.oci.tombstone import EMPTY_LAYER, Epitaph, tombstone_config, tombstone_manifest
from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Reply
from tests.end_to_end.workplace import MANIFEST, Workplace, assert_refused
from tests.servers.command import clean_environment, replsync_command
from tests.servers.images import BuiltImage, build_image
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.skopeo import Skopeo

EPOCH = {"SOURCE_DATE_EPOCH": "1767225600"}  # 2026-01-01T00:00:00Z
HEADERS = (
    ("Docker-Content-Digest", "sha256:" + "0" * 64),
    ("Content-Type", "application/vnd.oci.image.manifest.v1+json"),
)
REASON = "CVE-2026-1234 – use 1.10, schönes Wochenende"
MORE = "  more: replsync explain blocked-plan\n"
ONE = build_image({"one": b"1" * 2000})
TWO = build_image({"two": b"2" * 2000})


def size(image: BuiltImage) -> int:
    return sum(map(len, image.blobs.values()))


@pytest.fixture
def every_kind(workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer) -> Workplace:
    """A manifest whose plan has an action of every kind."""
    host, repository = docker_registry.host, f"{workplace.app}/api"
    push(host, repository, "restored", ONE)
    workplace.write(host, {"name": "api", "retired": [{"tag": "restored", "reason": "a mistake"}]})
    workplace.apply()
    for tag in ("edge", "extra", "retired", "same"):
        push(host, repository, tag, ONE)
    push(host, f"{workplace.app}/worker", "1.10", ONE)
    for tag in ("edge", "new"):
        push(source.host, "acme/api", tag, TWO)
    for tag in ("restored", "same"):
        push(source.host, "acme/api", tag, ONE)
    push(source.host, "acme/worker", "1.10", TWO)
    api = {
        "name": "api",
        "source": f"{source.host}/acme/api",
        "mutable": ["edge"],
        "tags": ["new", "edge", "restored", "same"],
        "retired": [{"tag": "retired", "reason": REASON}],
    }
    workplace.write(host, api, {"name": "worker", "source": f"{source.host}/acme/worker", "tags": ["1.10"]})
    return workplace


def test_a_plan_with_every_kind_of_action_as_text(
    every_kind: Workplace, docker_registry: RegistryServer, source: RegistryServer, skopeo: Skopeo
) -> None:
    repository = f"{docker_registry.host}/{every_kind.app}/api"
    old_tombstone = skopeo.digest(f"{repository}:restored")
    epitaph = Epitaph(f"{repository}:retired", REASON, Digest(ONE.digest), ONE.media_type)
    new_config = tombstone_config(epitaph)
    new_tombstone = sha256(tombstone_manifest(new_config))
    one, two = short(ONE.digest), short(TWO.digest)
    done = every_kind.run("plan", "--verbose")
    assert done.stdout == (
        f"""\
{repository}  (1 to create, 1 to update, 1 to restore, 1 to tombstone; 1 unchanged, 1 unlisted)
  + new       create     (none) -> {two}  (nothing of {size(TWO)} B to send)
      the registry has no such tag
      from docker://{source.host}/acme/api:new
      after {TWO.digest}
  ~ edge      update     {one} -> {two}  ({size(TWO)} B to send)
      the source has another image, and the tag is mutable
      from docker://{source.host}/acme/api:edge
      before {ONE.digest}
      after {TWO.digest}
  < restored  restore    tombstone {short(old_tombstone)} -> {one}  (nothing of {size(ONE)} B to send)
      retired before, and listed again; what the tombstone replaced is put back
      from docker://{repository}@{ONE.digest}
      before {old_tombstone}
      after {ONE.digest}
  x retired   tombstone  {one} -> tombstone {short(new_tombstone)}  ({len(new_config) + len(EMPTY_LAYER)} B to send)
      {REASON}
      before {ONE.digest}
      after {new_tombstone}
  ? extra     unlisted   {one}
      not listed in the manifest
      is {ONE.digest}
  = same      unchanged  {one}
      the registry has this image
      is {ONE.digest}

Blocked; nothing is written until these are settled:
  ! {docker_registry.host}/{every_kind.app}/worker:1.10
      immutable: the tag holds {one}, docker://{source.host}/acme/worker:1.10 is {two}
      next: push that to a new tag, keep what is there with `digest: {ONE.digest}`, or list the tag under `mutable`

Plan: 1 to create, 1 to update, 1 to restore, 1 to tombstone; 1 unchanged, 1 unlisted, 1 blocked.
"""
    )
    assert done.stderr == MORE
    assert done.returncode == 7


def test_a_blocked_plan_is_printed_as_json_too(every_kind: Workplace) -> None:
    done = every_kind.run("plan", "--format", "json")
    assert done.returncode == 7
    assert done.stderr == MORE
    assert json.loads(done.stdout)["summary"] == {
        "create": 1,
        "update": 1,
        "restore": 1,
        "tombstone": 1,
        "unchanged": 1,
        "blocked": 1,
        "unlisted": 1,
    }


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def test_the_plan_document_has_exactly_the_keys_of_its_format(
    every_kind: Workplace, docker_registry: RegistryServer, source: RegistryServer
) -> None:
    done = every_kind.run("plan", "--format", "json", env=EPOCH)
    document = json.loads(done.stdout)
    assert document.keys() == {
        *("format", "tool", "created_at", "engine", "manifests", "targets", "warnings", "notes", "summary", "actions"),
        "digest",
    }
    assert document["format"] == "replsync.plan/1"
    assert document["tool"] == f"replsync {__version__}"
    assert document["created_at"] == "2026-01-01T00:00:00Z"
    assert document["manifests"] == [
        {
            "path": MANIFEST,
            "sha256": "sha256:" + hashlib.sha256(every_kind.manifest.read_bytes()).hexdigest(),
            "registry": docker_registry.host,
            "app": every_kind.app,
            "lock": None,
        }
    ]
    keys = {
        "kind",
        "image",
        "tag",
        "reference",
        "before",
        "after",
        "source",
        "tombstone",
        "reason",
        "next_move",
        "notes",
        "bytes",
    }
    for action in document["actions"]:
        assert action.keys() == keys
        assert action["bytes"].keys() == {"total", "upload", "mount"}
        for state in (action["before"], action["after"]):
            assert state is None or state.keys() == {"kind", "digest", "config", "made_from"}
        assert action["source"] is None or action["source"].keys() == {
            "reference",
            "digest",
            "attestations",
            "platforms",
            "split_over",
            "refuse_over",
        }
    update = document["actions"][0]
    assert update == {
        "kind": "update",
        "image": "api",
        "tag": "edge",
        "reference": f"{docker_registry.host}/{every_kind.app}/api:edge",
        "before": {"kind": "image", "digest": ONE.digest, "config": ONE.config_digest, "made_from": None},
        "after": {"kind": "image", "digest": TWO.digest, "config": None, "made_from": None},
        "source": {
            "reference": f"docker://{source.host}/acme/api:edge",
            "digest": TWO.digest,
            "attestations": "keep",
            "platforms": [],
            "split_over": None,
            "refuse_over": None,
        },
        "tombstone": None,
        "reason": "the source has another image, and the tag is mutable",
        "next_move": None,
        "notes": [],
        "bytes": {"total": size(TWO), "upload": size(TWO), "mount": 0},
    }


def test_the_plan_document_is_canonical_and_sealed_and_the_same_each_time(every_kind: Workplace) -> None:
    first, second = (every_kind.run("plan", "--format", "json", env=EPOCH).stdout for _ in range(2))
    assert first == second
    document = json.loads(first)
    assert first == canonical(document) + "\n"
    assert REASON in first
    digest = document.pop("digest")
    assert digest == "sha256:" + hashlib.sha256(canonical(document).encode()).hexdigest()


def test_output_is_utf_8_whatever_the_locale_says(every_kind: Workplace) -> None:
    done = every_kind.run("plan", env={"PYTHONIOENCODING": "latin-1"})
    assert done.returncode == 7, done.stderr
    assert REASON in done.stdout


def test_the_plan_goes_to_stdout_and_progress_to_stderr_as_plain_lines(
    workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer
) -> None:
    push(source.host, "acme/worker", "1", ONE)
    worker = {"name": "worker", "source": f"{source.host}/acme/worker", "tags": ["1"]}
    workplace.write(docker_registry.host, worker)
    done = workplace.apply()
    (journal,) = (workplace.folder / ".replsync/journal").iterdir()
    name = journal.relative_to(workplace.folder)
    assert done.stderr == (
        f"+ worker:1 create: done, {short(ONE.digest)}\nJournal: {name}\nTo take this back: replsync rollback {name}\n"
    )
    assert done.stdout.endswith(f"\nPlan: 1 to create. {size(ONE)} B to send.\nApply: 1 created.\n")


def test_quiet_shows_no_progress(workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer) -> None:
    push(source.host, "acme/worker", "1", ONE)
    worker = {"name": "worker", "source": f"{source.host}/acme/worker", "tags": ["1"]}
    workplace.write(docker_registry.host, worker)
    done = workplace.apply("--quiet")
    assert done.stderr == ""
    assert done.stdout.endswith("Apply: 1 created.\n")


@pytest.mark.parametrize("args", [("plan", "--verbose"), ("plan", "--format", "json"), ("--help",)])
def test_a_reader_that_goes_away_is_no_traceback(
    workplace: Workplace, docker_registry: RegistryServer, args: tuple[str, ...]
) -> None:
    workplace.write(docker_registry.host, {"name": "worker", "tags": ["1"]})
    ours, theirs = os.pipe()
    os.close(ours)  # as `| head -0` does, and sooner
    with os.fdopen(theirs, "wb") as closed:
        done = subprocess.run(
            replsync_command(*args),
            cwd=workplace.folder,
            env=clean_environment(workplace.folder),
            stdin=subprocess.DEVNULL,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.stderr == ""
    assert done.returncode == 141  # 128 + SIGPIPE, as a shell would say of a program that the signal ended


def test_a_manifest_whose_name_is_not_text(workplace: Workplace) -> None:
    name = os.fsdecode(b"\xff.yaml")
    (workplace.folder / name).write_text("version: 1")
    assert_refused(workplace.run("plan", "-f", name), 3, r"read the manifest '\udcff.yaml': its name is not UTF-8")


def test_control_characters_from_a_registry_do_not_reach_the_terminal(
    workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy
) -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": "\x1b]0;owned\x07\nApply: 1 created."}]}).encode()
    rude = start_proxy(None, lambda asked: Reply(200 if asked.method == "HEAD" else 400, body, HEADERS))
    workplace.write(docker_registry.host, {"name": "worker", "source": f"{rude.host}/acme/worker", "tags": ["1"]})
    done = workplace.run("plan")
    assert done.returncode == 7, done.stderr
    assert "owned" in done.stdout
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stdout)
    assert "\nApply:" not in done.stdout
