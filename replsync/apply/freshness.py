"""Whether a saved plan still fits the registry."""

from collections.abc import Sequence

from replsync.apply.engine import Engine
from replsync.apply.executor import named, refuse_moved
from replsync.errors import ChangedMeanwhile, RegistryError, StalePlan
from replsync.oci.tag_state import Unreadable
from replsync.plan.action import Action, Copy, Kind
from replsync.plan.comparing import described, is_in, is_made
from replsync.plan.document import Plan
from replsync.registry.client import RegistryClient
from replsync.registry.inventory import read_tag
from replsync.registry.together import together
from replsync.registry.watching import Asked, counted, nobody

_NAMED = 10
"""Tags that one error names; the others are counted."""


async def is_carried_out(plan: Plan, client: RegistryClient, engine: Engine, asked: Asked = nobody) -> bool:
    """Whether every tag is as the plan wants it, so that nothing is left to do.

    Raises StalePlan where a tag is neither what it was when the plan was made
    nor what the plan makes of it, or where the daemon has another image to push
    by now; RegistryError where a tag can't be read. Unlisted tags are not the plan's business.
    `asked` is told of `tags`.
    """
    concerned = [action for action in plan.actions if action.kind not in (Kind.UNLISTED, Kind.BLOCKED)]
    found = await counted("tags", asked, (_look(action, client) for action in concerned))
    _refuse([moved for moved in found if isinstance(moved, str)])
    left = [action for action, is_done in zip(concerned, found, strict=True) if not is_done]
    await together(_refuse_moved(action.write, engine) for action in left if isinstance(action.write, Copy))
    return not left


async def _refuse_moved(copy: Copy, engine: Engine) -> None:
    try:
        await refuse_moved(copy, engine, "apply the plan")
    except ChangedMeanwhile as error:
        raise StalePlan(f"{error.message}; nothing was written", hint=error.hint) from error


async def _look(action: Action, client: RegistryClient) -> bool | str:
    """Whether the tag is as planned already; what is there instead, where it isn't as before either."""
    head = await client.head(action.reference)
    for state, is_done in ((action.after, True), (action.before, False)):
        if (head.digest == state.digest) if head and state else (head is None and state is None):
            return is_done  # the digest settles it, for one request
    now = await read_tag(client, action.reference, made=is_made(action.after))
    if isinstance(now, Unreadable):
        raise RegistryError(f"read {action.reference}: {now.why}", hint="nothing was written; try again later")
    if is_in(action.after, now):
        return True
    return (
        False
        if is_in(action.before, now)
        else f"{action.reference} holds {named(now)} instead of {described(action.before)}"
    )


def _refuse(moved: Sequence[str]) -> None:
    if not moved:
        return
    count = "a tag has" if len(moved) == 1 else f"{len(moved)} tags have"
    more = f"; and {len(moved) - _NAMED} more" if len(moved) > _NAMED else ""
    raise StalePlan(
        f"apply the plan: since it was made {count} changed: {'; '.join(moved[:_NAMED])}{more}; nothing was written",
        hint="somebody else pushed there: make the plan again, and look at it",
    )
