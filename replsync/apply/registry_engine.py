"""The engine that streams from source to target and needs no Docker."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, nullcontext
from copy import copy
from functools import partial

from replsync.apply.allowance import Allowance
from replsync.apply.engine import Destination, Sent, Waits, untold
from replsync.errors import ChangedMeanwhile, RegistryError
from replsync.oci.build_source import BuildSource
from replsync.oci.digest import Digest, sha256
from replsync.oci.image_manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    Descriptor,
    Document,
    ImageManifest,
)
from replsync.oci.made_from import MAX_CONFIG, read_made_from
from replsync.oci.recipe import Recipe
from replsync.oci.reference import Repository
from replsync.oci.source_name import DaemonSource, SavedSource
from replsync.oci.tag_state import Resolved
from replsync.oci.tombstone import EMPTY_LAYER, tombstone_manifest
from replsync.plan.comparing import is_made
from replsync.registry.blob_map import BlobMap
from replsync.registry.blob_upload import from_memory
from replsync.registry.client import RegistryClient
from replsync.registry.session import SMALL_BLOB
from replsync.registry.together import together
from replsync.sources.by_name import Sources
from replsync.sources.image_source import Content, OpenImage
from replsync.sources.split_image import OpenSplitImage

_EXPORTS = 2
"""Images of the daemon, or of `docker save`, that are exported at once: each takes its compressed size on disk."""
HELD = 32 * SMALL_BLOB
"""Bytes of small blobs that are held in memory at once, between their source and the target."""


_Way = tuple[Digest, Repository, Repository | None]
"""A blob, where to, and where from."""


class RegistryEngine:
    """Copies byte for byte: blobs, then image manifests, then the index, and the tag last.

    A blob crosses the wire once in a run; a repository that needs it later has
    it mounted. Of the large ones, that goes first for which most images wait.
    """

    daemon_pushes = False

    def __init__(self, client: RegistryClient, sources: Sources, blobs: BlobMap) -> None:
        self._client = client
        self._sources = sources
        self._blobs = blobs
        self._exports = asyncio.Semaphore(_EXPORTS)
        self._held = Allowance(HELD)
        self._ensuring: dict[tuple[Repository, Digest], asyncio.Lock] = {}
        self._sending: dict[Digest, asyncio.Lock] = {}
        self._failed: dict[_Way, RegistryError] = {}
        self._wanted: Counter[Digest] = Counter()
        self._putting: dict[tuple[Repository, Digest], asyncio.Lock] = {}
        self._put: set[tuple[Repository, Digest]] = set()

    async def identify(self, recipe: Recipe, held: Digest | None = None) -> Resolved:
        """Say what would be pushed; see `ImageSource.identify`."""
        return await self._sources.of(recipe).identify(held)

    async def content(self, recipe: Recipe) -> Content | None:
        """Say what would be moved."""
        return await self._sources.of(recipe).content()

    async def push(self, recipe: Recipe, target: Destination, sent: Sent, waits: Waits = untold) -> None:
        """Copy an image with everything below it."""
        async with AsyncExitStack() as stack:
            if isinstance(recipe.source, DaemonSource | SavedSource | BuildSource):
                with waits("for an export before it"):
                    await stack.enter_async_context(self._exports)
            image = await stack.enter_async_context(self._sources.of(recipe).open())
            await self._push(image, target, sent, waits)

    async def bury(self, config: bytes, target: Destination) -> None:
        """Push a tombstone."""
        repository = target.reference.repository
        for media_type, data in ((DOCKER_LAYER, EMPTY_LAYER), (DOCKER_CONFIG, config)):
            blob = Descriptor(media_type, sha256(data), len(data))
            send = partial(self._client.upload, repository, blob, from_memory(data))
            await self._ensure(repository, blob, None, send, untold)
        await self._write(target, tombstone_manifest(config), DOCKER_MANIFEST)

    async def _push(self, image: OpenImage, target: Destination, sent: Sent, waits: Waits) -> None:
        repository = target.reference.repository
        await _refuse_unplanned(target, image)
        await together(
            self._ensure(
                repository, blob, image.repository, partial(self._send, repository, blob, image, sent, waits), waits
            )
            for blob in image.tree.blobs
        )
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

    async def _ensure(
        self,
        repository: Repository,
        blob: Descriptor,
        source: Repository | None,
        send: Callable[[], Awaitable[None]],
        waits: Waits,
    ) -> None:
        """See to it that the repository has the blob: there already, mounted, or sent.

        Who wants a blob that another repository is being sent waits for that, and has it mounted then.
        """
        digest = blob.digest
        self._wanted[digest] += 1
        try:
            async with _held(self._ensuring.setdefault((repository, digest), asyncio.Lock()), waits):
                if await self._blobs.has(repository, digest):
                    return
                async with _held(self._sending.setdefault(digest, asyncio.Lock()), waits):
                    holder = await self._blobs.mountable(repository, digest, source)
                    if holder is None:
                        await self._once((digest, repository, source), send)
                        self._blobs.note(repository, digest)
                        return
                if not await self._client.mount(repository, digest, holder):
                    async with _held(self._sending[digest], waits):
                        await self._once((digest, repository, source), send)
                self._blobs.note(repository, digest)
        finally:
            self._wanted[digest] -= 1

    async def _once(self, way: _Way, send: Callable[[], Awaitable[None]]) -> None:
        """Send a blob, unless that failed before in this run, with all its tries: each tag would find the same."""
        if failure := self._failed.get(way):
            raise copy(failure)
        try:
            await send()
        except RegistryError as error:
            self._failed[way] = error
            raise

    async def _send(self, repository: Repository, blob: Descriptor, image: OpenImage, sent: Sent, waits: Waits) -> None:
        if blob.size <= SMALL_BLOB:  # read first, so that no request to the target waits for one to the source
            async with self._held.of(blob.size):
                async with aclosing(image.read(blob)) as parts:
                    data = b"".join([part async for part in parts])
                await self._client.upload(repository, blob, from_memory(data), sent)
            return
        source = image.repository.host if image.repository else None
        async with AsyncExitStack() as stack:
            place = self._client.transfer(source, repository.host, lambda: self._wanted[blob.digest])
            with waits("for a place among the large layers"):
                await stack.enter_async_context(place)
            # It may have got there in an earlier run, of which no tag tells.
            if not await self._blobs.look(repository, blob.digest):
                await self._client.upload(repository, blob, partial(image.read, blob), sent)


@asynccontextmanager
async def _held(lock: asyncio.Lock, waits: Waits) -> AsyncIterator[None]:
    """Hold the lock of a blob that another tag may be sending."""
    with waits("for another tag's layer") if lock.locked() else nullcontext():
        await lock.acquire()
    try:
        yield
    finally:
        lock.release()


async def _refuse_unplanned(target: Destination, image: OpenImage) -> None:
    """What stays of an image, another version of replsync may see differently, and a plan may be forged."""
    expected = target.expected
    if expected is None or (isinstance(image, OpenSplitImage) and expected.made_from == image.made_from):
        return
    planned: str | None = expected.digest
    found: str | None = image.tree.root.digest
    if is_made(expected):
        planned, found = expected.made_from, await _made_from(image)
    if planned not in (None, found):
        raise ChangedMeanwhile(
            f"write {target.reference}: {found or 'something else'} would be pushed instead of {planned}, "
            "which was planned",
            hint="run plan again and look at it",
        )


async def _made_from(image: OpenImage) -> str | None:
    """What the labels of an image say; for an index, what those of its first image say that say something."""
    documents = [image.tree.root, *(document for _, document in image.tree.in_push_order)]
    for document in documents:
        if isinstance(document, ImageManifest) and document.config.size <= MAX_CONFIG:
            async with aclosing(image.read(document.config)) as parts:
                if made_from := read_made_from(b"".join([part async for part in parts])):
                    return made_from
    return None
