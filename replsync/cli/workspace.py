"""Wiring: from options to everything that a plan or an apply needs."""

import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from replsync import __version__
from replsync.apply.registry_engine import RegistryEngine
from replsync.cli.clock import time_of_plan
from replsync.cli.lock_file import complete_lock, read_lock_beside
from replsync.cli.manifest_file import read, target_of
from replsync.cli.options import Connection, EngineName, Scope
from replsync.cli.release_files import release_files
from replsync.cli.terminal import say_line
from replsync.errors import UsageError
from replsync.manifest.lock import Lock
from replsync.manifest.model import Manifest, Transfer
from replsync.manifest.read import ManifestFile
from replsync.oci.digest import Digest
from replsync.oci.reference import Repository, is_loopback
from replsync.plan.action import Action
from replsync.plan.document import Plan, PlannedManifest
from replsync.plan.guarding import capped, protected, unresolved
from replsync.plan.layer_sizes import limited, unmeasured
from replsync.plan.planner import Target, decide
from replsync.plan.release_references import Mention, mentions
from replsync.plan.targets import chosen
from replsync.registry.blob_map import BlobMap
from replsync.registry.chunk_size import ChunkBounds
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.credentials import Credential, CredentialStore
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
class Workspace:
    """One run: the manifest and its target, and what talks to the registries."""

    file: ManifestFile
    target: Target
    registries: Registries

    @property
    def folder(self) -> str:
        """The manifest's, from which the paths of its sources start."""
        return str(Path(self.file.name).parent)

    async def plan(self, scope: Scope) -> Plan:
        """Ask the registries, and plan. Raises InvalidInput where the lock file or a release file can't be used."""
        manifest = self.file.manifest
        lock = read_lock_beside(self.file.name)
        found = mentions_of(self.file)
        offer = self._offer(lock[0] if lock else None, scope)
        situation = await gather(manifest, self.target, self.registries.client, offer, scope.targets, self.folder)
        actions = protected(chosen(decide(manifest, situation), scope.targets), manifest, self.target, found)
        actions = capped(actions, manifest.policy.max_tombstones)
        return await self.planned(actions, offer, found, scope.targets, lock[1] if lock else None)

    async def planned(
        self,
        actions: Iterable[Action],
        offer: Offer,
        found: Iterable[Mention],
        targets: tuple[str, ...],
        lock: Digest | None,
    ) -> Plan:
        """Return the plan with these actions, with their bytes filled in, and none that sends too large a layer.

        `lock` is the digest of the lock file.
        """
        by_daemon = self.registries.engine.daemon_pushes
        limit = self.file.manifest.policy.max_layer_size
        loads = await measured(tuple(actions), offer, self.registries.blobs)
        return Plan(
            TOOL,
            time_of_plan(os.environ),
            (PlannedManifest(self.file.name, self.file.sha256, self.target.registry, self.target.app, lock),),
            limited(loads, limit, by_daemon=by_daemon),
            "docker" if by_daemon else "registry",
            targets,
            (*unmeasured(loads, limit), *unresolved(found)),
        )

    def _offer(self, lock: Lock | None, scope: Scope) -> Offer:
        engine = self.registries.engine
        if scope.locked and engine.daemon_pushes:
            raise UsageError(
                "plan --locked: which image a daemon would push, only the source can say",
                hint="use --engine registry, or leave out --locked",
            )
        lock = complete_lock(lock, self.file, scope.targets, required=scope.locked)
        if lock is None:
            return engine
        own = frozenset(repositories(self.file.manifest, self.target))
        return LockedOffer(engine, lock.located(self.folder), ask_sources=not scope.locked, own=own)


def mentions_of(file: ManifestFile) -> tuple[Mention, ...]:
    """Return what the release files that the manifest names refer to. Raises InvalidInput where they can't be read."""
    files = release_files(file.manifest.releases, Path(file.name).parent)
    target = target_of(file.manifest, Path.cwd(), os.environ)
    paths = [repository.path for repository in repositories(file.manifest, target)]
    return mentions(files, paths, frozenset({target.registry, *file.manifest.registry_aliases}))


def repositories(manifest: Manifest, target: Target) -> list[Repository]:
    """Return the manifest's repositories at the target."""
    return [target.repository(image.name) for image in manifest.images]


@asynccontextmanager
async def opened(connection: Connection) -> AsyncIterator[Workspace]:
    """Read the manifest and make ready to talk to its registries. Raises InvalidInput."""
    async with at_work(connection, read(connection.file)) as workspace:
        yield workspace


@asynccontextmanager
async def at_work(connection: Connection, file: ManifestFile) -> AsyncIterator[Workspace]:
    """Make ready to talk to the registries of a manifest that was read. Raises InvalidInput."""
    target = target_of(file.manifest, Path.cwd(), os.environ)
    siblings = repositories(file.manifest, target)
    async with connected(connection, file.manifest.transfer, target.registry, siblings) as registries:
        yield Workspace(file, target, registries)


@asynccontextmanager
async def connected(
    connection: Connection, transfer: Transfer, registry: str, siblings: Iterable[Repository]
) -> AsyncIterator[Registries]:
    """Make ready to talk to `registry`, of which `siblings` may have blobs to mount, and to sources."""
    credentials = CredentialStore(os.environ, Path.home(), token_credential(registry, os.environ))
    settings = settings_of(connection, transfer)
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


def settings_of(connection: Connection, transfer: Transfer) -> Settings:
    """Return how to talk to registries: what the command line says goes before the manifest."""
    smallest, largest = transfer.chunk_sizes
    return Settings(
        parallelism=connection.parallelism or transfer.parallelism,
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
