"""The way back: one branch after the other, and what holds for all of them."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.oci.digest import sha256
from replsync.oci.image_manifest import DOCKER_MANIFEST
from replsync.oci.reference import Reference
from replsync.oci.source_name import RegistrySource
from replsync.oci.tag_state import Absent, Artifact, Present, TagState, Tombstone, Unreadable
from replsync.oci.tombstone import Epitaph, tombstone_config, tombstone_manifest
from replsync.plan.action import WRITING, Action, Bury, Copy, Kind, State
from replsync.plan.comparing import is_in, state_of
from replsync.plan.document import Plan, PlannedManifest, plan_json
from replsync.plan.document_reading import read_plan
from replsync.plan.journal import Change
from replsync.plan.undoing import TAKEN_BACK, undo
from tests.plan.situations import TARGET, WORKER, digest, present, present_index, tombstone

TAG = WORKER.tagged("1.0")
A, B, C = (present(name) for name in "ABC")
GRAVE = tombstone("A")
CHART = Artifact(digest("chart"), "application/vnd.cncf.helm.config.v1+json")
ALL = frozenset(WORKER.at(state.digest) for state in (A, B, C, GRAVE))
MANIFEST = PlannedManifest("replicated-images.yaml", sha256(b""), TARGET.registry, TARGET.app)


def change(before: TagState, after: TagState) -> Change:
    return Change("worker", TAG, state_of(before), state_of(after))


def way_back(before: TagState, after: TagState, now: TagState, whole: frozenset[Reference] = ALL) -> Action:
    """The action for tag 1.0, which was `before`, was left as `after`, and is `now`."""
    (action,) = undo([change(before, after)], {TAG: now}, whole)
    return action


def test_an_image_that_was_overwritten_is_put_back_by_its_digest() -> None:
    action = way_back(A, B, B)
    assert action.kind is Kind.UPDATE
    assert (action.before, action.after) == (state_of(B), state_of(A))
    assert action.write == Copy(RegistrySource(WORKER.at(A.digest)), A.digest)
    assert action.reason == "taken back: the tag is put back to what it was before"


def test_an_image_that_was_retired_is_restored() -> None:
    action = way_back(A, GRAVE, GRAVE)
    assert action.kind is Kind.RESTORE
    assert action.after == state_of(A)


@pytest.mark.parametrize("now", [A, tombstone("A", "another reason")], ids=["restored", "written anew"])
def test_a_tombstone_is_put_back_as_it_was(now: TagState) -> None:
    action = way_back(GRAVE, now, now)
    assert action.kind is Kind.TOMBSTONE
    assert action.after == state_of(GRAVE)
    assert action.write == Copy(RegistrySource(WORKER.at(GRAVE.digest)), GRAVE.digest)


def test_a_tag_that_did_not_exist_becomes_a_tombstone_that_says_so() -> None:
    action = way_back(Absent(), A, A)
    epitaph = Epitaph("registry.test/myapp/worker:1.0", TAKEN_BACK, A.digest, A.media_type)
    config = tombstone_config(epitaph)
    assert action.kind is Kind.TOMBSTONE
    assert action.write == Bury(epitaph)
    assert action.after == State("tombstone", sha256(tombstone_manifest(config)), sha256(config))
    assert action.reason == "taken back: the tag did not exist before"


def buried(replaces: Present, reason: str = TAKEN_BACK, tag: str = "1.0") -> Tombstone:
    epitaph = Epitaph(str(WORKER.tagged(tag)), reason, replaces.digest, replaces.media_type)
    config = tombstone_config(epitaph)
    return Tombstone(sha256(tombstone_manifest(config)), sha256(config), epitaph, replaces)


def test_what_was_taken_back_already_is_left_alone() -> None:
    """A rollback that was killed is run again."""
    action = way_back(Absent(), A, buried(A))
    assert action.kind is Kind.UNCHANGED
    assert action.reason == "taken back already"
    assert action.before == action.after == state_of(buried(A))


@pytest.mark.parametrize(
    "now",
    [buried(B), buried(A, "old"), buried(A, tag="2.0")],
    ids=["of another image", "for another reason", "of another tag"],
)
def test_a_tombstone_of_somebody_elses_is_not_taken_for_the_way_back(now: Tombstone) -> None:
    assert way_back(Absent(), A, now).kind is Kind.BLOCKED


def test_a_tombstone_in_place_of_nothing_is_left_alone() -> None:
    action = way_back(Absent(), GRAVE, GRAVE)
    assert action.kind is Kind.UNCHANGED
    assert action.reason == "there is no image to take back"


@pytest.mark.parametrize("before", [A, GRAVE, Absent()], ids=["image", "tombstone", "nothing"])
def test_a_tag_that_is_what_it_was_before_is_left_alone(before: TagState) -> None:
    """A run that was killed may have announced what it never wrote; what can't be read is not needed then."""
    action = way_back(before, B, before, frozenset())
    assert action.kind is Kind.UNCHANGED
    assert action.before == action.after == state_of(before)
    assert action.reason == "the tag is what it was before"


@pytest.mark.parametrize("now", [C, tombstone("B"), Absent()], ids=["image", "tombstone", "nothing"])
def test_a_tag_that_was_written_again_since_is_blocked(now: TagState) -> None:
    action = way_back(A, B, now)
    assert action.kind is Kind.BLOCKED
    assert action.before == state_of(now)
    assert action.reason.startswith("the tag was written again since: it holds ")
    assert f", the journal left image {B.digest[7:19]};" in action.reason


def test_a_blocked_tag_says_what_it_holds() -> None:
    assert f"it holds image {C.digest[7:19]}," in way_back(A, B, C).reason
    assert "it holds nothing," in way_back(A, B, Absent()).reason
    assert f"it holds tombstone {GRAVE.digest[7:19]}," in way_back(A, B, GRAVE).reason


def test_an_image_in_place_of_a_tombstone_with_the_same_digest_is_something_else() -> None:
    assert way_back(A, GRAVE, Present(GRAVE.digest, DOCKER_MANIFEST, GRAVE.config)).kind is Kind.BLOCKED


@pytest.mark.parametrize("before", [A, GRAVE], ids=["image", "tombstone"])
def test_what_can_not_be_read_any_more_is_blocked(before: Present | Tombstone) -> None:
    action = way_back(before, B, B, ALL - {WORKER.at(before.digest)})
    assert action.kind is Kind.BLOCKED
    assert f"{before.digest[7:19]}, can't be read from the registry any more" in action.reason


def test_a_state_without_a_digest_is_nothing_to_go_back_to() -> None:
    named = Change("worker", TAG, State("image", None, A.config), state_of(B))
    (action,) = undo([named], {TAG: B}, ALL)
    assert action.kind is Kind.BLOCKED


def test_a_tag_that_can_not_be_read_is_blocked() -> None:
    action = way_back(A, B, Unreadable("the registry answered 500"))
    assert action.kind is Kind.BLOCKED
    assert action.why == "the registry's tag can't be read: the registry answered 500"
    assert action.next_move.startswith("try again later")


def test_an_artifact_is_never_overwritten() -> None:
    action = way_back(A, B, CHART)
    assert action.kind is Kind.BLOCKED
    assert "an artifact of type application/vnd.cncf.helm.config.v1+json" in action.reason


def test_what_a_daemon_was_about_to_push_is_known_by_its_image_id() -> None:
    announced = Change("worker", TAG, state_of(A), State("image", None, B.config))
    assert [action.kind for action in undo([announced], {TAG: B}, ALL)] == [Kind.UPDATE]
    assert [action.kind for action in undo([announced], {TAG: C}, ALL)] == [Kind.BLOCKED]


def test_actions_are_in_the_order_of_a_plan() -> None:
    tags = [WORKER.tagged(tag) for tag in ("1.10", "1.9", "latest", "1.2")]
    made = [Change("worker", tag, state_of(A), state_of(B)) for tag in tags]
    assert [action.tag for action in undo(made, dict.fromkeys(tags, B), ALL)] == ["1.2", "1.9", "1.10", "latest"]


names = st.sampled_from("ABC")
images = names.map(present) | names.map(present_index)
graves = st.builds(tombstone, names, st.sampled_from(["old", "older"]), readable=st.booleans())
earlier: st.SearchStrategy[TagState] = images | graves | st.just(Absent())
later: st.SearchStrategy[TagState] = images | graves
anything: st.SearchStrategy[TagState] = st.one_of(
    images, graves, images.map(buried), st.just(Absent()), st.just(CHART), st.just(Unreadable("it answered 500"))
)
Case = tuple[list[Change], dict[Reference, TagState], frozenset[Reference]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Changes of some tags, what those are now, often what the journal left, and what can be read."""
    made, inventory = [], {}
    for number in range(draw(st.integers(1, 4))):
        tag = WORKER.tagged(f"1.{number}")
        before, after = draw(earlier), draw(later)
        made.append(Change("worker", tag, state_of(before), state_of(after)))
        inventory[tag] = draw(st.sampled_from([before, after]) | anything)
    digests = [one.before.digest for one in made if one.before and one.before.digest]
    readable = draw(st.sets(st.sampled_from(digests))) if digests else set()
    return made, inventory, frozenset(map(WORKER.at, readable))


@given(cases())
def test_a_tag_that_is_neither_before_nor_after_is_never_written(case: Case) -> None:
    made, inventory, whole = case
    by_tag = {one.reference: one for one in made}
    for action in undo(made, inventory, whole):
        now, one = inventory[action.reference], by_tag[action.reference]
        if not is_in(one.before, now) and not is_in(one.after, now):
            assert action.kind not in WRITING
            assert action.write is None


@given(cases())
def test_a_tag_goes_back_to_what_it_was_or_to_a_tombstone_of_what_it_is(case: Case) -> None:
    made, inventory, whole = case
    by_tag = {one.reference: one for one in made}
    for action in undo(made, inventory, whole):
        if action.kind not in WRITING:
            continue
        earlier = by_tag[action.reference].before
        if earlier is not None:
            assert action.after == earlier
            assert earlier.digest
            assert WORKER.at(earlier.digest) in whole
        else:
            now = inventory[action.reference]
            assert isinstance(action.write, Bury)
            assert isinstance(now, Present)
            assert action.write.epitaph.replaces == now.digest


@given(cases())
def test_every_change_has_one_action_that_says_what_the_tag_is(case: Case) -> None:
    made, inventory, whole = case
    actions = undo(made, inventory, whole)
    assert sorted(str(action.reference) for action in actions) == sorted(str(one.reference) for one in made)
    assert all(action.before == state_of(inventory[action.reference]) for action in actions)


@given(cases())
def test_the_way_back_makes_a_plan_that_reads_back(case: Case) -> None:
    plan = Plan("replsync test", "2026-01-01T00:00:00Z", (MANIFEST,), undo(*case))
    assert read_plan(plan_json(plan).encode(), "plan.json") == plan


@given(cases())
def test_going_back_twice_changes_nothing_more(case: Case) -> None:
    made, inventory, whole = case
    gone = _carried_out(undo(made, inventory, whole), inventory)
    assert [action for action in undo(made, gone, whole) if action.kind in WRITING] == []


@given(cases())
def test_what_is_blocked_stays_blocked_after_the_rest_went_back(case: Case) -> None:
    """So that a rollback with --target, or one that was killed, can be run again."""
    made, inventory, whole = case
    first = undo(made, inventory, whole)
    again = undo(made, _carried_out(first, inventory), whole)
    assert _blocked(again) == _blocked(first)


def _blocked(actions: tuple[Action, ...]) -> set[Reference]:
    return {action.reference for action in actions if action.kind is Kind.BLOCKED}


def _carried_out(actions: tuple[Action, ...], inventory: Mapping[Reference, TagState]) -> dict[Reference, TagState]:
    """The registry after it: what each writing action promises."""
    gone = dict(inventory)
    for action in actions:
        after, now = action.after, inventory[action.reference]
        if action.kind not in WRITING or after is None or after.digest is None:
            continue
        if isinstance(action.write, Bury):
            assert isinstance(now, Present)
            assert after.config
            gone[action.reference] = Tombstone(after.digest, after.config, action.write.epitaph, now)
        elif after.kind == "tombstone":
            assert after.config
            gone[action.reference] = Tombstone(after.digest, after.config, GRAVE.epitaph)
        else:
            gone[action.reference] = Present(after.digest, DOCKER_MANIFEST, after.config)
    return gone
