"""Tags that somebody else writes, or takes away, at just the moment that a test names."""

import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from replsync.oci.digest import parse_digest, sha256
from replsync.oci.image_manifest import DOCKER_MANIFEST
from replsync.oci.tombstone import EMPTY_LAYER, Epitaph, tombstone_config, tombstone_manifest
from tests.end_to_end.proxy import Asked, Proxy, Reaction, error
from tests.end_to_end.workplace import Workplace
from tests.servers.images import BuiltImage, build_image
from tests.servers.push import Uploader, push

KINDS = ("create", "update", "tombstone", "restore")
OLD, NEW, FOREIGN = (build_image({"version": name}) for name in (b"old", b"new", b"somebody else's"))

Point = Literal["the plan", "its own read", "the guard", "the read back"]
Event = Literal["moved", "deleted"]


EVENTS: tuple[Event, ...] = ("moved", "deleted")


def raced(event: Event, kind: str) -> str:
    """The image whose tag `1` somebody else moves or deletes."""
    return f"{event}-{kind}"


def calm(kind: str) -> str:
    """The image whose tag `1` is left alone."""
    return f"calm-{kind}"


@dataclass
class Stage:
    """A registry with a tag for each kind of action: one that is moved, one that is deleted, one that is left alone.

    `upstream` is the registry itself, `front` the proxy that replsync sees.
    """

    workplace: Workplace
    upstream: str
    front: Proxy

    def set_up(self) -> None:
        """Put there what the plan starts from, and write the manifest."""
        self.push_source(NEW)
        images: list[dict[str, Any]] = []
        for kind in KINDS:
            for name in (*(raced(event, kind) for event in EVENTS), calm(kind)):
                self._before(kind, name)
                images.append({"name": name, **self._wanted(kind)})
        self.workplace.write(self.front.host, *images)

    def push_source(self, image: BuiltImage) -> None:
        """What is copied to the tags that are created and updated."""
        push(self.upstream, f"{self.workplace.app}-source/worker", "1", image)

    def repository(self, image: str) -> str:
        """The path of an image's repository."""
        return f"{self.workplace.app}/{image}"

    def digest(self, image: str) -> str | None:
        """What tag `1` of the image points at in the registry itself."""
        path = f"/v2/{self.repository(image)}/manifests/1"
        accepted = {"Accept": f"{DOCKER_MANIFEST}, {OLD.media_type}"}
        answer = Uploader(self.upstream, self.repository(image)).request("HEAD", path, headers=accepted)
        assert answer.status in (200, 404)
        return answer.headers["docker-content-digest"] if answer.status == 200 else None

    def after(self, kind: str, image: str) -> str:
        """What the plan makes of the image's tag."""
        match kind:
            case "create" | "update":
                return NEW.digest
            case "restore":
                return OLD.digest
            case _:
                return self._tombstone(image).digest

    def events(self) -> dict[str, list[str]]:
        """What the journals say of each image's tag."""
        found: dict[str, list[str]] = {}
        for entry in self.journal():
            found.setdefault(entry["image"], []).append(entry["event"])
        return found

    def journal(self) -> list[dict[str, Any]]:
        """Every line of every journal."""
        files = sorted((self.workplace.folder / ".replsync" / "journal").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def writes(self) -> list[Asked]:
        """The requests that change a registry."""
        return [asked for asked in self.front.asked if asked.method not in ("GET", "HEAD")]

    def _before(self, kind: str, image: str) -> None:
        if kind == "create":
            return
        push(self.upstream, self.repository(image), "1", OLD)
        if kind == "restore":
            push(self.upstream, self.repository(image), "1", self._tombstone(image))

    def _wanted(self, kind: str) -> Mapping[str, Any]:
        source = f"{self.front.host}/{self.workplace.app}-source/worker:1"
        match kind:
            case "create" | "update":
                return {"tags": [{"tag": "1", "source": source}], "mutable": ["1"]}
            case "restore":
                return {"tags": ["1"]}
            case _:
                return {"retired": [{"tag": "1", "reason": "old"}]}

    def _tombstone(self, image: str) -> BuiltImage:
        reference = f"{self.front.host}/{self.repository(image)}:1"
        config = tombstone_config(Epitaph(reference, "old", parse_digest(OLD.digest), OLD.media_type))
        blobs: dict[str, bytes] = {sha256(EMPTY_LAYER): EMPTY_LAYER, sha256(config): config}
        return BuiltImage(tombstone_manifest(config), DOCKER_MANIFEST, config, blobs, "linux/amd64")


@dataclass
class Race:
    """A proxy's script: at `point` each tag that is raced for gets another image, or is gone.

    `is_planned` says that the run carries a saved plan out, and does not make its own.
    """

    stage: Stage
    point: Point
    is_planned: bool = True
    happened: set[str] = field(default_factory=set)
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def races(self) -> list[tuple[Event, str]]:
        """What happens to the tags of which actions: what isn't there yet can't be taken away."""
        return [
            (event, kind)
            for event in EVENTS
            for kind in KINDS
            if (event, kind) != ("deleted", "create") or self.point == "the read back"
        ]

    def __call__(self, asked: Asked) -> Reaction:
        for event, kind in self.races:
            if asked.path == f"/v2/{self.stage.repository(raced(event, kind))}/manifests/1":
                return self._react(asked.method, event, kind)
        return None

    def _react(self, method: str, event: Event, kind: str) -> Reaction:
        image = raced(event, kind)
        with self._lock:
            self._asked[image, method] += 1
            is_now = image not in self.happened and self._is_reached(method, image, kind)
            if is_now:
                self.happened.add(image)
            is_gone = event == "deleted" and image in self.happened
        if is_now and event == "moved":
            push(self.stage.upstream, self.stage.repository(image), "1", FOREIGN)
        return error(404, "MANIFEST_UNKNOWN") if is_gone and method in ("GET", "HEAD") else None

    def _is_reached(self, method: str, image: str, kind: str) -> bool:
        match self.point:
            case "the plan":
                return True
            case "its own read":
                # Planning reads what is there; the check of a saved plan as a whole asks by HEAD alone.
                return method == "GET" and self._asked[image, "GET"] == (
                    1 if self.is_planned or kind == "create" else 2
                )
            case "the guard":
                # Planning looks at each tag once, save at those that the registry doesn't list.
                return method == "HEAD" and self._asked[image, "HEAD"] == (
                    1 if not self.is_planned and kind == "create" else 2
                )
            case "the read back":
                return method == "GET" and self._asked[image, "PUT"] > 0
