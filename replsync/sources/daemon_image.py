"""Images in the local Docker daemon.

The daemon keeps layers unpacked: their compressed bytes, and so the digest of
the image manifest, exist only once the image is exported. What identifies a
daemon's image before that is its image ID, the digest of its config.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from replsync.errors import UnsupportedImage
from replsync.oci.digest import Digest, parse_digest
from replsync.oci.image_manifest import Descriptor, ImageManifest
from replsync.oci.image_tree import ImageTree
from replsync.oci.platform import Platform
from replsync.oci.recipe import AS_IT_IS, Transforms, refuse_other_platforms
from replsync.oci.source_name import DaemonSource
from replsync.oci.tag_state import Resolved
from replsync.sources.docker_daemon import Stop, exported, in_daemon, uses_containerd_store
from replsync.sources.image_source import Content
from replsync.sources.saved_archive import SavedImage, read_saved
from replsync.sources.temporary import no_room, temporary_folder

if TYPE_CHECKING:
    from python_on_whales import DockerClient

_PART = 256 * 1024


@dataclass(frozen=True)
class OpenDaemonImage:
    """An exported image; its blobs are files."""

    saved: SavedImage
    repository: None = None

    @property
    def tree(self) -> ImageTree:
        """The image manifest that was made for it: Docker schema 2."""
        return self.saved.tree

    async def read(self, blob: Descriptor, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Open a stream of the blob's bytes from byte `start` on."""
        with self.saved.files[blob.digest].open("rb") as file:
            file.seek(start)
            while part := await asyncio.to_thread(file.read, _PART):
                yield part


@dataclass(frozen=True)
class _Found:
    config: Digest
    size: int
    identifier: str
    platform: Platform


class DaemonImage:
    """An image in the local Docker daemon. Once looked up it stays the same image, wherever its tag moves."""

    def __init__(self, name: DaemonSource, transforms: Transforms = AS_IT_IS) -> None:
        self._name = name
        self._transforms = transforms
        self._looking = asyncio.Lock()
        self._found: _Found | None = None

    async def identify(self, held: Digest | None = None) -> Resolved:  # noqa: ARG002 - an image ID is no digest
        """Ask for the image ID. Raises DockerError where there is no daemon, or no such image.

        A daemon has one platform of an image: raises UnsupportedImage where others are wanted.
        """
        found = await self._look_up()
        try:
            refuse_other_platforms(found.platform, self._transforms.platforms)
        except UnsupportedImage as error:
            raise UnsupportedImage(f"{self._name}: {error.message}", hint=error.hint) from error
        return Resolved(self._name, None, found.config)

    async def identifier(self) -> str:
        """The daemon's own name for exactly this image."""
        return (await self._look_up()).identifier

    async def content(self) -> Content:
        """Say how large the unpacked image is: an upper bound of what will be sent."""
        return Content((await self._look_up()).size, None)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenDaemonImage]:
        """Export the image, compressed, into a temporary folder of its own."""
        found = await self._look_up()
        with temporary_folder(f"export {self._name}") as folder:
            yield OpenDaemonImage(await self._export(found.identifier, folder))

    async def _look_up(self) -> _Found:
        async with self._looking:
            if self._found is None:
                self._found = await self._ask()
        return self._found

    async def _ask(self) -> _Found:
        def inspect(client: "DockerClient") -> tuple[str, int, Platform, bool]:
            inspected = client.image.inspect(self._name.image)
            platform = Platform(inspected.os or "", inspected.architecture or "", inspected.variant or None)
            return str(inspected.id), int(inspected.size or 0), platform, uses_containerd_store(client)

        identifier, size, platform, is_containerd = await in_daemon(f"look up {self._name}", inspect)
        config = await self._config_in_export(identifier) if is_containerd else _config(self._name, identifier)
        return _Found(config, size, identifier, platform)

    async def _config_in_export(self, identifier: str) -> Digest:
        """With the containerd image store the ID says nothing of the config: only an export does."""
        with temporary_folder(f"export {self._name}") as folder:
            root = (await self._export(identifier, folder)).tree.root
        if not isinstance(root, ImageManifest):
            raise AssertionError("a daemon exports images one at a time")
        return root.config.digest

    async def _export(self, identifier: str, folder: Path) -> SavedImage:
        stop = Stop()

        def export(client: "DockerClient") -> SavedImage:
            with exported(client, identifier, stop) as stream:
                return read_saved(stream, folder, stop.is_set)

        try:
            return await in_daemon(f"export {self._name}", export)
        except UnsupportedImage as error:
            raise UnsupportedImage(f"export {self._name}: {error.message}", hint=error.hint) from error
        except OSError as error:
            raise no_room(f"export {self._name}", error) from error
        finally:
            stop.set()  # a cancelled task leaves its thread behind: this ends it


def _config(name: DaemonSource, identifier: str) -> Digest:
    try:
        return parse_digest(identifier)
    except ValueError as error:
        raise UnsupportedImage(f"look up {name}: {identifier[:80]!r} is no image ID") from error
