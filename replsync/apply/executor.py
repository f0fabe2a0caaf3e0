"""Carries a plan out: every tag is read before it is written, and after."""

import asyncio
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol, assert_never

from replsync.apply.engine import Destination, Engine
from replsync.errors import (
    ChangedMeanwhile,
    InvalidInput,
    JournalError,
    RegistryError,
    ReplsyncError,
    SignInError,
    UnsupportedImage,
)
from replsync.oci.build_source import BuildSource
from replsync.oci.digest import Digest, short
from replsync.oci.made_from import build_of
from replsync.oci.reference import Repository
from replsync.oci.source_name import DaemonSource, LayoutSource, RegistrySource, SavedSource, spoken
from replsync.oci.tag_state import Absent, Artifact, Present, TagState, Tombstone, Unreadable
from replsync.oci.tombstone import tombstone_config
from replsync.plan.action import Action, Bury, Copy, Kind, State
from replsync.plan.comparing import described, is_in, is_made, state_of
from replsync.plan.document import Plan
from replsync.plan.report import Done, Failed, Outcome, Report
from replsync.registry.client import RegistryClient
from replsync.registry.inventory import read_tag
from replsync.registry.together import together

_AT_ONCE = 64
"""Tags that are worked on at once. What is on the wire at once is bounded by the engine and the client."""

_LOOKS, _LAG = 3, 0.3
"""How often a tag that was just written is looked for again, and after how many seconds, while there is none."""


class Watcher(Protocol):
    """Is told how a run goes."""

    def begun(self, action: Action) -> None:
        """Work on this action begins."""
        ...

    def sent(self, action: Action, size: int) -> None:
        """So many bytes more were sent for it."""
        ...

    def waits(self, action: Action, why: str) -> AbstractContextManager[None]:
        """It waits for this; the context is left when that is over."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """It is done, or it failed."""
        ...


class Journal(Protocol):
    """Keeps what is written. Each method raises JournalError where it can't."""

    async def writing(self, action: Action, before: State | None) -> None:
        """The tag, which is `before` now, is about to be written."""
        ...

    async def wrote(self, action: Action, before: State | None, after: State | None) -> None:
        """The tag was `before`, was written, and is `after` now."""
        ...

    async def left(self, action: Action, before: State | None) -> None:
        """The tag was `before`, was to be written, and was left alone."""
        ...

    async def failed(self, action: Action, before: State | None, why: str) -> None:
        """The tag was `before`, was to be written, and nobody knows what it is."""
        ...


async def execute(plan: Plan, client: RegistryClient, engine: Engine, journal: Journal, watcher: Watcher) -> Report:
    """Write what the plan says, and nothing else.

    Images come before tombstones, and where one of an image's tags failed its
    tombstones are not tried: what replaces a retired tag has to be there first.
    Any other action goes on, except in a repository that has refused us, and
    where there is no journal to be had.
    """
    places = asyncio.Semaphore(_AT_ONCE)
    refused: dict[Repository, SignInError] = {}
    unrecorded: list[JournalError] = []

    async def carry_out(action: Action) -> Outcome:
        repository = action.reference.repository
        outcome: Outcome
        async with places:
            watcher.begun(action)
            writing = _Writing(action, client, engine, journal, watcher)
            try:
                if repository in refused:
                    raise SignInError(
                        f"write {action.reference}: not tried, since the registry refused another tag there",
                        hint=refused[repository].hint,
                        host=repository.host,
                    )
                if unrecorded:
                    raise JournalError(f"write {action.reference}: not tried, since the journal can't be written")
                outcome = await writing.carry_out()
            except ReplsyncError as error:
                if isinstance(error, SignInError) and error.host == repository.host:
                    refused.setdefault(repository, error)
                if isinstance(error, JournalError):
                    unrecorded.append(error)
                outcome = Failed(action, error, writing.is_written)
            watcher.ended(outcome)
        return outcome

    async def leave(action: Action) -> Outcome:
        watcher.begun(action)
        outcome = Failed(action, ReplsyncError(f"write {action.reference}: not tried, since a tag of its image failed"))
        watcher.ended(outcome)
        return outcome

    images = await together(carry_out(action) for action in plan.writes if action.kind is not Kind.TOMBSTONE)
    failed = {outcome.action.reference.repository for outcome in images if isinstance(outcome, Failed)}
    tombstones = await together(
        leave(action) if action.reference.repository in failed else carry_out(action)
        for action in plan.writes
        if action.kind is Kind.TOMBSTONE
    )
    found = {outcome.action.reference: outcome for outcome in images + tombstones}
    return Report(plan, tuple(found[action.reference] for action in plan.writes))


class _Writing:
    """The writing of one tag."""

    def __init__(
        self, action: Action, client: RegistryClient, engine: Engine, journal: Journal, watcher: Watcher
    ) -> None:
        self._action = action
        self._reference = action.reference
        self._client = client
        self._engine = engine
        self._journal = journal
        self._watcher = watcher
        self._announced = False
        self.is_written = False

    async def carry_out(self) -> Done:
        """Write the tag. Raises ReplsyncError."""
        now = await self._read()
        if is_in(self._action.after, now):
            return Done(self._action, _digest(now), is_written=False)
        if isinstance(now, Unreadable):
            raise RegistryError(f"write {self._reference}: its state can't be read: {now.why}", hint="try again later")
        if not is_in(self._action.before, now):
            raise ChangedMeanwhile(
                f"write {self._reference}: the tag changed since the plan was made: "
                f"{named(now)} instead of {described(self._action.before)}",
                hint="somebody else pushed to it; run plan again and look at it",
            )
        before = state_of(now)
        try:
            await self._write(now, before)
            written = await self._read_back()
        except ChangedMeanwhile:
            if self._announced:
                await self._journal.left(self._action, before)
            raise
        except ReplsyncError as error:
            if self._announced and not isinstance(error, JournalError):
                await self._journal.failed(self._action, before, error.message)
            raise
        self.is_written = True
        try:
            await self._journal.wrote(self._action, before, state_of(written))
        except JournalError as error:
            raise JournalError(
                f"write {self._reference}: it was written and is as planned, {named(written)}; but {error.message}",
                hint=error.hint,
            ) from error
        return Done(self._action, _digest(written))

    async def _read(self) -> TagState:
        return await read_tag(self._client, self._reference, made=is_made(self._action.after))

    async def _write(self, now: TagState, before: State | None) -> None:
        async def announce() -> None:
            await self._journal.writing(self._action, before)
            self._announced = True

        held = None if isinstance(now, Absent) else _digest(now)
        target = Destination(self._reference, held, announce, self._action.after)
        match self._action.write:
            case Bury(epitaph):
                await self._engine.bury(tombstone_config(epitaph), target)
            case Copy() as copy:
                await refuse_moved(copy, self._engine, f"write {self._reference}")
                action, watcher = self._action, self._watcher
                await self._engine.push(
                    copy.recipe, target, partial(watcher.sent, action), partial(watcher.waits, action)
                )
            case None:
                raise AssertionError("only what is to be written comes here")
            case _:
                assert_never(self._action.write)

    async def _read_back(self) -> TagState:
        written = await self._read()
        for _ in range(_LOOKS):
            if not isinstance(written, Absent):
                break
            await asyncio.sleep(_LAG)  # a registry may lag behind itself
            written = await self._read()
        if isinstance(written, Unreadable):
            raise RegistryError(
                f"read back {self._reference}: it was written, and can't be read: {written.why}", hint="run plan again"
            )
        if not is_in(self._action.after, written):
            raise RegistryError(
                f"read back {self._reference}: it holds {named(written)}, not what was pushed",
                hint="somebody else pushed at the same time, or the registry is broken; run plan again",
            )
        return written


async def refuse_moved(copy: Copy, engine: Engine, operation: str) -> None:
    """Raise ChangedMeanwhile where a daemon, a layout or an archive has another image by this name now.

    Or where another one would be built. A registry is asked by digest.
    """
    match copy.source:
        case RegistrySource():
            return
        case LayoutSource():
            try:
                await engine.identify(copy.recipe)  # it is named with its digest
            except (InvalidInput, UnsupportedImage) as error:
                raise ChangedMeanwhile(f"{operation}: {error.message}", hint="run plan again and look at it") from error
            return
        case DaemonSource() | SavedSource():
            found = await engine.identify(copy.recipe)
        case BuildSource():
            if (await engine.identify(copy.recipe)).made_from != build_of(copy.digest):
                raise ChangedMeanwhile(
                    f"{operation}: what goes into {copy.source} has changed since the plan was made",
                    hint="run plan again and look at it",
                )
            return
        case _:
            assert_never(copy.source)
    if found.config != copy.digest:
        place = "the daemon" if isinstance(copy.source, DaemonSource) else "the archive"
        raise ChangedMeanwhile(
            f"{operation}: {place} has another image by the name {spoken(copy.source)} "
            f"than image ID {short(copy.digest)}, for which the plan was made",
            hint="run plan again and look at it",
        )


def _digest(state: TagState) -> Digest:
    match state:
        case Present(digest) | Tombstone(digest):
            return digest
        case _:
            raise AssertionError("a tag that was compared is there")


def named(state: TagState) -> str:
    """Name what a tag is, for an error."""
    match state:
        case Present() | Tombstone() | Absent():
            return described(state_of(state))
        case Artifact(_, kind):
            return f"an artifact of type {kind}"
        case Unreadable(why):
            return f"something that can't be read ({why})"
        case _:
            assert_never(state)
