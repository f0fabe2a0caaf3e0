"""Carries a plan out: every tag is read before it is written, and after."""

import asyncio
from typing import Protocol

from replsync.apply.engine import Engine
from replsync.errors import ChangedMeanwhile, RegistryError, ReplsyncError, SignInError
from replsync.oci.digest import Digest, short
from replsync.oci.reference import Reference, Repository
from replsync.oci.source_name import DaemonSource, RegistrySource, SourceName, pinned
from replsync.oci.tag_state import Absent, Artifact, Present, TagState, Tombstone, Unreadable
from replsync.oci.tombstone import tombstone_config
from replsync.plan.action import Action, Kind, Origin
from replsync.plan.comparing import is_in
from replsync.plan.document import Plan
from replsync.plan.report import Done, Failed, Outcome, Report
from replsync.registry.client import RegistryClient
from replsync.registry.inventory import read_tag
from replsync.registry.together import together

_AT_ONCE = 32
"""Tags that are worked on at once. What is on the wire at once is bounded by the engine and the client."""


class Watcher(Protocol):
    """Is told how a run goes."""

    def begun(self, action: Action) -> None:
        """Work on this action begins."""
        ...

    def sent(self, action: Action, size: int) -> None:
        """So many bytes more were sent for it."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """It is done, or it failed."""
        ...


async def execute(plan: Plan, client: RegistryClient, engine: Engine, watcher: Watcher) -> Report:
    """Write what the plan says, and nothing else.

    Images come before tombstones, and where one of an image's tags failed its
    tombstones are not tried: what replaces a retired tag has to be there first.
    Any other action goes on, except in a repository that has refused us.
    """
    places = asyncio.Semaphore(_AT_ONCE)
    refused: set[Repository] = set()

    async def carry_out(action: Action) -> Outcome:
        repository = action.reference.repository
        outcome: Outcome
        async with places:
            watcher.begun(action)
            try:
                if repository in refused:
                    raise SignInError(
                        f"write {action.reference}: not tried, since the registry refused another tag there",
                        hint="see the other tag's failure",
                        host=repository.host,
                    )
                outcome = Done(action, await _carry_out(action, client, engine, watcher))
            except ReplsyncError as error:
                if isinstance(error, SignInError) and error.host == repository.host:
                    refused.add(repository)
                outcome = Failed(action, error)
            watcher.ended(outcome)
        return outcome

    async def leave(action: Action) -> Outcome:
        watcher.begun(action)
        outcome = Failed(action, ReplsyncError(f"write {action.reference}: not tried, since a tag of its image failed"))
        watcher.ended(outcome)
        return outcome

    images = await together(carry_out(action) for action in plan.writes if action.kind is not Kind.TOMBSTONE)
    failed = {outcome.action.image for outcome in images if isinstance(outcome, Failed)}
    tombstones = await together(
        leave(action) if action.image in failed else carry_out(action)
        for action in plan.writes
        if action.kind is Kind.TOMBSTONE
    )
    found = {outcome.action.reference: outcome for outcome in images + tombstones}
    return Report(tuple(found[action.reference] for action in plan.writes))


async def _carry_out(action: Action, client: RegistryClient, engine: Engine, watcher: Watcher) -> Digest:
    reference = action.reference
    now = await read_tag(client, reference)
    if is_in(action.after, now):
        return _digest(now)  # an earlier run got this far
    if isinstance(now, Unreadable):
        raise RegistryError(f"write {reference}: its state can't be read: {now.why}", hint="try again later")
    if not is_in(action.before, now):
        raise ChangedMeanwhile(
            f"write {reference}: the tag changed since the plan was made: "
            f"{_named(now)} instead of {short(action.before.digest or '') if action.before else 'nothing'}",
            hint="somebody else pushed to it; run plan again and look at it",
        )

    async def guard() -> None:
        found = await client.head(reference)
        if (found.digest if found else None) != (None if isinstance(now, Absent) else _digest(now)):
            raise ChangedMeanwhile(
                f"write {reference}: the tag changed while its image was on the way; it was left alone",
                hint="somebody else pushed to it; run plan again and look at it",
            )

    if action.epitaph:
        await engine.bury(tombstone_config(action.epitaph), reference, guard)
    elif action.source:
        await engine.push(_exactly(action.source), reference, lambda size: watcher.sent(action, size), guard)
    written = await read_tag(client, reference)
    if isinstance(written, Unreadable):
        raise RegistryError(
            f"read back {reference}: it was written, and can't be read: {written.why}", hint="run plan again"
        )
    if not is_in(action.after, written):
        raise RegistryError(
            f"read back {reference}: it holds {_named(written)}, not what was pushed",
            hint="somebody else pushed at the same time, or the registry is broken; run plan again",
        )
    return _digest(written)


def _exactly(origin: Origin) -> SourceName:
    """The source as the plan saw it, even if its tag has moved since."""
    match origin.name:
        case RegistrySource() as name if origin.digest:
            bare = RegistrySource(Reference(name.reference.repository))
            return pinned(bare, origin.digest)
        case RegistrySource() | DaemonSource():
            return origin.name


def _digest(state: TagState) -> Digest:
    match state:
        case Present(digest) | Tombstone(digest):
            return digest
        case _:
            raise AssertionError("a tag that was compared is there")


def _named(state: TagState) -> str:
    match state:
        case Present(digest):
            return f"image {short(digest)}"
        case Tombstone(digest):
            return f"tombstone {short(digest)}"
        case Artifact(_, kind):
            return f"an artifact of type {kind}"
        case Absent():
            return "nothing"
        case Unreadable(why):
            return f"something that can't be read ({why})"
