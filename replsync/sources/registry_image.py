"""Images in a registry."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from replsync.errors import NotFound
from replsync.oci.digest import Digest
from replsync.oci.image_manifest import INDEX_TYPES, Descriptor
from replsync.oci.image_tree import ImageTree
from replsync.oci.recipe import AS_IT_IS, Transforms
from replsync.oci.reference import Reference, Repository
from replsync.oci.source_name import RegistrySource, pinned
from replsync.oci.tag_state import Resolved
from replsync.registry.client import RegistryClient
from replsync.registry.trees import Kept, read_kept, read_tree
from replsync.sources.image_source import Content, offered


@dataclass(frozen=True)
class OpenRegistryImage:
    """An image in a registry, by digest."""

    client: RegistryClient
    repository: Repository
    tree: ImageTree

    def read(self, blob: Descriptor, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Open a stream of the blob's bytes from byte `start` on."""
        return self.client.read_blob(self.repository, blob, start)


class RegistryImage:
    """An image in a registry, by tag or digest. Once looked up it stays the same image, wherever its tag moves."""

    def __init__(self, client: RegistryClient, name: RegistrySource, transforms: Transforms = AS_IT_IS) -> None:
        self._client = client
        self._name = name
        self._transforms = transforms
        self._looking = asyncio.Lock()
        self._found: Descriptor | None = None
        self._kept: Kept | None = None
        self._reading = asyncio.Lock()
        self._tree: ImageTree | None = None

    async def identify(self, held: Digest | None = None) -> Resolved:
        """Ask for the digest, and for what stays of an index. Raises NotFound where the registry has no such tag."""
        found = await self._look_up()
        source = pinned(self._name, found.digest)
        if not self._may_change(found) or (found.digest == held and not self._transforms.platforms):
            return Resolved(source, found.digest)
        return offered(source, await self._what_stays(), self._transforms)

    def _may_change(self, found: Descriptor) -> bool:
        if self._transforms.platforms:
            return True
        return self._transforms.attestations != "keep" and found.media_type in INDEX_TYPES

    async def tree(self) -> ImageTree:
        """Read the image manifests, once. Raises UnsupportedImage for what is never copied."""
        async with self._reading:
            if self._tree is None:
                kept = await self._what_stays()
                self._tree = await read_tree(self._client.fetch, self._exactly(kept.source.digest), kept)
        return self._tree

    async def _what_stays(self) -> Kept:
        async with self._looking:  # one request tells the digest, too, if nobody has asked for it yet
            if self._kept is None:
                reference = self._exactly(self._found.digest if self._found else None)
                kept = await read_kept(self._client.fetch, reference, self._transforms, self._config)
                self._found = Descriptor(kept.source.media_type, kept.source.digest, len(kept.source.raw))
                self._kept = kept
        return self._kept

    def _exactly(self, digest: Digest | None) -> Reference:
        reference = self._name.reference
        return replace(reference, digest=reference.digest or digest)

    async def _config(self, blob: Descriptor) -> bytes:
        return await self._client.read_small_blob(self._name.reference.repository, blob)

    async def _look_up(self) -> Descriptor:
        async with self._looking:
            if self._found is None:
                reference = self._name.reference
                self._found = await self._client.head(reference)
                if self._found is None:
                    raise NotFound(
                        f"look up {reference}: the registry has no such image", hint="check the source's name and tag"
                    )
        return self._found

    async def content(self) -> Content:
        """List the blobs. Raises UnsupportedImage for what is never copied."""
        blobs = (await self.tree()).blobs
        return Content(sum(blob.size for blob in blobs), blobs, self._name.reference.repository)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenRegistryImage]:
        """Read the image manifests; blobs stream when asked for."""
        yield OpenRegistryImage(self._client, self._name.reference.repository, await self.tree())
