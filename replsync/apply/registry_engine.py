"""The engine that streams from source to target and needs no Docker."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from replsync.apply.engine import Destination, Sent
from replsync.oci.digest import Digest, sha256
from replsync.oci.image_manifest import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, Descriptor, Document
from replsync.oci.reference import Repository
from replsync.oci.source_name import DaemonSource, SourceName
from replsync.oci.tag_state import Resolved
from replsync.oci.tombstone import EMPTY_LAYER, tombstone_manifest
from replsync.registry.blob_map import BlobMap
from replsync.registry.client import RegistryClient
from replsync.registry.together import together
from replsync.registry.transport import Body
from replsync.sources.by_name import Sources
from replsync.sources.image_source import Content, OpenImage

_EXPORTS = 2
"""Images of the daemon that are exported at once: each takes its compressed size on disk."""


class RegistryEngine:
    """Copies byte for byte: blobs, then image manifests, then the index, and the tag last.

    `transfers` is how many blobs are on their way at once. A blob crosses the
    wire once in a run; a repository that needs it later has it mounted.
    """

    daemon_pushes = False

    def __init__(self, client: RegistryClient, sources: Sources, blobs: BlobMap, transfers: int) -> None:
        self._client = client
        self._sources = sources
        self._blobs = blobs
        self._transfers = asyncio.Semaphore(transfers)
        self._exports = asyncio.Semaphore(_EXPORTS)
        self._locks: dict[Digest, asyncio.Lock] = {}
        self._putting: dict[tuple[Repository, Digest], asyncio.Lock] = {}
        self._put: set[tuple[Repository, Digest]] = set()

    async def identify(self, name: SourceName) -> Resolved:
        """Say what would be pushed."""
        return await self._sources.of(name).identify()

    async def content(self, name: SourceName) -> Content:
        """Say what would be moved."""
        return await self._sources.of(name).content()

    async def push(self, name: SourceName, target: Destination, sent: Sent) -> None:
        """Copy an image with everything below it."""
        if isinstance(name, DaemonSource):
            async with self._exports, self._sources.of(name).open() as image:
                await self._push(image, target, sent)
        else:
            async with self._sources.of(name).open() as image:
                await self._push(image, target, sent)

    async def bury(self, config: bytes, target: Destination) -> None:
        """Push a tombstone."""
        repository = target.reference.repository
        for media_type, data in ((DOCKER_LAYER, EMPTY_LAYER), (DOCKER_CONFIG, config)):
            blob = Descriptor(media_type, sha256(data), len(data))
            await self._ensure(repository, blob, _whole(data), None)
        await self._write(target, tombstone_manifest(config), DOCKER_MANIFEST)

    async def _push(self, image: OpenImage, target: Destination, sent: Sent) -> None:
        def body(blob: Descriptor) -> Body:
            async def counted() -> AsyncGenerator[bytes, None]:
                async with aclosing(image.read(blob)) as parts:
                    async for part in parts:
                        yield part
                        sent(len(part))

            return counted

        repository = target.reference.repository
        await together(self._ensure(repository, blob, body(blob), image.repository) for blob in image.tree.blobs)
        for digest, document in image.tree.in_push_order:
            await self._put_once(repository, digest, document)
        await self._write(target, image.tree.root.raw, image.tree.root.media_type)

    async def _put_once(self, repository: Repository, digest: Digest, document: Document) -> None:
        """Put an image manifest below an index, once in a run: tags that share it must not write it at once.

        docker-registry 2.8 was seen to take one for missing while it was written again.
        """
        async with self._putting.setdefault((repository, digest), asyncio.Lock()):
            if (repository, digest) not in self._put:
                await self._client.put(repository.at(digest), document.raw, document.media_type)
                self._put.add((repository, digest))

    async def _write(self, target: Destination, raw: bytes, media_type: str) -> None:
        await target.announce()
        await self._client.put_tag(target.reference, raw, media_type, target.before)

    async def _ensure(self, repository: Repository, blob: Descriptor, body: Body, source: Repository | None) -> None:
        """See to it that the repository has the blob: there already, mounted, or sent."""
        async with self._locks.setdefault(blob.digest, asyncio.Lock()):
            if await self._blobs.has(repository, blob.digest):
                return
            holder = await self._blobs.mountable(repository, blob.digest, source)
            if not (holder and await self._client.mount(repository, blob.digest, holder)):
                async with self._transfers:
                    await self._client.upload(repository, blob, body)
            self._blobs.note(repository, blob.digest)


def _whole(data: bytes) -> Body:
    async def body() -> AsyncIterator[bytes]:
        yield data

    return body
