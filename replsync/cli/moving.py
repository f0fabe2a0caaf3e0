"""`replsync retire` and `replsync restore`: one tag, in the manifest and in the registry."""

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from replsync.cli.carrying_out import carry_out, shown_and_approved
from replsync.cli.files import read_whole, write_whole
from replsync.cli.manifest_file import HINT
from replsync.cli.options import Connection, Ends, Scope, Shown
from replsync.cli.progress import asking
from replsync.cli.running import run
from replsync.cli.terminal import refuse_unattended
from replsync.cli.workspace import Workspace, at_work, opened
from replsync.errors import BlockedPlan, ChangedMeanwhile, InvalidInput, NotFound, RegistryError, UsageError
from replsync.manifest.edit import NewTag, moved_to_retired, moved_to_tags
from replsync.manifest.faults import harmless
from replsync.manifest.model import Image
from replsync.manifest.read import ManifestFile, read_manifest
from replsync.manifest.source_text import MAX_SIZE
from replsync.oci.digest import short
from replsync.oci.reference import Reference, is_path, is_tag
from replsync.oci.source_name import DaemonSource
from replsync.oci.tag_state import Absent, Artifact, Present, TagState, Tombstone, Unreadable
from replsync.registry.inventory import is_whole, read_tag

_UNATTENDED = "say --auto-approve, or --edit-only to change the manifest alone"


def retire(name: str, reason: str, connection: Connection, edit_only: bool, shown: Shown) -> None:
    """Move a tag to `retired`, and put a tombstone in its place."""
    if not edit_only:
        refuse_unattended("retire", shown.auto_approve, _UNATTENDED)
    run(_retire(name, reason, connection, edit_only, shown))


def restore(name: str, connection: Connection, edit_only: bool, shown: Shown) -> None:
    """Put back what a tombstone replaced, and move the tag to `tags`."""
    if not edit_only:
        refuse_unattended("restore", shown.auto_approve, _UNATTENDED)
    run(_restore(name, connection, edit_only, shown))


async def _retire(name: str, reason: str, connection: Connection, edit_only: bool, shown: Shown) -> None:
    async with opened(connection) as workspace:
        reference, image = tag_of(name, workspace)

    def edit(data: bytes) -> bytes:
        return moved_to_retired(data, str(connection.file), image, reference.tag or "", reason)

    await _edit_and_apply(connection, edit, f"{image}:{reference.tag}", "retired", edit_only, shown)


async def _restore(name: str, connection: Connection, edit_only: bool, shown: Shown) -> None:
    async with opened(connection) as workspace:
        reference, image = tag_of(name, workspace)
        new = await _entry(reference, _retiring(workspace.file, image, reference), workspace)

    def edit(data: bytes) -> bytes:
        return moved_to_tags(data, str(connection.file), image, new)

    await _edit_and_apply(connection, edit, f"{image}:{reference.tag}", "tags", edit_only, shown)


def tag_of(name: str, workspace: Workspace) -> tuple[Reference, str]:
    """Return the tag of this name, `IMAGE:TAG` or in full, and the image's name. Raises UsageError."""
    target = workspace.target
    label = name.removeprefix(f"{target.registry}/{target.app}/")
    image, colon, tag = label.rpartition(":")
    if not colon or not is_path(image) or not is_tag(tag):
        raise UsageError(f"{name!r} is not the name of a tag", hint="write it as IMAGE:TAG, such as worker:1.9.3")
    return target.repository(image).tagged(tag), image


def _retiring(file: ManifestFile, name: str, reference: Reference) -> Image:
    """Return the image, whose `retired` has the tag. Raises InvalidInput: without that there is nothing to move."""
    label = f"{name}:{reference.tag}"
    images = {image.name: image for image in file.manifest.images}
    if name not in images:
        known = ", ".join(list(images)[:10]) + (", …" if len(images) > 10 else "")
        raise InvalidInput(f"restore {label}: {file.name} doesn't list the image", hint=f"it lists {known}")
    image = images[name]
    if any(tag.tag == reference.tag for tag in image.tags):
        raise InvalidInput(
            f"restore {label}: {file.name} lists it already, it is not retired",
            hint=f"where the registry has a tombstone all the same: replsync apply --target {label}",
        )
    if not any(retired.tag == reference.tag for retired in image.retired):
        raise InvalidInput(
            f"restore {label}: {file.name} doesn't retire it",
            hint=f"look at what is known of it with: replsync history {label}; to have it again, list it below `tags`",
        )
    return image


async def _entry(reference: Reference, image: Image, workspace: Workspace) -> NewTag:
    """The entry for what the tombstone replaced: pinned, so that it is just that which is put back.

    A daemon's image can't be pinned: its tag comes from the target itself then.
    """
    state = await read_tag(workspace.registries.client, reference)
    if not isinstance(state, Tombstone):
        raise _not_retired(reference, state)
    replaces = state.epitaph.replaces
    exactly = reference.repository.at(replaces)
    if not await is_whole(workspace.registries.client, exactly):
        raise NotFound(
            f"restore {reference}: what the tombstone replaced, {replaces}, can't be read from the registry any more",
            hint="move the tag to `tags` in the manifest by hand, with a source that has the image, and run apply",
        )
    tag = reference.tag or ""
    return NewTag(tag, source=str(exactly)) if isinstance(image.source, DaemonSource) else NewTag(tag, replaces)


def _not_retired(reference: Reference, state: TagState) -> RegistryError:
    match state:
        case Unreadable(why):
            what, hint = f"the tag can't be read: {harmless(why)}", "try again later"
        case Present(digest):
            what = f"there is nothing to put back: the tag holds the image {short(digest)}, and no tombstone"
            hint = "to keep that image, move the tag from `retired` to `tags` in the manifest by hand"
        case Artifact(_, kind):
            what = f"the tag holds an artifact of type {harmless(kind)}, and no tombstone"
            hint = "an artifact is never touched: remove the tag from the manifest by hand"
        case Absent():
            what = "the registry has no such tag, so no tombstone either"
            hint = "list the tag below `tags` with a source that has it, and run apply"
        case Tombstone():
            raise AssertionError("a tombstone is what is restored")
        case _:
            assert_never(state)
    return RegistryError(f"restore {reference}: {what}", hint=hint)


async def _edit_and_apply(
    connection: Connection, edit: Callable[[bytes], bytes], label: str, to: str, edit_only: bool, shown: Shown
) -> None:
    """The manifest first: where the run fails after that, the next apply goes on with it."""
    path = connection.file
    old = _bytes_of(path)
    new = edit(old)
    if edit_only:
        _write(path, old, new, label, to)
        return
    async with at_work(connection, read_manifest(new, str(path))) as workspace:
        with asking(shown.no_color):
            plan = await workspace.plan(Scope(targets=(label,)))
        try:
            reviewed = await shown_and_approved(plan, shown)
        except Ends as end:
            if end.code == BlockedPlan.exit_code:
                print(f"{path} was not changed")
            raise
        _write(path, old, new, label, to)
        if reviewed:
            await carry_out(reviewed, workspace.registries, shown)


def _write(path: Path, old: bytes, new: bytes, label: str, to: str) -> None:
    if _bytes_of(path) != old:
        raise ChangedMeanwhile(
            f"write the manifest {path}: it was changed meanwhile; nothing was written", hint="run the command again"
        )
    write_whole(path, new, "the manifest")
    print(f"{path}: {label} is under `{to}` now", flush=True)


def _bytes_of(path: Path) -> bytes:
    return read_whole(path, "the manifest", MAX_SIZE, HINT)
