"""An image whose layers are held to a limit: around any source.

Layers that are too large are split, or keep the image from being pushed. What
a registry or a layout has is known by its image manifests; a daemon's layers
only once they are exported, so that these are looked at again then.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from replsync.errors import UnsupportedImage
from replsync.oci.build_source import BuildSource
from replsync.oci.digest import Digest, short
from replsync.oci.image_manifest import Descriptor, Document, ImageManifest
from replsync.oci.made_from import split_of
from replsync.oci.recipe import Transforms
from replsync.oci.source_name import DaemonSource, SavedSource, SourceName
from replsync.oci.tag_state import Resolved
from replsync.sources.image_source import Content, ImageSource, OpenImage
from replsync.sources.split_image import Known, layers_to_split, split


@dataclass
class Turn:
    """`one` split at a time, since each fills a folder and a processor; what is `known` of layers since."""

    one: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    known: Known = field(default_factory=dict)


class LimitedImage:
    """The image of `source`, with the layers over the limit in `transforms` split or refused.

    Images that are split in one run share a `turn`.
    """

    def __init__(self, source: ImageSource, name: SourceName, transforms: Transforms, turn: Turn) -> None:
        self._source = source
        self._name = name
        self._transforms = transforms
        self._turn = turn

    async def identify(self, held: Digest | None = None) -> Resolved:
        """Say what would be pushed; see `ImageSource.identify`. Of a split image only what it is made from is known."""
        resolved = await self._source.identify(held)
        if resolved.digest is not None and resolved.digest == held:
            return resolved  # the tag has it: whatever its size, the registry took it
        split_over, refuse_over = self._transforms.split_over, self._transforms.refuse_over
        if isinstance(self._name, BuildSource):  # nothing of it is there to be measured, and its inputs tell it
            return replace(resolved, transforms=self._transforms.limits)
        if split_over is None and not _is_exported(self._name):
            return resolved  # the plan blocks it, unless the target has these layers
        if not _is_over(await self._source.content(), split_over or refuse_over or 0):
            return resolved
        resolved = replace(
            resolved, transforms=replace(resolved.transforms, split_over=split_over, refuse_over=refuse_over)
        )
        known = resolved.digest or resolved.config
        if split_over is None or known is None:
            return resolved
        whole = resolved.whole or resolved.digest
        return replace(resolved, digest=None, whole=whole, made_from=split_of(known, split_over))

    async def content(self) -> Content | None:
        """Say what is there before anything is split."""
        return await self._source.content()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenImage]:
        """Open the image, and split its layers. Raises UnsupportedImage where they can't be, or aren't to be."""
        limit, most = self._transforms.split_over, self._transforms.refuse_over
        async with self._source.open() as image:
            if most is not None and _is_exported(self._name):
                _refuse(self._name, layers_to_split(image.tree, most), most)
            if limit is None or not layers_to_split(image.tree, limit):
                yield image
            else:
                source = _known_by(self._name, image.tree.root)
                is_built = isinstance(self._name, BuildSource)
                async with (
                    self._turn.one,
                    split(image, limit, source, self._turn.known, is_built=is_built) as parts,
                ):
                    yield parts


def _is_exported(name: SourceName) -> bool:
    """Whether layers are known only once the image is exported: what is measured by the plan is not looked at again."""
    return isinstance(name, DaemonSource | SavedSource | BuildSource)


def _known_by(name: SourceName, root: Document) -> Digest:
    """What stands for the unsplit image in plans: one that is exported is known by its image ID."""
    return root.config.digest if _is_exported(name) and isinstance(root, ImageManifest) else root.digest


def _is_over(content: Content | None, limit: int) -> bool:
    """Whether the image has, or may have, a layer of more than `limit` bytes."""
    if content is None:
        return True
    if content.blobs is None:
        return content.total > limit
    return any(blob.size > limit and not blob.is_config for blob in content.blobs)


def _refuse(name: SourceName, layers: Sequence[Descriptor], most: int) -> None:
    if layers:
        named = ", ".join(f"{short(layer.digest)} ({layer.size:,} bytes)" for layer in layers)
        raise UnsupportedImage(
            f"push {name}: {'its layer' if len(layers) == 1 else 'its layers'} {named} "
            f"{'has' if len(layers) == 1 else 'have'} more than policy.max_layer_size, {most:,} bytes",
            hint="set policy.oversize_layers: split, or make the image's layers smaller",
        )
