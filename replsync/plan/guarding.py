"""What keeps a plan from doing damage: tags that a release names, and too many tombstones at once. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from replsync.manifest.model import Manifest
from replsync.oci.digest import Digest
from replsync.oci.reference import Reference
from replsync.plan.action import Action, Kind, stopped
from replsync.plan.planner import Target
from replsync.plan.release_references import Mention, names

_NAMED = 3
"""Places in release files that one reason names; the others are counted."""


def protected(
    actions: Iterable[Action], manifest: Manifest, target: Target, mentions: Iterable[Mention]
) -> tuple[Action, ...]:
    """Return the actions with those tombstones blocked that would take an image from a release.

    A release names a tag by itself, or by the digest that it has now. Where the
    manifest says `even_if_referenced` the action has a note instead.
    """
    index = _Index.of(mentions)
    hosts = frozenset({target.registry, *manifest.registry_aliases})
    retired = {
        target.repository(image.name).tagged(entry.tag): entry.even_if_referenced
        for image in manifest.images
        for entry in image.retired
    }
    return tuple(_unless_named(action, index, hosts, retired) for action in actions)


@dataclass(frozen=True)
class _Index:
    """Mentions by the end of their path, since the beginning may be left open, and by what they say of the tag."""

    by_tag: Mapping[tuple[str, str | None], Sequence[Mention]]

    @classmethod
    def of(cls, mentions: Iterable[Mention]) -> Self:
        found: dict[tuple[str, str | None], list[Mention]] = {}
        for mention in mentions:
            reference = mention.reference
            if reference is None:
                continue
            keys = {reference.tag, reference.digest} - {None} or {"latest"}
            for key in {None} if mention.any_tag else keys:
                found.setdefault((_ending(reference), key), []).append(mention)
        return cls(found)

    def may_name(self, tag: Reference, digest: Digest | None) -> list[Mention]:
        """Return the mentions that may name the tag, which holds `digest` now: each once, in their order."""
        keys = {None, tag.tag, digest}
        return sorted({mention for key in keys for mention in self.by_tag.get((_ending(tag), key), ())})


def _ending(reference: Reference) -> str:
    return reference.repository.path.rpartition("/")[2]


def unresolved(mentions: Iterable[Mention]) -> tuple[str, ...]:
    """Return a sentence for each place where a release names an image in a way that can't be read."""
    return tuple(
        f"{mention.file}:{mention.line}: only what is written out here protects a tag: {mention.text}"
        for mention in mentions
        if mention.reference is None
    )


def _unless_named(action: Action, index: _Index, hosts: frozenset[str], retired: Mapping[Reference, bool]) -> Action:
    if action.kind is not Kind.TOMBSTONE or action.before is None or action.before.kind != "image":
        return action
    tag, digest = action.reference, action.before.digest
    places = [
        f"{mention.file}:{mention.line}"
        for mention in index.may_name(tag, digest)
        if names(mention, tag, hosts, digest)
    ]
    if not places:
        return action
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    where = f"{', '.join(places[:_NAMED])}{more}"
    if retired.get(tag):
        return replace(action, notes=(*action.notes, f"retired even though {where} names it (even_if_referenced)"))
    lift = "lift this with `even_if_referenced: true`, " if tag in retired else ""
    next_move = (
        f"change the release, {lift}or leave the tag out with --target: whoever installs it would pull the tombstone"
    )
    return stopped(action, f"a release names this tag: {where}", next_move)


def capped(actions: Sequence[Action], limit: int) -> tuple[Action, ...]:
    """Return the actions, all tombstones blocked where there are more than `limit`."""
    count = sum(action.kind is Kind.TOMBSTONE for action in actions)
    if count <= limit:
        return tuple(actions)
    why = f"one of {count} tombstones, and policy.max_tombstones allows {limit} in one run"
    return tuple(
        stopped(action, why, "raise it, or plan a part of them with --target")
        if action.kind is Kind.TOMBSTONE
        else action
        for action in actions
    )
