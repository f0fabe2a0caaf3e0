"""What a registry holds, read by plain HTTP and looked at without any of replsync's code."""

import json
from dataclasses import dataclass, field

from tests.servers.images import BuiltImage, BuiltIndex, digest_of
from tests.servers.push import Uploader
from tests.servers.registry import Credentials

LABEL = "dev.replsync.tombstone"
_TYPES = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


@dataclass(frozen=True)
class Grave:
    """What a tombstone says."""

    reference: str
    reason: str
    replaces: str


@dataclass
class Reader:
    """Reads one repository."""

    host: str
    repository: str
    creds: Credentials | None = None
    _client: Uploader = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._client = Uploader(self.host, self.repository, self.creds)

    def tags(self) -> list[str]:
        """The tags; none where there is no such repository."""
        answer = self._client.request("GET", f"/v2/{self.repository}/tags/list")
        assert answer.status in (200, 404), answer
        tags: list[str] = json.loads(answer.body)["tags"] or [] if answer.status == 200 else []
        return tags

    def digests(self) -> dict[str, str]:
        """The digest that each tag points at."""
        return {tag: digest_of(self.manifest(tag)) for tag in self.tags()}

    def manifest(self, reference: str) -> bytes:
        """The image manifest or index of a tag or digest."""
        path = f"/v2/{self.repository}/manifests/{reference}"
        answer = self._client.request("GET", path, headers={"Accept": _TYPES})
        assert answer.status == 200, answer
        return answer.body

    def grave(self, manifest: bytes) -> Grave | None:
        """What the tombstone with this image manifest says; None where it is none."""
        document = json.loads(manifest)
        if "config" not in document:
            return None
        answer = self._client.request("GET", f"/v2/{self.repository}/blobs/{document['config']['digest']}")
        assert answer.status == 200, answer
        labels = json.loads(answer.body)["config"].get("Labels") or {}
        if LABEL not in labels:
            return None
        return Grave(labels[f"{LABEL}.reference"], labels[f"{LABEL}.reason"], labels[f"{LABEL}.replaces"])

    def is_complete(self, image: BuiltImage | BuiltIndex) -> bool:
        """Whether all that belongs to `image` is there, each image manifest byte for byte."""
        if self.manifest(image.digest) != image.manifest:
            return False
        if isinstance(image, BuiltIndex):
            return all(map(self.is_complete, image.images))
        paths = [f"/v2/{self.repository}/blobs/{digest}" for digest in image.blobs]
        return all(self._client.request("HEAD", path).status == 200 for path in paths)
