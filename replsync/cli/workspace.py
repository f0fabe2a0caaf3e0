"""Wiring: from options to everything that a plan or an apply needs."""

import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from replsync import __version__
from replsync.apply.registry_engine import RegistryEngine
from replsync.cli.clock import time_of_plan
from replsync.cli.lock_file import complete_lock, read_lock_beside
from replsync.cli.manifests import of_each, read_all
from replsync.cli.options import Connection, EngineName, Scope
from replsync.cli.release_files import release_files
from replsync.cli.terminal import say_line
from replsync.errors import UsageError
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
from replsync.plan.targets import chosen
from replsync.registry.blob_map import BlobMap
from replsync.registry.chunk_size import ChunkBounds
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.credentials import Credential, CredentialStore
from replsync.registry.together import together
from replsync.registry.transport import TimeLimits, Transport
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
    """One run: the manifests and their targets, and what talks to the registries."""

    members: tuple[Member, ...]
    registries: Registries

    async def plan(self, scope: Scope) -> Plan:
        """Ask the registries, and plan. Raises InvalidInput where a lock file or a release file can't be used."""
        offers = of_each(lambda member: self._offer(member, scope), self.members)
        found = mentions_of(self.members)
        decided = await self._decided([offer for offer, _ in offers], scope)
        chosen([action for actions in decided for action in actions], scope.targets)  # one that chooses none is a slip
        parts = []
        for member, actions, (offer, lock), named in zip(self.members, decided, offers, found, strict=True):
            manifest = member.file.manifest
            safe = capped(protected(actions, manifest, member.target, named), manifest.policy.max_tombstones)
            parts.append(Part(member, safe, offer, named, lock))
        return await self.planned(parts, scope.targets)

    async def _decided(self, offers: Sequence[Offer], scope: Scope) -> list[tuple[Action, ...]]:
        """The actions of each manifest. A tag that another one names is that one's, and unlisted nowhere."""
        client, claims = self.registries.client, Claims.of(self.members)

        async def of(member: Member, offer: Offer) -> tuple[Action, ...]:
            situation = await gather(member.file.manifest, member.target, client, offer, scope.targets, member.folder)
            actions = decide(member.file.manifest, situation)
            return tuple(action for action in actions if claims.owner(action.reference) is member)

        return await together(of(*one) for one in zip(self.members, offers, strict=True))

    async def planned(self, parts: Sequence[Part], targets: tuple[str, ...]) -> Plan:
        """Return the plan of these parts, with their bytes filled in, and none that sends too large a layer."""
        by_daemon = self.registries.engine.daemon_pushes
        actions: list[Action] = []
        warnings: list[str] = []
        for part in parts:
            limit = part.member.file.manifest.policy.max_layer_size
            loads = await measured(part.actions, part.offer, self.registries.blobs)
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

    def _offer(self, member: Member, scope: Scope) -> tuple[Offer, Digest | None]:
        """What offers the images, and the digest of the lock file."""
        engine = self.registries.engine
        if scope.locked and engine.daemon_pushes:
            raise UsageError(
                "plan --locked: which image a daemon would push, only the source can say",
                hint="use --engine registry, or leave out --locked",
            )
        found = read_lock_beside(member.file.name)
        digest = found[1] if found else None
        lock = complete_lock(found[0] if found else None, member.file, scope.targets, required=scope.locked)
        if lock is None:
            return engine, digest
        own = frozenset(member.repositories)
        return LockedOffer(engine, lock.located(member.folder), ask_sources=not scope.locked, own=own), digest


def mentions_of(members: Sequence[Member]) -> list[tuple[Mention, ...]]:
    """Return for each manifest what the release files that any of them names refer to.

    Raises InvalidInput where they can't be read.
    """
    read = of_each(lambda member: release_files(member.file.manifest.releases, Path(member.folder)), members)
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
async def at_work(connection: Connection, members: tuple[Member, ...]) -> AsyncIterator[Workspace]:
    """Make ready to talk to the registries of manifests that were read."""
    siblings = [repository for member in members for repository in member.repositories]
    async with connected(connection, members, siblings) as registries:
        yield Workspace(members, registries)


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
        sources = Sources(client, say_line if connection.build_log else lambda _: None)
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
