"""The journals beside a manifest."""

from pathlib import Path

from replsync.cli.files import read_whole
from replsync.plan.journal import Entry, read_journal

_MAX_SIZE = 256 * 1024 * 1024


def journal_folder(manifest: Path) -> Path:
    """Return where the journals of this manifest lie."""
    return manifest.parent / ".replsync" / "journal"


def entries_of(path: Path) -> tuple[Entry, ...]:
    """Read a journal. Raises InvalidInput."""
    return read_journal(read_whole(path, "the journal", _MAX_SIZE, "name a file of .replsync/journal"), str(path))
