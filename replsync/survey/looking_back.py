"""Asks the target for all that the way back depends on."""

from collections.abc import Sequence

from replsync.errors import RegistryError
from replsync.oci.reference import Reference
from replsync.oci.tag_state import TagState, Unreadable
from replsync.plan.journal import Change
from replsync.registry.client import RegistryClient
from replsync.registry.inventory import is_whole, read_tag
from replsync.registry.together import together


async def look_back(
    changes: Sequence[Change], client: RegistryClient
) -> tuple[dict[Reference, TagState], frozenset[Reference]]:
    """Return what the changed tags are now, and those of their earlier images that can still be read, by digest."""
    inventory: dict[Reference, TagState] = {}
    whole: set[Reference] = set()

    async def one(change: Change) -> None:
        reference, before = change.reference, change.before
        inventory[reference] = await read_tag(client, reference)
        if before and before.digest:
            earlier = reference.repository.at(before.digest)
            try:
                if await is_whole(client, earlier):
                    whole.add(earlier)
            except RegistryError as error:
                inventory[reference] = Unreadable(error.message, error.hint or "")

    await together(map(one, changes))
    return inventory, frozenset(whole)
