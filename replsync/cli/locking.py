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
from replsync.cli.workspace import opened
from replsync.errors import InvalidInput, ReplsyncError, SignInError
from replsync.manifest.labels import is_chosen
from replsync.manifest.lock import Lock, LockCheck, NotRead, lock_path, lock_text, needed, renewed
from replsync.manifest.model import Manifest
from replsync.manifest.read import ManifestFile
from replsync.oci.digest import Digest
from replsync.registry.together import together
from replsync.render.harmless import clean
from replsync.render.lock import check_text, lock_changes
from replsync.survey.locking import check, look_up

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
    if unread:
        raise _all_of(unread, f"lock --check: {len(unread)} of {_sources(len(sources))} can't be read")
    if not all(one.is_current for _, one in found):
        raise Ends(CHANGES)


async def _check_lock(connection: Connection, no_color: bool) -> list[tuple[str, LockCheck]]:
    async with opened(connection) as workspace:
        locks = of_each(_needed_lock, [member.file for member in workspace.members])
        with asking(no_color):
            engine = workspace.registries.engine
            found = await together(
                check(lock, member.file.manifest, engine, member.folder)
                for lock, member in zip(locks, workspace.members, strict=True)
            )
    return [(lock.name, one) for lock, one in zip(locks, found, strict=True)]


def _shared_out(patterns: Sequence[str], manifests: Sequence[Manifest]) -> list[list[str]]:
    """Return for each manifest the patterns that match a tag of it; those that match nowhere are everybody's fault."""
    labels = [[label for some in needed(manifest).values() for label in some] for manifest in manifests]
    matching = [[one for one in patterns if any(is_chosen(label, one) for label in own)] for own in labels]
    lost = [one for one in patterns if not any(one in own for own in matching)]
    return [[*own, *lost] for own in matching]


def _needed_lock(file: ManifestFile) -> Lock:
    lock = _read(file)
    if lock is None:
        path = lock_path(file.name)
        raise InvalidInput(f"lock --check: there is no lock file {path}", hint="write it: replsync lock")
    return lock


async def _write_lock(connection: Connection, upgrade: Sequence[str], no_color: bool) -> None:
    """All sources first: where one can't be resolved, no lock file is written."""
    async with opened(connection) as workspace:
        files = [member.file for member in workspace.members]
        old = of_each(_read, files)
        patterns = _shared_out(upgrade, [file.manifest for file in files])
        renewals = [renewed(lock, file.manifest, own) for lock, file, own in zip(old, files, patterns, strict=True)]
        with asking(no_color):
            engine = workspace.registries.engine
            found = await together(
                look_up(renewal.sought, engine, member.folder)
                for renewal, member in zip(renewals, workspace.members, strict=True)
            )
    _refuse_unresolved([one for some in found for one in some.values()])
    for file, lock, renewal, now in zip(files, old, renewals, found, strict=True):
        resolved = {source: one for source, one in now.items() if not isinstance(one, ReplsyncError)}
        digests = {**renewal.kept, **resolved}
        path = Path(lock_path(file.name))
        if lock is None or dict(lock.digests) != digests:
            write_whole(path, lock_text(digests).encode(), "the lock file")
        print(lock_changes(str(path), lock.digests if lock else {}, digests), end="")


def _all_of(errors: Sequence[ReplsyncError], message: str) -> ReplsyncError:
    """One error for several; the exit code tells that of sign-in where all are of that kind."""
    kind = SignInError if all(isinstance(error, SignInError) for error in errors) else ReplsyncError
    return kind(message, hint=_MEND)


def _sources(count: int) -> str:
    return f"{count} source{'' if count == 1 else 's'}"


def _read(file: ManifestFile) -> Lock | None:
    found = read_lock_beside(file.name)
    return found[0] if found else None


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
