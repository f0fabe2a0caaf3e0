"""Images in a registry."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from replsync.errors import NotFound
from replsync.oci.image_manifest import Descriptor
from replsync.oci.image_tree import ImageTree
from replsync.oci.reference import Repository
from replsync.oci.source_name import RegistrySource
from replsync.oci.tag_state import Resolved
from replsync.registry.client import RegistryClient
from replsync.sources.image_source import Content


@dataclass(frozen=True)
class OpenRegistryImage:
    """An image in a registry, by digest."""

    client: RegistryClient
    repository: Repository
    tree: ImageTree

    def read(self, blob: Descriptor) -> AsyncIterator[bytes]:
        """Open a stream of the blob's bytes."""
        return self.client.read_blob(self.repository, blob)


class RegistryImage:
    """An image in a registry, by tag or digest."""

    def __init__(self, client: RegistryClient, name: RegistrySource) -> None:
        self._client = client
        self._name = name
        self._tree: ImageTree | None = None

    async def identify(self) -> Resolved:
        """Ask for the digest. Raises NotFound where the registry has no such tag."""
        reference = self._name.reference
        found = await self._client.head(reference)
        if found is None:
            raise NotFound(f"look up {reference}: the registry has no such image")
        return Resolved(self._name, found.digest)

    async def tree(self) -> ImageTree:
        """Read the image manifests, once. Raises UnsupportedImage for what is never copied."""
        if self._tree is None:
            self._tree = await self._client.tree(self._name.reference)
        return self._tree

    async def content(self) -> Content:
        """List the blobs. Raises UnsupportedImage for what is never copied."""
        blobs = (await self.tree()).blobs
        return Content(sum(blob.size for blob in blobs), blobs, self._name.reference.repository)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenRegistryImage]:
        """Read the image manifests; blobs stream when asked for."""
        yield OpenRegistryImage(self._client, self._name.reference.repository, await self.tree())
