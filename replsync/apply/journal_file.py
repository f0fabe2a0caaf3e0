"""The journal on disk: a line before and after each write, each of them safe before anything goes on."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from replsync.errors import JournalError
from replsync.oci.digest import Digest, short
from replsync.plan.action import Action, State
from replsync.plan.journal import Entry, Event, entry_line

SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Run:
    """What every line of a run has in common: see `Entry`. `clock` gives the time as RFC 3339 in UTC."""

    plan: Digest
    commit: str | None
    tool: str
    clock: Callable[[], str]


class JournalFile:
    """A new file in `folder` for one run, made when its first line is written.

    After a line that couldn't be written nothing more is: the file ends there,
    and every later call raises JournalError, too.
    """

    def __init__(self, folder: Path, run: Run) -> None:
        self._folder = folder
        self._run = run
        self._file: int | None = None
        self._broken: JournalError | None = None
        self._one_at_a_time = asyncio.Lock()
        self.path: Path | None = None

    async def writing(self, action: Action, before: State | None) -> None:
        """Record that the tag, which is `before` now, is about to be written. Raises JournalError."""
        await self._record("writing", action, before, action.after)

    async def wrote(self, action: Action, before: State | None, after: State | None) -> None:
        """Record what was read back. Raises JournalError."""
        await self._record("wrote", action, before, after)

    async def failed(self, action: Action, before: State | None, why: str) -> None:
        """Record that nobody knows what the tag is. Raises JournalError."""
        await self._record("failed", action, before, action.after, why)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    async def _record(
        self, event: Event, action: Action, before: State | None, after: State | None, error: str | None = None
    ) -> None:
        run = self._run
        entry = Entry(
            event,
            run.clock(),
            action.kind,
            action.image,
            action.reference,
            before,
            after,
            action.reason,
            run.plan,
            run.commit,
            run.tool,
            error,
        )
        async with self._one_at_a_time:
            # Shielded: a run that is cancelled must not leave a thread behind that still writes to a closed file.
            await asyncio.shield(asyncio.to_thread(self._append, entry_line(entry).encode()))

    def _append(self, line: bytes) -> None:
        if self._broken:
            raise self._broken
        try:
            if self._file is None:
                self._file = self._create()
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError as error:
            self._broken = JournalError(
                f"write the journal {self.path or self._folder}: {error.strerror or error}",
                hint="nothing is written without a journal: make room for it, and run the same command again",
            )
            raise self._broken from error

    def _create(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        ignore = self._folder.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        name = f"{self._run.clock().replace('-', '').replace(':', '')}-{short(self._run.plan)}"
        for number in range(1000):
            self.path = self._folder / f"{name}{f'.{number}' if number else ''}{SUFFIX}"
            try:
                file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            except FileExistsError:
                continue
            _sync_folder(self._folder)
            return file
        raise FileExistsError("too many journals of this second")


def _sync_folder(folder: Path) -> None:
    """The file's name is safe once its folder is."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
