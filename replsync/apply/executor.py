"""Carries a plan out: every tag is read before it is written, and after."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from replsync.apply.engine import Engine
from replsync.errors import ChangedMeanwhile, RegistryError, ReplsyncError, SignInError
from replsync.oci.digest import Digest, short
from replsync.oci.reference import Reference
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

    Images come before tombstones, so that what replaces a retired tag is there
    before the tag goes. A failure ends its own action only; but once the target
    has refused us, nothing more is tried there.
    """
    places = asyncio.Semaphore(_AT_ONCE)
    refused: list[SignInError] = []

    async def carry_out(action: Action) -> Outcome:
        outcome: Outcome
        async with places:
            watcher.begun(action)
            try:
                if refused:
                    raise SignInError(f"write {action.reference}: not tried, after a refusal", host=refused[0].host)
                outcome = Done(action, await _carry_out(action, client, engine, watcher))
            except ReplsyncError as error:
                if isinstance(error, SignInError) and error.host == action.reference.repository.host:
                    refused.append(error)
                outcome = Failed(action, error)
            watcher.ended(outcome)
        return outcome

    async def all_of(actions: Iterable[Action]) -> list[Outcome]:
        return await together(carry_out(action) for action in actions)

    images = await all_of(action for action in plan.writes if action.kind is not Kind.TOMBSTONE)
    tombstones = await all_of(action for action in plan.writes if action.kind is Kind.TOMBSTONE)
    found = {outcome.action.reference: outcome for outcome in images + tombstones}
    return Report(tuple(found[action.reference] for action in plan.writes))


async def _carry_out(action: Action, client: RegistryClient, engine: Engine, watcher: Watcher) -> Digest:
    reference = action.reference
    now = await read_tag(client, reference)
    if is_in(action.after, now):
        return _digest(now)  # an earlier run got this far
    if not is_in(action.before, now):
        raise ChangedMeanwhile(
            f"write {reference}: the tag changed since the plan was made: "
            f"{_named(now)} instead of {short(action.before.digest or '') if action.before else 'nothing'}",
            hint="somebody else pushed to it; run plan again and look at it",
        )
    if action.epitaph:
        await engine.bury(tombstone_config(action.epitaph), reference)
    elif action.source:
        await engine.push(_exactly(action.source), reference, lambda size: watcher.sent(action, size))
    written = await read_tag(client, reference)
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
