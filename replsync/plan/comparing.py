"""Whether a tag is in the state that an action expects, before or after. Pure."""

from typing import assert_never

from replsync.oci.digest import Digest, sha256, short
from replsync.oci.tag_state import Absent, Artifact, Present, TagState, Tombstone, Unreadable
from replsync.oci.tombstone import Epitaph, tombstone_config, tombstone_manifest
from replsync.plan.action import State


def state_of(tag: TagState) -> State | None:
    """Return what a plan says of a tag; None where there is no image."""
    match tag:
        case Present(digest, _, config):
            return State("image", digest, config)
        case Tombstone(digest, config):
            return State("tombstone", digest, config)
        case Artifact() | Absent() | Unreadable():
            return None
        case _:
            assert_never(tag)


def buried(epitaph: Epitaph, *, by_daemon: bool = False) -> State:
    """Return what a tag is once it is the tombstone that says this; a daemon chooses the digest."""
    config = tombstone_config(epitaph)
    return State("tombstone", None if by_daemon else sha256(tombstone_manifest(config)), sha256(config))


def is_in(expected: State | None, tag: TagState) -> bool:
    """Whether `tag` is what `expected` says: by digest, else by config where the digest wasn't known before."""
    match tag:
        case Absent():
            return expected is None
        case Unreadable() | Artifact():
            return False
        case Present(digest, _, config, made_from):
            return expected is not None and expected.kind == "image" and _same(expected, digest, config, made_from)
        case Tombstone(digest, config):
            return expected is not None and expected.kind == "tombstone" and _same(expected, digest, config)
        case _:
            assert_never(tag)


def is_made(expected: State | None) -> bool:
    """Whether what a tag's image was made from tells if it is what `expected` says."""
    return expected is not None and expected.made_from is not None


def described(state: State | None) -> str:
    """Return what a tag is, for a sentence: by its digest, else by its config, else by what it is made from."""
    if state is None:
        return "nothing"
    known = state.digest or state.config
    return f"{state.kind} {short(known) if known else f'made from {state.made_from}'}"


def _same(expected: State, digest: Digest, config: Digest | None, made_from: str | None = None) -> bool:
    if expected.made_from is not None and expected.made_from == made_from:
        return True
    if expected.digest is not None:
        return expected.digest == digest
    return expected.config is not None and expected.config == config
