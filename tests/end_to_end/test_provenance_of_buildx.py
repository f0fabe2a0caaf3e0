"""What a real BuildKit writes with provenance: it is what the other tests make, and arrives without."""

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from replsync.sandbox.limits import REPLICATED
from replsync.sandbox.server import SandboxOptions
from tests.end_to_end.workplace import Workplace
from tests.servers.attested import FORMS, Form, build_attested
from tests.servers.docker import DockerDaemon
from tests.servers.images import build_image
from tests.servers.sandbox import StartSandbox
from tests.servers.skopeo import Skopeo

PLATFORMS = ("linux/amd64", "linux/arm64")


def blob(archive: Path, digest: str) -> bytes:
    with tarfile.open(archive) as members:
        content = members.extractfile(f"blobs/{digest.replace(':', '/')}")
        assert content
        return content.read()


def root(archive: Path) -> bytes:
    """The index of the image."""
    with tarfile.open(archive) as members:
        content = members.extractfile("index.json")
        assert content
        (entry,) = json.load(content)["manifests"]
    return blob(archive, entry["digest"])


def written(document: bytes) -> str:
    """A document as it is written, but for digests, sizes and the version of the predicate."""
    return re.sub(r'sha256:[0-9a-f]{64}|(?<="size": )\d+|(?<=provenance/v)[0-9.]+', "…", document.decode())


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    found: Form = request.param
    return found


@pytest.fixture
def archive(workplace: Workplace, buildx_apart: DockerDaemon, form: Form) -> Path:
    """An image of two platforms with their provenance, as an OCI archive in the workplace."""
    context = workplace.folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY name /\n")
    (context / "name").write_text(workplace.app)
    built = workplace.folder / "built.tar"
    output = f"type=oci,dest={built},oci-artifact={'true' if form == 'artifact' else 'false'}"
    options = ("--provenance=mode=max", f"--platform={','.join(PLATFORMS)}", "--output", output)
    buildx_apart.cli("buildx", "build", *options, str(context))
    return built


def test_the_tests_own_are_written_as_buildkit_writes_them(archive: Path, form: Form) -> None:
    own = build_attested([build_image({"name": b"x"}, platform=platform) for platform in PLATFORMS], form)
    real = root(archive)
    assert written(real) == written(own.manifest)
    entries: list[dict[str, Any]] = json.loads(real)["manifests"]
    for entry, image in zip(entries, own.images, strict=True):
        assert written(blob(archive, entry["digest"])) == written(image.manifest)


def test_it_arrives_without_the_provenance_where_that_is_refused(
    workplace: Workplace, archive: Path, start_sandbox: StartSandbox, skopeo: Skopeo
) -> None:
    sandbox = start_sandbox(SandboxOptions(limits=REPLICATED))
    workplace.sign_in(sandbox)
    tags = [{"tag": "1", "source": f"oci-archive:{archive.name}"}]
    workplace.write(sandbox.host, {"name": "worker", "tags": tags})
    assert workplace.actions()["worker:1"]["notes"] == ["2 attestations are stripped"]
    workplace.apply()
    pushed = skopeo.inspect_raw(f"{sandbox.host}/{workplace.app}/worker:1", sandbox.credentials)
    real = json.loads(root(archive))
    assert pushed == json.dumps(real | {"manifests": real["manifests"][:2]}, indent=2).encode()
    assert workplace.is_in_sync()
