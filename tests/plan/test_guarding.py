"""The guards of a plan: what a release names, how many tombstones there may be, and choosing a part."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.errors import UsageError
from replsync.manifest.model import Manifest
from replsync.oci.reference import parse_reference
from replsync.oci.tag_state import Absent
from replsync.plan.action import Action, Kind
from replsync.plan.guarding import capped, protected, unresolved
from replsync.plan.release_references import Mention
from replsync.plan.targets import chosen
from tests.plan.situations import (
    TARGET,
    WORKER,
    action,
    actions,
    digest,
    listing,
    manifest,
    present,
    resolved,
    retiring,
    tombstone,
)


def mention(image: str, line: int = 7, **more: Any) -> Mention:
    return Mention("kots/app.yaml", line, image, parse_reference(image), **more)


def guarded(file: Manifest, one: Action, *mentions: Mention) -> Action:
    (only,) = protected([one], file, TARGET, mentions)
    return only


def burying(file: Manifest | None = None) -> Action:
    """The tombstone for tag 1.0, which is image D now."""
    return action(file or retiring(), present("D"))


def buried(count: int) -> tuple[Action, ...]:
    """So many tombstones."""
    tags = [f"1.{number}" for number in range(count)]
    file = manifest(retired=[{"tag": tag, "reason": "old"} for tag in tags]) if tags else listing()
    return actions(file, dict.fromkeys(tags, present("D"))) if tags else ()


NAMES_IT = [
    f"{WORKER}:1.0",
    f"{WORKER}@{digest('D')}",
    f"{WORKER}:edge@{digest('D')}",
    f"{WORKER}:1.0@{digest('E')}",
]
NAMES_ANOTHER = [
    f"{WORKER}:1.00",
    f"{WORKER}@{digest('E')}",
    f"{WORKER}",
    "registry.test/myapp/worker/debug:1.0",
    "registry.test/worker:1.0",
    "elsewhere.test/myapp/worker:1.0",
]


@pytest.mark.parametrize("image", NAMES_IT)
def test_a_tombstone_for_what_a_release_names_is_blocked(image: str) -> None:
    made = guarded(retiring(), burying(), mention(image))
    assert (made.kind, made.after, made.write) == (Kind.BLOCKED, None, None)
    assert made.before == burying().before
    assert made.reason.startswith("a release names this tag: kots/app.yaml:7; ")


@pytest.mark.parametrize("image", NAMES_ANOTHER)
def test_a_tombstone_for_what_no_release_names_stays(image: str) -> None:
    assert guarded(retiring(), burying(), mention(image)) == burying()


def test_another_name_of_the_registry_counts_where_the_manifest_says_so() -> None:
    alias = mention("images.example.com/myapp/worker:1.0")
    file = retiring().model_copy(update={"registry_aliases": ("images.example.com",)})
    assert guarded(file, burying(), alias).kind is Kind.BLOCKED
    assert guarded(retiring(), burying(), alias).kind is Kind.TOMBSTONE


def test_a_mention_that_leaves_the_registry_or_the_tag_open_counts() -> None:
    for image, what in (("worker:1.0", "any_prefix"), (f"{WORKER}:2", "any_tag")):
        assert guarded(retiring(), burying(), mention(image)).kind is Kind.TOMBSTONE
        assert guarded(retiring(), burying(), mention(image, **{what: True})).kind is Kind.BLOCKED


def test_three_places_are_named_and_the_others_counted() -> None:
    places = [mention(f"{WORKER}:1.0", line) for line in range(1, 6)]
    places_named = "kots/app.yaml:1, kots/app.yaml:2, kots/app.yaml:3"
    assert f"{places_named} and 2 more; " in guarded(retiring(), burying(), *places).reason
    assert f"{places_named}; " in guarded(retiring(), burying(), *places[:3]).reason


def test_with_even_if_referenced_the_action_stays_and_has_a_note() -> None:
    file = manifest(retired=[{"tag": "1.0", "reason": "old", "even_if_referenced": True}])
    assert guarded(file, burying(file), mention(f"{WORKER}:1.0")) == replace(
        burying(file), notes=("retired even though kots/app.yaml:7 names it (even_if_referenced)",)
    )
    assert guarded(file, burying(file)).notes == ()


def test_even_if_referenced_lifts_the_guard_of_its_own_tag_alone() -> None:
    retired = [{"tag": "1.0", "reason": "old", "even_if_referenced": True}, {"tag": "1.1", "reason": "old"}]
    file = manifest(retired=retired)
    made = actions(file, {"1.0": present("D"), "1.1": present("D")})
    kinds = [one.kind for one in protected(made, file, TARGET, [mention(f"{WORKER}@{digest('D')}")])]
    assert kinds == [Kind.TOMBSTONE, Kind.BLOCKED]


def test_a_new_reason_on_a_tombstone_takes_no_image_from_a_release() -> None:
    renewed = action(retiring("another reason"), tombstone("D"))
    assert renewed.kind is Kind.TOMBSTONE
    assert guarded(retiring(), renewed, mention(f"{WORKER}:1.0")) == renewed


@pytest.mark.parametrize(
    "other",
    [
        action(listing(), Absent(), resolved("E")),
        action(listing(mutable=True), present("D"), resolved("E")),
        action(listing(), present("D"), resolved("E")),
        action(retiring(), tombstone("D")),
    ],
    ids=lambda one: one.kind,
)
def test_other_actions_are_none_of_its_business(other: Action) -> None:
    assert guarded(listing(), other, mention(f"{WORKER}:1.0")) == other


def test_what_cannot_be_read_in_a_release_protects_nothing_and_is_told() -> None:
    open_one = Mention("kots/app.yaml", 9, "{{repl x}}", None)
    assert guarded(retiring(), burying(), open_one) == burying()
    assert unresolved([open_one, mention("nginx:1")]) == (
        "kots/app.yaml:9: only what is written out here protects a tag: {{repl x}}",
    )


@given(st.integers(0, 4), st.integers(0, 4))
def test_all_tombstones_are_blocked_or_none(count: int, limit: int) -> None:
    made = capped(buried(count), limit)
    assert {one.kind for one in made} <= {Kind.BLOCKED if count > limit else Kind.TOMBSTONE}
    assert [one.reference for one in made] == [one.reference for one in buried(count)]


def test_a_blocked_surplus_says_how_many_there_are_and_what_is_allowed() -> None:
    first, *_ = capped(buried(3), 2)
    assert (first.after, first.write) == (None, None)
    assert first.reason.startswith("one of 3 tombstones, and policy.max_tombstones allows 2 in one run; ")


def test_only_tombstones_count_for_the_limit_and_only_they_are_blocked() -> None:
    created = action(listing(), Absent(), resolved("E"))
    assert capped([created, *buried(2)], 2) == (created, *buried(2))
    assert [one.kind for one in capped([created, *buried(2)], 1)] == [Kind.CREATE, Kind.BLOCKED, Kind.BLOCKED]


def labels(made: tuple[Action, ...]) -> list[str]:
    return [one.label for one in made]


def test_patterns_choose_tags_and_keep_their_order() -> None:
    made = buried(12)
    assert chosen(made, []) == made
    assert labels(chosen(made, ["worker:1.11", "worker:1.[01]"])) == ["worker:1.0", "worker:1.1", "worker:1.11"]
    assert chosen(made, ["worker"]) == chosen(made, ["w*:*"]) == made


def test_a_pattern_that_chooses_nothing_is_a_mistake() -> None:
    with pytest.raises(UsageError, match=r"no tag matches --target 'worker:2\.\*'"):
        chosen(buried(2), ["worker:1.0", "worker:2.*"])
    with pytest.raises(UsageError):
        chosen((), ["*"])
