"""The decision table, a test for every row."""

from dataclasses import replace

import pytest

from replsync.manifest.model import Manifest
from replsync.oci.digest import Digest
from replsync.oci.source_name import pinned
from replsync.oci.tag_state import Absent, AnyImage, Artifact, Resolved, TagState, Unavailable, Unreadable, Wanted
from replsync.plan.action import Bury, Copy, Kind, State
from tests.plan.situations import (
    SOURCE,
    WORKER,
    action,
    actions,
    copied,
    digest,
    listing,
    manifest,
    own,
    present,
    present_index,
    resolved,
    resolved_in_daemon,
    retiring,
    tombstone,
)

CHART = Artifact(digest("chart"), "application/vnd.cncf.helm.config.v1+json")
BROKEN = Unreadable("the registry answered 500")


def test_an_image_that_the_registry_lacks_is_created() -> None:
    done = action(listing(), Absent(), resolved("E"))
    assert (done.kind, done.before) == (Kind.CREATE, None)
    assert done.after == State("image", digest("E"))
    assert done.write == Copy(pinned(SOURCE, digest("E")), digest("E"))


def test_an_image_that_is_there_is_unchanged() -> None:
    done = action(listing(), present("E"), resolved("E"))
    assert done.kind is Kind.UNCHANGED
    assert done.before == done.after == State("image", digest("E"), digest("E's config"))


def test_another_image_at_a_mutable_tag_is_updated() -> None:
    done = action(listing(mutable=True), present("D"), resolved("E"))
    assert done.kind is Kind.UPDATE
    assert done.before == State("image", digest("D"), digest("D's config"))
    assert done.after == State("image", digest("E"))


def test_another_image_at_any_other_tag_is_blocked_as_immutable() -> None:
    done = action(listing(), present("D"), resolved("E"))
    assert (done.kind, done.after) == (Kind.BLOCKED, None)
    assert done.reason.startswith("immutable: the tag holds ")
    assert "`mutable`" in done.reason


def test_a_tombstone_that_replaced_the_image_is_restored_by_putting_it_back() -> None:
    done = action(listing(), tombstone("E"), resolved("E"))
    assert done.kind is Kind.RESTORE
    assert done.before == State("tombstone", tombstone("E").digest, tombstone("E").config)
    assert done.after == State("image", digest("E"), digest("E's config"))
    assert copied(done) == own("E")


def test_a_tombstone_whose_replaced_image_is_gone_is_restored_from_the_source() -> None:
    done = action(listing(), tombstone("E", readable=False), resolved("E"))
    assert done.kind is Kind.RESTORE
    assert copied(done) == pinned(SOURCE, digest("E"))


def test_a_tombstone_that_replaced_another_image_is_restored_from_the_source() -> None:
    done = action(listing(), tombstone("D"), resolved("E"))
    assert done.kind is Kind.RESTORE
    assert done.after == State("image", digest("E"))
    assert copied(done) == pinned(SOURCE, digest("E"))
    assert f"`digest: {digest('D')}`" in done.reason


def test_a_tag_pinned_to_what_the_target_still_has_is_put_back_by_its_digest() -> None:
    done = action(listing(), tombstone("D"), Resolved(own("E"), digest("E")))
    assert (done.kind, copied(done)) == (Kind.RESTORE, own("E"))
    assert "put back by its digest" in done.reason


def test_a_retired_tag_that_the_registry_lacks_is_unchanged() -> None:
    done = action(retiring(), Absent())
    assert (done.kind, done.before, done.after) == (Kind.UNCHANGED, None, None)


def test_a_retired_tag_with_a_tombstone_of_this_reason_is_unchanged() -> None:
    assert action(retiring("old"), tombstone("D", "old")).kind is Kind.UNCHANGED


def test_a_tombstone_with_another_reason_is_written_again_and_keeps_what_it_first_replaced() -> None:
    done = action(retiring("older"), tombstone("D", "old"))
    assert done.kind is Kind.TOMBSTONE
    assert isinstance(done.write, Bury)
    assert (done.write.epitaph.reason, done.write.epitaph.replaces) == ("older", digest("D"))


def test_a_retired_image_becomes_a_tombstone() -> None:
    done = action(retiring("CVE-1, use 1.1"), present("D"))
    assert (done.kind, done.reason) == (Kind.TOMBSTONE, "CVE-1, use 1.1")
    assert done.after == State("tombstone", *_tombstone_of("D", "CVE-1, use 1.1"))
    assert isinstance(done.write, Bury)
    assert done.write.epitaph.reference == str(WORKER.tagged("1.0"))


def test_a_retired_tag_need_not_be_mutable() -> None:
    assert action(retiring(), present_index("D")).kind is Kind.TOMBSTONE


@pytest.mark.parametrize(("policy", "kind"), [("report", Kind.UNLISTED), ("tombstone", Kind.TOMBSTONE)])
def test_an_unlisted_image_is_treated_as_the_policy_says(policy: str, kind: Kind) -> None:
    (done,) = actions(manifest(unlisted=policy), {"0.9": present("D")})
    assert (done.kind, done.tag) == (kind, "0.9")


def test_an_unlisted_image_that_is_to_be_ignored_is() -> None:
    assert actions(manifest(unlisted="ignore"), {"0.9": present("D"), "0.8": BROKEN}) == ()


@pytest.mark.parametrize("policy", ["report", "tombstone", "ignore"])
@pytest.mark.parametrize("state", [CHART, tombstone("D")], ids=["chart", "tombstone"])
def test_an_unlisted_artifact_or_tombstone_is_never_touched_and_never_listed(policy: str, state: TagState) -> None:
    assert actions(manifest(unlisted=policy), {"0.9": state}) == ()


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        (listing(), resolved("E")),
        (listing(mutable=True), resolved("E")),
        (listing(), AnyImage()),
        (listing(), Unavailable("no such image")),
        (retiring(), None),
        (manifest(), None),
        (manifest(unlisted="tombstone"), None),
    ],
    ids=["listed", "mutable", "any", "no-source", "retired", "unlisted", "unlisted-tombstone"],
)
def test_a_tag_that_cannot_be_read_is_blocked_because_unknown_is_not_absent(
    file: Manifest, wanted: Wanted | None
) -> None:
    done = action(file, BROKEN, wanted)
    assert (done.kind, done.before, done.after) == (Kind.BLOCKED, None, None)
    assert "the registry answered 500" in done.reason


@pytest.mark.parametrize("state", [Absent(), present("E"), tombstone("E")], ids=["absent", "image", "tombstone"])
def test_a_source_that_is_missing_blocks_whatever_the_registry_has(state: TagState) -> None:
    done = action(listing(mutable=True), state, Unavailable("source: no such image"))
    assert (done.kind, done.reason) == (Kind.BLOCKED, "source: no such image")


@pytest.mark.parametrize("file", [listing(mutable=True), retiring()], ids=["listed", "retired"])
def test_a_named_tag_that_holds_a_chart_is_blocked(file: Manifest) -> None:
    done = action(file, CHART, resolved("E") if file.images[0].tags else None)
    assert done.kind is Kind.BLOCKED
    assert "helm" in done.reason


def test_a_tag_without_source_or_digest_must_merely_exist() -> None:
    assert action(listing(), present("D"), AnyImage()).kind is Kind.UNCHANGED
    assert action(listing(), Absent(), AnyImage()).kind is Kind.BLOCKED


def test_a_tag_without_source_or_digest_is_restored_to_what_its_tombstone_replaced() -> None:
    done = action(listing(), tombstone("D"), AnyImage())
    assert (done.kind, copied(done)) == (Kind.RESTORE, own("D"))
    assert action(listing(), tombstone("D", readable=False), AnyImage()).kind is Kind.BLOCKED


def test_a_daemon_image_is_compared_by_its_config() -> None:
    assert action(listing(), present("E"), resolved_in_daemon("E")).kind is Kind.UNCHANGED
    assert action(listing(), present("D"), resolved_in_daemon("E")).kind is Kind.BLOCKED
    created = action(listing(), Absent(), resolved_in_daemon("E"))
    assert created.after == State("image", None, digest("E's config"))


def test_an_index_is_never_the_image_of_a_daemon() -> None:
    done = action(listing(mutable=True), present_index("E"), resolved_in_daemon("E"))
    assert done.kind is Kind.UPDATE
    assert "multi-platform index" in action(listing(), present_index("E"), resolved_in_daemon("E")).reason


def test_a_tombstone_of_a_daemon_image_is_put_back_when_its_config_is_the_same() -> None:
    done = action(listing(), tombstone("E"), resolved_in_daemon("E"))
    assert (done.kind, copied(done)) == (Kind.RESTORE, own("E"))


def test_where_a_daemon_pushes_only_configs_are_promised() -> None:
    created = action(listing(), Absent(), resolved_in_daemon("E"), daemon_pushes=True)
    buried = action(retiring(), present("D"), daemon_pushes=True)
    restored = action(listing(), tombstone("E"), resolved_in_daemon("E"), daemon_pushes=True)
    for done in (created, buried, restored):
        assert done.after
        assert (done.after.digest, done.after.config is None) == (None, False)


def test_a_daemon_cannot_put_an_index_back() -> None:
    buried = replace(tombstone("E"), replaced=present_index("E"))
    assert action(listing(), buried, AnyImage(), daemon_pushes=True).kind is Kind.BLOCKED
    assert action(listing(), buried, AnyImage()).kind is Kind.RESTORE


def test_numbers_in_tags_are_sorted_by_their_value() -> None:
    there = {tag: present("A") for tag in ("1.10", "1.9", "1.09", "latest", "1", "v2", "v10", "1-rc1")}
    done = actions(manifest(), there)
    assert [one.tag for one in done] == ["1", "1-rc1", "1.09", "1.9", "1.10", "latest", "v2", "v10"]


def test_actions_are_sorted_by_image_and_tag() -> None:
    file = manifest(tags=["b", "a"], retired=[{"tag": "c", "reason": "old"}])
    there: dict[str, TagState] = {"z": present("Z"), "c": present("C"), "b": Absent(), "a": Absent()}
    done = actions(file, there, {"a": resolved("A"), "b": resolved("B")})
    assert [one.tag for one in done] == ["a", "b", "c", "z"]


def _tombstone_of(replaces: str, reason: str) -> tuple[Digest, Digest]:
    made = tombstone(replaces, reason)
    return made.digest, made.config
