"""Files that are no plans, and plans that somebody changed: refused, and no registry hears of it."""

import copy
from collections.abc import Callable

import pytest

from tests.end_to_end.desk import FOREIGN, Desk
from tests.end_to_end.workplace import Workplace, assert_refused
from tests.plan.tampering import Document, recounted, signed, written
from tests.servers.sandbox import RunningSandbox


@pytest.fixture
def desk(workplace: Workplace, sandbox: RunningSandbox) -> Desk:
    """A desk at the sandbox."""
    made = Desk(workplace, sandbox.host, sandbox.credentials)
    made.set_up()
    return made


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", 3, id="empty"),
        pytest.param(b'{"name": "worker", "version": "1.0.0", "dependencies": {}}\n', 3, id="package.json"),
        pytest.param(b"\x7fELF\0\xff\x1b[2J", 3, id="binary"),
        pytest.param(b"[" * 1_000_000, 3, id="deep"),
        pytest.param(
            b'{"format":"replsync.plan/1","actions":' + b"[" * 5000 + b"]" * 5000 + b"}", 3, id="deep actions"
        ),
        pytest.param(b" " * 65 * 1024 * 1024, 3, id="65 MB"),
        pytest.param(b"NaN", 3, id="NaN"),
        pytest.param(b'{"format":"replsync.plan/1","actions":[NaN]}', 5, id="NaN in a plan"),
        pytest.param(b'{"format":"replsync.plan/1","tool":"\\ud800"}', 5, id="half a surrogate pair"),
        pytest.param(b'{"format":"replsync.plan/1","format":"replsync.plan/1"}', 5, id="a key twice"),
    ],
)
def test_what_is_no_plan_is_refused(workplace: Workplace, data: bytes, code: int) -> None:
    (workplace.folder / "plan.json").write_bytes(data)
    done = workplace.run("apply", "plan.json")
    assert_refused(done, code, "replsync: read the plan plan.json: ")
    assert done.stdout == ""


@pytest.mark.parametrize(("name", "said"), [("missing.json", "there is no such file"), (".", "Is a directory")])
def test_a_plan_that_can_not_be_read_is_told(workplace: Workplace, name: str, said: str) -> None:
    for command in ("show", "apply"):
        assert_refused(workplace.run(command, name), 3, f"read the plan {name}: {said}")


def test_a_plan_of_the_future_is_refused(desk: Desk) -> None:
    desk.plan()
    desk.saved.write_bytes(written(signed({**desk.document(), "format": "replsync.plan/2", "engine": "teleport"})))
    for command in ("show", "apply"):
        assert_refused(desk.workplace.run(command, "plan.json"), 5, "plan.json: it has the format replsync.plan/2")


def _digest_in_file(document: Document) -> Document:
    document["actions"][3]["source"]["digest"] = FOREIGN.digest
    return document


def _source_digest(document: Document) -> Document:
    return signed(_digest_in_file(document))


def _other_tag(document: Document) -> Document:
    action = document["actions"][3]
    action["reference"] = action["reference"].replace(":latest", ":stable")
    return signed(document)


def _other_order(document: Document) -> Document:
    document["actions"].reverse()
    return signed(document)


def _other_reason(document: Document) -> Document:
    document["actions"][0]["reason"] = "by order of the management"
    return signed(document)


def _other_engine(document: Document) -> Document:
    return signed({**document, "engine": "docker"})


def _other_kind(document: Document) -> Document:
    document["actions"][0]["kind"] = "unchanged"
    return signed(recounted(document))


def _wrong_count(document: Document) -> Document:
    return signed({**document, "summary": {**document["summary"], "tombstone": 0}})


def _one_more(document: Document) -> Document:
    return signed({**document, "approved_by": "nobody"})


def _without_digest(document: Document) -> Document:
    return {key: value for key, value in document.items() if key != "digest"}


TAMPERED: tuple[Callable[[Document], Document], ...] = (
    *(_digest_in_file, _source_digest, _other_tag, _other_order, _other_reason),
    *(_other_engine, _other_kind, _wrong_count, _one_more, _without_digest),
)


def test_a_plan_that_was_changed_reaches_no_registry(desk: Desk, sandbox: RunningSandbox) -> None:
    desk.plan()
    original = desk.document()
    sandbox.answered.clear()
    for tamper in TAMPERED:
        desk.saved.write_bytes(written(tamper(copy.deepcopy(original))))
        done = desk.workplace.run("apply", "plan.json")
        assert_refused(done, 5, "read the plan plan.json: it was changed after it was made")
        assert sandbox.answered == [], tamper
    desk.saved.write_bytes(written(signed(original)))
    assert desk.workplace.run("apply", "plan.json").returncode == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"path": "\x1b[2J/nowhere.yaml"},
        {"path": "a\0b"},
        {"path": ""},
        {"path": "x" * 5000},
        {"sha256": FOREIGN.digest},
        {"lock": FOREIGN.digest},
    ],
    ids=["control characters", "a null character", "no path", "a long path", "another manifest", "another lock"],
)
def test_a_plan_with_a_new_digest_still_has_to_fit_its_manifest(
    desk: Desk, sandbox: RunningSandbox, changed: dict[str, str]
) -> None:
    desk.plan()
    document = desk.document()
    document["manifests"][0].update(changed)
    desk.saved.write_bytes(written(signed(document)))
    sandbox.answered.clear()
    done = desk.workplace.run("apply", "plan.json")
    assert_refused(done, 5, "the plan")
    assert "\x1b" not in done.stderr
    assert sandbox.answered == []


def test_a_plan_of_the_same_manifest_twice_is_not_taken(desk: Desk) -> None:
    desk.plan()
    document = desk.document()
    desk.saved.write_bytes(written(signed({**document, "manifests": document["manifests"] * 2})))
    assert_refused(
        desk.workplace.run("apply", "plan.json"),
        5,
        "plan.json: it was changed after it was made: a manifest is named twice",
    )
