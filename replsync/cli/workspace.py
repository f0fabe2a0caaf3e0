"""Wiring: from options to everything that a plan or an apply needs."""

import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from replsync import __version__
from replsync.apply.registry_engine import RegistryEngine
from replsync.cli import log
from replsync.cli.choosing import Settled, choose
from replsync.cli.clock import time_of_plan
from replsync.cli.lock_file import check_complete, check_selections, check_there, read_lock_beside
from replsync.cli.manifests import of_each, read_all
from replsync.cli.options import Connection, EngineName, Scope
from replsync.cli.release_files import release_files
from replsync.errors import UsageError
from replsync.manifest.choice import in_need
from replsync.manifest.lock import Lock
from replsync.manifest.model import Transfer
from replsync.oci.digest import Digest
from replsync.oci.reference import Repository, is_loopback
from replsync.plan.action import Action
from replsync.plan.claims import Claims, Member
from replsync.plan.document import Plan, PlannedManifest
from replsync.plan.guarding import capped, protected, unresolved
from replsync.plan.layer_sizes import limited, unmeasured
from replsync.plan.planner import decide, in_order
from replsync.plan.release_references import Mention, mentions
from replsync.plan.selection import explained
from replsync.plan.targets import chosen
from replsync.registry.blob_map import BlobMap
from replsync.registry.chunk_size import ChunkBounds
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.credentials import Credential, CredentialStore
from replsync.registry.together import together
from replsync.registry.transport import TimeLimits, Transport
from replsync.registry.watching import Asked, nobody
from replsync.sources.by_name import Sources
from replsync.survey.gathering import Offer, gather
from replsync.survey.locking import LockedOffer
from replsync.survey.measuring import measured

if TYPE_CHECKING:
    from replsync.apply.docker_engine import DockerEngine

TOKEN = "REPLICATED_API_TOKEN"  # noqa: S105 - a variable's name
TOOL = f"replsync {__version__}"
_REPLICATED = "replicated.com"


@dataclass(frozen=True)
class Registries:
    """What talks to the registries. `blobs` knows the target's repositories."""

    client: RegistryClient
    engine: "RegistryEngine | DockerEngine"
    blobs: BlobMap


@dataclass(frozen=True)
class Part:
    """What becomes of one manifest: its actions, what offers the images for them, and its lock file's digest."""

    member: Member
    actions: tuple[Action, ...]
    offer: Offer
    mentions: tuple[Mention, ...]
    lock: Digest | None


@dataclass(frozen=True)
class Workspace:
    """One run: the manifests and their targets, and what talks to the registries.

    Nothing is done for `others`, manifests whose releases protect tags all the same.
    """

    members: tuple[Member, ...]
    registries: Registries
    others: tuple[Member, ...] = ()

    async def plan(self, scope: Scope, asked: Asked = nobody) -> Plan:
        """Ask the registries, and plan; `asked` is told how far that is.

        Raises InvalidInput where a lock file or a release file can't be used.
        """
        locks = of_each(lambda member: self._lock(member, scope), self.members)
        found = mentions_of(self.members, self.others)
        settled = await choose(self.members, [lock for lock, _ in locks], scope.targets, self.registries.client)
        offers = of_each(lambda pair: self._offer(pair[0], pair[1][0], scope), zip(settled, locks, strict=True))
        decided = await self._decided(settled, offers, scope, asked)
        chosen([action for actions in decided for action in actions], scope.targets)  # one that chooses none is a slip
        parts = []
        for one, actions, offer, named, (_, lock) in zip(settled, decided, offers, found, locks, strict=True):
            manifest = one.written.file.manifest
            safe = protected(explained(actions, manifest, one.choices), manifest, one.written.target, named)
            parts.append(Part(one.written, capped(safe, manifest.policy.max_tombstones), offer, named, lock))
        plan = await self.planned(parts, scope.targets, asked)
        several = len(settled) > 1
        warnings = [said for one in settled for said in one.doubts(several=several)]
        notes = [said for one in settled for said in one.summaries(several=several)]
        return replace(plan, warnings=(*warnings, *plan.warnings), notes=tuple(notes))

    async def _decided(
        self, settled: Sequence[Settled], offers: Sequence[Offer], scope: Scope, asked: Asked
    ) -> list[tuple[Action, ...]]:
        """The actions of each manifest. A tag that another one names is that one's, and unlisted nowhere."""
        client, claims = self.registries.client, Claims.of([one.member for one in settled])

        async def of(member: Member, offer: Offer) -> tuple[Action, ...]:
            situation = await gather(
                member.file.manifest, member.target, client, offer, scope.targets, member.folder, asked
            )
            actions = decide(member.file.manifest, situation)
            return tuple(action for action in actions if claims.owner(action.reference) is member)

        return await together(of(one.member, offer) for one, offer in zip(settled, offers, strict=True))

    async def planned(self, parts: Sequence[Part], targets: tuple[str, ...], asked: Asked = nobody) -> Plan:
        """Return the plan of these parts, with their bytes filled in, and none that sends too large a layer."""
        by_daemon = self.registries.engine.daemon_pushes
        actions: list[Action] = []
        warnings: list[str] = []
        for part in parts:
            limit = part.member.file.manifest.policy.max_layer_size
            loads = await measured(part.actions, part.offer, self.registries.blobs, asked)
            actions += limited(loads, limit, by_daemon=by_daemon)
            warnings += [*unmeasured(loads, limit), *unresolved(part.mentions)]
        return Plan(
            TOOL,
            time_of_plan(os.environ),
            tuple(
                PlannedManifest(file.name, file.sha256, target.registry, target.app, part.lock)
                for part in parts
                for file, target in [(part.member.file, part.member.target)]
            ),
            in_order(actions),
            "docker" if by_daemon else "registry",
            targets,
            tuple(dict.fromkeys(warnings)),
        )

    def _lock(self, member: Member, scope: Scope) -> tuple[Lock | None, Digest | None]:
        """The lock file, and its digest."""
        if scope.locked and self.registries.engine.daemon_pushes:
            raise UsageError(
                "plan --locked: which image a daemon would push, only the source can say",
                hint="use --engine registry, or leave out --locked",
            )
        lock, digest = read_lock_beside(member.file.name) or (None, None)
        check_there(lock, member.file, required=scope.locked)
        if lock is not None:
            check_selections(lock, in_need(member.file.manifest, scope.targets))
        return lock, digest

    def _offer(self, settled: Settled, lock: Lock | None, scope: Scope) -> Offer:
        engine, member = self.registries.engine, settled.member
        if lock is None:
            return engine
        check_complete(lock, member.file.manifest, scope.targets)
        own = frozenset(member.repositories)
        return LockedOffer(engine, lock.located(member.folder), ask_sources=not scope.locked, own=own)


def mentions_of(members: Sequence[Member], others: Sequence[Member] = ()) -> list[tuple[Mention, ...]]:
    """Return for each of `members` what the release files that any of them, or of `others`, names refer to.

    Raises InvalidInput where they can't be read.
    """
    read = of_each(
        lambda member: release_files(member.file.manifest.releases, Path(member.folder)), [*members, *others]
    )
    files = tuple(dict.fromkeys(file for some in read for file in some))
    return [
        mentions(files, [repository.path for repository in member.repositories], member.hosts) for member in members
    ]


@asynccontextmanager
async def opened(connection: Connection) -> AsyncIterator[Workspace]:
    """Read the manifests and make ready to talk to their registries. Raises InvalidInput."""
    async with at_work(connection, read_all(connection.files)) as workspace:
        yield workspace


@asynccontextmanager
async def at_work(
    connection: Connection, members: tuple[Member, ...], others: Iterable[Member] = ()
) -> AsyncIterator[Workspace]:
    """Make ready to talk to the registries of manifests that were read; see `Workspace`."""
    siblings = [repository for member in members for repository in member.repositories]
    async with connected(connection, members, siblings) as registries:
        yield Workspace(members, registries, tuple(others))


@asynccontextmanager
async def connected(
    connection: Connection, members: Sequence[Member], siblings: Iterable[Repository]
) -> AsyncIterator[Registries]:
    """Make ready to talk to the manifests' registries, of which `siblings` may have blobs to mount, and to sources."""
    tokens: dict[str, Credential] = {}
    for member in members:
        tokens |= token_credential(member.target.registry, os.environ)
    credentials = CredentialStore(os.environ, Path.home(), tokens)
    settings = settings_of(connection, [member.file.manifest.transfer for member in members])
    async with Transport(TimeLimits(idle=connection.timeout)) as transport:
        client = RegistryClient(transport, credentials, settings)
        blobs = BlobMap(client, siblings)
        sources = Sources(client, partial(log.say, "build") if connection.build_log else nobody)
        yield Registries(client, _engine(connection.engine, client, sources, blobs), blobs)


def _engine(
    name: EngineName, client: RegistryClient, sources: Sources, blobs: BlobMap
) -> "RegistryEngine | DockerEngine":
    match name:
        case EngineName.REGISTRY:
            return RegistryEngine(client, sources, blobs)
        case EngineName.DOCKER:
            from replsync.apply.docker_engine import DockerEngine

            return DockerEngine(client, sources)
        case _:
            assert_never(name)


def settings_of(connection: Connection, transfers: Sequence[Transfer]) -> Settings:
    """Return how to talk to registries: what the command line says goes before the manifests.

    Where manifests differ the most careful of them counts for all: the fewest requests, the narrowest sizes.
    """
    sizes = [transfer.chunk_sizes for transfer in transfers]
    largest = min(most for _, most in sizes)
    smallest = min(max(least for least, _ in sizes), largest)
    return Settings(
        parallelism=connection.parallelism or min(transfer.parallelism for transfer in transfers),
        plain_http=frozenset(connection.plain_http),
        chunks=ChunkBounds(smallest=smallest, largest=largest),
    )


def token_credential(registry: str, env: Mapping[str, str]) -> dict[str, Credential]:
    """The API token as a credential for `registry`, for which no other is configured.

    Only for Replicated's own hosts and for loopback, where rehearsals run: the
    manifest names the registry, and a changed manifest must not be able to
    send the token elsewhere. Any user name goes with a token.
    """
    token = env.get(TOKEN)
    name = registry.partition(":")[0]
    if token and (name == _REPLICATED or name.endswith("." + _REPLICATED) or is_loopback(registry)):
        return {registry: Credential("replsync", token, f"${TOKEN}")}
    return {}
