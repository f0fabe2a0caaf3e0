"""Words of others in the output of every command: no terminal and no CI runner acts on them, on either stream."""

import json
import re
from pathlib import Path

import pytest

from replsync.oci.digest import Digest, sha256
from replsync.oci.image_manifest import DOCKER_MANIFEST, OCI_MANIFEST
from replsync.oci.tombstone import Epitaph, tombstone_config, tombstone_manifest
from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Asked, Reply
from tests.end_to_end.terminal import terminal
from tests.end_to_end.workplace import Workplace
from tests.render.runners import ALL, acted_on
from tests.servers.command import clean_environment, replsync_command
from tests.servers.images import build_image

WORDS = ALL.replace("\ud800", "")  # what JSON in UTF-8 can hold
REASON = "::error::fake ##[error]fake ##vso[task.complete]fake"  # what a manifest can hold
IMAGE = build_image({"one": b"1"})
GONE = tombstone_config(Epitaph("x", WORDS, Digest(IMAGE.digest), OCI_MANIFEST))
BURIED = tombstone_manifest(GONE)
REFUSED = Reply(400, json.dumps({"errors": [{"code": WORDS, "message": WORDS}]}).encode())
JOURNAL = ".replsync/journal/::error::fake\n::error::fake.jsonl"


def served(raw: bytes, media_type: str) -> Reply:
    return Reply(200, raw, (("Content-Type", media_type), ("Docker-Content-Digest", sha256(raw))))


def answer(asked: Asked) -> Reply:
    """Tags that are tombstones, sources that can be read or not, and nothing that may be written."""
    path = asked.path.partition("?")[0]
    if path == "/v2/":
        return Reply(200)
    if path.endswith(("/manifests/gone", sha256(BURIED))):
        return served(BURIED, DOCKER_MANIFEST)
    if "/acme/" in path and path.endswith(("/manifests/1", IMAGE.digest)):
        return served(IMAGE.manifest, OCI_MANIFEST)
    if path.endswith(sha256(GONE)):
        return Reply(200, GONE)
    if asked.method in ("GET", "HEAD") and path.endswith(("/manifests/1", "/manifests/2", "/manifests/new")):
        return Reply(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')
    if asked.method == "HEAD":
        return Reply(200 if "/manifests/" in path else 404)  # without a digest: what it is has to be read
    return REFUSED


@pytest.fixture
def hostile(workplace: Workplace, start_proxy: StartProxy) -> Workplace:
    """A manifest with a reason, a registry, a source and a journal that all try to command whoever reads the log."""
    host = start_proxy(None, answer).host
    worker = {
        "name": "worker",
        "tags": [{"tag": tag, "source": f"{host}/acme/worker:{tag}"} for tag in ("1", "2", "bad")],
        "retired": [{"tag": "gone", "reason": REASON}],
    }
    workplace.write(host, worker, unlisted="ignore")
    journal = workplace.folder / JOURNAL
    journal.parent.mkdir(parents=True)
    journal.write_text("::error::fake\n")
    (workplace.folder / "::error::fake").mkdir()
    (workplace.folder / "::error::fake" / "a.yaml").write_text("tags: '\x1b[2J ::error::fake'\n::error::fake: ##[x]\n")
    return workplace


@pytest.mark.parametrize(
    "command",
    [
        ("plan", "--verbose"),
        ("plan", "--format", "json"),
        ("plan", "--out", "::error::fake.json"),
        ("apply", "--auto-approve", "--target", "worker:1"),
        ("apply", "--auto-approve", "--target", "worker:gone"),
        ("apply", "--auto-approve", "--target", "worker:1", "--log-format", "json"),
        ("apply", "--auto-approve", "--target", "worker:gone", "--verbose"),
        ("apply", "--auto-approve", "--target", "worker:\n::error::fake"),
        ("retire", "worker:new", "--reason", "\n::error::fake", "--edit-only"),
        ("restore", "worker:gone", "--auto-approve"),
        ("restore", "worker:\n::error::fake", "--auto-approve"),
        ("history", "worker:gone"),
        ("history", "worker:gone", "--format", "json"),
        ("rollback", JOURNAL, "--auto-approve"),
        ("lock",),
        ("validate", "-f", "::error::fake/a.yaml"),
        ("validate", "-f", "\n::error::fake"),
        ("show", "\n##[error]fake"),
        ("::error::fake",),
        ("plan", "--format", "\n::error::fake"),
    ],
)
def test_no_command_prints_what_a_runner_acts_on(hostile: Workplace, command: tuple[str, ...]) -> None:
    done = hostile.run(*command)
    assert "Traceback" not in done.stderr
    assert "fake" in done.stdout + done.stderr
    assert acted_on(done.stdout) == []
    assert acted_on(done.stderr) == []


def test_what_is_saved_is_shown_harmless(hostile: Workplace) -> None:
    hostile.run("plan", "--out", "plan.json", "--target", "worker:gone")
    for form in ("text", "json"):
        done = hostile.run("show", "plan.json", "--format", form)
        assert done.returncode == 0, done.stderr
        assert "fake" in done.stdout
        assert acted_on(done.stdout) == []
    assert acted_on((hostile.folder / "plan.json").read_text()) == []


def test_a_narrow_terminal_begins_no_line_in_the_middle_of_a_registrys_words(hostile: Workplace) -> None:
    command = replsync_command("apply", "--auto-approve", "--no-color", "--target", "worker:1")
    environment = clean_environment(hostile.folder, {"COLUMNS": "60"})
    with terminal(command, hostile.folder, environment) as shown:
        assert shown.ended() == 6, shown.output
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.output).replace("\r", "\n").split("\n")
    (line,) = (line for line in lines if line.startswith("! worker:1 create: failed: "))
    assert len(line) > 200
    assert [line for line in lines if acted_on(line)] == []


def test_a_journal_holds_no_line_that_a_runner_acts_on(hostile: Workplace) -> None:
    hostile.run("apply", "--auto-approve", "--target", "worker:gone")
    for path in (hostile.folder / ".replsync/journal").glob("20*.jsonl"):
        assert acted_on(Path(path).read_text()) == []
