"""What each action of a plan would move: asked of the target, so that a plan can say it."""

from dataclasses import dataclass, replace
from typing import assert_never

from replsync.errors import RegistryError
from replsync.oci.digest import Digest
from replsync.oci.image_manifest import Descriptor
from replsync.oci.reference import Repository
from replsync.oci.tombstone import EMPTY_LAYER, tombstone_config
from replsync.plan.action import Action, Bury, ByteCount, Copy
from replsync.plan.layer_sizes import Load
from replsync.registry.blob_map import BlobMap
from replsync.registry.together import together
from replsync.registry.watching import Asked, counted, nobody
from replsync.survey.gathering import Offer


async def measured(
    actions: tuple[Action, ...], offer: Offer, blobs: BlobMap, asked: Asked = nobody
) -> tuple[Load, ...]:
    """Return the actions with their bytes filled in, each with the blobs that it sends.

    A blob that several actions need counts as sent for the first of them, in
    the order given, and as mounted for those in other repositories. `asked` is told of `images`.
    """
    writes = [action for action in actions if isinstance(action.write, Copy)]
    await counted("images", asked, (_look_up(action, offer, blobs) for action in writes))
    moved = _Moved({}, set())
    return tuple([await _measured(action, offer, blobs, moved) for action in actions])


@dataclass(frozen=True)
class _Moved:
    """What the actions so far would bring to the target: the repositories that get a blob, and what was sent."""

    to: dict[Digest, set[Repository]]
    sent: set[Digest]


async def _look_up(action: Action, offer: Offer, blobs: BlobMap) -> None:
    if not isinstance(action.write, Copy):
        return
    content = await offer.content(action.write.recipe)
    if content is None:
        return

    async def one(blob: Descriptor) -> None:
        if not await _has(blobs, action.reference.repository, blob.digest):
            await blobs.mountable(action.reference.repository, blob.digest, content.repository)

    await together(one(blob) for blob in content.blobs or ())


async def _measured(action: Action, offer: Offer, blobs: BlobMap, moved: _Moved) -> Load:
    match action.write:
        case None:
            return Load(action)
        case Bury(epitaph):
            size = len(tombstone_config(epitaph)) + len(EMPTY_LAYER)
            return Load(replace(action, bytes=ByteCount(size, size)))
        case Copy() as copy:
            content = await offer.content(copy.recipe)
        case _:
            assert_never(action.write)
    if content is None:
        return Load(replace(action, bytes=None))
    repository = action.reference.repository
    if content.blobs is None:
        return Load(replace(action, bytes=ByteCount(content.total, content.total)), unpacked=content.total)
    limit = copy.transforms.split_over
    split = [blob for blob in content.blobs if limit is not None and blob.size > limit and not blob.is_config]
    # What the same registry has is mounted, or is there: nobody sends it.
    is_near = content.repository is not None and content.repository.host == repository.host
    sent: list[Descriptor] = []
    awaited: list[Descriptor] = []
    upload = mount = 0
    for blob in content.blobs:
        holders = moved.to.setdefault(blob.digest, set())
        if repository not in holders and await _has(blobs, repository, blob.digest):
            continue
        if blob.digest in moved.sent and not is_near:
            awaited.append(blob)
        if repository in holders:
            continue
        if holders or await blobs.mountable(repository, blob.digest, content.repository):
            mount += blob.size
        else:
            upload += blob.size
            if not is_near:
                sent.append(blob)
                moved.sent.add(blob.digest)
        holders.add(repository)
    counted = replace(action, bytes=ByteCount(content.total, upload, mount))
    return Load(counted, tuple(sent), tuple(awaited), split=tuple(split))


async def _has(blobs: BlobMap, repository: Repository, digest: Digest) -> bool:
    """A blob that can't be looked up counts as one to send: in doubt a plan says too much, and is blocked too soon."""
    try:
        return await blobs.has(repository, digest)
    except RegistryError:
        return False
