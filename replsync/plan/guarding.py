"""What keeps a plan from doing damage: tags that a release names, and too many tombstones at once. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from replsync.errors import UsageError
from replsync.manifest.labels import is_chosen
from replsync.manifest.model import Manifest
from replsync.oci.reference import Reference
from replsync.plan.action import Action, Kind
from replsync.plan.planner import Target
from replsync.plan.release_references import Mention, names

_NAMED = 3
"""Places in release files that one reason names; the others are counted."""


def chosen(actions: Sequence[Action], patterns: Iterable[str]) -> tuple[Action, ...]:
    """Return the actions whose `image:tag` one of `patterns` stands for; all where there is none.

    Raises UsageError where a pattern stands for no action.
    """
    patterns = tuple(patterns)
    for pattern in patterns:
        if not any(is_chosen(action.label, pattern) for action in actions):
            raise UsageError(
                f"choose a part of the plan: no tag matches --target {pattern!r}",
                hint="a pattern is IMAGE:TAG or IMAGE, with the wildcards *, ? and […]",
            )
    if not patterns:
        return tuple(actions)
    return tuple(action for action in actions if any(is_chosen(action.label, pattern) for pattern in patterns))


def protected(
    actions: Iterable[Action], manifest: Manifest, target: Target, mentions: Iterable[Mention]
) -> tuple[Action, ...]:
    """Return the actions with those tombstones blocked that would take an image from a release.

    A release names a tag by itself, or by the digest that it has now. Where the
    manifest says `even_if_referenced` the action has a note instead.
    """
    by_ending: dict[str, list[Mention]] = {}  # a mention may leave the beginning of the path open
    for mention in mentions:
        if mention.reference:
            by_ending.setdefault(_ending(mention.reference), []).append(mention)
    hosts = frozenset({target.registry, *manifest.registry_aliases})
    lifted = {
        target.repository(image.name).tagged(entry.tag)
        for image in manifest.images
        for entry in image.retired
        if entry.even_if_referenced
    }
    return tuple(_unless_named(action, by_ending, hosts, lifted) for action in actions)


def _ending(reference: Reference) -> str:
    return reference.repository.path.rpartition("/")[2]


def unresolved(mentions: Iterable[Mention]) -> tuple[str, ...]:
    """Return a sentence for each place where a release names an image in a way that can't be read."""
    return tuple(
        f"{mention.file}:{mention.line}: {mention.text}: what this names is unknown, so it protects no tag"
        for mention in mentions
        if mention.reference is None
    )


def _unless_named(
    action: Action, by_ending: Mapping[str, Sequence[Mention]], hosts: frozenset[str], lifted: set[Reference]
) -> Action:
    if action.kind is not Kind.TOMBSTONE or action.before is None or action.before.kind != "image":
        return action
    places = [
        f"{mention.file}:{mention.line}"
        for mention in by_ending.get(_ending(action.reference), ())
        if names(mention, action.reference, hosts, action.before.digest)
    ]
    if not places:
        return action
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    where = f"{', '.join(places[:_NAMED])}{more}"
    if action.reference in lifted:
        return replace(action, notes=(*action.notes, f"retired even though {where} names it (even_if_referenced)"))
    reason = (
        f"a release names this tag: {where}; whoever installs it would pull the tombstone; "
        "change the release, lift this with `even_if_referenced: true`, or leave the tag out with --target"
    )
    return replace(action, kind=Kind.BLOCKED, after=None, reason=reason, write=None)


def capped(actions: Sequence[Action], limit: int) -> tuple[Action, ...]:
    """Return the actions, all tombstones blocked where there are more than `limit`."""
    count = sum(action.kind is Kind.TOMBSTONE for action in actions)
    if count <= limit:
        return tuple(actions)
    reason = (
        f"one of {count} tombstones, and policy.max_tombstones allows {limit} in one run; "
        "raise it, or take a part of them with --target"
    )
    return tuple(
        replace(action, kind=Kind.BLOCKED, after=None, reason=reason, write=None)
        if action.kind is Kind.TOMBSTONE
        else action
        for action in actions
    )
