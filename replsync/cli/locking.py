"""`replsync lock`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from replsync.cli.files import write_whole
from replsync.cli.lock_file import read_lock_beside
from replsync.cli.options import Connection, Ends
from replsync.cli.planning import CHANGES
from replsync.cli.progress import asking
from replsync.cli.running import run
from replsync.cli.workspace import Workspace, opened
from replsync.errors import InvalidInput, ReplsyncError, SignInError
from replsync.manifest.lock import (
    Lock,
    LockCheck,
    LockedTags,
    NotRead,
    TagsNotRead,
    chooses_anew,
    lock_path,
    locked_tags,
    renewed,
)
from replsync.manifest.lock_text import lock_text
from replsync.manifest.model import Image
from replsync.manifest.select import chosen_by
from replsync.manifest.selecting import Choice, in_need, locked_choice, with_choices
from replsync.oci.digest import Digest
from replsync.oci.source_name import SourceName
from replsync.render.lock import check_text, lock_changes
from replsync.survey.locking import check, look_up, what_is_pushed
from replsync.survey.selecting import choices, settled

_MEND = "mend the sources, or sign in to their registries"


def write_lock(connection: Connection, upgrade: Sequence[str], no_color: bool) -> None:
    """Resolve what the lock file lacks, and what is to be upgraded, and write it."""
    run(_write_lock(connection, upgrade, no_color))


def check_lock(connection: Connection, no_color: bool) -> None:
    """Say where the lock file doesn't fit the manifest, and which sources have moved. Ends with 2 where there are any.

    Raises InvalidInput where there is no lock file.
    """
    found = run(_check_lock(connection, no_color))
    print(check_text(found), end="")
    unread = [one.finding.error for one in found.sources if isinstance(one.finding, NotRead)]
    untold = [one.finding.error for one in found.selections if isinstance(one.finding, TagsNotRead)]
    if unread:
        raise _all_of(
            [*unread, *untold], f"lock --check: {len(unread)} of {_sources(len(found.sources))} can't be read"
        )
    if untold:
        raise _all_of(untold, f"lock --check: what {len(untold)} selectors choose by now can't be said")
    if not found.is_current:
        raise Ends(CHANGES)


async def _check_lock(connection: Connection, no_color: bool) -> LockCheck:
    async with opened(connection) as workspace:
        lock = _read(workspace)
        if lock is None:
            path = lock_path(workspace.file.name)
            raise InvalidInput(f"lock --check: there is no lock file {path}", hint="write it: replsync lock")
        manifest = workspace.file.manifest
        with asking(no_color):
            now = await choices(in_need(manifest, ()), workspace.registries.client)
            taken = [one for image in manifest.images if (one := _as_locked(lock, image) or now.get(image.name))]
            resolved = with_choices(manifest, [one for one in taken if isinstance(one, Choice)])
            chosen = {image: one.tags if isinstance(one, Choice) else one for image, one in now.items()}
            return await check(lock, resolved, workspace.registries.engine, workspace.folder, chosen)


async def _write_lock(connection: Connection, upgrade: Sequence[str], no_color: bool) -> None:
    async with opened(connection) as workspace:
        old = _read(workspace)
        manifest = workspace.file.manifest
        with asking(no_color):
            selections = await _selections(old, workspace, upgrade)
            resolved = with_choices(manifest, selections)
            renewal = renewed(old, resolved, upgrade)
            found = await look_up(renewal.sought, workspace.registries.engine, workspace.folder)
            digests = {**renewal.kept, **_resolved(found)}
            pushed = await what_is_pushed(old, renewal, resolved, digests, workspace.registries.engine)
    path = lock_path(workspace.file.name)
    sources = {image.name: image.source for image in manifest.images}
    selected = {
        one.image: LockedTags(chosen_by(one.select, sources[one.image]), tuple(sorted(one.tags))) for one in selections
    }
    new = Lock(path, digests, selected, pushed)
    if new != old:
        write_whole(Path(path), lock_text(new).encode(), "the lock file")
    print(lock_changes(old, new), end="")


def _as_locked(lock: Lock | None, image: Image) -> Choice | None:
    tags = locked_tags(lock, image)
    return None if tags is None else locked_choice(image, tags)


async def _selections(old: Lock | None, workspace: Workspace, upgrade: Sequence[str]) -> tuple[Choice, ...]:
    """What the lock file has of each selector, unless it is to choose anew; else what it chooses now."""
    kept = {
        image.name: locked
        for image in workspace.file.manifest.images
        if not chooses_anew(image, upgrade) and (locked := _as_locked(old, image))
    }
    others = [image for image in in_need(workspace.file.manifest, ()) if image.name not in kept]
    made = settled(await choices(others, workspace.registries.client))
    return (*kept.values(), *made)


def _all_of(errors: Sequence[ReplsyncError], message: str) -> ReplsyncError:
    """One error for several; the exit code tells that of sign-in where all are of that kind."""
    kind = SignInError if all(isinstance(error, SignInError) for error in errors) else ReplsyncError
    return kind(message, hint=_MEND)


def _sources(count: int) -> str:
    return f"{count} source{'' if count == 1 else 's'}"


def _read(workspace: Workspace) -> Lock | None:
    found = read_lock_beside(workspace.file.name)
    return found[0] if found else None


def _resolved(found: Mapping[SourceName, Digest | ReplsyncError]) -> dict[SourceName, Digest]:
    """Raise ReplsyncError where one can't be resolved, with all of them."""
    errors = [error for error in found.values() if isinstance(error, ReplsyncError)]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        said = "".join(f"\n  {error.in_full}" for error in errors)
        raise _all_of(
            errors, f"lock: {len(errors)} of {_sources(len(found))} can't be resolved; nothing was written:{said}"
        )
    return {source: digest for source, digest in found.items() if not isinstance(digest, ReplsyncError)}
