"""A registry and a manifest for which a plan is made, saved, and carried out later."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.end_to_end.workplace import Done, Workplace
from tests.plan.tampering import Document
from tests.servers.images import BuiltImage, build_image
from tests.servers.push import push
from tests.servers.registry import Credentials
from tests.servers.sandbox import RunningSandbox

OLD, NEW, KEPT, FOREIGN = (build_image({"version": name}) for name in (b"old", b"new", b"kept", b"somebody else's"))
RELEASE = "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - image: {}\n"


@dataclass
class Desk:
    """A registry and a manifest that wants a tag created, one moved, one retired and one left as it is."""

    workplace: Workplace
    host: str
    creds: Credentials | None = None
    manifest: dict[str, Any] = field(default_factory=dict)

    def set_up(self) -> None:
        """Put there what the plan starts from, and write the manifest."""
        if self.creds:
            self.workplace.env["REPLICATED_API_TOKEN"] = self.creds.password
        self.push_source(NEW)
        for tag, image in (("0.9", OLD), ("1.0", KEPT), ("latest", OLD)):
            self.push(tag, image)
        self.manifest = {
            "version": 1,
            "app": self.workplace.app,
            "registry": self.host,
            "releases": ["kots/*.yaml"],
            "images": [
                {
                    "name": "worker",
                    "mutable": ["latest"],
                    "tags": [
                        {"tag": "1.1", "source": f"{self.host}/{self.workplace.app}-source/worker:1"},
                        {"tag": "1.0", "digest": KEPT.digest},
                        {"tag": "latest", "source": f"{self.host}/{self.workplace.app}-source/worker:1"},
                    ],
                    "retired": [{"tag": "0.9", "reason": "old"}],
                }
            ],
        }
        self.release("nobody/nothing:1")
        self.save()

    def save(self) -> None:
        """Write the manifest."""
        self.workplace.manifest.write_text(json.dumps(self.manifest))

    def release(self, image: str) -> None:
        """Write a release that names this image."""
        folder = self.workplace.folder / "kots"
        folder.mkdir(exist_ok=True)
        (folder / "app.yaml").write_text(RELEASE.format(image))

    def plan(self, *options: str) -> Done:
        """Save a plan, in which nothing may be blocked."""
        done = self.workplace.run("plan", "--out", "plan.json", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def push(self, tag: str, image: BuiltImage) -> None:
        """As somebody else would."""
        push(self.host, f"{self.workplace.app}/worker", tag, image, self.creds)

    def push_source(self, image: BuiltImage) -> None:
        """What is copied to the tags that are created and moved."""
        push(self.host, f"{self.workplace.app}-source/worker", "1", image, self.creds)

    @property
    def repository(self) -> str:
        """HOST/PATH of the one image."""
        return f"{self.host}/{self.workplace.app}/worker"

    @property
    def saved(self) -> Path:
        """Where the plan is saved."""
        return self.workplace.folder / "plan.json"

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self.workplace.folder / "replicated-images.lock.yaml"

    @property
    def journals(self) -> list[Path]:
        """What was recorded."""
        return sorted((self.workplace.folder / ".replsync").glob("journal/*.jsonl"))

    def document(self) -> Document:
        """The saved plan."""
        document: Document = json.loads(self.saved.read_bytes())
        return document


def writes(sandbox: RunningSandbox) -> list[str]:
    """The requests that change the registry."""
    return [f"{a.method} {a.path}" for a in sandbox.answered if a.method not in ("GET", "HEAD") and "/v2/" in a.path]
