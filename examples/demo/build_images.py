"""Builds the demo's three images from nothing and pushes them to a registry: `build_images.py HOST PASSWORD`.

They share a base layer, so that the demo shows a blob that is sent once and
mounted elsewhere. What an image holds is a text file; nothing runs in it.
"""

import asyncio
import gzip
import io
import json
import random
import sys
import tarfile
from pathlib import Path

from replsync.oci.digest import sha256
from replsync.oci.image_manifest import OCI_CONFIG, OCI_MANIFEST, Descriptor
from replsync.oci.reference import Repository
from replsync.registry.blob_upload import from_memory
from replsync.registry.client import RegistryClient
from replsync.registry.credentials import Credential, CredentialStore
from replsync.registry.transport import Transport

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
BASE = random.Random("base").randbytes(3_000_000)  # incompressible, and the same each time
IMAGES = (("acme/worker", "1.9.3"), ("acme/worker", "1.10.0"), ("acme/api", "2.0.0"))


def layer(name: str, content: bytes) -> bytes:
    """Return a gzipped tar with one file; the same input gives the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


async def push(client: RegistryClient, repository: Repository, tag: str) -> None:
    """Build one image and push it."""
    tars = [layer("base", BASE), layer("version", f"{repository.path} {tag}\n".encode())]
    rootfs = {"type": "layers", "diff_ids": [sha256(tar) for tar in tars]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    blobs = [(LAYER, gzip.compress(tar, mtime=0)) for tar in tars] + [(OCI_CONFIG, config)]
    described = [{"mediaType": kind, "digest": sha256(data), "size": len(data)} for kind, data in blobs]
    for kind, data in blobs:
        await client.upload(repository, Descriptor(kind, sha256(data), len(data)), from_memory(data))
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described[-1], "layers": described[:-1]}
    await client.put(repository.tagged(tag), json.dumps(manifest).encode(), OCI_MANIFEST)


async def main(host: str, password: str) -> None:
    """Push every image of the demo."""
    credentials = CredentialStore({}, Path("/nonexistent"), {host: Credential("demo", password, "the demo")})
    async with Transport() as transport:
        client = RegistryClient(transport, credentials)
        for path, tag in IMAGES:
            await push(client, Repository(host, path), tag)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
