"""Images in a registry."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from replsync.errors import NotFound
from replsync.oci.digest import Digest
from replsync.oci.image_manifest import Descriptor
from replsync.oci.image_tree import ImageTree
from replsync.oci.reference import Repository
from replsync.oci.source_name import RegistrySource, pinned
from replsync.oci.tag_state import Resolved
from replsync.registry.client import RegistryClient
from replsync.sources.image_source import Content


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

    def __init__(self, client: RegistryClient, name: RegistrySource) -> None:
        self._client = client
        self._name = name
        self._looking = asyncio.Lock()
        self._digest: Digest | None = None
        self._reading = asyncio.Lock()
        self._tree: ImageTree | None = None

    async def identify(self) -> Resolved:
        """Ask for the digest. Raises NotFound where the registry has no such tag."""
        digest = await self._look_up()
        return Resolved(pinned(self._name, digest), digest)

    async def tree(self) -> ImageTree:
        """Read the image manifests, once. Raises UnsupportedImage for what is never copied."""
        async with self._reading:
            if self._tree is None:
                async with self._looking:  # one request tells both, if nobody has asked for the digest yet
                    reference = self._name.reference
                    exactly = replace(reference, digest=reference.digest or self._digest)
                    self._tree = await self._client.tree(exactly)
                    self._digest = self._tree.root.digest
        return self._tree

    async def _look_up(self) -> Digest:
        async with self._looking:
            if self._digest is None:
                reference = self._name.reference
                found = await self._client.head(reference)
                if found is None:
                    raise NotFound(
                        f"look up {reference}: the registry has no such image", hint="check the source's name and tag"
                    )
                self._digest = found.digest
        return self._digest

    async def content(self) -> Content:
        """List the blobs. Raises UnsupportedImage for what is never copied."""
        blobs = (await self.tree()).blobs
        return Content(sum(blob.size for blob in blobs), blobs, self._name.reference.repository)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenRegistryImage]:
        """Read the image manifests; blobs stream when asked for."""
        yield OpenRegistryImage(self._client, self._name.reference.repository, await self.tree())
