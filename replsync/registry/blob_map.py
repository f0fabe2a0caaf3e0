"""Which repository of the target holds which blob, as far as this run has found out."""

import asyncio
from collections.abc import Iterable
from itertools import islice

from replsync.errors import ReplsyncError
from replsync.oci.digest import Digest
from replsync.oci.reference import Repository
from replsync.registry.client import RegistryClient

MAX_SIBLINGS = 8
"""Other repositories that are asked for a missing blob: a look-up each, so that many repositories stay cheap."""


class BlobMap:
    """Remembers where blobs are. `siblings` are repositories of the targets from which a blob may be mounted.

    A repository without a tag is taken to have no blob either, unasked; `look`
    makes sure, before much is sent: an earlier run may have left some.
    """

    def __init__(self, client: RegistryClient, siblings: Iterable[Repository]) -> None:
        self._client = client
        self._siblings = tuple(sorted(set(siblings)))
        self._known: dict[tuple[Repository, Digest], bool] = {}
        self._holders: dict[tuple[str, Digest], Repository] = {}
        self._asking: dict[tuple[Repository, Digest], asyncio.Lock] = {}
        self._searching: dict[tuple[str, Digest], asyncio.Lock] = {}

    def note(self, repository: Repository, digest: Digest) -> None:
        """Remember that `repository` has the blob now."""
        self._known[repository, digest] = True
        self._holders.setdefault((repository.host, digest), repository)

    async def has(self, repository: Repository, digest: Digest) -> bool:
        """Whether `repository` has the blob. Raises RegistryError where the registry doesn't say."""
        if (repository, digest) not in self._known and self._client.is_tagless(repository):
            return False
        return await self.look(repository, digest)

    async def look(self, repository: Repository, digest: Digest) -> bool:
        """As `has`, and the registry was asked, if it wasn't before."""
        async with self._asking.setdefault((repository, digest), asyncio.Lock()):  # once, however many ask
            if (repository, digest) not in self._known:
                if await self._client.has_blob(repository, digest):
                    self.note(repository, digest)
                else:
                    self._known.setdefault((repository, digest), False)
            return self._known[repository, digest]

    async def mountable(self, repository: Repository, digest: Digest, source: Repository | None) -> Repository | None:
        """Another repository of the same registry that has the blob; None where none is known to have it.

        `source` is where the blob is to be copied from: it has the blob, and
        may be in this registry itself. Where the answer can't be had the blob is simply sent again.
        """
        if source and source.host == repository.host and source != repository:
            return source
        at = repository.host, digest
        async with self._searching.setdefault(at, asyncio.Lock()):
            for other in self._places_to_ask(repository):
                if at in self._holders:
                    break
                await self._try(other, digest)
        holder = self._holders.get(at)
        return holder if holder != repository else None

    def _places_to_ask(self, repository: Repository) -> list[Repository]:
        others = (one for one in self._siblings if one != repository and one.host == repository.host)
        return list(islice((one for one in others if not self._client.is_tagless(one)), MAX_SIBLINGS))

    async def _try(self, repository: Repository, digest: Digest) -> None:
        try:
            await self.has(repository, digest)
        except ReplsyncError:
            self._known[repository, digest] = False
