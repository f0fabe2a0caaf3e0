"""Images in a registry."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from replsync.errors import NotFound, UnsupportedImage
from replsync.oci.digest import Digest
from replsync.oci.image_manifest import INDEX_TYPES, Descriptor, ImageManifest
from replsync.oci.image_tree import ImageTree
from replsync.oci.made_from import MAX_CONFIG
from replsync.oci.recipe import AS_IT_IS, Transforms, platform_of, refuse_other_platforms
from replsync.oci.reference import Repository
from replsync.oci.source_name import RegistrySource, pinned
from replsync.oci.tag_state import Resolved
from replsync.registry.client import RegistryClient
from replsync.registry.trees import TransformedTree, read_transformed
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

    def __init__(self, client: RegistryClient, name: RegistrySource, transforms: Transforms = AS_IT_IS) -> None:
        self._client = client
        self._name = name
        self._transforms = transforms
        self._looking = asyncio.Lock()
        self._found: Descriptor | None = None
        self._reading = asyncio.Lock()
        self._read: TransformedTree | None = None

    async def identify(self, held: Digest | None = None) -> Resolved:
        """Ask for the digest, and for what stays of an index. Raises NotFound where the registry has no such tag."""
        found = await self._look_up()
        source = pinned(self._name, found.digest)
        if not self._is_changed(found) or (found.digest == held and not self._transforms.platforms):
            return Resolved(source, found.digest)
        read = await self._transformed()
        if read.tree.root is read.source:
            return Resolved(source, found.digest)
        # Whoever chose platforms wants just those, also where the tag has all of them by now.
        whole = None if self._transforms.platforms else read.source.digest
        return Resolved(source, read.tree.root.digest, whole=whole, transforms=self._transforms, notes=read.notes)

    def _is_changed(self, found: Descriptor) -> bool:
        if self._transforms.platforms:
            return True
        return self._transforms.attestations != "keep" and found.media_type in INDEX_TYPES

    async def tree(self) -> ImageTree:
        """Read the image manifests, once. Raises UnsupportedImage for what is never copied."""
        return (await self._transformed()).tree

    async def _transformed(self) -> TransformedTree:
        async with self._reading:
            if self._read is None:
                async with self._looking:  # one request tells both, if nobody has asked for the digest yet
                    reference = self._name.reference
                    digest = reference.digest or (self._found.digest if self._found else None)
                    exactly = replace(reference, digest=digest)
                    read = await read_transformed(self._client.fetch, exactly, self._transforms)
                    await self._refuse_other_platforms(read)
                    self._found = Descriptor(read.source.media_type, read.source.digest, len(read.source.raw))
                    self._read = read
        return self._read

    async def _refuse_other_platforms(self, read: TransformedTree) -> None:
        root = read.tree.root
        if not self._transforms.platforms or not isinstance(root, ImageManifest) or root is not read.source:
            return
        reference = self._name.reference
        if root.config.size > MAX_CONFIG:
            raise UnsupportedImage(
                f"{reference}: its config has {root.config.size} bytes, and is read up to {MAX_CONFIG}"
            )
        try:
            config = await self._client.read_small_blob(reference.repository, root.config)
            refuse_other_platforms(platform_of(config), self._transforms.platforms)
        except UnsupportedImage as error:
            raise UnsupportedImage(f"{reference}: {error.message}", hint=error.hint) from error

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
