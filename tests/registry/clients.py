"""Clients to test, and what to point them at."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from replsync.oci.digest import Digest, sha256
from replsync.oci.image_manifest import Descriptor
from replsync.oci.reference import Reference, Repository
from replsync.registry.blob_upload import BlobBytes
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.credentials import Credential, CredentialStore
from replsync.registry.persistence import Persistence
from replsync.registry.transport import TimeLimits, Transport
from tests.servers.registry import Credentials

AT_ONCE = Settings(persistence=Persistence(attempts=4, first_wait=0))
"""Tries again without waiting in between."""

PATIENT = TimeLimits(connect=5, idle=10, answer=20)
IMPATIENT = TimeLimits(connect=5, idle=0.3, answer=0.6)
SECRET = "hunter2-and-more"


@asynccontextmanager
async def open_client(
    signed_in: Mapping[str, Credentials | None] | None = None,
    *,
    settings: Settings = AT_ONCE,
    limits: TimeLimits = PATIENT,
    store: CredentialStore | None = None,
) -> AsyncIterator[RegistryClient]:
    """A client with these credentials by host, or a store of its own; nothing of the machine's gets in."""
    extra = {
        host: Credential(pair.username, pair.password, "tests.json") for host, pair in (signed_in or {}).items() if pair
    }
    async with Transport(limits) as transport:
        yield RegistryClient(transport, store or CredentialStore({}, Path("/nowhere"), extra), settings)


def repository(host: str, path: str = "app/worker") -> Repository:
    return Repository(host, path)


def tag(host: str, name: str = "1", path: str = "app/worker") -> Reference:
    return Repository(host, path).tagged(name)


def blob_of(data: bytes) -> Descriptor:
    """The descriptor of `data` as a blob."""
    return Descriptor("application/octet-stream", sha256(data), len(data))


def body_of(*parts: bytes) -> BlobBytes:
    """A blob's bytes, in these parts."""

    async def body(start: int) -> AsyncGenerator[bytes, None]:
        for part in parts:
            await asyncio.sleep(0)
            if start < len(part):
                yield part[start:]
            start = max(start - len(part), 0)

    return body


def uploads(digest: Digest | str, path: str = "app/worker") -> tuple[str, str, str]:
    """The scripts' names for the three requests of an upload: HEAD of the blob, POST, and PUT to `/upload`."""
    return (f"HEAD /v2/{path}/blobs/{digest}", f"POST /v2/{path}/blobs/uploads/", "PUT /upload")
