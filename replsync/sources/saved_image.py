"""Images in archives that `docker save` wrote (`docker-archive:`); skopeo, podman and crane write the same.

Layers are plain tars in there, so that what a registry would get exists only
once they are compressed. As in the Docker daemon it is the image ID, the digest
of the config, that an image is known by.
"""

import asyncio
import json
import posixpath
import threading
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from replsync.errors import UnsupportedImage
from replsync.oci.digest import Digest, sha256
from replsync.oci.recipe import AS_IT_IS, Transforms, platform_of, refuse_other_platforms
from replsync.oci.reference import Reference, parse_reference
from replsync.oci.source_name import LayoutSource, SavedSource
from replsync.oci.tag_state import Resolved
from replsync.sources.archive import Archive
from replsync.sources.daemon_image import OpenDaemonImage
from replsync.sources.file_part import Missing
from replsync.sources.image_source import Content
from replsync.sources.saved_archive import SavedImage, pack
from replsync.sources.temporary import no_room, temporary_folder

_PART = 1024 * 1024
_NAMED = 10
_MAX_LAYERS = 1000


@dataclass(frozen=True)
class Listed:
    """An image as `manifest.json` lists it: the members with its config and its layers, and its names."""

    config: str
    layers: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    config: bytes
    layers: tuple[str, ...]
    total: int


class SavedFileImage:
    """An image in an archive. Once looked up it stays the same image."""

    def __init__(self, archive: Archive, name: SavedSource, transforms: Transforms = AS_IT_IS) -> None:
        self._archive = archive
        self._name = name
        self._transforms = transforms
        self._looking = asyncio.Lock()
        self._found: _Found | None = None

    async def identify(self, held: Digest | None = None) -> Resolved:  # noqa: ARG002 - an image ID is no digest
        """Read the config. Raises InvalidInput where there is no such file, UnsupportedImage for other platforms."""
        found = await self._look_up()
        try:
            refuse_other_platforms(platform_of(found.config), self._transforms.platforms)
        except UnsupportedImage as error:
            raise self._refused(error) from error
        return Resolved(self._name, None, sha256(found.config))

    async def content(self) -> Content:
        """Say how large the image is in the archive: about an upper bound of what will be sent."""
        return Content((await self._look_up()).total, None)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenDaemonImage]:
        """Compress the layers into a temporary folder of its own."""
        found = await self._look_up()
        with temporary_folder(f"pack {self._name}") as folder:
            yield OpenDaemonImage(await self._packed(found, folder))

    async def _packed(self, found: _Found, folder: Path) -> SavedImage:
        stopped = threading.Event()
        try:
            return await asyncio.to_thread(self._pack, found, folder, stopped)
        except OSError as error:
            raise no_room(f"pack {self._name}", error) from error
        finally:
            stopped.set()  # a cancelled task leaves its thread behind: this ends it

    async def _look_up(self) -> _Found:
        async with self._looking:
            if self._found is None:
                self._found = await asyncio.to_thread(self._read)
        return self._found

    def _read(self) -> _Found:
        try:
            image = choose(read_listing(self._document("manifest.json")), self._name)
            config = self._document(image.config)
            total = len(config)
            for layer in dict.fromkeys(image.layers):
                with self._archive.open_linked(layer) as part:
                    total += part.size
        except Missing as error:
            raise self._refused(self._of_layout() or error) from error
        except UnsupportedImage as error:
            raise self._refused(error) from error
        return _Found(config, image.layers, total)

    def _of_layout(self) -> UnsupportedImage | None:
        """What to say of an archive that is an OCI layout; None where it isn't one."""
        try:
            self._document("oci-layout")
        except UnsupportedImage:
            return None
        right = LayoutSource(self._name.path, is_archive=True)
        return UnsupportedImage("it is an OCI layout, not what `docker save` writes", hint=f"write {right}")

    def _pack(self, found: _Found, folder: Path, stopped: threading.Event) -> SavedImage:
        try:
            return pack(found.config, found.layers, self._parts, folder, stopped.is_set)
        except UnsupportedImage as error:
            raise self._refused(error) from error

    def _parts(self, layer: str) -> Generator[bytes, None, None]:
        with self._archive.open_linked(layer) as part:
            yield from part.parts(_PART)

    def _document(self, name: str) -> bytes:
        with self._archive.open_linked(name) as part:
            return part.document()

    def _refused(self, error: UnsupportedImage) -> UnsupportedImage:
        return UnsupportedImage(f"{self._name}: {error.message}", hint=error.hint)


def read_listing(data: bytes) -> tuple[Listed, ...]:
    """Return what `manifest.json` lists. Raises UnsupportedImage."""
    try:
        body = json.loads(data)
        if not isinstance(body, list):
            raise ValueError("it is no list")
        return tuple(map(_listed, body))
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise UnsupportedImage(f"manifest.json is not what `docker save` writes: {str(error)[:200]}") from error


def _listed(entry: dict[str, object]) -> Listed:
    config, layers, names = entry["Config"], entry["Layers"], entry.get("RepoTags") or []
    if not isinstance(config, str) or not isinstance(layers, list) or not isinstance(names, list):
        raise ValueError("an entry has no Config, Layers and RepoTags")
    if len(layers) > _MAX_LAYERS:
        raise ValueError(f"an image of {len(layers)} layers")
    if not all(isinstance(text, str) for text in (*layers, *names)):
        raise ValueError("a name is no text")
    return Listed(posixpath.normpath(config), tuple(map(posixpath.normpath, layers)), tuple(names))


def choose(listed: Sequence[Listed], source: SavedSource) -> Listed:
    """Return the image that `source` names. Raises UnsupportedImage where there is none, or not one alone."""
    name = source.name
    found = [image for image in listed if name is None or any(_same(name, own) for own in image.names)]
    images = {image.config: image for image in found}
    if len(images) == 1:
        return found[0]
    if not listed:
        raise UnsupportedImage("there is no image in it")
    names = sorted({own for image in listed for own in image.names})
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    there = f"there is {', '.join(repr(own[:150]) for own in names[:_NAMED]) or 'none with a name'}{more}"
    if name is None:
        raise UnsupportedImage(f"it has {len(images)} images, so that one must be named; {there}")
    if images:
        raise UnsupportedImage(f"it has {len(images)} images of the name {name}; {there}")
    raise UnsupportedImage(
        f"it has no image {name}; {there}",
        hint=f"name one that is there, or only the file, {SavedSource(source.path)}, if it has one image",
    )


def _same(name: Reference, own: str) -> bool:
    try:
        return parse_reference(own) == name
    except ValueError:
        return False
