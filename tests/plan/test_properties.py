"""What holds for every plan, whatever the manifest and the registry."""

import random
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from replsync.manifest.model import Manifest
from replsync.oci.digest import sha256
from replsync.oci.image_manifest import DOCKER_MANIFEST
from replsync.oci.reference import Reference
from replsync.oci.tag_state import (
    Absent,
    AnyImage,
    Artifact,
    Present,
    TagState,
    Tombstone,
    Unavailable,
    Unreadable,
    Wanted,
)
from replsync.oci.tombstone import tombstone_config
from replsync.plan.action import WRITING, Action, Bury, Kind
from replsync.plan.comparing import is_in, state_of
from replsync.plan.document import Plan, plan_json
from replsync.plan.planner import Situation, decide
from tests.plan.situations import (
    TARGET,
    WORKER,
    copied,
    digest,
    manifest,
    own,
    present,
    present_index,
    resolved,
    resolved_in_daemon,
    tombstone,
)

TAGS = [f"{major}.{minor}" for major in range(2) for minor in range(4)]
names = st.sampled_from("ABC")
states: st.SearchStrategy[TagState] = st.one_of(
    names.map(present),
    names.map(present_index),
    st.builds(tombstone, names, st.sampled_from(["old", "older"]), readable=st.booleans()),
    st.just(Artifact(digest("chart"), "application/vnd.cncf.helm.config.v1+json")),
    st.just(Absent()),
    st.just(Unreadable("the registry answered 500")),
)
daemon_offers: st.SearchStrategy[Wanted] = st.one_of(
    names.map(resolved_in_daemon), st.just(Unavailable("no such image")), st.just(AnyImage())
)
offers = st.one_of(names.map(resolved), daemon_offers)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Manifest, Situation]:
    listed = draw(st.sets(st.sampled_from(TAGS)))
    retired = draw(st.sets(st.sampled_from(TAGS))) - listed
    file = manifest(
        unlisted=draw(st.sampled_from(["report", "ignore", "tombstone"])),
        mutable=draw(st.sampled_from([[], ["1.*"], ["*"]])),
        tags=sorted(listed),
        retired=[{"tag": tag, "reason": draw(st.sampled_from(["old", "older"]))} for tag in sorted(retired)],
    )
    inventory = {WORKER.tagged(tag): draw(states) for tag in TAGS}
    daemon_pushes = draw(st.booleans())
    wanted = {WORKER.tagged(tag): draw(daemon_offers if daemon_pushes else offers) for tag in sorted(listed)}
    return file, Situation(TARGET, inventory, wanted, daemon_pushes)


def simulated(actions: tuple[Action, ...], inventory: Mapping[Reference, TagState]) -> dict[Reference, TagState]:
    """The registry after an apply: what each writing action promises, and nothing else."""
    after = dict(inventory)
    for action in actions:
        if action.kind not in WRITING or action.after is None:
            continue
        if isinstance(action.write, Bury):
            config = sha256(tombstone_config(action.write.epitaph))
            replaced = inventory[action.reference]
            kept = replaced.replaced if isinstance(replaced, Tombstone) else replaced
            assert kept is None or isinstance(kept, Present)
            made = action.after.digest or sha256(config.encode())
            after[action.reference] = Tombstone(made, config, action.write.epitaph, kept)
        else:
            config_digest = action.after.config
            made = action.after.digest or sha256(str(config_digest).encode())
            after[action.reference] = Present(made, DOCKER_MANIFEST, config_digest)
    return after


@given(situations())
def test_planning_after_apply_is_empty(case: tuple[Manifest, Situation]) -> None:
    file, before = case
    planned = decide(file, before)
    after = Situation(TARGET, simulated(planned, before.inventory), before.wanted, before.daemon_pushes)
    assert [action for action in decide(file, after) if action.kind in WRITING] == []


@given(situations())
def test_an_apply_changes_only_tags_that_the_plan_names(case: tuple[Manifest, Situation]) -> None:
    file, before = case
    planned = decide(file, before)
    named = {action.reference for action in planned if action.kind in WRITING}
    after = simulated(planned, before.inventory)
    assert {reference for reference in after if after[reference] != before.inventory[reference]} <= named


@given(situations())
def test_every_tag_of_the_manifest_has_exactly_one_action(case: tuple[Manifest, Situation]) -> None:
    file, situation = case
    planned = decide(file, situation)
    tags = [action.tag for action in planned]
    assert len(tags) == len(set(tags))
    image = file.images[0]
    assert {tag.tag for tag in image.tags} | {entry.tag for entry in image.retired} <= set(tags)


@given(situations())
def test_what_is_not_known_or_is_no_image_is_never_written(case: tuple[Manifest, Situation]) -> None:
    file, situation = case
    for action in decide(file, situation):
        if isinstance(situation.inventory[action.reference], Unreadable | Artifact):
            assert action.kind is Kind.BLOCKED


@given(situations())
def test_before_is_what_is_there(case: tuple[Manifest, Situation]) -> None:
    file, situation = case
    for action in decide(file, situation):
        state = situation.inventory[action.reference]
        assert action.before == state_of(state)
        if not isinstance(state, Unreadable | Artifact):
            assert is_in(action.before, state)


@given(situations(), st.randoms(use_true_random=False))
def test_the_same_input_gives_the_same_bytes(case: tuple[Manifest, Situation], chance: random.Random) -> None:
    """Whatever the order in which the answers came in."""
    file, situation = case
    shuffled = list(situation.inventory.items())
    chance.shuffle(shuffled)
    other = Situation(TARGET, dict(shuffled), situation.wanted, situation.daemon_pushes)
    assert _document(decide(file, situation)) == _document(decide(file, other))


def _document(actions: tuple[Action, ...]) -> str:
    return plan_json(Plan("replsync test", "2026-01-01T00:00:00Z", (), actions))


def test_a_restore_that_puts_back_reads_from_the_target_itself() -> None:
    file = manifest(tags=["1.0"])
    situation = Situation(TARGET, {WORKER.tagged("1.0"): tombstone("A")}, {WORKER.tagged("1.0"): resolved("A")})
    (action,) = decide(file, situation)
    assert copied(action) == own("A")
