"""The example application that `--seed` fills a sandbox with."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from replsync.oci.tombstone import read_epitaph
from replsync.sandbox import SandboxOptions, serve
from replsync.sandbox.program import greeting_program
from replsync.sandbox.seed import APP, IMAGES
from tests.sandbox.client import Client, open_client
from tests.servers.command import RunReplsync
from tests.servers.docker import DockerDaemon
from tests.servers.hello import native_platform
from tests.servers.images import build_image
from tests.servers.sandbox import RunningSandbox, StartSandbox
from tests.servers.skopeo import Skopeo

WORKER, WEB, MIGRATIONS = (f"{APP}/{image}" for image in IMAGES)
CHART = f"{APP}/stable/{APP}"
SCOPE = "+".join(f"repository:{name}:pull,push" for name in (WORKER, WEB, MIGRATIONS, CHART))
# By these the application is the same on every machine. Whoever changes what is seeded has to change them here.
DIGESTS = {
    (WORKER, "1.11.0"): "sha256:c957714b761d2fe5a0cb93c4ee9ad53b81efc7a51796a73c4178b5c347423091",
    (WORKER, "1.8.0"): "sha256:b680c33df893275463f2453ea8a5678b89280a302849571f3a15650b503631a0",
    (WEB, "latest"): "sha256:94be96b727901a3d0a0a3da6b5f0984d8cea949eed88702627dd8a85ef49916d",
    (MIGRATIONS, "42"): "sha256:1702c8bc6a6d759d6c3a8269104b34b6acbbad3d5de35ad663248ee1a53b7aed",
    (CHART, "1.11.0"): "sha256:c8fc86ce7036fb3f709cfbe47c125f571d4ba6c62abde24614c48b880a9f8585",
}


@pytest.fixture
def seeded(start_sandbox: StartSandbox) -> RunningSandbox:
    return start_sandbox(SandboxOptions(seed=True))


@pytest.fixture
async def client(seeded: RunningSandbox) -> AsyncIterator[Client]:
    async with open_client(seeded.host, SCOPE) as client:
        yield client


async def tags(client: Client, name: str) -> list[str]:
    found: list[str] = (await client.ask("GET", f"/v2/{name}/tags/list")).json()["tags"]
    return found


async def digest(client: Client, name: str, reference: str) -> str:
    answer = await client.ask("HEAD", f"/v2/{name}/manifests/{reference}")
    assert answer.status == 200
    return answer.headers["Docker-Content-Digest"]


async def blob(client: Client, name: str, manifest: bytes) -> bytes:
    """The config of an image manifest."""
    return (await client.ask("GET", f"/v2/{name}/blobs/{json.loads(manifest)['config']['digest']}")).body


async def test_it_holds_what_a_vendors_registry_may_hold(client: Client) -> None:
    assert await tags(client, WORKER) == ["1.10", "1.11.0", "1.8.0", "1.9.3", "latest"]
    assert await tags(client, WEB) == ["2.3.0", "2.4.0", "latest"]
    assert await tags(client, MIGRATIONS) == ["41", "42"]
    assert await tags(client, CHART) == ["1.11.0"]
    assert await digest(client, WORKER, "latest") == await digest(client, WORKER, "1.11.0")
    chart = (await client.ask("GET", f"/v2/{CHART}/manifests/1.11.0")).json()
    assert chart["config"]["mediaType"] == "application/vnd.cncf.helm.config.v1+json"


async def test_every_digest_is_the_same_on_every_machine(client: Client) -> None:
    assert {key: await digest(client, *key) for key in DIGESTS} == DIGESTS


async def test_the_retired_tag_says_why_and_what_it_replaced_can_be_read(client: Client) -> None:
    tombstone = await client.ask("GET", f"/v2/{WORKER}/manifests/1.8.0")
    epitaph = read_epitaph(await blob(client, WORKER, tombstone.body))
    assert epitaph
    assert epitaph.reason == "CVE-2026-0815, use 1.9.3"
    replaced = await client.ask("GET", f"/v2/{WORKER}/manifests/{epitaph.replaces}")
    assert replaced.headers["Content-Type"] == epitaph.replaces_media_type


async def test_images_of_one_platform_share_their_base(client: Client) -> None:
    layers = []
    for name in (WORKER, WEB):
        index = (await client.ask("GET", f"/v2/{name}/manifests/latest")).json()
        children = [await client.ask("GET", f"/v2/{name}/manifests/{one['digest']}") for one in index["manifests"]]
        layers.append([[layer["digest"] for layer in child.json()["layers"]] for child in children])
    worker, web = layers
    assert [one[0] for one in worker] == [one[0] for one in web]
    assert len({layer for image in (*worker, *web) for layer in image}) == 2 + 4 + 4


def test_skopeo_copies_all_of_it(seeded: RunningSandbox, skopeo: Skopeo, tmp_path: Path) -> None:
    for number, reference in enumerate((f"{WORKER}:latest", f"{WORKER}:1.8.0", f"{MIGRATIONS}:42", f"{CHART}:1.11.0")):
        source = f"docker://{seeded.host}/{reference}"
        skopeo.copy(source, f"dir:{tmp_path / str(number)}", "--all", source_creds=seeded.credentials)


def test_replsync_imports_it_retires_a_tag_and_restores_two(
    run_replsync: RunReplsync, seeded: RunningSandbox, tmp_path: Path
) -> None:
    def run(*args: str) -> str:
        done = run_replsync(*args, cwd=tmp_path, env={"REPLICATED_API_TOKEN": seeded.credentials.password})
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("import", "--registry", seeded.host, "--app", APP, *IMAGES)
    assert "retired:\n      - {tag: 1.8.0, reason:" in (tmp_path / "replicated-images.yaml").read_text()
    run("plan", "--detailed-exitcode")
    run("retire", "worker:1.9.3", "--reason", "CVE-2026-1234, use 1.10", "--auto-approve")
    for tag in ("1.9.3", "1.8.0"):
        assert "1 restored" in run("restore", f"worker:{tag}", "--auto-approve")
    run("plan", "--detailed-exitcode")


def test_docker_runs_it(dockerd: DockerDaemon, seeded: RunningSandbox) -> None:
    reference = f"{seeded.host}/{WORKER}:1.10"
    dockerd.cli("login", "--username", "any", "--password-stdin", seeded.host, input="sandbox")
    try:
        ran = dockerd.cli("run", "--rm", "--network", "none", reference)
        assert ran.stdout == f"myapp/worker:1.10 for {native_platform()}: hello from the sandbox\n"
        refused = dockerd.cli("run", "--rm", "--network", "none", f"{seeded.host}/{WORKER}:1.8.0", check=False)
        assert "was retired: CVE-2026-0815, use 1.9.3" in refused.stderr
        dockerd.cli("image", "rm", reference, f"{seeded.host}/{WORKER}:1.8.0")
    finally:
        dockerd.cli("logout", seeded.host)


async def test_what_is_in_a_folder_already_is_left_alone(tmp_path: Path) -> None:
    image = build_image({"mine": b"1"})
    async with serve(SandboxOptions(data=tmp_path)) as sandbox, open_client(sandbox.host, SCOPE) as client:
        await client.push(WORKER, "1.10", image)
        assert not sandbox.is_seeded
    async with serve(SandboxOptions(data=tmp_path, seed=True)) as sandbox, open_client(sandbox.host, SCOPE) as client:
        assert not sandbox.is_seeded
        assert await tags(client, WORKER) == ["1.10"]
        assert await digest(client, WORKER, "1.10") == image.digest


async def test_an_empty_folder_is_seeded_once(tmp_path: Path) -> None:
    options = SandboxOptions(data=tmp_path, seed=True)
    async with serve(options) as sandbox, open_client(sandbox.host, SCOPE) as client:
        assert sandbox.is_seeded
        manifest = (await client.ask("GET", f"/v2/{MIGRATIONS}/manifests/42")).body
        await client.put_manifest(MIGRATIONS, "43", manifest, "application/vnd.docker.distribution.manifest.v2+json")
    async with serve(options) as sandbox, open_client(sandbox.host, SCOPE) as client:
        assert not sandbox.is_seeded
        assert await tags(client, MIGRATIONS) == ["41", "42", "43"]


@pytest.mark.parametrize(("architecture", "machine"), [("amd64", 62), ("arm64", 183)])
def test_a_program_is_an_executable_for_its_machine(architecture: str, machine: int) -> None:
    program = greeting_program("hello\n", architecture)
    assert program[:6] == b"\x7fELF\x02\x01"  # 64 bits, little-endian
    assert int.from_bytes(program[16:18], "little") == 2  # ET_EXEC
    assert int.from_bytes(program[18:20], "little") == machine
    assert program.endswith(b"hello\n")
