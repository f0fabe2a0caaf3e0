"""Answers of registries and token servers, and an image for them to serve."""

import base64
import json

from replsync.oci.digest import sha256
from replsync.oci.image_manifest import OCI_MANIFEST
from tests.registry.clients import SECRET
from tests.registry.scripted import Reply, refusal
from tests.servers.images import build_image
from tests.servers.registry import Credentials

IMAGE = build_image({"a": b"1"})
MANIFEST = "GET /v2/app/worker/manifests/1"

ANN = Credentials("ann", SECRET)
BASIC = "Basic " + base64.b64encode(f"ann:{SECRET}".encode()).decode()
ASKS_BASIC = refusal(401, "UNAUTHORIZED", headers={"WWW-Authenticate": 'Basic realm="tests"'})


def served(raw: bytes = IMAGE.manifest, media_type: str = OCI_MANIFEST, digest: str | None = None) -> Reply:
    """The answer with an image manifest; `digest` is what its header says, empty for none."""
    stated = sha256(raw) if digest is None else digest
    return Reply(200, raw, {"Content-Type": media_type, **({"Docker-Content-Digest": stated} if stated else {})})


def asks_bearer(realm: str) -> Reply:
    return refusal(401, "UNAUTHORIZED", headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'})


def token(value: str = "t1", **more: object) -> Reply:
    return Reply(200, json.dumps({"token": value, "expires_in": 300, **more}).encode())
