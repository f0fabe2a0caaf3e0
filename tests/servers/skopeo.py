"""skopeo: reads and copies images, and shares no code with replsync."""

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.process import program
from tests.servers.registry import Credentials


@dataclass(frozen=True)
class Skopeo:
    """References are `HOST/REPOSITORY:TAG` or `…@DIGEST` in a registry that speaks http, unless said otherwise."""

    program: str
    auth_file: Path

    def inspect_raw(self, reference: str, creds: Credentials | None = None) -> bytes:
        """The image manifest or index, byte for byte."""
        return self._run("inspect", "--raw", "--tls-verify=false", *_creds("", creds), f"docker://{reference}")

    def config(self, reference: str, creds: Credentials | None = None) -> bytes:
        """The image's config, byte for byte."""
        return self._run(
            "inspect", "--raw", "--config", "--tls-verify=false", *_creds("", creds), f"docker://{reference}"
        )

    def digest(self, reference: str, creds: Credentials | None = None) -> str:
        """The digest of the image manifest or index."""
        return "sha256:" + hashlib.sha256(self.inspect_raw(reference, creds)).hexdigest()

    def tags(self, repository: str, creds: Credentials | None = None) -> list[str]:
        """The tags of `HOST/REPOSITORY`, sorted."""
        answer = self._run("list-tags", "--tls-verify=false", *_creds("", creds), f"docker://{repository}")
        return sorted(json.loads(answer)["Tags"])

    def copy(
        self,
        source: str,
        target: str,
        *options: str,
        source_creds: Credentials | None = None,
        target_creds: Credentials | None = None,
    ) -> None:
        """Copy an image; both names are of containers-transports(5): `docker://…`, `oci:…`. All platforms: `--all`."""
        _succeeded(self.try_copy(source, target, *options, source_creds=source_creds, target_creds=target_creds))

    def try_copy(
        self,
        source: str,
        target: str,
        *options: str,
        source_creds: Credentials | None = None,
        target_creds: Credentials | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """The same where it may well be refused."""
        tls = ("--src-tls-verify=false", "--dest-tls-verify=false")
        creds = (*_creds("src-", source_creds), *_creds("dest-", target_creds))
        return self._start("copy", *tls, *creds, *options, source, target)

    def _run(self, *args: str) -> bytes:
        return _succeeded(self._start(*args))

    def _start(self, *args: str) -> subprocess.CompletedProcess[bytes]:
        # The machine's own sign-ins and trust policy don't take part.
        env = os.environ | {"REGISTRY_AUTH_FILE": str(self.auth_file)}
        command = [self.program, "--insecure-policy", *args]
        return subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True)


def _succeeded(done: subprocess.CompletedProcess[bytes]) -> bytes:
    if done.returncode:
        pytest.fail(f"skopeo {done.args[2]} ended with {done.returncode}:\n{done.stderr.decode(errors='replace')}")
    return done.stdout


def _creds(side: str, creds: Credentials | None) -> tuple[str, ...]:
    return (f"--{side}creds={creds.username}:{creds.password}",) if creds else ()


@pytest.fixture(scope="session")
def skopeo(tmp_path_factory: pytest.TempPathFactory) -> Skopeo:
    """An independent reader of what replsync pushed."""
    auth_file = tmp_path_factory.mktemp("skopeo") / "auth.json"
    auth_file.write_text("{}")
    return Skopeo(program("skopeo", "skopeo"), auth_file)
