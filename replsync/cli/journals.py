"""The journals beside the manifests."""

from collections.abc import Sequence
from pathlib import Path

from replsync.apply.journal_file import JournalFile, Run
from replsync.cli.clock import now
from replsync.cli.files import read_whole
from replsync.cli.git import commit_of
from replsync.oci.digest import Digest
from replsync.plan.action import Action, State
from replsync.plan.claims import Claims, Member
from replsync.plan.journal import Entry, read_journal

_MAX_SIZE = 256 * 1024 * 1024


def journal_folder(manifest: Path) -> Path:
    """Return where the journals of this manifest lie."""
    return manifest.parent / ".replsync" / "journal"


def entries_of(path: Path) -> tuple[Entry, ...]:
    """Read a journal. Raises InvalidInput."""
    return read_journal(read_whole(path, "the journal", _MAX_SIZE, "name a file of .replsync/journal"), str(path))


class Journals:
    """A journal for each manifest of a run, beside it: a tag is recorded with the manifest that it belongs to."""

    def __init__(self, members: Sequence[Member], actions: Sequence[Action], plan: Digest, tool: str) -> None:
        self._members = members
        self._claims = Claims.of(members)
        owners = {id(owner): owner for owner in map(self._owner, actions)}
        self._files: dict[int, tuple[Member, JournalFile]] = {}
        for key, member in owners.items():
            path = Path(member.file.name)
            self._files[key] = member, JournalFile(journal_folder(path), Run(plan, commit_of(path), tool, now))

    async def writing(self, action: Action, before: State | None) -> None:
        """As `JournalFile` has it, and so are the others."""
        await self._of(action).writing(action, before)

    async def wrote(self, action: Action, before: State | None, after: State | None) -> None:
        """See `writing`."""
        await self._of(action).wrote(action, before, after)

    async def left(self, action: Action, before: State | None) -> None:
        """See `writing`."""
        await self._of(action).left(action, before)

    async def failed(self, action: Action, before: State | None, why: str) -> None:
        """See `writing`."""
        await self._of(action).failed(action, before, why)

    @property
    def written(self) -> list[tuple[Member, Path]]:
        """The journals that there are, each with the manifest that it is of, in their order."""
        found = [(member, self._files[id(member)][1].path) for member in self._members if id(member) in self._files]
        return [(member, path) for member, path in found if path]

    @property
    def earlier(self) -> list[Path]:
        """The journals that earlier runs of the same plan left beside those that there are, the newest first."""
        own = {path for _, path in self.written}
        found = {path for _, file in self._files.values() if file.path for path in file.earlier}
        return sorted(found - own, key=lambda path: path.name, reverse=True)

    def close(self) -> None:
        """Close them all."""
        for _, file in self._files.values():
            file.close()

    def _of(self, action: Action) -> JournalFile:
        return self._files[id(self._owner(action))][1]

    def _owner(self, action: Action) -> Member:
        """A rollback may be of an image that no manifest has any more."""
        of_app = (one for one in self._members if one.target.repository(action.image) == action.reference.repository)
        return self._claims.owner(action.reference) or next(of_app, self._members[0])
