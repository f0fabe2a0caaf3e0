"""An image whose large layers are split: around any other that can be read.

Its parts are files in a temporary folder. They are made before the image is
handed out, but for a layer that was split in the same run before: its parts are
known then, and made again only where one of them has to be read. Other blobs are read where the image is.
"""

import asyncio
import shutil
import tempfile
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from replsync.errors import CorruptBlob, NoRoom, UnsupportedImage
from replsync.layers.rewriting import diff_ids_of, large_layers, split_config, split_index, split_manifest
from replsync.oci.digest import Digest, sha256, short
from replsync.oci.image_manifest import Descriptor, Document, ImageIndex, ImageManifest, parse_document
from replsync.oci.image_tree import ImageTree
from replsync.oci.layer_bounds import parts_bound, temporary_disk
from replsync.oci.made_from import MAX_CONFIG, split_of
from replsync.oci.reference import Repository
from replsync.sources.image_source import OpenImage
from replsync.sources.temporary import no_room, temporary_folder

if TYPE_CHECKING:
    from replsync.layers.splitting import Part

Known = dict[tuple[Digest, Digest, int], tuple["Part", ...]]
"""The parts of layers that were split, by the layer's digest, its diff_id and the limit."""

_PIECE = 256 * 1024
_TMPDIR = "make room, or choose another folder by TMPDIR"


@dataclass(frozen=True)
class OpenSplitImage:
    """An image with split layers. What is new in it are `parts`, each a file that can be waited for, and `configs`."""

    whole: OpenImage
    tree: ImageTree
    parts: Mapping[Digest, Callable[[], Awaitable[Path]]]
    configs: Mapping[Digest, bytes]
    made_from: str

    @property
    def repository(self) -> Repository | None:
        """Where the blobs are that stayed as they were; parts are nowhere, and a registry doesn't find them there."""
        return self.whole.repository

    async def read(self, blob: Descriptor, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Open a stream of the blob's bytes from byte `start` on."""
        if (config := self.configs.get(blob.digest)) is not None:
            yield config[start:]
        elif made := self.parts.get(blob.digest):
            with (await made()).open("rb") as file:
                file.seek(start)
                while piece := await asyncio.to_thread(file.read, _PIECE):
                    yield piece
        else:
            async with aclosing(self.whole.read(blob, start)) as pieces:
                async for piece in pieces:
                    yield piece


def layers_to_split(tree: ImageTree, limit: int) -> tuple[Descriptor, ...]:
    """The layers of an image that have more than `limit` bytes, each once."""
    documents = [document for _, document in tree.in_push_order] + [tree.root]
    images = [one for one in documents if isinstance(one, ImageManifest) and not one.is_attestation]
    return tuple({layer.digest: layer for one in images for layer in large_layers(one, limit)}.values())


@asynccontextmanager
async def split(
    image: OpenImage, limit: int, source: Digest, known: Known, *, is_built: bool = False
) -> AsyncIterator[OpenSplitImage]:
    """Split the layers of `image` that have more than `limit` bytes; labels say that it was made from `source`.

    An image that `is_built` here keeps the label of its inputs.

    `known` is what was split before, and is added to.

    Raises NoRoom where the temporary folder hasn't the room that `temporary_disk`
    says, UnsupportedImage where a layer can't be split, and whatever reading the image raises.
    """
    needed = temporary_disk(layers_to_split(image.tree, limit))
    with temporary_folder("split layers") as folder:
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise NoRoom(
                f"split layers in {tempfile.gettempdir()}: it takes up to {needed:,} bytes, and {free:,} are free",
                hint=_TMPDIR,
            )
        yield await _Split(image, limit, source, known, folder, is_built).run()


class _Split:
    def __init__(
        self, image: OpenImage, limit: int, source: Digest, known: Known, folder: Path, is_built: bool
    ) -> None:
        self._image = image
        self._limit = limit
        self._source = source
        self._folder = folder
        self._known = known
        self._is_built = is_built
        self._making = asyncio.Lock()
        self._parts: dict[Digest, Callable[[], Awaitable[Path]]] = {}
        self._configs: dict[Digest, bytes] = {}

    async def run(self) -> OpenSplitImage:
        """Split every layer that is too large, and write what names them anew."""
        root = self._image.tree.root
        documents: dict[Digest, Document] = {}
        for digest, document in self._image.tree.in_push_order:
            documents[digest] = await self._rewritten(document, documents)
        new_root = await self._rewritten(root, documents)
        tree = ImageTree(new_root, {document.digest: document for document in documents.values()})
        return OpenSplitImage(self._image, tree, self._parts, self._configs, split_of(self._source, self._limit))

    async def _rewritten(self, document: Document, below: Mapping[Digest, Document]) -> Document:
        if isinstance(document, ImageIndex):
            replaced = {
                entry.digest: below[entry.digest].raw
                for entry in document.manifests
                if below[entry.digest].digest != entry.digest
            }
            if not replaced:
                return document
            return parse_document(split_index(document, replaced), document.media_type)
        if document.is_attestation or not large_layers(document, self._limit):
            return document
        config = await self._config(document.config)
        parts = await self._split(document, diff_ids_of(config, document))
        new_config = split_config(config, document, parts, self._source, self._limit, is_built=self._is_built)
        self._configs[sha256(new_config)] = new_config
        return parse_document(split_manifest(document, parts, new_config), document.media_type)

    async def _split(self, manifest: ImageManifest, diff_ids: Sequence[Digest]) -> dict[Digest, tuple["Part", ...]]:
        split = dict[Digest, tuple["Part", ...]]()
        for layer, diff_id in zip(manifest.layers, diff_ids, strict=True):
            if layer.size > self._limit:
                key = layer.digest, diff_id, self._limit
                if key not in self._known:
                    self._known[key] = await self._split_one(layer, diff_id)
                split[layer.digest] = self._known[key]
                for part in self._known[key]:
                    self._parts[part.digest] = partial(self._file, part.digest, layer, diff_id)
        return split

    async def _file(self, digest: Digest, layer: Descriptor, diff_id: Digest) -> Path:
        """The file with a part, which is made if it isn't there."""
        from replsync.layers.splitting import part_file

        path = part_file(self._folder, digest)
        async with self._making:
            if not path.exists():
                await self._split_one(layer, diff_id)
        return path

    async def _split_one(self, layer: Descriptor, diff_id: Digest) -> tuple["Part", ...]:
        from replsync.layers.splitting import Limits, split_layer

        spool = self._folder / "layer"
        stop = threading.Event()
        limits = Limits(self._limit, parts_bound(layer))
        try:
            await self._store(layer, spool)
            return await asyncio.to_thread(split_layer, spool, diff_id, limits, self._folder, stop.is_set)
        except UnsupportedImage as error:
            raise UnsupportedImage(f"split layer {short(layer.digest)}: {error.message}", hint=error.hint) from error
        except OSError as error:
            raise no_room(f"split layer {short(layer.digest)}", error) from error
        finally:
            stop.set()  # a cancelled task leaves its thread behind: this ends it
            spool.unlink(missing_ok=True)

    async def _store(self, blob: Descriptor, path: Path) -> None:
        size = 0
        with path.open("wb") as file:
            async with aclosing(self._image.read(blob)) as pieces:
                async for piece in pieces:
                    size += len(piece)
                    if size > blob.size:
                        break
                    await asyncio.to_thread(file.write, piece)
        if size != blob.size:
            raise CorruptBlob(f"read layer {short(blob.digest)}: it has other than the {blob.size:,} bytes it says")

    async def _config(self, blob: Descriptor) -> bytes:
        if blob.size > MAX_CONFIG:
            raise UnsupportedImage(f"its config has {blob.size:,} bytes, and is read up to {MAX_CONFIG:,}")
        async with aclosing(self._image.read(blob)) as pieces:
            config = b"".join([piece async for piece in pieces])
        if sha256(config) != blob.digest:
            raise CorruptBlob(f"read config {short(blob.digest)}: what came is something else")
        return config
