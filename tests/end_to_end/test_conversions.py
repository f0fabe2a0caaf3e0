"""Nothing is converted: what is no image of today is refused in the plan, all else arrives byte for byte."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.desk import writes
from tests.end_to_end.test_decisions import push_chart
from tests.end_to_end.workplace import Workplace
from tests.servers.crane import Crane
from tests.servers.images import BuiltImage, BuiltIndex, Media, build_image, build_index, digest_of, docker_archive
from tests.servers.push import Uploader, push
from tests.servers.registry import RegistryServer, StartRegistry
from tests.servers.sandbox import RunningSandbox, StartSandbox
from tests.servers.skopeo import Skopeo

IMAGE = build_image({"a": b"1"})
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
ZSTD = ("--format", "oci", "--dest-compress-format", "zstd")
Place = Callable[[RegistryServer | RunningSandbox], Workplace]


@pytest.fixture
def place(workplace: Workplace, sandbox: RunningSandbox) -> Place:
    """Writes a manifest of one tag that comes from a registry's `acme/APP:1`."""

    def write(source: RegistryServer | RunningSandbox) -> Workplace:
        workplace.sign_in(sandbox, source)
        entry = {"name": "worker", "source": f"{source.host}/acme/{workplace.app}", "tags": ["1"]}
        workplace.write(sandbox.host, entry)
        return workplace

    return write


def assert_blocked(workplace: Workplace, sandbox: RunningSandbox, reason: str, next_move: str) -> None:
    for command in (["plan"], ["apply", "--auto-approve"]):
        done = workplace.run(*command)
        assert done.returncode == 7, done.stdout + done.stderr
        shown = " ".join(done.stdout.split())
        assert reason in shown
        assert next_move in shown
    assert writes(sandbox) == []


def test_schema_1_as_skopeo_writes_it_is_refused(
    place: Place, sandbox: RunningSandbox, start_docker_registry: StartRegistry, skopeo: Skopeo, workplace: Workplace
) -> None:
    old = start_docker_registry(schema1=True)
    push(old.host, "acme/new", "1", build_image({"a": b"1"}, media="docker"))
    there = f"docker://{old.host}/acme"
    skopeo.copy(f"{there}/new:1", f"{there}/{workplace.app}:1", "--format", "v2s1")
    assert json.loads(skopeo.inspect_raw(f"{old.host}/acme/{workplace.app}:1"))["schemaVersion"] == 1
    assert_blocked(place(old), sandbox, "Docker's schema 1 format", "pull it with Docker and push it again")


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        f"{OCI_LAYER}+gzip",
    ],
)
def test_foreign_layers_are_refused_and_their_addresses_never_asked(
    place: Place, sandbox: RunningSandbox, start_sandbox: StartSandbox, workplace: Workplace, media_type: str
) -> None:
    source, elsewhere = start_sandbox(), start_sandbox()
    manifest = json.loads(IMAGE.manifest)
    foreign = manifest["layers"][0] | {"mediaType": media_type, "urls": [f"http://{elsewhere.host}/layer"]}
    manifest["layers"].append(foreign)
    uploader = Uploader(source.host, f"acme/{workplace.app}", source.credentials)
    for digest, blob in IMAGE.blobs.items():
        uploader.put_blob(digest, blob)
    uploader.put_manifest("1", json.dumps(manifest).encode(), IMAGE.media_type)
    assert_blocked(place(source), sandbox, "is a foreign layer", "on a base without foreign layers")
    assert elsewhere.answered == []


def test_a_helm_chart_is_refused(
    place: Place, sandbox: RunningSandbox, docker_registry: RegistryServer, workplace: Workplace
) -> None:
    push_chart(docker_registry.host, f"acme/{workplace.app}", "1")
    assert_blocked(place(docker_registry), sandbox, "it is a Helm chart", "charts get to the registry with a release")


def test_another_artifact_is_refused_by_its_type(
    place: Place, sandbox: RunningSandbox, docker_registry: RegistryServer, workplace: Workplace
) -> None:
    manifest = json.loads(IMAGE.manifest)
    manifest["config"]["mediaType"] = "application/vnd.cncf.model.config.v1+json"
    uploader = Uploader(docker_registry.host, f"acme/{workplace.app}")
    for digest, blob in IMAGE.blobs.items():
        uploader.put_blob(digest, blob)
    uploader.put_manifest("1", json.dumps(manifest).encode(), IMAGE.media_type)
    assert_blocked(
        place(docker_registry), sandbox, "'application/vnd.cncf.model.config.v1+json'", "name a container image"
    )


def assert_arrives(workplace: Workplace, sandbox: RunningSandbox, source: str, skopeo: Skopeo) -> None:
    """The tag's image manifests and all that they refer to are at the sandbox as they are at `source`."""
    workplace.apply()
    there = f"{sandbox.host}/{workplace.app}/worker:1"
    raw = skopeo.inspect_raw(source)
    assert skopeo.inspect_raw(there, sandbox.credentials) == raw
    body = json.loads(raw)
    uploader = Uploader(sandbox.host, f"{workplace.app}/worker", sandbox.credentials)
    for entry in body.get("manifests", []):
        answer = uploader.request("GET", f"/v2/{workplace.app}/worker/manifests/{entry['digest']}")
        assert (digest_of(answer.body), answer.headers["content-type"]) == (entry["digest"], entry["mediaType"])
    for entry in (*body.get("layers", []), *([body["config"]] if "config" in body else [])):
        answer = uploader.request("GET", f"/v2/{workplace.app}/worker/blobs/{entry['digest']}")
        assert digest_of(answer.body) == entry["digest"]
    assert workplace.is_in_sync()


@pytest.mark.parametrize("media", ["oci", "docker"])
@pytest.mark.parametrize("several", [False, True], ids=["image", "index"])
def test_oci_and_docker_media_types_stay(
    place: Place,
    sandbox: RunningSandbox,
    docker_registry: RegistryServer,
    skopeo: Skopeo,
    workplace: Workplace,
    media: Media,
    several: bool,
) -> None:
    images = [build_image({"a": b"1"}, platform=f"linux/{arch}", media=media) for arch in ("amd64", "arm64")]
    image: BuiltImage | BuiltIndex = build_index(images, media=media) if several else images[0]
    push(docker_registry.host, f"acme/{workplace.app}", "1", image)
    source = f"{docker_registry.host}/acme/{workplace.app}:1"
    assert_arrives(place(docker_registry), sandbox, source, skopeo)
    assert json.loads(skopeo.inspect_raw(source))["mediaType"] == image.media_type


def test_what_programs_add_of_their_own_stays_and_so_do_layers_without_compression(
    place: Place, sandbox: RunningSandbox, docker_registry: RegistryServer, skopeo: Skopeo, workplace: Workplace
) -> None:
    layer = gzip.decompress(IMAGE.layers[0])
    manifest = json.loads(IMAGE.manifest)
    manifest["layers"] = [{"mediaType": OCI_LAYER, "digest": digest_of(layer), "size": len(layer)}]
    uploader = Uploader(docker_registry.host, f"acme/{workplace.app}")
    for blob in (layer, IMAGE.config):
        uploader.put_blob(digest_of(blob), blob)
    manifest |= {"annotations": {"org.example.note": "ü"}, "x-unknown": [1, None]}
    uploader.put_manifest("1", json.dumps(manifest, indent="\t", ensure_ascii=False).encode(), IMAGE.media_type)
    assert_arrives(place(docker_registry), sandbox, f"{docker_registry.host}/acme/{workplace.app}:1", skopeo)


@pytest.mark.parametrize("options", [(), ("--oci-empty-base",)], ids=["docker", "oci"])
def test_what_crane_makes_arrives(
    place: Place,
    sandbox: RunningSandbox,
    docker_registry: RegistryServer,
    skopeo: Skopeo,
    crane: Crane,
    workplace: Workplace,
    options: tuple[str, ...],
) -> None:
    source = f"{docker_registry.host}/acme/{workplace.app}"
    crane.append({"a": b"1"}, f"{source}:0", *options)
    crane.append({"b": b"2"}, f"{source}:0", "--base", f"{source}:0")
    crane.mutate(f"{source}:0", f"{source}:1", "--label", "by=crane", "--annotation", "org.example.by=crane")
    assert_arrives(place(docker_registry), sandbox, f"{source}:1", skopeo)


@pytest.mark.parametrize("options", [("--format", "v2s2"), ("--format", "oci"), ZSTD], ids=["docker", "oci", "zstd"])
def test_what_skopeo_makes_of_an_archive_arrives(
    place: Place,
    sandbox: RunningSandbox,
    docker_registry: RegistryServer,
    skopeo: Skopeo,
    workplace: Workplace,
    tmp_path: Path,
    options: tuple[str, ...],
) -> None:
    # skopeo remembers where it put a layer, and takes that again however it is compressed.
    image = build_image({"a": f"{workplace.app} {options}".encode()})
    (tmp_path / "in.tar").write_bytes(docker_archive(image, "worker:dev"))
    source = f"{docker_registry.host}/acme/{workplace.app}:1"
    skopeo.copy(f"docker-archive:{tmp_path / 'in.tar'}", f"docker://{source}", *options)
    (layer,) = json.loads(skopeo.inspect_raw(source))["layers"]
    assert (options == ZSTD) == layer["mediaType"].endswith("zstd")
    assert_arrives(place(docker_registry), sandbox, source, skopeo)
