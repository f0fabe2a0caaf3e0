"""`replsync retire` and `replsync restore`: one tag, in the manifest and in the registry."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, assert_never

from replsync.cli import log
from replsync.cli.carrying_out import alone, carry_out, shown_and_approved
from replsync.cli.files import read_whole, write_whole
from replsync.cli.manifest_file import HINT, tag_of
from replsync.cli.manifests import member_with, members_of, read_all
from replsync.cli.options import Connection, Ends, Scope, Shown
from replsync.cli.progress import asking
from replsync.cli.running import run
from replsync.cli.terminal import refuse_unattended
from replsync.cli.workspace import at_work, mentions_of
from replsync.errors import BlockedPlan, ChangedMeanwhile, InvalidInput, NotFound, RegistryError, UsageError
from replsync.manifest.edit import NewTag, moved_to_retired, moved_to_tags
from replsync.manifest.model import Image
from replsync.manifest.read import ManifestFile, read_manifest
from replsync.manifest.source_text import MAX_SIZE
from replsync.oci.digest import short
from replsync.oci.reference import Reference
from replsync.oci.source_name import DaemonSource, SavedSource
from replsync.oci.tag_state import Absent, Artifact, Present, TagState, Tombstone, Unreadable
from replsync.plan.action import Action, Kind, State
from replsync.plan.claims import Member
from replsync.plan.document import Plan
from replsync.plan.guarding import protected
from replsync.registry.client import RegistryClient
from replsync.registry.inventory import is_whole, read_tag
from replsync.render.harmless import clean

_NEVER = "; what `select` is never to choose goes below its `exclude`"
_UNATTENDED = "say --auto-approve, or --edit-only to change the manifest alone"


def retire(
    names: Sequence[str], reason: str, even_if_referenced: bool, connection: Connection, edit_only: bool, shown: Shown
) -> None:
    """Move tags of one manifest to `retired`, and put tombstones in their places."""
    if not edit_only:
        refuse_unattended("retire", shown.auto_approve, _UNATTENDED)
    members = read_all(connection.files)
    member = member_with(names[0], members)
    file = member.file
    for name in names[1:]:
        if (other := member_with(name, members)) is not member:
            raise UsageError(
                f"retire: {names[0]} is a tag of {file.name}, and {name} one of {other.file.name}",
                hint="retire the tags of one manifest at a time",
            )
    tags = tuple(dict.fromkeys(_Tag(*tag_of(name, file)) for name in names))
    others = tuple(one for one in members if one is not member)

    def edit(data: bytes) -> bytes:
        for one in tags:
            data = moved_to_retired(data, file.name, one.image, one.tag, reason, even_if_referenced=even_if_referenced)
        return data

    run(_move(_Move(file, tags, "retired", "restore", others), connection, edit, edit_only, shown))


def restore(name: str, connection: Connection, edit_only: bool, shown: Shown) -> None:
    """Put back what a tombstone replaced, and move the tag to `tags`."""
    if not edit_only:
        refuse_unattended("restore", shown.auto_approve, _UNATTENDED)
    run(_restore(name, connection, edit_only, shown))


async def _restore(name: str, connection: Connection, edit_only: bool, shown: Shown) -> None:
    member = member_with(name, read_all(connection.files))
    file = member.file
    reference, image = tag_of(name, file)
    async with at_work(connection, (member,)) as workspace:
        entry = await _entry(reference, _image(file, image, reference), file, workspace.registries.client)

    def edit(data: bytes) -> bytes:
        listed = next((tag for tag in _image(file, image, reference).tags if tag.tag == reference.tag), None)
        if listed is None:
            return moved_to_tags(data, file.name, image, entry)
        if listed.digest == entry.digest and str(listed.source or "").endswith(entry.source or ""):
            return data  # an earlier run was interrupted behind this
        raise InvalidInput(
            f"restore {image}:{reference.tag}: {file.name} lists it already, as another image",
            hint=f"make it so with: replsync apply --target {image}:{reference.tag}",
        )

    await _move(_Move(file, (_Tag(reference, image),), "tags", "retire"), connection, edit, edit_only, shown)


def _image(file: ManifestFile, name: str, reference: Reference) -> Image:
    """Return the image that has the tag, listed or retired. Raises InvalidInput: else there is nothing to restore."""
    label = f"{name}:{reference.tag}"
    images = {image.name: image for image in file.manifest.images}
    if name not in images:
        known = ", ".join(list(images)[:10]) + (", …" if len(images) > 10 else "")
        raise InvalidInput(f"restore {label}: {file.name} doesn't list the image", hint=f"it lists {known}")
    image = images[name]
    if reference.tag not in _names(image):
        raise InvalidInput(
            f"restore {label}: {file.name} doesn't retire it",
            hint=f"look at what is known of it with: replsync history {label}; to have it again, list it below `tags`",
        )
    return image


def _names(image: Image) -> set[str]:
    return {tag.tag for tag in image.tags} | {entry.tag for entry in image.retired}


async def _entry(reference: Reference, image: Image, file: ManifestFile, client: RegistryClient) -> NewTag:
    """The entry for what the tombstone replaced: pinned, so that it is just that which is put back.

    A daemon's image can't be pinned: its tag comes from the target itself then.
    """
    state = await read_tag(client, reference)
    if not isinstance(state, Tombstone):
        label = f"{image.name}:{reference.tag}"
        if any(tag.tag == reference.tag for tag in image.tags):
            raise InvalidInput(
                f"restore {label}: {file.name} lists it already, and the registry has no tombstone there",
                hint=f"see what is left to do with: replsync plan --target {label}",
            )
        raise _not_retired(reference, state)
    replaces = state.epitaph.replaces
    exactly = reference.repository.at(replaces)
    if not await is_whole(client, exactly):
        raise NotFound(
            f"restore {reference}: what the tombstone replaced, {replaces}, can't be read from the registry any more",
            hint="move the tag to `tags` in the manifest by hand, with a source that has the image, and run apply",
        )
    tag = reference.tag or ""
    if image.build or isinstance(image.source, DaemonSource | SavedSource):
        return NewTag(tag, source=str(exactly))
    return NewTag(tag, replaces)


def _not_retired(reference: Reference, state: TagState) -> RegistryError:
    match state:
        case Unreadable(why):
            what, hint = f"the tag can't be read: {why}", "try again later"
        case Present(digest):
            what = f"there is nothing to put back: the tag holds the image {short(digest)}, and no tombstone"
            hint = "to keep that image, move the tag from `retired` to `tags` in the manifest by hand"
        case Artifact(_, kind):
            what = f"the tag holds an artifact of type {kind}, and no tombstone"
            hint = "an artifact is never touched: remove the tag from the manifest by hand"
        case Absent():
            what = "the registry has no such tag, so no tombstone either"
            hint = "list the tag below `tags` with a source that has it, and run apply"
        case Tombstone():
            raise AssertionError("a tombstone is what is restored")
        case _:
            assert_never(state)
    return RegistryError(f"restore {reference}: {what}", hint=hint)


@dataclass(frozen=True)
class _Tag:
    """A tag, and the image in the manifest that it is of."""

    reference: Reference
    image: str

    @property
    def tag(self) -> str:
        return self.reference.tag or ""

    @property
    def label(self) -> str:
        return f"{self.image}:{self.tag}"


@dataclass(frozen=True)
class _Move:
    """Tags that move to the list `to` of their images; `back` is the command for the other direction.

    The releases of `others` count, too.
    """

    file: ManifestFile
    tags: tuple[_Tag, ...]
    to: Literal["tags", "retired"]
    back: str
    others: tuple[Member, ...] = ()

    def entries(self, tag: _Tag) -> Image:
        """The tag's image as the manifest has it before the move; it was looked for already."""
        return next(image for image in self.file.manifest.images if image.name == tag.image)

    @property
    def way_back(self) -> str | None:
        """The command that takes it back; None for several tags, which a rollback takes back at once."""
        if len(self.tags) > 1:
            return None
        return f"replsync {self.back} {self.tags[0].label}" + (" --reason REASON" if self.back == "retire" else "")


async def _move(
    move: _Move, connection: Connection, edit: Callable[[bytes], bytes], edit_only: bool, shown: Shown
) -> None:
    """The manifest first: where the run fails after that, the same command goes on with it."""
    path = Path(move.file.name)
    old = _bytes_of(path)
    new = edit(old)
    if edit_only:
        _write(path, old, new, move)
        if move.to == "retired":
            for tag in move.tags:
                _foretell(move, tag, read_manifest(new, str(path)))
        return
    members = members_of([read_manifest(new, str(path))])
    async with at_work(connection, members, move.others) as workspace:
        async with asking(workspace.registries.client, shown) as asked:
            plan = await workspace.plan(Scope(targets=tuple(tag.label for tag in move.tags)), asked)
        for tag in move.tags:
            _refuse_unknown(move, tag, plan)
        try:
            reviewed = await shown_and_approved(plan, members, shown)
        except Ends as end:
            if end.code == BlockedPlan.exit_code:
                print(f"{clean(str(path))} was not changed{_lift(move)}")
            raise
        if reviewed is None:
            _write(path, old, new, move)
            return
        async with alone(reviewed.plan):
            _write(path, old, new, move)
            await carry_out(reviewed, members, workspace.registries, shown, move.way_back)


def _lift(move: _Move) -> str:
    if move.to != "retired":
        return ""
    if any(entry.tag == tag.tag for tag in move.tags for entry in move.entries(tag).retired):
        return "; `even_if_referenced: true` in its entry retires what a release names"
    return "; --even-if-referenced retires what a release names"


def _foretell(move: _Move, tag: _Tag, file: ManifestFile) -> None:
    """Say on stderr what the plan will have to say of a tag that was retired in the manifest alone."""
    if tag.tag not in _names(move.entries(tag)):
        near = get_close_matches(tag.tag, _names(move.entries(tag)), 1, 0.8)
        slip = f"; did you mean {near[0]}? Then take the new line out of `retired`" if near else ""
        note = f"{move.file.name} did not list {tag.label}: only the registry can say whether there is such a tag{slip}"
        log.say("note", f"note: {note}")
    (member,) = members_of([file])
    state = State("image", None)  # which image isn't asked: only a release that names the tag is found
    tombstone = Action(Kind.TOMBSTONE, tag.image, tag.reference, state, None, "")
    (found,) = mentions_of([member], move.others)
    (guarded,) = protected([tombstone], file.manifest, member.target, found)
    if guarded.kind is Kind.BLOCKED:
        log.say("note", f"note: the plan will be blocked: {guarded.reason}", level="warning")


def _refuse_unknown(move: _Move, tag: _Tag, plan: Plan) -> None:
    """A tag that nobody knows is a slip of the pen: retired, it would only seem to be dealt with."""
    image = move.entries(tag)
    actions = [action for action in plan.actions if action.reference == tag.reference]
    is_absent = all(action.kind is Kind.UNCHANGED and action.before is None for action in actions)
    if is_absent and tag.tag not in _names(image):
        tags = ", ".join(one.tag for one in image.tags[:10]) + (", …" if len(image.tags) > 10 else "")
        raise InvalidInput(
            f"retire {tag.label}: neither {move.file.name} nor the registry has such a tag",
            hint=f"check its name; {tag.image} has {tags or 'no tags'}" + (_NEVER if image.select else ""),
        )


def _write(path: Path, old: bytes, new: bytes, move: _Move) -> None:
    if new == old:
        for tag in move.tags:
            print(f"{clean(str(path))}: {tag.label} is under `{move.to}` already", flush=True)
        return
    if _bytes_of(path) != old:
        raise ChangedMeanwhile(
            f"write the manifest {path}: it was changed meanwhile; nothing was written", hint="run the command again"
        )
    write_whole(path, new, "the manifest")
    pinned = ", pinned to what its tombstone replaced" if move.to == "tags" else ""
    for tag in move.tags:
        print(f"{clean(str(path))}: {tag.label} is under `{move.to}` now{pinned}", flush=True)


def _bytes_of(path: Path) -> bytes:
    return read_whole(path, "the manifest", MAX_SIZE, HINT)
