"""Whether a registry has what it should, by a reader that shares no code with those who wrote it."""

import hashlib
import http.client
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.content import Blob, Image, digest_of
from benchmarks.failing import BenchmarkError
from benchmarks.registry_client import RegistryClient

_AT_ONCE = 4


def fault_of(client: RegistryClient, images: Sequence[Image], exact: bool, contents: bool) -> str | None:
    """What is wrong with `images` in a registry; None where all is right.

    `exact`: byte for byte, else the same configs. `contents`: every blob is there, and is read and hashed, once each.
    """
    seen: dict[str, str] = {}
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            checked = pool.map(lambda image: _image(client, image, exact, contents), images)
            for fault, blobs, repository in checked:
                if fault:
                    return fault
                seen.update({blob.digest: repository for blob in blobs})
            if not contents:
                return None
            return next(filter(None, pool.map(lambda found: _content(client, *found), seen.items())), None)
    except (OSError, http.client.HTTPException, BenchmarkError) as error:
        return f"can't be read back: {error}"


def _image(client: RegistryClient, image: Image, exact: bool, contents: bool) -> tuple[str | None, Sequence[Blob], str]:
    name = f"{image.repository}:{image.tag}"
    manifest = client.manifest(image.repository, image.tag)
    if manifest is None:
        return f"{name} is missing", (), ""
    if exact and digest_of(manifest) != image.digest:
        return f"{name} is {digest_of(manifest)}, not {image.digest}", (), ""
    document = json.loads(manifest)
    if document.get("config", {}).get("digest") != image.config.digest:
        return f"{name} has another config", (), ""
    blobs = [Blob(entry["digest"], entry["size"]) for entry in (*document["layers"], document["config"])]
    for blob in blobs if contents else ():
        if client.blob_size(image.repository, blob.digest) != blob.size:
            return f"{name} lacks {blob.digest}", (), ""
    return None, blobs, image.repository


def _content(client: RegistryClient, digest: str, repository: str) -> str | None:
    found = hashlib.sha256()
    for piece in client.blob_pieces(repository, digest):
        found.update(piece)
    return None if f"sha256:{found.hexdigest()}" == digest else f"the content of {repository}@{digest} is another"
