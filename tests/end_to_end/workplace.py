"""A folder with a manifest in it, and replsync to run there."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Protocol

from tests.servers.command import RunReplsync
from tests.servers.registry import Credentials
from tests.servers.skopeo import Skopeo

MANIFEST = "replicated-images.yaml"

Done = CompletedProcess[str]


class SignedIn(Protocol):
    """A registry, and who may sign in there."""

    @property
    def host(self) -> str: ...

    @property
    def credentials(self) -> Credentials | None: ...


@dataclass(frozen=True)
class Workplace:
    """`app` is the application of its manifests; `env` is what every run gets."""

    folder: Path
    app: str
    replsync: RunReplsync
    env: dict[str, str] = field(default_factory=dict)

    @property
    def manifest(self) -> Path:
        """The file that replsync reads."""
        return self.folder / MANIFEST

    def write(self, registry: str, *images: Mapping[str, Any], unlisted: str = "report", **more: Any) -> None:
        """Write a manifest, with `more` keys at its top; JSON is YAML too."""
        content = {"version": 1, "app": self.app, "registry": registry, "policy": {"unlisted": unlisted}}
        self.manifest.write_text(json.dumps({**content, **more, "images": images}))

    def sign_in(self, *registries: SignedIn) -> None:
        """Write Docker's configuration with the credentials of `registries`, as `docker login` does."""
        auths = {one.host: {"auth": _encoded(one.credentials)} for one in registries if one.credentials}
        (self.folder / "config.json").write_text(json.dumps({"auths": auths}))
        self.env["DOCKER_CONFIG"] = str(self.folder)

    def run(self, *args: str | Path, env: Mapping[str, str] | None = None, input: str | None = None) -> Done:
        """Run replsync here."""
        return self.replsync(*args, cwd=self.folder, env={**self.env, **(env or {})}, input=input)

    def plan(self, *options: str) -> Done:
        """Run `plan`; without `options` it must find nothing blocked."""
        done = self.run("plan", *options)
        assert options or done.returncode == 0, done.stdout + done.stderr
        return done

    def actions(self, *options: str) -> dict[str, Any]:
        """The actions of `plan --format json` by `image:tag`, blocked or not."""
        done = self.run("plan", "--format", "json", *options)
        assert done.returncode in (0, 7), done.stderr
        return {f"{action['image']}:{action['tag']}": action for action in json.loads(done.stdout)["actions"]}

    def kinds(self, *options: str) -> dict[str, str]:
        """The kind of each action by `image:tag`."""
        return {name: str(action["kind"]) for name, action in self.actions(*options).items()}

    def apply(self, *options: str) -> Done:
        """Run `apply --auto-approve`, which must end with 0."""
        done = self.run("apply", "--auto-approve", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def is_in_sync(self, *options: str) -> bool:
        """Whether `plan --detailed-exitcode` finds nothing to do."""
        done = self.run("plan", "--detailed-exitcode", *options)
        assert done.returncode in (0, 2), done.stdout + done.stderr
        assert (done.returncode == 0) == ("no changes" in done.stdout), done.stdout
        return done.returncode == 0


def _encoded(credentials: Credentials) -> str:
    return base64.b64encode(":".join(credentials).encode()).decode()


def digests(skopeo: Skopeo, repositories: Sequence[str], creds: Credentials | None = None) -> dict[str, str]:
    """What every tag of `repositories` (HOST/REPOSITORY) points at, as skopeo sees it: digest by reference."""
    references = [f"{repository}:{tag}" for repository in repositories for tag in skopeo.tags(repository, creds)]
    return {reference: skopeo.digest(reference, creds) for reference in references}


def assert_refused(done: Done, code: int, *said: str) -> None:
    """It ended with `code`, said each of `said` on stderr with a next move, and showed no traceback."""
    assert done.returncode == code, done.stdout + done.stderr
    for text in said:
        assert text in done.stderr, done.stderr
    assert "  next: " in done.stderr, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
