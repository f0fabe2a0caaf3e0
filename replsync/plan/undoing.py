"""The way back: from what a journal says was done to what takes it back. Pure."""

from collections.abc import Iterable, Mapping, Set
from typing import assert_never

from replsync.oci.digest import Digest
from replsync.oci.reference import Reference
from replsync.oci.source_name import RegistrySource
from replsync.oci.tag_state import Absent, Artifact, Present, TagState, Tombstone, Unreadable
from replsync.oci.tombstone import Epitaph
from replsync.plan.action import UNREAD_MOVE, Action, Bury, Copy, Kind, State, blocked
from replsync.plan.comparing import buried, described, is_in, state_of
from replsync.plan.journal import Change
from replsync.plan.planner import in_order

TAKEN_BACK = "taken back: the tag did not exist before"


def undo(
    changes: Iterable[Change], inventory: Mapping[Reference, TagState], whole: Set[Reference]
) -> tuple[Action, ...]:
    """Return an action for each change that puts its tag back to what it was, sorted as a plan is.

    `inventory` is what the tags are now, `whole` the references by digest of
    what they were that can still be read with all that belongs to them. A tag
    that did not exist becomes a tombstone: a registry deletes nothing. A tag
    that somebody else has written since is blocked.
    """
    return in_order(_undo(change, inventory[change.reference], whole) for change in changes)


def _undo(change: Change, now: TagState, whole: Set[Reference]) -> Action:
    reference, earlier = change.reference, change.before

    def stop(why: str, next_move: str = "") -> Action:
        return blocked(change.image, reference, state_of(now), why, next_move)

    match now:
        case Unreadable(why, next_move):
            return stop(f"the registry's tag can't be read: {why}", next_move or UNREAD_MOVE)
        case Artifact(_, kind):
            return stop(f"the tag holds an artifact of type {kind} by now, which is never overwritten")
        case Absent() | Present() | Tombstone():
            pass
        case _:
            assert_never(now)
    if is_in(earlier, now):
        state = state_of(now)
        return Action(Kind.UNCHANGED, change.image, reference, state, state, "the tag is what it was before")
    if _is_taken_back(change, now):
        state = state_of(now)
        return Action(Kind.UNCHANGED, change.image, reference, state, state, "taken back already")
    if not is_in(change.after, now):
        return stop(
            f"the tag was written again since: it holds {described(state_of(now))}, "
            f"the journal left {described(change.after)}",
            "take the later run back first, or leave the tag out with --target",
        )
    if earlier is None:
        return _bury(change, now)
    if earlier.digest is None or reference.repository.at(earlier.digest) not in whole:
        return stop(
            f"what the tag was before, {described(earlier)}, can't be read from the registry any more",
            "push it again from its source",
        )
    return _put_back(change, now, earlier, earlier.digest)


def _is_taken_back(change: Change, now: TagState) -> bool:
    """Whether the tag is the tombstone that an earlier rollback of the same journal, perhaps cut off, left there."""
    if change.before or not change.after or not isinstance(now, Tombstone):
        return False
    said = now.epitaph
    is_ours = (said.reference, said.reason) == (str(change.reference), TAKEN_BACK)
    return is_ours and change.after.digest in (None, said.replaces)


def _put_back(change: Change, now: TagState, earlier: State, digest: Digest) -> Action:
    if earlier.kind == "tombstone":
        kind = Kind.TOMBSTONE
    else:
        kind = Kind.RESTORE if isinstance(now, Tombstone) else Kind.UPDATE
    source = RegistrySource(change.reference.repository.at(digest))
    reason = "taken back: the tag is put back to what it was before"
    return Action(kind, change.image, change.reference, state_of(now), earlier, reason, Copy(source, digest))


def _bury(change: Change, now: TagState) -> Action:
    reference = change.reference
    if not isinstance(now, Present):
        # A tombstone, or nothing, in place of nothing: no journal says so.
        state = state_of(now)
        return Action(Kind.UNCHANGED, change.image, reference, state, state, "there is no image to take back")
    epitaph = Epitaph(str(reference), TAKEN_BACK, now.digest, now.media_type)
    return Action(Kind.TOMBSTONE, change.image, reference, state_of(now), buried(epitaph), TAKEN_BACK, Bury(epitaph))
