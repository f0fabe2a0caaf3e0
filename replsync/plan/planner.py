"""The planner: from what is wanted and what is there to what is to be done. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from replsync.manifest.labels import is_among
from replsync.manifest.model import Image, Manifest
from replsync.manifest.select import Select
from replsync.oci.build_source import BuildSource
from replsync.oci.digest import Digest, short
from replsync.oci.image_manifest import INDEX_TYPES
from replsync.oci.made_from import inputs_of, serves
from replsync.oci.reference import Reference, Repository, tag_order
from replsync.oci.source_name import DaemonSource, LayoutSource, RegistrySource, SavedSource, spoken
from replsync.oci.tag_state import (
    Absent,
    AnyImage,
    Artifact,
    Present,
    Resolved,
    TagState,
    Tombstone,
    Unavailable,
    Unreadable,
    Wanted,
)
from replsync.oci.tombstone import Epitaph
from replsync.plan.action import UNREAD_MOVE, Action, Bury, Copy, Kind, State, blocked
from replsync.plan.comparing import buried, state_of

UNLISTED_REASON = "not listed in the manifest"
UNSELECTED_REASON = "it fits `select`, which doesn't choose it now; to retire it, list it below `retired`"


@dataclass(frozen=True)
class Target:
    """The registry's host, and the application's slug: where the manifest's images live."""

    registry: str
    app: str

    def repository(self, image: str) -> Repository:
        """The repository of the manifest's image of this name."""
        return Repository(self.registry, f"{self.app}/{image}")


@dataclass(frozen=True)
class Situation:
    """All that a plan depends on besides the manifest.

    `inventory` has every tag of the target that was looked at; `wanted` every
    tag that the manifest lists. `daemon_pushes` says that the docker engine
    will do the work, so that the digest of what it pushes is not known before.
    With `patterns` only the tags that they stand for were looked at.
    """

    target: Target
    inventory: Mapping[Reference, TagState]
    wanted: Mapping[Reference, Wanted]
    daemon_pushes: bool = False
    patterns: tuple[str, ...] = ()

    def concerns(self, image: Image, tag: str) -> bool:
        """Whether the tag was looked at."""
        return is_among(f"{image.name}:{tag}", self.patterns)


def decide(manifest: Manifest, situation: Situation) -> tuple[Action, ...]:
    """Return the action for each tag, sorted by image and tag, numbers in tags by their value.

    A tag that the manifest doesn't name gives an action only by
    `policy.unlisted`, and never if it is a chart, another artifact or a tombstone.
    """
    actions: list[Action] = []
    found: dict[Repository, list[Reference]] = {}
    for reference in situation.inventory:
        found.setdefault(reference.repository, []).append(reference)
    for image in manifest.images:
        repository = situation.target.repository(image.name)
        actions += [
            _listed(image, repository.tagged(tag.tag), situation)
            for tag in image.tags
            if situation.concerns(image, tag.tag)
        ]
        actions += [
            _retired(image, repository.tagged(entry.tag), entry.reason, situation)
            for entry in image.retired
            if situation.concerns(image, entry.tag)
        ]
        if manifest.policy.unlisted != "ignore":
            named = {tag.tag for tag in image.tags} | {retired.tag for retired in image.retired}
            bury = manifest.policy.unlisted == "tombstone"
            for reference in found.get(repository, ()):
                if reference.tag not in named:
                    actions += _unlisted(image, reference, situation.inventory[reference], situation, bury)
    return in_order(actions)


def in_order(actions: Iterable[Action]) -> tuple[Action, ...]:
    """Return the actions sorted by repository and tag, numbers in tags by their value."""
    return tuple(sorted(actions, key=_order))


def _listed(image: Image, reference: Reference, situation: Situation) -> Action:
    state = situation.inventory[reference]
    wanted = situation.wanted[reference]
    before = state_of(state)

    def stop(why: str, next_move: str = "") -> Action:
        return blocked(image.name, reference, before, why, next_move)

    match state:
        case Unreadable():
            return _unread(image, reference, state)
        case Artifact(_, kind):
            return stop(f"the tag holds an artifact of type {kind}, which is never overwritten", "use another tag")
        case Present() | Tombstone() | Absent():
            pass
        case _:
            assert_never(state)
    match wanted:
        case Unavailable(why, next_move):
            return stop(why, next_move)
        case AnyImage():
            return _any_image(image, reference, state, situation)
        case Resolved():
            pass
        case _:
            assert_never(wanted)

    after = State("image", None if situation.daemon_pushes else wanted.digest, wanted.config, wanted.made_from)

    def write(kind: Kind, reason: str) -> Action:
        return Action(kind, image.name, reference, before, after, reason, _copy(wanted), notes=_notes(wanted))

    match state:
        case Absent():
            return write(Kind.CREATE, "the registry has no such tag")
        case Present() if _same(wanted, state):
            reason = "the registry has this image"
            return Action(Kind.UNCHANGED, image.name, reference, before, before, reason, notes=wanted.notes)
        case Present():
            if situation.daemon_pushes and state.media_type in INDEX_TYPES:
                return stop(
                    "the tag holds a multi-platform index, and a daemon would put one platform in its place",
                    "use --engine registry",
                )
            if image.is_mutable(reference.tag or ""):
                return write(Kind.UPDATE, f"{_why_another(wanted)}, and the tag is mutable")
            return stop(
                f"immutable: the tag holds {_name(state.digest, state.config, wanted)}, "
                f"{spoken(wanted.source)} is {_offered(wanted)}",
                "push that to a new tag, "
                f"keep what is there with `digest: {state.digest}`, or list the tag under `mutable`",
            )
        case Tombstone(replaced=Present() as replaced) if _same(wanted, replaced):
            return _put_back(image, reference, state, replaced, situation)
        case Tombstone():
            return write(Kind.RESTORE, f"retired before, and listed again; {_how_restored(state, wanted, reference)}")
        case _:
            assert_never(state)


def _how_restored(state: Tombstone, wanted: Resolved, reference: Reference) -> str:
    if isinstance(wanted.source, RegistrySource) and wanted.source.reference.repository == reference.repository:
        return "put back by its digest"
    if state.replaced is None:
        return "what the tombstone replaced can't be read any more, so it is copied from the source"
    return (
        "the source has another image by now, which is copied; "
        f"for the one that was retired name `digest: {state.replaced.digest}`"
    )


def _any_image(image: Image, reference: Reference, state: Present | Tombstone | Absent, situation: Situation) -> Action:
    before = state_of(state)
    match state:
        case Present():
            return Action(Kind.UNCHANGED, image.name, reference, before, before, "the tag exists; no source is named")
        case Tombstone(replaced=Present() as replaced):
            return _put_back(image, reference, state, replaced, situation)
        case Tombstone():
            why, next_move = (
                "what the tombstone replaced can't be read any more, and no source is named",
                "add a source",
            )
        case Absent():
            why, next_move = "the registry has no such tag, and no source is named", "add a source, or remove the tag"
        case _:
            assert_never(state)
    return blocked(image.name, reference, before, why, next_move)


def _put_back(image: Image, reference: Reference, state: Tombstone, replaced: Present, situation: Situation) -> Action:
    """Restore what the tombstone replaced: its image manifest is still there, to be tagged again."""
    if situation.daemon_pushes and replaced.config is None:
        why = "the tombstone replaced a multi-platform index, which a daemon can't put back"
        return blocked(image.name, reference, state_of(state), why, "use --engine registry")
    source = RegistrySource(reference.repository.at(replaced.digest))
    return Action(
        Kind.RESTORE,
        image.name,
        reference,
        state_of(state),
        State("image", None if situation.daemon_pushes else replaced.digest, replaced.config),
        "retired before, and listed again; what the tombstone replaced is put back",
        Copy(source, replaced.digest),
    )


def _retired(image: Image, reference: Reference, reason: str, situation: Situation) -> Action:
    state = situation.inventory[reference]
    before = state_of(state)
    match state:
        case Absent():
            return Action(Kind.UNCHANGED, image.name, reference, None, None, "retired, and not in the registry")
        case Tombstone(epitaph=epitaph) if epitaph.reason == reason:
            return Action(Kind.UNCHANGED, image.name, reference, before, before, f"retired: {reason}")
        case Tombstone() | Present():
            return _tombstone(image, reference, state, reason, situation)
        case Artifact(_, kind):
            why = f"the tag holds an artifact of type {kind}, which is never touched"
            return blocked(image.name, reference, before, why, "remove it from `retired`")
        case Unreadable():
            return _unread(image, reference, state)
        case _:
            assert_never(state)


def _unlisted(
    image: Image, reference: Reference, state: TagState, situation: Situation, bury: bool
) -> tuple[Action, ...]:
    match state:
        case Present() if image.select and _fits(image.select, reference):
            before = state_of(state)
            return (Action(Kind.UNLISTED, image.name, reference, before, before, UNSELECTED_REASON),)
        case Present() if bury:
            return (_tombstone(image, reference, state, UNLISTED_REASON, situation),)
        case Present():
            before = state_of(state)
            return (Action(Kind.UNLISTED, image.name, reference, before, before, UNLISTED_REASON),)
        case Unreadable():
            return (_unread(image, reference, state),)
        case Artifact() | Tombstone() | Absent():
            return ()
        case _:
            assert_never(state)


def _unread(image: Image, reference: Reference, state: Unreadable) -> Action:
    why = f"the registry's tag can't be read: {state.why}"
    return blocked(image.name, reference, None, why, state.next_move or UNREAD_MOVE)


def _fits(select: Select, reference: Reference) -> bool:
    """What a selector stops choosing, because its source has newer tags or lost some, nobody decided to retire."""
    from replsync.manifest.selecting import fits  # here: few manifests select tags

    return fits(select, reference.tag or "")


def _tombstone(
    image: Image, reference: Reference, state: Present | Tombstone, reason: str, situation: Situation
) -> Action:
    match state:
        case Present():
            replaces, media_type = state.digest, state.media_type
        case Tombstone():
            replaces, media_type = state.epitaph.replaces, state.epitaph.replaces_media_type
        case _:
            assert_never(state)
    epitaph = Epitaph(str(reference), reason, replaces, media_type)
    after = buried(epitaph, by_daemon=situation.daemon_pushes)
    return Action(Kind.TOMBSTONE, image.name, reference, state_of(state), after, reason, Bury(epitaph))


def _copy(wanted: Resolved) -> Copy:
    match wanted:
        case Resolved(RegistrySource(Reference(digest=str() as digest)) as source):
            return Copy(source, digest, wanted.transforms)
        case Resolved(LayoutSource(digest=str() as digest) as source):
            return Copy(source, digest, wanted.transforms)
        case Resolved(DaemonSource() | SavedSource() as source, config=str() as image_id):
            return Copy(source, image_id, wanted.transforms)
        case Resolved(BuildSource() as source, made_from=str() as made_from):
            return Copy(source, inputs_of(made_from), wanted.transforms)
        case _:
            raise AssertionError("what was identified has a digest, an image ID, or what it is made from")


def _notes(wanted: Resolved) -> tuple[str, ...]:
    if isinstance(wanted.source, BuildSource):
        return (*wanted.notes, f"will be built from {wanted.source.context}, which tells its digest")
    return wanted.notes


def _same(wanted: Resolved, present: Present) -> bool:
    if present.digest in (wanted.digest, wanted.whole):
        return True
    if wanted.made_from is not None and serves(wanted.made_from, present.made_from):
        return True
    return wanted.digest is None and wanted.config is not None and wanted.config == present.config


def _why_another(wanted: Resolved) -> str:
    if isinstance(wanted.source, BuildSource):
        return "the tag's image is not built from what is there now"
    return "the source has another image"


def _offered(wanted: Resolved) -> str:
    if isinstance(wanted.source, BuildSource) and wanted.made_from is not None:
        return f"built from other inputs, {short(inputs_of(wanted.made_from))}"
    if wanted.made_from is not None:
        return f"made from {wanted.made_from}"
    taken_away = " without what is taken away of it" if wanted.whole and wanted.digest != wanted.whole else ""
    return _name(wanted.digest, wanted.config, wanted) + (taken_away if wanted.digest else "")


def _name(digest: Digest | None, config: Digest | None, wanted: Resolved) -> str:
    """Name an image by what was compared: its digest, else its image ID."""
    if digest is not None and (wanted.digest is not None or wanted.made_from is not None):
        return short(digest)
    return f"image ID {short(config)}" if config else "a multi-platform index"


def _order(action: Action) -> tuple[Repository, tuple[list[tuple[bool, int, str]], str]]:
    return action.reference.repository, tag_order(action.tag)
