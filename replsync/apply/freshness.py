"""Whether a saved plan still fits the registry."""

from collections.abc import Sequence
from dataclasses import dataclass

from replsync.apply.engine import Engine
from replsync.apply.executor import named, refuse_moved
from replsync.errors import ChangedMeanwhile, RegistryError, StalePlan
from replsync.oci.digest import Digest
from replsync.oci.tag_state import Unreadable
from replsync.plan.action import Action, Copy, Kind
from replsync.plan.comparing import described, is_in, is_made
from replsync.plan.document import Plan
from replsync.plan.report import Done
from replsync.registry.client import RegistryClient
from replsync.registry.inventory import read_tag
from replsync.registry.together import together
from replsync.registry.watching import Asked, counted, nobody

_NAMED = 10
"""Tags that one error names; the others are counted."""


async def carried_out_before(
    plan: Plan, client: RegistryClient, engine: Engine, asked: Asked = nobody
) -> tuple[Done, ...] | None:
    """Return the outcomes of a plan that is carried out already: every tag is as it wants it. Else None.

    Raises StalePlan where a tag is neither what it was when the plan was made
    nor what the plan makes of it, or where the daemon has another image to push
    by now; RegistryError where a tag can't be read. Unlisted tags are not the plan's business.
    `asked` is told of `tags`.
    """
    concerned = [action for action in plan.actions if action.kind not in (Kind.UNLISTED, Kind.BLOCKED)]
    found = await counted("tags", asked, (_look(action, client) for action in concerned))
    _refuse([moved for moved in found if isinstance(moved, str)])
    pairs = list(zip(concerned, found, strict=True))
    left = [action for action, seen in pairs if seen is None]
    await together(_refuse_moved(action.write, engine) for action in left if isinstance(action.write, Copy))
    if left:
        return None
    return tuple(
        Done(action, seen.digest, is_written=False)
        for action, seen in pairs
        if isinstance(seen, _AsPlanned) and seen.digest and action.write
    )


async def _refuse_moved(copy: Copy, engine: Engine) -> None:
    try:
        await refuse_moved(copy, engine, "apply the plan")
    except ChangedMeanwhile as error:
        raise StalePlan(f"{error.message}; nothing was written", hint=error.hint) from error


@dataclass(frozen=True)
class _AsPlanned:
    """The tag is as planned already, with this digest; None where there is none, as planned."""

    digest: Digest | None


async def _look(action: Action, client: RegistryClient) -> _AsPlanned | str | None:
    """Whether the tag is as planned already, or as before: None; else what is there instead."""
    head = await client.head(action.reference)
    for state, is_done in ((action.after, True), (action.before, False)):
        if (head.digest == state.digest) if head and state else (head is None and state is None):
            # the digest settles it, for one request
            return _AsPlanned(head.digest if head else None) if is_done else None
    now = await read_tag(client, action.reference, made=is_made(action.after))
    if isinstance(now, Unreadable):
        raise RegistryError(f"read {action.reference}: {now.why}", hint="nothing was written; try again later")
    if is_in(action.after, now):
        return _AsPlanned(head.digest if head else None)
    if is_in(action.before, now):
        return None
    return f"{action.reference} holds {named(now)} instead of {described(action.before)}"


def _refuse(moved: Sequence[str]) -> None:
    if not moved:
        return
    count = "a tag has" if len(moved) == 1 else f"{len(moved)} tags have"
    more = f"; and {len(moved) - _NAMED} more" if len(moved) > _NAMED else ""
    raise StalePlan(
        f"apply the plan: since it was made {count} changed: {'; '.join(moved[:_NAMED])}{more}; nothing was written",
        hint="somebody else pushed there: make the plan again, and look at it",
    )
