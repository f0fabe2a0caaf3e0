"""`replsync lock`."""

from collections.abc import Sequence
from pathlib import Path

from replsync.cli.files import write_whole
from replsync.cli.lock_file import read_lock_beside
from replsync.cli.manifests import of_each
from replsync.cli.options import Connection, Ends
from replsync.cli.planning import CHANGES
from replsync.cli.progress import asking
from replsync.cli.running import run
from replsync.cli.workspace import Workspace, opened
from replsync.errors import InvalidInput, ReplsyncError, SignInError
from replsync.manifest.labels import is_chosen
from replsync.manifest.lock import (
    Lock,
    LockCheck,
    LockedTags,
    NotRead,
    Renewal,
    TagsNotRead,
    chooses_anew,
    lock_path,
    locked_tags,
    needed,
    renewed,
)
from replsync.manifest.lock_text import lock_text
from replsync.manifest.model import Image, Manifest
from replsync.manifest.select import chosen_by
from replsync.manifest.selecting import Choice, in_need, locked_choice, with_choices
from replsync.oci.digest import Digest
from replsync.oci.source_name import SourceName
from replsync.plan.claims import Member
from replsync.registry.together import together
from replsync.render.harmless import clean
from replsync.render.lock import check_text, lock_changes
from replsync.survey.locking import check, look_up, what_is_pushed
from replsync.survey.selecting import choices, settled

_MEND = "mend the sources, or sign in to their registries"


def write_lock(connection: Connection, upgrade: Sequence[str], no_color: bool) -> None:
    """Resolve what the lock files lack, and what is to be upgraded, and write them."""
    run(_write_lock(connection, upgrade, no_color))


def check_lock(connection: Connection, no_color: bool) -> None:
    """Say where a lock file doesn't fit its manifest, and which sources have moved. Ends with 2 where there are any.

    Raises InvalidInput where there is no lock file.
    """
    found = run(_check_lock(connection, no_color))
    for name, one in found:
        if len(found) > 1:
            print(f"{clean(name)}:")
        print(check_text(one), end="")
    sources = [source.finding for _, one in found for source in one.sources]
    unread = [finding.error for finding in sources if isinstance(finding, NotRead)]
    selections = [selection.finding for _, one in found for selection in one.selections]
    untold = [finding.error for finding in selections if isinstance(finding, TagsNotRead)]
    if unread:
        raise _all_of([*unread, *untold], f"lock --check: {len(unread)} of {_sources(len(sources))} can't be read")
    if untold:
        raise _all_of(untold, f"lock --check: what {len(untold)} selectors choose by now can't be said")
    if not all(one.is_current for _, one in found):
        raise Ends(CHANGES)


async def _check_lock(connection: Connection, no_color: bool) -> list[tuple[str, LockCheck]]:
    async with opened(connection) as workspace:
        locks = of_each(_needed_lock, workspace.members)
        with asking(no_color):
            found = await together(
                _checked(lock, member, workspace) for lock, member in zip(locks, workspace.members, strict=True)
            )
    return [(lock.name, one) for lock, one in zip(locks, found, strict=True)]


async def _checked(lock: Lock, member: Member, workspace: Workspace) -> LockCheck:
    manifest = member.file.manifest
    now = await choices(in_need(manifest, ()), workspace.registries.client)
    taken = [one for image in manifest.images if (one := _as_locked(lock, image) or now.get(image.name))]
    resolved = with_choices(manifest, [one for one in taken if isinstance(one, Choice)])
    chosen = {image: one.tags if isinstance(one, Choice) else one for image, one in now.items()}
    return await check(lock, resolved, workspace.registries.engine, member.folder, chosen)


async def _write_lock(connection: Connection, upgrade: Sequence[str], no_color: bool) -> None:
    """All sources first: where one can't be resolved, no lock file is written."""
    async with opened(connection) as workspace:
        members, engine = workspace.members, workspace.registries.engine
        old = of_each(_read, members)
        with asking(no_color):
            chosen = await together(
                _selections(lock, member, workspace, upgrade) for lock, member in zip(old, members, strict=True)
            )
            manifests = [with_choices(member.file.manifest, own) for member, own in zip(members, chosen, strict=True)]
            patterns = _shared_out(upgrade, manifests)
            renewals = [renewed(*one) for one in zip(old, manifests, patterns, strict=True)]
            found = await together(
                look_up(renewal.sought, engine, member.folder)
                for renewal, member in zip(renewals, members, strict=True)
            )
            _refuse_unresolved([one for some in found for one in some.values()])
            digests = [_all_digests(*one) for one in zip(renewals, found, strict=True)]
            pushed = await together(
                what_is_pushed(lock, renewal, manifest, own, engine)
                for lock, renewal, manifest, own in zip(old, renewals, manifests, digests, strict=True)
            )
    for lock, member, own, sources, becomes in zip(old, members, chosen, digests, pushed, strict=True):
        new = Lock(lock_path(member.file.name), sources, _locked_selections(member, own), becomes)
        if new != lock:
            write_whole(Path(new.name), lock_text(new).encode(), "the lock file")
        print(lock_changes(lock, new), end="")


def _all_digests(renewal: Renewal, found: dict[SourceName, Digest | ReplsyncError]) -> dict[SourceName, Digest]:
    resolved = {source: one for source, one in found.items() if not isinstance(one, ReplsyncError)}
    return {**renewal.kept, **resolved}


def _locked_selections(member: Member, chosen: Sequence[Choice]) -> dict[str, LockedTags]:
    sources = {image.name: image.source for image in member.file.manifest.images}
    return {one.image: LockedTags(chosen_by(one.select, sources[one.image]), tuple(sorted(one.tags))) for one in chosen}


def _as_locked(lock: Lock | None, image: Image) -> Choice | None:
    tags = locked_tags(lock, image)
    return None if tags is None else locked_choice(image, tags)


async def _selections(
    old: Lock | None, member: Member, workspace: Workspace, upgrade: Sequence[str]
) -> tuple[Choice, ...]:
    """What the lock file has of each selector, unless it is to choose anew; else what it chooses now."""
    manifest = member.file.manifest
    kept = {
        image.name: locked
        for image in manifest.images
        if not chooses_anew(image, upgrade) and (locked := _as_locked(old, image))
    }
    others = [image for image in in_need(manifest, ()) if image.name not in kept]
    made = settled(await choices(others, workspace.registries.client))
    return (*kept.values(), *made)


def _shared_out(patterns: Sequence[str], manifests: Sequence[Manifest]) -> list[list[str]]:
    """Return for each manifest the patterns that match a tag of it; those that match nowhere are everybody's fault."""
    labels = [[label for some in needed(manifest).values() for label in some] for manifest in manifests]
    matching = [[one for one in patterns if any(is_chosen(label, one) for label in own)] for own in labels]
    lost = [one for one in patterns if not any(one in own for own in matching)]
    return [[*own, *lost] for own in matching]


def _needed_lock(member: Member) -> Lock:
    lock = _read(member)
    if lock is None:
        path = lock_path(member.file.name)
        raise InvalidInput(f"lock --check: there is no lock file {path}", hint="write it: replsync lock")
    return lock


def _read(member: Member) -> Lock | None:
    found = read_lock_beside(member.file.name)
    return found[0] if found else None


def _all_of(errors: Sequence[ReplsyncError], message: str) -> ReplsyncError:
    """One error for several; the exit code tells that of sign-in where all are of that kind."""
    kind = SignInError if all(isinstance(error, SignInError) for error in errors) else ReplsyncError
    return kind(message, hint=_MEND)


def _sources(count: int) -> str:
    return f"{count} source{'' if count == 1 else 's'}"


def _refuse_unresolved(found: Sequence[Digest | ReplsyncError]) -> None:
    """Raise ReplsyncError where one can't be resolved, with all of them."""
    errors = [one for one in found if isinstance(one, ReplsyncError)]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        said = "".join(f"\n  {error.in_full}" for error in errors)
        raise _all_of(
            errors, f"lock: {len(errors)} of {_sources(len(found))} can't be resolved; nothing was written:{said}"
        )
