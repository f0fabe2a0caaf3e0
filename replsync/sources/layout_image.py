"""Images in OCI image layouts: folders (`oci:`), and tars of such folders (`oci-archive:`)."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from replsync.errors import CorruptBlob, UnsupportedImage
from replsync.oci.digest import Digest, digest_of, hasher_of
from replsync.oci.image_manifest import Descriptor, ImageIndex
from replsync.oci.image_tree import ImageTree
from replsync.oci.recipe import AS_IT_IS, Transforms
from replsync.oci.source_name import LayoutSource, SavedSource, pinned, spoken
from replsync.oci.tag_state import Resolved
from replsync.registry.trees import Fetched, Kept, read_kept, read_tree
from replsync.sources.file_part import Files, Missing, OpenPart
from replsync.sources.image_source import Content, offered
from replsync.sources.layout_index import blob_name, check_layout, choose, read_index

_PART = 256 * 1024


@dataclass(frozen=True)
class _Place:
    """An image manifest in a layout."""

    source: str
    digest: Digest

    def __str__(self) -> str:
        return self.source

    def beside(self, digest: Digest) -> "_Place":
        return _Place(self.source, digest)


@dataclass(frozen=True)
class OpenLayoutImage:
    """An image in a layout; its blobs are read where they are."""

    files: Files
    name: str
    tree: ImageTree
    repository: None = None

    async def read(self, blob: Descriptor, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Open a stream of the blob's bytes from byte `start` on. Raises CorruptBlob where they aren't its own."""
        hasher = hasher_of(blob.digest)
        with await asyncio.to_thread(self.files.open, blob_name(blob.digest)) as part:
            if part.size != blob.size:
                raise self._corrupt(blob, f"it has {part.size} bytes, and should have {blob.size}")
            at = start
            while at < part.size:
                data = await asyncio.to_thread(part.read, at, _PART)
                hasher.update(data)
                at += len(data)
                if at == part.size and start == 0 and hasher.hexdigest() != blob.digest.partition(":")[2]:
                    raise self._corrupt(blob, "its bytes are not those of its digest")  # before the last is handed out
                yield data

    def _corrupt(self, blob: Descriptor, why: str) -> CorruptBlob:
        return CorruptBlob(f"read {blob.digest} of {self.name}: {why}", hint="write the layout anew")


class LayoutImage:
    """An image in a layout. Once looked up it stays the same image, whatever is written there."""

    def __init__(self, files: Files, name: LayoutSource, transforms: Transforms = AS_IT_IS) -> None:
        self._files = files
        self._name = name
        self._transforms = transforms
        self._reading = asyncio.Lock()
        self._described: dict[Digest, Descriptor] = {}
        self._kept: Kept | None = None
        self._tree: ImageTree | None = None

    async def identify(self, held: Digest | None = None) -> Resolved:
        """Read `index.json`, and what stays of the image. Raises InvalidInput where there is no such file."""
        kept = await self._what_stays()
        digest = kept.source.digest
        source = pinned(self._name, digest)
        if digest == held and not self._transforms.platforms:
            return Resolved(source, digest)
        return offered(source, kept, self._transforms)

    async def content(self) -> Content:
        """List the blobs, all of which are there in the size that is said of them. Raises UnsupportedImage."""
        blobs = (await self._read_tree()).blobs
        await asyncio.to_thread(self._refuse_missing, blobs)
        return Content(sum(blob.size for blob in blobs), blobs)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenLayoutImage]:
        """Read the image manifests; blobs stream when asked for."""
        yield OpenLayoutImage(self._files, spoken(self._name), await self._read_tree())

    async def _what_stays(self) -> Kept:
        async with self._reading:
            if self._kept is None:
                root = await asyncio.to_thread(self._look_up)
                self._described[root.digest] = root
                self._kept = await read_kept(self._fetch, self._place(root.digest), self._transforms, self._config)
        return self._kept

    async def _read_tree(self) -> ImageTree:
        kept = await self._what_stays()
        async with self._reading:
            if self._tree is None:
                self._tree = await read_tree(self._fetch, self._place(kept.source.digest), kept)
        return self._tree

    def _place(self, digest: Digest) -> _Place:
        return _Place(spoken(self._name), digest)

    def _look_up(self) -> Descriptor:
        try:
            check_layout(self._document("oci-layout"))
            return choose(read_index(self._document("index.json")), self._name)
        except Missing as error:
            raise self._refused(self._of_docker_save() or error) from error
        except UnsupportedImage as error:
            raise self._refused(error) from error

    def _of_docker_save(self) -> UnsupportedImage | None:
        """What to say of an archive that `docker save` wrote; None where it isn't one."""
        if not self._name.is_archive:
            return None
        try:
            self._document("manifest.json")
        except UnsupportedImage:
            return None
        right = SavedSource(self._name.path)
        return UnsupportedImage("it is what `docker save` writes, not an OCI layout", hint=f"write {right}")

    async def _fetch(self, place: _Place) -> Fetched:
        described = self._described[place.digest]
        raw = await asyncio.to_thread(self._blob, described)
        fetched = Fetched(raw, described.media_type, described.digest)
        document = fetched.parse()
        if isinstance(document, ImageIndex):
            for entry in document.manifests:
                self._described.setdefault(entry.digest, entry)
        return fetched

    async def _config(self, blob: Descriptor) -> bytes:
        return await asyncio.to_thread(self._blob, blob)

    def _refuse_missing(self, blobs: tuple[Descriptor, ...]) -> None:
        try:
            for blob in blobs:
                with self._open(blob) as part:
                    _check_size(blob, part.size)
        except UnsupportedImage as error:
            raise self._refused(error) from error

    def _blob(self, blob: Descriptor) -> bytes:
        """Read a blob that is held in memory."""
        with self._open(blob) as part:
            data = part.document()
        _check_size(blob, len(data))
        if digest_of(data, blob.digest) != blob.digest:
            raise UnsupportedImage(f"{blob.digest} in it is damaged: it has another digest", hint="write it anew")
        return data

    def _open(self, blob: Descriptor) -> OpenPart:
        try:
            return self._files.open(blob_name(blob.digest))
        except Missing as error:
            raise UnsupportedImage(f"it lacks {blob.digest}", hint="write the layout with all its blobs") from error

    def _document(self, name: str) -> bytes:
        with self._files.open(name) as part:
            return part.document()

    def _refused(self, error: UnsupportedImage) -> UnsupportedImage:
        return UnsupportedImage(f"{spoken(self._name)}: {error.message}", hint=error.hint)


def _check_size(blob: Descriptor, size: int) -> None:
    if size != blob.size:
        raise UnsupportedImage(f"{blob.digest} in it has {size} bytes, and should have {blob.size}")
