"""What refers to an image manifest: signatures and the like (distribution-spec 1.1, "Listing Referrers")."""

import json
from typing import Any

from aiohttp import web

from replsync.oci.digest import Digest, parse_digest
from replsync.oci.image_manifest import OCI_INDEX
from replsync.sandbox.answers import Refusal
from replsync.sandbox.store import Store, StoredManifest


def subject_of(raw: bytes) -> Digest | None:
    """The digest in `subject` of an image manifest or index that parses as one; None where it names none.

    Raises ValueError where what it names is no digest.
    """
    subject = json.loads(raw).get("subject")
    if subject is None:
        return None
    if not isinstance(subject, dict):
        raise ValueError("the subject is no descriptor")
    return parse_digest(str(subject.get("digest")))


class Referrers:
    """The request handler, on top of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """The one route."""
        return [web.get("/v2/{name:.+}/referrers/{digest}", self._list)]

    async def _list(self, request: web.Request) -> web.Response:
        try:
            subject = parse_digest(request.match_info["digest"])
        except ValueError as error:
            raise Refusal(400, "DIGEST_INVALID", str(error)) from error
        found = [_descriptor(one) for one in self._store.referrers(request.match_info["name"], subject)]
        headers = {"Content-Type": OCI_INDEX}  # as it is: the conformance suite takes no charset behind it
        if wanted := request.query.get("artifactType"):
            found = [one for one in found if one.get("artifactType") == wanted]
            headers["OCI-Filters-Applied"] = "artifactType"
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
        return web.Response(body=json.dumps(index).encode(), headers=headers)


def _descriptor(manifest: StoredManifest) -> dict[str, Any]:
    body = json.loads(manifest.raw)
    # "If the artifactType is empty or missing in the image manifest, the value MUST be set to the config descriptor".
    artifact_type = body.get("artifactType") or body.get("config", {}).get("mediaType")
    more = {"artifactType": artifact_type, "annotations": body.get("annotations")}
    return {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": len(manifest.raw),
        **{key: value for key, value in more.items() if value},
    }
