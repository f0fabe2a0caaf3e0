"""Wiring: from options to everything that a plan or an apply needs."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import assert_never

from replsync import __version__
from replsync.apply.docker_engine import DockerEngine
from replsync.apply.registry_engine import RegistryEngine
from replsync.cli.manifest_file import read, target_of
from replsync.cli.options import Connection, EngineName
from replsync.errors import InvalidInput
from replsync.manifest.read import ManifestFile
from replsync.oci.reference import is_loopback
from replsync.plan.document import Plan, PlannedManifest
from replsync.plan.planner import Target, decide
from replsync.registry.blob_map import BlobMap
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.credentials import Credential, CredentialStore
from replsync.registry.transport import TimeLimits, Transport
from replsync.sources.by_name import Sources
from replsync.survey.gathering import gather
from replsync.survey.measuring import measured

TOKEN = "REPLICATED_API_TOKEN"  # noqa: S105 - a variable's name
_REPLICATED = "replicated.com"
_TRANSFERS = 4
"""Blobs on their way at once: more make neither disk nor network faster, and a firewall nervous."""


@dataclass(frozen=True)
class Workspace:
    """One run: the manifest and its target, and what talks to the registries."""

    file: ManifestFile
    target: Target
    client: RegistryClient
    engine: RegistryEngine | DockerEngine
    blobs: BlobMap

    async def plan(self) -> Plan:
        """Ask the registries, and plan."""
        manifest = self.file.manifest
        situation = await gather(manifest, self.target, self.client, self.engine)
        actions = await measured(decide(manifest, situation), self.engine, self.blobs)
        planned = PlannedManifest(self.file.name, self.file.sha256, self.target.registry, self.target.app)
        return Plan(f"replsync {__version__}", _now(os.environ), (planned,), actions)


@asynccontextmanager
async def opened(connection: Connection) -> AsyncIterator[Workspace]:
    """Read the manifest and make ready to talk to its registries. Raises InvalidInput."""
    file = read(connection.file)
    target = target_of(file.manifest, Path.cwd(), os.environ)
    credentials = CredentialStore(os.environ, Path.home(), token_credential(target.registry, os.environ))
    settings = Settings(parallelism=connection.parallelism, plain_http=frozenset(connection.plain_http))
    async with Transport(TimeLimits(idle=connection.timeout)) as transport:
        client = RegistryClient(transport, credentials, settings)
        blobs = BlobMap(client, (target.repository(image.name) for image in file.manifest.images))
        sources = Sources(client)
        engine: RegistryEngine | DockerEngine
        match connection.engine:
            case EngineName.REGISTRY:
                engine = RegistryEngine(client, sources, blobs, min(_TRANSFERS, connection.parallelism))
            case EngineName.DOCKER:
                engine = DockerEngine(client, sources)
            case _:
                assert_never(connection.engine)
        yield Workspace(file, target, client, engine, blobs)


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


def _now(env: Mapping[str, str]) -> str:
    """The time for a plan, or the one that reproducible builds set (reproducible-builds.org, SOURCE_DATE_EPOCH).

    Raises InvalidInput where that is no time.
    """
    epoch = env.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInput(
            f"read SOURCE_DATE_EPOCH: {epoch!r:.60} is not a time in seconds since 1970",
            hint="set it right, or unset it",
        ) from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
