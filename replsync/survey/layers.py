"""Which layers the tags of a plan are made of, to see what they share. It costs a request or more for each tag."""

from collections.abc import Mapping, Sequence

from replsync.errors import ReplsyncError
from replsync.oci.image_manifest import Descriptor
from replsync.oci.recipe import AS_IT_IS
from replsync.oci.reference import Reference
from replsync.oci.source_name import RegistrySource
from replsync.plan.action import Action, Copy
from replsync.registry.client import RegistryClient
from replsync.registry.together import together
from replsync.survey.gathering import Offer

Layers = Mapping[Reference, tuple[Descriptor, ...]]


async def read_layers(actions: Sequence[Action], client: RegistryClient, offer: Offer | None) -> Layers:
    """Return the layers of what each tag is to hold when the plan is done, lowest first, each once.

    Of an index they are those of all its platforms. A tag of which they aren't
    known is left out: a tombstone, an image that is made or exported first, one
    that can't be read. `offer` reads what is to be pushed; None where no source may be asked.
    """
    found: dict[Reference, tuple[Descriptor, ...]] = {}

    async def one(action: Action) -> None:
        try:
            blobs = await _blobs(action, client, offer)
        except ReplsyncError:  # the plan says already what can't be read, where that matters
            return
        if blobs is not None:
            found[action.reference] = tuple(blob for blob in blobs if not blob.is_config)

    await together(map(one, actions))
    return {action.reference: found[action.reference] for action in actions if action.reference in found}


async def _blobs(action: Action, client: RegistryClient, offer: Offer | None) -> tuple[Descriptor, ...] | None:
    repository = action.reference.repository
    if isinstance(action.write, Copy):
        source = action.write.source
        is_own = isinstance(source, RegistrySource) and source.reference.repository == repository
        if is_own and action.write.transforms == AS_IT_IS:
            return (await client.tree(repository.at(action.write.digest))).blobs
        is_made = action.after is not None and action.after.digest is None and action.after.made_from is not None
        content = await offer.content(action.write.recipe) if offer and not is_made else None
        return content.blobs if content else None
    held = action.before
    if action.write is not None or held is None or held.kind == "tombstone" or held.digest is None:
        return None
    return (await client.tree(repository.at(held.digest))).blobs
