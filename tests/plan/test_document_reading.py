"""Reading saved plans: what is no plan, what was changed, and what a change can come to that nobody finds out."""

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from replsync.errors import InvalidInput, StalePlan
from replsync.manifest.model import Manifest
from replsync.plan.action import Bury, Copy, Kind, State, Write
from replsync.plan.document import Plan, plan_json
from replsync.plan.document_reading import MAX_SIZE, read_plan
from replsync.plan.document_schema import plan_schema
from replsync.plan.planner import Situation, decide
from tests.plan.saved_plans import PLANS, every_kind, saved, sha512
from tests.plan.tampering import Document, Tampering, recounted, signed, tamperings, written
from tests.plan.test_properties import situations

PUBLISHED = Path(__file__).parents[2] / "schemas" / "plan.schema.json"
CHOICES = {
    "kind": [*map(str, Kind), "image", "nothing"],
    "engine": ["registry", "docker", "podman"],
    "format": ["replsync.plan/0", "replsync.plan/2", "replsync.plan/1.0", "replsync.journal/1"],
    "created_at": ["2027-01-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00+00:00"],
}

_TEXT = {"empty", "longer", "upper case", "a newline behind it", "a control character in it"}

DESCRIPTIVE = {
    *("tool", "created_at", "targets", "targets[]", "warnings", "warnings[]", "notes", "notes[]"),
    *("actions[].reason", "actions[].next_move", "actions[].notes", "actions[].notes[]"),
    *("actions[].bytes", "actions[].bytes.total", "actions[].bytes.upload", "actions[].bytes.mount"),
    # It is shown beside a digest, which settles what is meant; and the same digest may come from elsewhere.
    *("actions[].before.config", "actions[].after.config", "actions[].source.reference"),
    "engine",  # where nothing is written
}
"""What may be changed in a plan, with a new digest, and nothing else is done than before."""

ANOTHER_PLAN = {
    # What `apply` compares with the manifests and their lock files. Their order says where a tag that none names is
    # recorded, and no more.
    "manifests": {"two in another order"},
    "manifests[].path": _TEXT,
    "manifests[].sha256": {"another hex digit", "that of another"},
    "manifests[].lock": {"another hex digit", "that of another", "NoneType in its place"},
    # What `apply` compares with the registry before it writes anything.
    "actions[].before": {"that of another", "swapped with the next action's", "NoneType in its place"},
    "actions[].before.digest": {"another hex digit", "that of another", "swapped with the next action's"},
    "actions[].before.kind": {"another choice"},
    # A part of the plan; and what is neither written nor to be written, by another name.
    "actions": {"one removed"},
    "actions[].kind": {"another choice"},
    # By docker alone: the image to be, or its source. Which of them is the other's, only an engine can say.
    "actions[].after": {"that of another", "swapped with the next action's"},
    "actions[].after.config": {"another hex digit", "that of another", "swapped with the next action's"},
    "actions[].source": {"that of another", "swapped with the next action's"},
    "actions[].source.digest": {"another hex digit", "that of another"},
    # Of an image that is changed on its way: what it becomes is compared before anything is sent.
    "actions[].after.digest": {"another hex digit", "that of another"},
    "actions[].after.made_from": {"another hex digit"},
    "actions[].source.attestations": {"that of another"},
    "actions[].source.platforms": {"one twice", "that of another"},
    "actions[].source.platforms[]": {"longer"},
    "actions[].source.split_over": {"int in its place"},
    # Of an image that is exported first: its layers are compared before anything is sent.
    "actions[].source.refuse_over": {"int in its place"},
    "engine": {"another choice"},  # the daemon's images, which both engines know by image ID alone
}
"""What may be changed, with a new digest, so that it is the whole plan for something else."""


def document(plan: Plan) -> Document:
    body: Document = json.loads(plan_json(plan))
    return body


def is_taken(data: bytes) -> Plan | None:
    """The plan, if it is taken for one; whatever else happens than a refusal fails the test."""
    try:
        return read_plan(data, "plan.json")
    except (StalePlan, InvalidInput):
        return None


def effect(plan: Plan) -> Any:
    """All that carrying out a plan depends on: what it was made from, and each tag's states."""
    actions = [(a.kind, a.reference, _known(a.before), _known(a.after), _written(a.write)) for a in plan.actions]
    return plan.manifests, plan.engine if plan.writes else None, actions


def _known(state: State | None) -> Any:
    """A digest settles what a state is; its config counts where there is none."""
    return state and (state.kind, state.digest or state.config or state.made_from)


def _written(write: Write | None) -> Any:
    match write:
        case Copy(source, digest, transforms):
            return type(source), digest, transforms
        case Bury() | None:
            return write


@functools.cache
def taken(name: str) -> tuple[tuple[Tampering, Plan], ...]:
    """The changes that aren't found out when the digest and the summary are made anew, and what is read then."""
    found = []
    for tampering in tamperings(document(PLANS[name]), CHOICES):
        if tampering.member == "digest" or tampering.member.startswith("summary."):
            continue  # made anew, they are as before
        plan = is_taken(written(signed(recounted(tampering.document))))
        if plan:
            found.append((tampering, plan))
    return tuple(found)


def merely_described(name: str) -> set[str]:
    """The members of which a change has no effect."""
    return {tampering.member for tampering, plan in taken(name) if effect(plan) == effect(PLANS[name])}


def made_another(name: str) -> dict[str, set[str]]:
    """The members of which a change makes another plan, and how."""
    found: dict[str, set[str]] = {}
    for tampering, plan in taken(name):
        if effect(plan) != effect(PLANS[name]):
            found.setdefault(tampering.member, set()).add(tampering.what)
    return found


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_read_as_it_was_written(name: str) -> None:
    assert read_plan(plan_json(PLANS[name]).encode(), name) == PLANS[name]


def test_the_examples_have_every_kind_of_action() -> None:
    assert {action.kind for plan in PLANS.values() for action in plan.actions} == set(Kind)


def test_a_source_may_be_pinned_by_sha512() -> None:
    assert read_plan(plan_json(sha512()).encode(), "plan.json") == sha512()


@given(situations())
def test_whatever_is_planned_can_be_saved_and_read(case: tuple[Manifest, Situation]) -> None:
    file, situation = case
    plan = saved(decide(file, situation), "docker" if situation.daemon_pushes else "registry", targets=())
    assert read_plan(plan_json(plan).encode(), "plan.json") == plan


@pytest.mark.parametrize("name", PLANS)
def test_any_change_is_found_out_by_the_digest(name: str) -> None:
    for tampering in tamperings(document(PLANS[name]), CHOICES):
        with pytest.raises((StalePlan, InvalidInput)) as refused:
            read_plan(written(tampering.document), "plan.json")
        is_later = tampering.document.get("format") == "replsync.plan/2"
        assert is_later != ("it was changed after it was made" in refused.value.message), tampering


@pytest.mark.parametrize("name", PLANS)
def test_a_change_with_a_new_digest_is_refused_or_only_describes_or_makes_another_whole_plan(name: str) -> None:
    """Whoever can compute a digest can write a plan. What is taken then has to be a whole one, and is listed here."""
    assert merely_described(name) <= DESCRIPTIVE
    another = made_another(name)
    assert another.keys() <= ANOTHER_PLAN.keys()
    assert {
        member: ways - ANOTHER_PLAN[member] for member, ways in another.items() if ways - ANOTHER_PLAN[member]
    } == {}


def test_the_lists_of_what_is_taken_have_nothing_that_is_refused() -> None:
    assert set().union(*map(merely_described, PLANS)) == DESCRIPTIVE
    another: dict[str, set[str]] = {}
    for name in PLANS:
        for member, ways in made_another(name).items():
            another.setdefault(member, set()).update(ways)
    assert another == ANOTHER_PLAN


def test_only_what_docker_chooses_can_be_moved_to_another_image() -> None:
    """Where the digest is known, source and result are bound to each other, if nothing is changed on the way."""
    bound = {"actions[].after", "actions[].after.config", "actions[].source", "actions[].source.digest"}
    assert {name for name in PLANS if bound & made_another(name).keys()} <= {
        name for name, plan in PLANS.items() if plan.engine == "docker" or name == "changed"
    }


@pytest.mark.parametrize("name", PLANS)
def test_a_new_kind_writes_nothing_that_was_not_to_be_written(name: str) -> None:
    for tampering, plan in taken(name):
        if tampering.member == "actions[].kind":
            assert plan.writes == PLANS[name].writes


def _changed(**members: Any) -> bytes:
    return written(signed({**document(every_kind()), **members}))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0\xff\xfe\x1b", id="binary"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"format":' * 100_000, id="deep objects"),
        pytest.param(b'{"name":"worker","version":"1.0.0","dependencies":{}}', id="package.json"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b'"\\ud800"', id="half a surrogate pair"),
        pytest.param(b'{"digest":' + b"9" * 5000 + b"}", id="a long number"),
        pytest.param(b"version: 1\nimages: []\n", id="YAML"),
    ],
)
def test_what_is_no_plan_is_no_stale_plan_either(data: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^read the plan x\.json: it is "):
        read_plan(data, "x.json")


def test_a_file_that_is_too_large_is_not_parsed() -> None:
    with pytest.raises(InvalidInput, match="more than 67108864 bytes"):
        read_plan(plan_json(every_kind()).encode().ljust(MAX_SIZE + 1), "plan.json")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_changed(warnings=["\ud800"]), id="half a surrogate pair"),
        pytest.param(
            _changed(warnings=["\ud800"]).decode(errors="surrogatepass").encode("utf-16", "surrogatepass"), id="16"
        ),
        pytest.param(plan_json(every_kind()).encode("utf-16"), id="UTF-16"),
        pytest.param(plan_json(every_kind()).encode("utf-8-sig"), id="a byte order mark"),
        pytest.param(plan_json(every_kind()).encode() + b"\n", id="one more line"),
        pytest.param(plan_json(every_kind()).encode()[:-1], id="no newline"),
        pytest.param(plan_json(every_kind()).encode().replace(b"{", b"{ ", 1), id="white space"),
        pytest.param(plan_json(every_kind()).encode().replace(b"{", b'{"actions":[],', 1), id="a key twice"),
        pytest.param(plan_json(every_kind()).encode().replace(b"600", b"NaN"), id="NaN"),
        pytest.param(plan_json(every_kind()).encode().replace(b"600", b"1e999"), id="infinity"),
        pytest.param(json.dumps(document(every_kind())).encode(), id="by another program"),
    ],
)
def test_a_plan_in_other_bytes_was_changed(data: bytes) -> None:
    with pytest.raises(StalePlan, match="it was changed after it was made"):
        read_plan(data, "plan.json")


@pytest.mark.parametrize("depth", [*range(880, 1000, 7), 5000, 50_000])
def test_a_deep_member_is_refused_at_whatever_depth(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    for member in (b'{"actions":[],"format":%s}', b'{"format":"replsync.plan/1","notes":%s}'):
        with pytest.raises((StalePlan, InvalidInput)):
            read_plan(member % deep, "plan.json")


@pytest.mark.parametrize("version", ["2", "10", "999999999"])
def test_a_later_format_is_told_apart_from_a_change(version: str) -> None:
    with pytest.raises(
        StalePlan, match=f"it has the format replsync.plan/{version}, this replsync reads replsync.plan/1"
    ):
        read_plan(_changed(format=f"replsync.plan/{version}", engine="teleport"), "plan.json")


@pytest.mark.parametrize("format", ["replsync.plan/0", "replsync.plan/01", "replsync.plan/2x", "terraform/2", 2, None])
def test_another_format_is_none_of_the_future(format: object) -> None:
    with pytest.raises(StalePlan, match="it was changed after it was made"):
        read_plan(_changed(format=format), "plan.json")


def test_the_published_schema_is_that_of_the_code() -> None:
    published = json.loads(PUBLISHED.read_text())
    Draft202012Validator.check_schema(published)
    assert published == plan_schema()


@given(situations())
def test_whatever_is_planned_fits_the_published_schema(case: tuple[Manifest, Situation]) -> None:
    file, situation = case
    plan = saved(decide(file, situation), "docker" if situation.daemon_pushes else "registry")
    Draft202012Validator(json.loads(PUBLISHED.read_text())).validate(document(plan))


@pytest.mark.parametrize("name", PLANS)
def test_the_published_schema_wants_every_property_and_no_other(name: str) -> None:
    validator = Draft202012Validator(json.loads(PUBLISHED.read_text()))
    assert validator.is_valid(document(PLANS[name]))
    tried = 0
    for tampering in tamperings(document(PLANS[name]), {}):
        if tampering.what == "with one more" or tampering.what.startswith("without "):
            tried += 1
            assert not validator.is_valid(tampering.document), tampering
    assert tried > 10 * len(PLANS[name].actions)
    assert not validator.is_valid({**document(PLANS[name]), "extra": None})
