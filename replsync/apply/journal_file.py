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

    async def left(self, action: Action, before: State | None) -> None:
        """Record that the tag was left alone after all. Raises JournalError."""
        await self._record("left", action, before, action.after)

    async def failed(self, action: Action, before: State | None, why: str) -> None:
        """Record that nobody knows what the tag is. Raises JournalError."""
        await self._record("failed", action, before, action.after, why)

    @property
    def earlier(self) -> list[Path]:
        """The journals that earlier runs of the same plan left, the newest first."""
        found = self._folder.glob(f"*-{short(self._run.plan)}*{SUFFIX}")
        return sorted((path for path in found if path != self.path), reverse=True)

    def close(self) -> None:
        """Close the file. Where not even its first line could be written nobody needs it."""
        if self._file is None:
            return
        is_empty = os.fstat(self._file).st_size == 0
        os.close(self._file)
        self._file = None
        if is_empty and self.path:
            self.path.unlink(missing_ok=True)
            self.path = None

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
            line = asyncio.ensure_future(asyncio.to_thread(self._append, entry_line(entry).encode()))
            try:
                await asyncio.shield(line)
            except asyncio.CancelledError:
                # A thread can't be stopped, and the file is about to be closed: the line comes to its end first.
                await asyncio.wait([line])
                raise

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
            _write_new(ignore, "*\n")
        name = f"{self._run.clock().replace('-', '').replace(':', '')}-{short(self._run.plan)}"
        for number in range(1000):
            self.path = self._folder / f"{name}{f'.{number}' if number else ''}{SUFFIX}"
            try:
                file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            except FileExistsError:
                continue
            try:
                for folder in (self._folder, self._folder.parent, self._folder.parent.parent):
                    sync_folder(folder)
            except OSError:
                os.close(file)
                raise
            return file
        raise FileExistsError("too many journals of this second")


def _write_new(path: Path, text: str) -> None:
    """Write the file as a whole or not at all: nobody would mend half of it."""
    try:
        path.write_text(text)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` safe on disk: a new file's is not before that. Raises OSError."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
