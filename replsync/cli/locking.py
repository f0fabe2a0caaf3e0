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
from replsync.manifest.lock import Lock, LockCheck, NotRead, lock_path, lock_text, renewed
from replsync.oci.digest import Digest
from replsync.oci.source_name import SourceName
from replsync.render.lock import check_text, lock_changes
from replsync.survey.locking import check, look_up

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
    if unread:
        raise _all_of(unread, f"lock --check: {len(unread)} of {_sources(len(found.sources))} can't be read")
    if not found.is_current:
        raise Ends(CHANGES)


async def _check_lock(connection: Connection, no_color: bool) -> LockCheck:
    async with opened(connection) as workspace:
        lock = _read(workspace)
        if lock is None:
            path = lock_path(workspace.file.name)
            raise InvalidInput(f"lock --check: there is no lock file {path}", hint="write it: replsync lock")
        with asking(no_color):
            return await check(lock, workspace.file.manifest, workspace.registries.engine, workspace.folder)


async def _write_lock(connection: Connection, upgrade: Sequence[str], no_color: bool) -> None:
    async with opened(connection) as workspace:
        old = _read(workspace)
        renewal = renewed(old, workspace.file.manifest, upgrade)
        with asking(no_color):
            found = await look_up(renewal.sought, workspace.registries.engine, workspace.folder)
    digests = {**renewal.kept, **_resolved(found)}
    path = Path(lock_path(workspace.file.name))
    if old is None or dict(old.digests) != digests:
        write_whole(path, lock_text(digests).encode(), "the lock file")
    print(lock_changes(str(path), old.digests if old else {}, digests), end="")


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
