"""`replsync history`."""

from dataclasses import replace
from pathlib import Path
from typing import assert_never

from replsync.apply.journal_file import SUFFIX
from replsync.cli.carrying_out import journal_folder
from replsync.cli.files import read_whole
from replsync.cli.moving import tag_of
from replsync.cli.options import Connection, FormatName
from replsync.cli.rolling_back import MAX_JOURNAL
from replsync.cli.running import run
from replsync.cli.workspace import opened
from replsync.errors import InvalidInput
from replsync.oci.reference import Reference
from replsync.oci.tag_state import TagState, Tombstone
from replsync.plan.journal import Entry, read_journal
from replsync.registry.inventory import is_whole, read_tag
from replsync.render.history import Recorded, history_json, history_text

_AWAY = "mend it, or move it to another folder: history reads all that are beside it"


def show_history(name: str, connection: Connection, form: FormatName) -> None:
    """Print what the journals and the registry know of a tag."""
    reference, now = run(_look(name, connection))
    recorded = _recorded(reference, journal_folder(connection.file))
    match form:
        case FormatName.TEXT:
            print(history_text(reference, recorded, now), end="")
        case FormatName.JSON:
            print(history_json(reference, recorded, now), end="")
        case _:
            assert_never(form)


async def _look(name: str, connection: Connection) -> tuple[Reference, TagState]:
    async with opened(connection) as workspace:
        reference, _ = tag_of(name, workspace)
        client = workspace.registries.client
        state = await read_tag(client, reference)
        if isinstance(state, Tombstone) and state.replaced:
            # As `restore` sees it: a registry may have cleaned up a part.
            if not await is_whole(client, reference.repository.at(state.replaced.digest)):
                return reference, replace(state, replaced=None)
        return reference, state


def _recorded(reference: Reference, folder: Path) -> list[Recorded]:
    """The oldest first. Times are whole seconds: within one it is the file that was written last."""
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        entries = [entry for entry in _entries(path) if entry.reference == reference]
        if entries:
            found.append((entries[-1].time, path.stat().st_mtime_ns, Recorded(str(path), entries[-1])))
    return [one for _, _, one in sorted(found, key=lambda one: one[:2])]


def _entries(path: Path) -> tuple[Entry, ...]:
    data = read_whole(path, "the journal", MAX_JOURNAL, _AWAY)
    try:
        return read_journal(data, str(path))
    except InvalidInput as error:
        raise InvalidInput(error.message, hint=_AWAY) from error
