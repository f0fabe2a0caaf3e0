"""`replsync history`."""

from collections.abc import Iterable
from pathlib import Path
from typing import assert_never

from replsync.apply.journal_file import SUFFIX
from replsync.cli import log
from replsync.cli.journals import entries_of, journal_folder
from replsync.cli.manifest_file import tag_of
from replsync.cli.manifests import member_with, read_all
from replsync.cli.options import Connection, PlainFormatName
from replsync.cli.running import run
from replsync.cli.workspace import at_work
from replsync.errors import InvalidInput, SignInError
from replsync.oci.reference import Reference
from replsync.oci.tag_state import TagState, Unreadable
from replsync.plan.claims import Member
from replsync.plan.journal import Entry
from replsync.registry.inventory import read_tag, restorable
from replsync.render.history import Recorded, history_json, history_text


def show_history(name: str, connection: Connection, form: PlainFormatName) -> None:
    """Print what the journals and the registry know of a tag."""
    members = read_all(connection.files)
    member = member_with(name, members)
    file = member.file
    reference, image = tag_of(name, file)
    folders = dict.fromkeys(journal_folder(Path(one.file.name)) for one in members)
    recorded = recorded_in(folders).get(reference, ())
    if not recorded and image not in {one.name for one in file.manifest.images}:
        known = ", ".join(sorted(one.name for one in file.manifest.images)[:10])
        raise InvalidInput(
            f"look for {name}: neither {file.name} nor a journal here has the image {image}",
            hint=f"check its name; the manifest has {known}",
        )
    now = run(_look(reference, connection, member))
    match form:
        case PlainFormatName.TEXT:
            print(history_text(reference, recorded, now), end="")
        case PlainFormatName.JSON:
            print(history_json(reference, recorded, now), end="")
        case _:
            assert_never(form)


async def _look(reference: Reference, connection: Connection, member: Member) -> TagState:
    async with at_work(connection, (member,)) as workspace:
        client = workspace.registries.client
        try:
            return await restorable(await read_tag(client, reference), reference, client)
        except SignInError as error:  # what lies on disk is to be seen all the same
            return Unreadable(error.message, error.hint or "")


def recorded_in(folders: Iterable[Path]) -> dict[Reference, tuple[Recorded, ...]]:
    """Return what each journal in `folders` has last of every tag, the oldest first.

    Times are whole seconds: within one it is the file that was written last.
    """
    found: dict[Reference, list[tuple[str, int, Recorded]]] = {}
    for path in [path for folder in folders for path in sorted(folder.glob(f"*{SUFFIX}"))]:
        last = {entry.reference: entry for entry in _entries(path)}
        written = path.stat().st_mtime_ns if last else 0
        for reference, entry in last.items():
            found.setdefault(reference, []).append((entry.time, written, Recorded(str(path), entry)))
    return {
        reference: tuple(one for _, _, one in sorted(some, key=lambda one: one[:2]))
        for reference, some in found.items()
    }


def _entries(path: Path) -> tuple[Entry, ...]:
    """A journal that can't be read doesn't hide the others."""
    try:
        return entries_of(path)
    except InvalidInput as error:
        log.say("note", f"note: {error.message}; it is left out")
        return ()
