"""Images that are built when they are pushed.

What will be built is known by its inputs alone. So a tag that holds an image
of the same inputs needs no builder, and not even Docker.
"""

import asyncio
import shutil
import tempfile
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from replsync.errors import ChangedMeanwhile, UnsupportedImage
from replsync.oci.build_source import BuildSource
from replsync.oci.digest import Digest, parse_digest
from replsync.oci.made_from import build_of
from replsync.oci.source_name import DaemonSource, LayoutSource
from replsync.oci.tag_state import Resolved
from replsync.sources.archive import Archive
from replsync.sources.build_inputs import inputs_digest
from replsync.sources.daemon_image import DaemonImage
from replsync.sources.docker_build import Order, Say, build_archive, build_in_daemon, choose_builder
from replsync.sources.docker_daemon import Stop, in_daemon
from replsync.sources.image_source import OpenImage
from replsync.sources.layout_image import LayoutImage
from replsync.sources.temporary import no_room

if TYPE_CHECKING:
    from python_on_whales import DockerClient

T = TypeVar("T")


class BuiltImage:
    """An image that is built, once, when it is first opened."""

    def __init__(self, build: BuildSource, say: Say) -> None:
        self._build = build
        self._say = say
        self._hashing = asyncio.Lock()
        self._inputs: Digest | None = None
        self._checking = asyncio.Lock()
        self._is_checked = False
        self._making = asyncio.Lock()
        self._made: DaemonImage | LayoutImage | None = None

    async def identify(self, held: Digest | None = None) -> Resolved:  # noqa: ARG002 - no digest is known yet
        """Read the context. Raises InvalidInput where it is missing, or something of it can't be read.

        No attestations are made, and platforms are the build's own, so that nothing is left to be changed.
        """
        made_from = build_of(await self._identified())
        return Resolved(self._build, None, made_from=made_from)

    async def content(self) -> None:
        """Return None, since nothing of it is there yet.

        Raises ReplsyncError where it can't be built here: without Docker, without what the build asks of the builder,
        or without the files that hold its secrets.
        """
        inputs = await self._identified()
        async with self._checking:
            if not self._is_checked:
                await in_daemon(f"build {self._build}", lambda client: choose_builder(client, self._order(inputs)))
                self._is_checked = True

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenImage]:
        """Build it, and make it readable. Raises ChangedMeanwhile where the context is another one by then."""
        async with (await self._once()).open() as image:
            yield image

    async def identifier(self) -> str:
        """Build it, and return the Docker daemon's own name for it. Raises as `open` does."""
        made = await self._once()
        if isinstance(made, DaemonImage):
            return await made.identifier()
        raise UnsupportedImage(
            f"build {self._build}: the builder in use keeps what it builds from the Docker daemon",
            hint="use --engine registry, or the daemon's own builder: docker buildx use default",
        )

    async def _once(self) -> DaemonImage | LayoutImage:
        inputs = await self._identified()
        async with self._making:
            if self._made is None:
                made = await self._make(inputs)
                # Only now is it certain what was sent to the builder, and so that the label tells the truth.
                if await self._hashed() != inputs:
                    raise ChangedMeanwhile(
                        f"build {self._build}: its context changed while it was built; it was not pushed",
                        hint="run plan again and look at it",
                    )
                self._made = made
        return self._made

    async def _make(self, inputs: Digest) -> DaemonImage | LayoutImage:
        order, stop = self._order(inputs), Stop()

        def build(client: "DockerClient") -> DaemonImage | LayoutImage:
            builder = choose_builder(client, order)
            if builder == "apart":
                return self._apart(client, order, stop)
            identifier = build_in_daemon(client, order, builder, stop, self._say)
            return DaemonImage(DaemonSource(parse_digest(identifier)))

        return await self._stoppable(f"build {self._build}", build, stop)

    def _apart(self, client: "DockerClient", order: Order, stop: Stop) -> LayoutImage:
        """Build into an archive, which stays until nobody needs it."""
        folder = tempfile.mkdtemp(prefix="replsync-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        archive = Path(folder) / "image.tar"
        build_archive(client, order, archive, stop, self._say)
        return LayoutImage(Archive(str(archive)), LayoutSource(str(archive), is_archive=True))

    async def _stoppable(self, operation: str, work: Callable[["DockerClient"], T], stop: Stop) -> T:
        try:
            return await in_daemon(operation, work)
        except OSError as error:
            raise no_room(operation, error) from error
        finally:
            stop.set()  # a cancelled task leaves its thread behind: this ends it

    async def _identified(self) -> Digest:
        async with self._hashing:
            if self._inputs is None:
                self._inputs = await self._hashed()
        return self._inputs

    async def _hashed(self) -> Digest:
        stop = Stop()
        try:
            return await asyncio.to_thread(inputs_digest, self._build, stop.is_set)
        finally:
            stop.set()

    def _order(self, inputs: Digest) -> Order:
        return Order(self._build, inputs)
