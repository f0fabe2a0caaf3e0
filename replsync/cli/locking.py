"""`replsync lock`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from replsync.cli.choosing import as_locked
from replsync.cli.files import write_whole
from replsync.cli.lock_file import read_lock_beside
from replsync.cli.manifests import of_each, refuse, tried
from replsync.cli.options import Connection, Ends, Shown
from replsync.cli.planning import CHANGES
from replsync.cli.progress import asking
from replsync.cli.running import run
from replsync.cli.workspace import Registries, opened
from replsync.errors import InvalidInput, ReplsyncError, SignInError
from replsync.manifest.choice import Choice, in_need, with_choices
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
    needed,
    renewed,
)
from replsync.manifest.lock_text import lock_text
from replsync.manifest.model import Manifest
from replsync.manifest.read import ManifestFile
from replsync.manifest.select import chosen_by
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
    found, missing = run(_check_lock(connection, no_color))
    for name, one in found:
        if len(found) > 1:
            print(f"{clean(name)}:")
        print(check_text(one), end="")
    for error in missing if found else []:  # else it is the only thing to say
        print(f"{clean(error.message)}; {clean(error.hint or '')}")
    sources = [source.finding for _, one in found for source in one.sources]
    unread = [finding.error for finding in sources if isinstance(finding, NotRead)]
    selections = [selection.finding for _, one in found for selection in one.selections]
    untold = [finding.error for finding in selections if isinstance(finding, TagsNotRead)]
    if unread:
        said = f"lock --check: {len(unread)} of {_sources(len(sources))} can't be read"
        raise _all_of([*unread, *untold], said)
    if untold:
        raise _all_of(untold, f"lock --check: {len(untold)} of {len(selections)} selections can't be made now")
    refuse(missing)
    if not all(one.is_current for _, one in found):
        raise Ends(CHANGES)


async def _check_lock(connection: Connection, no_color: bool) -> tuple[list[tuple[str, LockCheck]], list[InvalidInput]]:
    """What there is to say of each lock file by its name, and of those that are missing or at fault."""
    async with opened(connection) as workspace:
        members, missing = tried(lambda member: (member, _needed_lock(member.file)), workspace.members)
        async with asking(workspace.registries.client, Shown(no_color=no_color)):
            found = await together(_checked(lock, member, workspace.registries) for member, lock in members)
    return [(lock.name, one) for (_, lock), one in zip(members, found, strict=True)], missing


async def _checked(lock: Lock, member: Member, registries: Registries) -> LockCheck:
    """A selector that the lock doesn't have stands for what it chooses now."""
    manifest = member.file.manifest
    now = await choices(in_need(manifest, ()), registries.client)
    taken = [as_locked(lock, image) or now[image.name] for image in in_need(manifest, ())]
    resolved = with_choices(manifest, [one for one in taken if isinstance(one, Choice)])
    chosen = {image: one.tags if isinstance(one, Choice) else one for image, one in now.items()}
    return await check(lock, resolved, registries.engine, member.folder, chosen)


def _shared_out(patterns: Sequence[str], manifests: Sequence[Manifest]) -> list[list[str]]:
    """Return for each manifest the patterns that match in it; those that match nowhere are everybody's fault."""
    matching = [[one for one in patterns if _matches(one, manifest)] for manifest in manifests]
    lost = [one for one in patterns if not any(one in own for own in matching)]
    return [[*own, *lost] for own in matching]


def _matches(pattern: str, manifest: Manifest) -> bool:
    labels = (label for some in needed(manifest).values() for label in some)
    return any(is_chosen(label, pattern) for label in labels) or any(
        chooses_anew(image, (pattern,)) for image in manifest.images
    )


def _needed_lock(file: ManifestFile) -> Lock:
    lock = _read(file)
    if lock is None:
        path = lock_path(file.name)
        raise InvalidInput(f"lock --check: there is no lock file {path}", hint="write it: replsync lock")
    return lock


async def _write_lock(connection: Connection, upgrade: Sequence[str], no_color: bool) -> None:
    """All sources first: where one can't be resolved, no lock file is written."""
    async with opened(connection) as workspace:
        members, engine = workspace.members, workspace.registries.engine
        old = of_each(_read, [member.file for member in members])
        async with asking(workspace.registries.client, Shown(no_color=no_color)):
            selections = await together(
                _selections(lock, member, upgrade, workspace.registries)
                for lock, member in zip(old, members, strict=True)
            )
            manifests = [
                with_choices(member.file.manifest, some) for member, some in zip(members, selections, strict=True)
            ]
            patterns = _shared_out(upgrade, manifests)
            renewals = [renewed(*one) for one in zip(old, manifests, patterns, strict=True)]
            found = await together(
                look_up(renewal.sought, engine, member.folder)
                for renewal, member in zip(renewals, members, strict=True)
            )
            digests = _resolved(renewals, found)
            pushed = await together(
                what_is_pushed(*one, engine) for one in zip(old, renewals, manifests, digests, strict=True)
            )
    for member, lock, chosen, resolved, becomes in zip(members, old, selections, digests, pushed, strict=True):
        new = Lock(lock_path(member.file.name), resolved, _locked(member.file.manifest, chosen), becomes)
        if new != lock:
            write_whole(Path(new.name), lock_text(new).encode(), "the lock file")
        print(lock_changes(lock, new), end="")


async def _selections(
    lock: Lock | None, member: Member, upgrade: Sequence[str], registries: Registries
) -> tuple[Choice, ...]:
    """What the lock file has of each selector, unless it is to choose anew; else what it chooses now."""
    images = in_need(member.file.manifest, ())
    kept = {
        image.name: choice
        for image in images
        if not chooses_anew(image, upgrade) and (choice := as_locked(lock, image))
    }
    made = settled(await choices([image for image in images if image.name not in kept], registries.client))
    return (*kept.values(), *made)


def _locked(manifest: Manifest, chosen: Sequence[Choice]) -> dict[str, LockedTags]:
    sources = {image.name: image.source for image in manifest.images}
    return {one.image: LockedTags(chosen_by(one.select, sources[one.image]), tuple(sorted(one.tags))) for one in chosen}


def _all_of(errors: Sequence[ReplsyncError], message: str) -> ReplsyncError:
    """One error for several; the exit code tells that of sign-in where all are of that kind."""
    kind = SignInError if all(isinstance(error, SignInError) for error in errors) else ReplsyncError
    return kind(message, hint=_MEND)


def _sources(count: int) -> str:
    return f"{count} source{'' if count == 1 else 's'}"


def _read(file: ManifestFile) -> Lock | None:
    found = read_lock_beside(file.name)
    return found[0] if found else None


def _resolved(
    renewals: Sequence[Renewal], found: Sequence[Mapping[SourceName, Digest | ReplsyncError]]
) -> list[dict[SourceName, Digest]]:
    """Return the digests for each lock file. Raises ReplsyncError where one can't be resolved, with all of them."""
    every = [one for some in found for one in some.values()]
    errors = [one for one in every if isinstance(one, ReplsyncError)]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        said = "".join(f"\n  {error.in_full}" for error in errors)
        raise _all_of(
            errors, f"lock: {len(errors)} of {_sources(len(every))} can't be resolved; nothing was written:{said}"
        )
    return [
        {**renewal.kept, **{source: one for source, one in now.items() if not isinstance(one, ReplsyncError)}}
        for renewal, now in zip(renewals, found, strict=True)
    ]
