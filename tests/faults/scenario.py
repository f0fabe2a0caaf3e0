"""A vendor's work in small, made so that every kind of request comes up, and what became of it as others see it."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.servers.images import BuiltImage, BuiltIndex, build_image, build_index, digest_of
from tests.servers.push import Uploader, push
from tests.servers.registry import Credentials

LARGE = 1_100_000
"""Bytes of the layer that is to go in chunks. replsync takes blobs up to 1 MB for small."""

_TYPES = ", ".join(
    f"application/vnd.{name}+json"
    for name in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)
_TOMBSTONE = "dev.replsync.tombstone"


def _noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


BASE = build_image({"base": _noise(1, 48 * 1024)})
AMD64 = build_image({"app": _noise(2, LARGE)}, base=BASE)
ARM64 = build_image({"app": _noise(3, 8 * 1024)}, platform="linux/arm64")
INDEX = build_index([AMD64, ARM64])
API = build_image({"api": _noise(4, 8 * 1024)}, base=BASE)
OLD = build_image({"old": _noise(5, 8 * 1024)})
NEW = build_image({"new": _noise(6, 8 * 1024)}, base=OLD)

LARGE_BLOBS = frozenset(digest for digest, blob in AMD64.blobs.items() if len(blob) > LARGE)

Content = BuiltImage | BuiltIndex
Tag = str  # IMAGE:TAG

WANTED: Mapping[Tag, Content] = {"worker:1": INDEX, "api:1": API, "worker:latest": NEW}
"""What is copied; the tags' names at the source are these with `-` for `:`."""

BEFORE: Mapping[Tag, Content] = {"worker:latest": OLD, "worker:0.9": OLD}
"""What the target starts with."""

RETIRED = "worker:0.9"
REASON = "CVE-2026-1, use 1"


class State(StrEnum):
    """What became of a tag."""

    RIGHT = "complete and right"
    UNTOUCHED = "untouched"
    WRONG = "wrong"


@dataclass(frozen=True)
class Site:
    """A registry, as it is reached past any proxy, and a first part for all names there."""

    host: str
    prefix: str
    creds: Credentials | None = None

    def name(self, image: str) -> str:
        """A repository's name."""
        return f"{self.prefix}/{image}"


def fill_source(site: Site) -> None:
    """Put there what is to be copied, in the repository `upstream`."""
    for tag, content in WANTED.items():
        push(site.host, site.name("upstream"), source_tag(tag), content, site.creds)


def fill_target(site: Site) -> None:
    """Put there what is replaced later, and a blob that no tag leads to: what a run leaves that was broken off."""
    for tag, content in BEFORE.items():
        image, _, name = tag.partition(":")
        push(site.host, site.name(image), name, content, site.creds)
    left = ARM64.layers[0]
    Uploader(site.host, site.name("worker"), site.creds).put_blob(digest_of(left), left)


def source_tag(tag: Tag) -> str:
    """The tag in the source's repository that is copied to `tag`."""
    return tag.replace(":", "-")


def manifest(target: str, source: str, target_prefix: str, source_prefix: str, *, retires: bool = True) -> str:
    """The manifest for replsync; `target` and `source` are hosts as it is to reach them. JSON is YAML too."""
    images = []
    for image in ("worker", "api"):
        tags = [
            {"tag": tag.partition(":")[2], "source": f"{source}/{source_prefix}/upstream:{source_tag(tag)}"}
            for tag in WANTED
            if tag.startswith(f"{image}:")
        ]
        retired = [{"tag": "0.9", "reason": REASON}] if retires and image == "worker" else []
        images.append({"name": image, "mutable": ["latest"], "tags": tags, "retired": retired})
    return json.dumps({"version": 1, "app": target_prefix, "registry": target, "images": images})


@dataclass
class Reader:
    """Reads the target with the standard library alone, every byte, and checks every digest."""

    site: Site

    def states(self, *, tombstones: bool = True) -> dict[Tag, State]:
        """What each tag is now; without `tombstones` the retired one is left out."""
        found = {tag: self._state(tag, content) for tag, content in WANTED.items()}
        if tombstones:
            found[RETIRED] = self._retired()
        return found

    def _state(self, tag: Tag, wanted: Content) -> State:
        image, _, name = tag.partition(":")
        client = Uploader(self.site.host, self.site.name(image), self.site.creds)
        raw = _manifest(client, name)
        if raw == wanted.manifest and _is_whole(client, wanted):
            return State.RIGHT
        before = BEFORE.get(tag)
        return State.UNTOUCHED if raw == (before.manifest if before else None) else State.WRONG

    def _retired(self) -> State:
        image, _, name = RETIRED.partition(":")
        client = Uploader(self.site.host, self.site.name(image), self.site.creds)
        raw = _manifest(client, name)
        if raw == OLD.manifest:
            return State.UNTOUCHED
        if raw is None:
            return State.WRONG
        document = json.loads(raw)
        blobs = {one["digest"]: _blob(client, one["digest"]) for one in (document["config"], *document["layers"])}
        if any(blob is None for blob in blobs.values()):
            return State.WRONG
        labels = json.loads(blobs[document["config"]["digest"]] or b"{}")["config"]["Labels"]
        is_right = labels[f"{_TOMBSTONE}.reason"] == REASON and labels[f"{_TOMBSTONE}.replaces"] == OLD.digest
        return State.RIGHT if is_right else State.WRONG


def _is_whole(client: Uploader, content: Content) -> bool:
    if isinstance(content, BuiltIndex):
        return all(
            _manifest(client, child.digest) == child.manifest and _is_whole(client, child) for child in content.images
        )
    return all(_blob(client, digest) == blob for digest, blob in content.blobs.items())


def _manifest(client: Uploader, reference: str) -> bytes | None:
    path = f"/v2/{client.repository}/manifests/{reference}"
    answer = client.request("GET", path, headers={"Accept": _TYPES})
    assert answer.status in (200, 404), answer
    return answer.body if answer.status == 200 else None


def _blob(client: Uploader, digest: str) -> bytes | None:
    answer = client.request("GET", f"/v2/{client.repository}/blobs/{digest}")
    assert answer.status in (200, 404), answer
    return answer.body if answer.status == 200 and digest_of(answer.body) == digest else None
