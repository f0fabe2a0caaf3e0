"""The engine that does what one does by hand: docker pull, docker tag, docker push.

For machines where only the daemon has the network or the credentials to push.
A daemon holds one platform of an image and may compress its layers anew, so
that images are compared by the digests of their configs.
"""

import asyncio
import io
import json
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from replsync.apply.engine import Destination, Sent, Waits, untold
from replsync.errors import UnsupportedImage
from replsync.oci.build_source import BuildSource
from replsync.oci.digest import Digest, sha256
from replsync.oci.image_manifest import ImageIndex, ImageManifest
from replsync.oci.image_tree import ImageTree
from replsync.oci.platform import Platform, listed
from replsync.oci.recipe import Recipe
from replsync.oci.source_name import DaemonSource, LayoutSource, RegistrySource, SavedSource, SourceName
from replsync.oci.tag_state import Resolved
from replsync.oci.tombstone import EMPTY_TAR, EMPTY_TAR_DIGEST
from replsync.registry.client import RegistryClient
from replsync.registry.trees import read_kept, read_tree
from replsync.sources.by_name import Sources
from replsync.sources.docker_daemon import in_daemon
from replsync.sources.image_source import Content

if TYPE_CHECKING:
    from python_on_whales import DockerClient

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}


class DockerEngine:
    """Moves images through the local Docker daemon."""

    daemon_pushes = True

    def __init__(self, client: RegistryClient, sources: Sources) -> None:
        self._client = client
        self._sources = sources
        self._platform: Platform | None = None
        self._asking = asyncio.Lock()
        self._images: dict[SourceName, ImageManifest] = {}
        # Pushes that share a layer fail in the daemon when they run at once; it sends layers in parallel itself.
        self._one_at_a_time = asyncio.Lock()

    async def identify(self, recipe: Recipe, held: Digest | None = None) -> Resolved:
        """Say what the daemon would push: the image of its own platform, by config digest."""
        match recipe.source:
            case DaemonSource() | BuildSource():
                return await self._sources.of(_unlimited(recipe)).identify(held)
            case RegistrySource() as name:
                # By its own digest from here on: what was chosen now is what is pulled later.
                read_config = partial(self._client.read_small_blob, name.reference.repository)
                kept = await read_kept(self._client.fetch, name.reference, recipe.transforms, read_config)
                tree = await read_tree(self._client.fetch, name.reference, kept)
                self._refuse_others(name, recipe.transforms.platforms, await self._own_platform())
                image = choose(tree, await self._own_platform(), name)
                exact = RegistrySource(name.reference.repository.at(image.digest))
                self._images[exact] = image
                return Resolved(exact, None, image.config.digest, whole=kept.source.digest, notes=kept.notes)
            case LayoutSource() | SavedSource():
                raise _not_in_daemon(recipe.source)
            case _:
                assert_never(recipe.source)

    def _refuse_others(self, name: RegistrySource, platforms: Sequence[Platform], own: Platform) -> None:
        others = [platform for platform in platforms if not platform.matches(own)]
        if others:
            raise UnsupportedImage(
                f"{name}: a daemon pushes the image of its own platform, {own}, and not {listed(others)}",
                hint="use --engine registry, or change `platforms` in the manifest",
            )

    async def content(self, recipe: Recipe) -> Content | None:
        """Say what the daemon would move, as far as it is known."""
        match recipe.source:
            case DaemonSource() | BuildSource():
                return await self._sources.of(_unlimited(recipe)).content()
            case RegistrySource() as name:
                blobs = (await self._image(name)).blobs
                return Content(sum(blob.size for blob in blobs), blobs, name.reference.repository)
            case LayoutSource() | SavedSource():
                raise _not_in_daemon(recipe.source)
            case _:
                assert_never(recipe.source)

    async def push(
        self,
        recipe: Recipe,
        target: Destination,
        sent: Sent,  # noqa: ARG002 - docker doesn't say
        waits: Waits = untold,
    ) -> None:
        """Pull the image if it is a registry's, tag it, push it."""
        reference = str(target.reference)
        operation = f"push {recipe.source} to {reference} by docker"

        def tag_and_push(client: "DockerClient") -> None:
            client.image.tag(image, reference)
            client.image.push(reference, quiet=True)

        async with AsyncExitStack() as stack:
            with waits("for docker, which moves one image at a time"):
                await stack.enter_async_context(self._one_at_a_time)
            match recipe.source:
                case RegistrySource() as name:
                    image = str(name.reference)
                    # A step of its own: a thread runs to its end, so that only between steps a run can be stopped.
                    await in_daemon(operation, lambda client: client.image.pull(image, quiet=True))
                case DaemonSource() as name:
                    image = await self._sources.daemon(name).identifier()
                case BuildSource():
                    image = await self._sources.built(_unlimited(recipe)).identifier()
                case LayoutSource() | SavedSource():
                    raise _not_in_daemon(recipe.source)
                case _:
                    assert_never(recipe.source)
            await self._refuse_changed(target)
            await in_daemon(operation, tag_and_push)

    async def bury(self, config: bytes, target: Destination) -> None:
        """Load a tombstone into the daemon and push it from there."""
        reference = str(target.reference)

        def load(client: "DockerClient") -> None:
            with tempfile.TemporaryDirectory(prefix="replsync-") as folder:
                archive = Path(folder) / "tombstone.tar"
                archive.write_bytes(saved_tombstone(config, reference))
                client.image.load(archive, quiet=True)

        operation = f"push a tombstone to {reference} by docker"
        async with self._one_at_a_time:
            await in_daemon(operation, load)
            await self._refuse_changed(target)
            await in_daemon(operation, lambda client: client.image.push(reference, quiet=True))

    async def _refuse_changed(self, target: Destination) -> None:
        """The push itself can't be guarded: docker sends the layers and writes the tag in one command."""
        await target.announce()
        await self._client.refuse_changed(target.reference, target.before)

    async def _image(self, name: RegistrySource) -> ImageManifest:
        if name not in self._images:
            tree = await self._client.tree(name.reference)
            self._images[name] = choose(tree, await self._own_platform(), name)
        return self._images[name]

    async def _own_platform(self) -> Platform:
        async with self._asking:
            if self._platform is None:

                def ask(client: "DockerClient") -> Platform:
                    info = client.info()
                    architecture = info.architecture or ""
                    return Platform(info.os_type or "linux", _ARCHITECTURES.get(architecture, architecture))

                self._platform = await in_daemon("ask the Docker daemon for its platform", ask)
            return self._platform


def _not_in_daemon(name: LayoutSource | SavedSource) -> UnsupportedImage:
    return UnsupportedImage(
        f"{name}: the docker engine pushes what the daemon has, and this is a file",
        hint="use --engine registry, or load it into the daemon and name docker-daemon:NAME",
    )


def _unlimited(recipe: Recipe) -> Recipe:
    """The daemon splits nothing, and pushes layers of any size."""
    return replace(recipe, transforms=recipe.transforms.without_limit)


def choose(tree: ImageTree, platform: Platform, name: SourceName) -> ImageManifest:
    """Return the image that a daemon of this platform pulls. Raises UnsupportedImage where there is none."""
    match tree.root:
        case ImageManifest():
            return tree.root
        case ImageIndex(manifests=entries):
            for entry in entries:
                document = tree.below[entry.digest]
                if (
                    isinstance(document, ImageManifest)
                    and entry.platform
                    and (entry.platform.os, entry.platform.architecture) == (platform.os, platform.architecture)
                ):
                    return document
            offered = ", ".join(sorted({str(entry.platform) for entry in entries if entry.platform}))
            raise UnsupportedImage(
                f"{name} has no image for the daemon's platform {platform}; it has {offered or 'none with a platform'}",
                hint="use --engine registry, which copies every platform",
            )
        case _:
            assert_never(tree.root)


def saved_tombstone(config: bytes, name: str) -> bytes:
    """Return an archive as `docker save` writes it, with the tombstone of this config under this name."""
    layer = f"{EMPTY_TAR_DIGEST.partition(':')[2]}/layer.tar"
    config_name = f"{sha256(config).partition(':')[2]}.json"
    listing = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": [layer]}]).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, data in ((config_name, config), (layer, EMPTY_TAR), ("manifest.json", listing)):
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
