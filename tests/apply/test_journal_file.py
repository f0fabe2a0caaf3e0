"""The journal's file: whole lines, one file for each run, and nothing more after a line that couldn't be written."""

import asyncio
import contextlib
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from replsync.apply.journal_file import JournalFile, Run
from replsync.errors import JournalError
from replsync.plan.action import Action, Kind, State
from replsync.plan.journal import Entry, read_journal
from tests.plan.situations import WORKER, digest

BEFORE, AFTER = (State("image", digest(name), digest(f"{name}'s config")) for name in "AB")
ACTION = Action(Kind.UPDATE, "worker", WORKER.tagged("1.0"), BEFORE, AFTER, "the source has another image")
RUN = Run(digest("plan"), "0123abc", "replsync 0.1.0", lambda: "2026-01-02T03:04:05Z")


def entries(journal: JournalFile) -> tuple[Entry, ...]:
    assert journal.path
    return read_journal(journal.path.read_bytes(), str(journal.path))


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@contextlib.contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file can become larger than `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_each_line_is_in_the_file_when_the_call_returns(tmp_path: Path) -> None:
    journal = JournalFile(tmp_path, RUN)
    with contextlib.closing(journal):
        await journal.writing(ACTION, BEFORE)
        assert [entry.event for entry in entries(journal)] == ["writing"]
        await journal.wrote(ACTION, BEFORE, AFTER)
        assert [entry.event for entry in entries(journal)] == ["writing", "wrote"]
        await journal.failed(ACTION, BEFORE, "no answer")
        assert [entry.error for entry in entries(journal)] == [None, None, "no answer"]


async def test_a_line_says_what_the_action_and_the_run_are(tmp_path: Path) -> None:
    journal = JournalFile(tmp_path, RUN)
    with contextlib.closing(journal):
        await journal.wrote(ACTION, None, AFTER)
    assert entries(journal) == (
        Entry(
            "wrote",
            "2026-01-02T03:04:05Z",
            Kind.UPDATE,
            "worker",
            ACTION.reference,
            None,
            AFTER,
            ACTION.reason,
            RUN.plan,
            "0123abc",
            "replsync 0.1.0",
        ),
    )


def test_a_run_that_writes_nothing_leaves_no_journal(tmp_path: Path) -> None:
    journal = JournalFile(tmp_path / ".replsync" / "journal", RUN)
    journal.close()
    assert journal.path is None
    assert not list(tmp_path.iterdir())


async def test_git_is_told_to_leave_journals_out_unless_somebody_said_otherwise(tmp_path: Path) -> None:
    fresh, owned = tmp_path / "fresh", tmp_path / "owned"
    owned.mkdir()
    (owned / ".gitignore").write_text("!journal\n")
    for folder in (fresh, owned):
        with contextlib.closing(JournalFile(folder / "journal", RUN)) as journal:
            await journal.writing(ACTION, BEFORE)
    assert (fresh / ".gitignore").read_text() == "*\n"
    assert (owned / ".gitignore").read_text() == "!journal\n"


def test_32_runs_of_the_same_second_have_a_file_each(tmp_path: Path) -> None:
    def one(number: int) -> Path | None:
        with contextlib.closing(JournalFile(tmp_path / "journal", RUN)) as journal:
            asyncio.run(journal.writing(replace(ACTION, reason=str(number)), BEFORE))
        assert [entry.reason for entry in entries(journal)] == [str(number)]
        return journal.path

    with ThreadPoolExecutor(32) as pool:
        paths = set(pool.map(one, range(32)))
    assert len(paths) == 32
    assert paths == set((tmp_path / "journal").iterdir())


async def test_32_writers_at_once_give_whole_lines(tmp_path: Path) -> None:
    actions = [replace(ACTION, reason=str(number) * 10_000) for number in range(32)]
    journal = JournalFile(tmp_path, RUN)

    async def one(action: Action) -> None:
        await journal.writing(action, BEFORE)
        await journal.wrote(action, BEFORE, AFTER)

    with contextlib.closing(journal):
        await asyncio.gather(*map(one, actions))
    found = entries(journal)
    for action in actions:
        assert [entry.event for entry in found if entry.reason == action.reason] == ["writing", "wrote"]
    assert len(found) == 64


async def test_after_a_line_that_could_not_be_written_nothing_more_is(tmp_path: Path) -> None:
    journal = JournalFile(tmp_path, RUN)
    with contextlib.closing(journal):
        await journal.writing(ACTION, BEFORE)
        assert journal.path
        size = journal.path.stat().st_size
        with disk_of(size + 10), pytest.raises(JournalError, match="File too large"):
            await journal.wrote(ACTION, BEFORE, AFTER)
        for _ in range(2):  # there is room again
            with pytest.raises(JournalError, match="File too large"):
                await journal.writing(ACTION, BEFORE)
    assert journal.path.stat().st_size == size + 10
    assert [entry.event for entry in entries(journal)] == ["writing"]


async def test_half_a_gitignore_is_taken_away(tmp_path: Path) -> None:
    journal = JournalFile(tmp_path / ".replsync" / "journal", RUN)
    with disk_of(1), pytest.raises(JournalError):
        await journal.writing(ACTION, BEFORE)
    assert [path.name for path in (tmp_path / ".replsync").iterdir()] == ["journal"]


async def test_a_line_that_is_being_written_when_its_run_is_cancelled_comes_to_its_end(tmp_path: Path) -> None:
    journal = JournalFile(tmp_path, RUN)
    with contextlib.closing(journal):
        writing = asyncio.ensure_future(journal.writing(replace(ACTION, reason="x" * 30_000_000), BEFORE))
        while not size_of(tmp_path):
            await asyncio.sleep(0)
        assert not writing.done()
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    assert [entry.event for entry in entries(journal)] == ["writing"]
