"""How many bytes each action of a plan would move: asked of the target, so that a plan can say it."""

from dataclasses import replace

from replsync.oci.digest import Digest
from replsync.oci.image_manifest import Descriptor
from replsync.oci.reference import Repository
from replsync.oci.tombstone import EMPTY_LAYER, tombstone_config
from replsync.plan.action import WRITING, Action, ByteCount
from replsync.registry.blob_map import BlobMap
from replsync.registry.together import together
from replsync.survey.gathering import Offer


async def measured(actions: tuple[Action, ...], offer: Offer, blobs: BlobMap) -> tuple[Action, ...]:
    """Return the actions with their bytes filled in.

    A blob that several actions need counts as sent for the first of them, in
    the order given, and as mounted for those in other repositories.
    """
    writes = [action for action in actions if action.kind in WRITING and action.source]
    await together(_look_up(action, offer, blobs) for action in writes)
    sent: dict[Digest, Repository] = {}
    return tuple([await _measured(action, offer, blobs, sent) for action in actions])


async def _look_up(action: Action, offer: Offer, blobs: BlobMap) -> None:
    async def one(blob: Descriptor) -> None:
        if not await blobs.has(action.reference.repository, blob.digest):
            await blobs.mountable(action.reference.repository, blob.digest)

    if action.source:
        await together(one(blob) for blob in (await offer.content(action.source.name)).blobs or ())


async def _measured(action: Action, offer: Offer, blobs: BlobMap, sent: dict[Digest, Repository]) -> Action:
    if action.epitaph:
        size = len(tombstone_config(action.epitaph)) + len(EMPTY_LAYER)
        return replace(action, bytes=ByteCount(size, size))
    if action.kind not in WRITING or action.source is None:
        return action
    repository = action.reference.repository
    content = await offer.content(action.source.name)
    if content.blobs is None:
        return replace(action, bytes=ByteCount(content.total, content.total))
    upload = mount = 0
    for blob in content.blobs:
        if await blobs.has(repository, blob.digest) or sent.get(blob.digest) == repository:
            continue
        if blob.digest in sent or await blobs.mountable(repository, blob.digest):
            mount += blob.size
        else:
            upload += blob.size
        sent.setdefault(blob.digest, repository)
    return replace(action, bytes=ByteCount(content.total, upload, mount))
