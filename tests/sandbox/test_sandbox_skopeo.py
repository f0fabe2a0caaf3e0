import json
from pathlib import Path

import pytest

from tests.sandbox.client import Client, sha256
from tests.servers.images import Media, build_image, build_index, docker_archive
from tests.servers.registry import Credentials
from tests.servers.sandbox import RunningSandbox
from tests.servers.skopeo import Skopeo

CREDS = Credentials("me@example.com", "sandbox")
AMD64 = build_image({"hello": b"from amd64"}, platform="linux/amd64")
ARM64 = build_image({"hello": b"from arm64"}, platform="linux/arm64/v8")
INDEX = build_index([AMD64, ARM64])


def write_layout(folder: Path) -> str:
    """Write INDEX as an OCI image layout (image-spec, image-layout.md); returns its name for skopeo."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    for content in (
        INDEX.manifest,
        *(one for image in INDEX.images for one in (image.manifest, *image.blobs.values())),
    ):
        (blobs / sha256(content).removeprefix("sha256:")).write_bytes(content)
    entry = {
        "mediaType": INDEX.media_type,
        "digest": INDEX.digest,
        "size": len(INDEX.manifest),
        "annotations": {"org.opencontainers.image.ref.name": "1.0"},
    }
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return f"oci:{folder}:1.0"


def test_an_index_goes_in_and_comes_back_the_same(skopeo: Skopeo, sandbox: RunningSandbox, tmp_path: Path) -> None:
    there = f"docker://{sandbox.host}/myapp/worker:1.0"
    skopeo.copy(write_layout(tmp_path / "in"), there, "--all", target_creds=CREDS)
    assert skopeo.digest(f"{sandbox.host}/myapp/worker:1.0", CREDS) == INDEX.digest
    skopeo.copy(there, f"oci:{tmp_path / 'out'}:1.0", "--all", source_creds=CREDS)
    (entry,) = json.loads((tmp_path / "out" / "index.json").read_text())["manifests"]
    assert entry["digest"] == INDEX.digest
    for image in INDEX.images:
        for digest in (image.digest, *image.blobs):
            assert (tmp_path / "out" / "blobs" / "sha256" / digest.removeprefix("sha256:")).is_file()


def test_a_docker_archive_goes_in_and_comes_back_the_same(
    skopeo: Skopeo, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    archive = tmp_path / "in.tar"
    archive.write_bytes(docker_archive(AMD64, "worker:dev"))
    there = f"{sandbox.host}/myapp/stable/worker:1.0"
    skopeo.copy(f"docker-archive:{archive}", f"docker://{there}", target_creds=CREDS)
    assert sha256(skopeo.config(there, CREDS)) == AMD64.config_digest
    skopeo.copy(f"docker://{there}", f"docker-archive:{tmp_path / 'out.tar'}:worker:dev", source_creds=CREDS)
    assert (tmp_path / "out.tar").is_file()


@pytest.mark.parametrize("media", ["oci", "docker"])
async def test_an_index_is_copied_between_repositories_by_mounts(
    skopeo: Skopeo, sandbox: RunningSandbox, client: Client, media: Media
) -> None:
    images = [build_image({"a": arch.encode()}, platform=f"linux/{arch}", media=media) for arch in ("amd64", "arm64")]
    digest = await client.push("myapp/worker", "1.0", build_index(images, media=media))
    there = f"{sandbox.host}/myapp/other:2.0"
    skopeo.copy(
        f"docker://{sandbox.host}/myapp/worker:1.0",
        f"docker://{there}",
        "--all",
        source_creds=CREDS,
        target_creds=CREDS,
    )
    assert skopeo.digest(there, CREDS) == digest


async def test_tags_are_listed(skopeo: Skopeo, sandbox: RunningSandbox, client: Client) -> None:
    for tag in ("1.0", "1.1", "latest"):
        await client.push("myapp/worker", tag, AMD64)
    assert skopeo.tags(f"{sandbox.host}/myapp/worker", CREDS) == ["1.0", "1.1", "latest"]
