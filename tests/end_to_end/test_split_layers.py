"""`policy.oversize_layers: split`: what arrives has small layers, and unpacks to the same file system."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.end_to_end.desk import writes
from tests.end_to_end.workplace import Workplace
from tests.layers.overlay import unpacked
from tests.layers.tars import Entry, Storage, directory, entry, link, stored, symlink, tar
from tests.servers.docker import DockerDaemon
from tests.servers.hello import hello_binary, native_platform
from tests.servers.images import BuiltImage, BuiltIndex, Media, build_image, build_index, digest_of, docker_archive
from tests.servers.push import Uploader, push
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox

LIMIT = 1_000_000
SPLIT = {"max_layer_size": "1MB", "oversize_layers": "split"}
TYPES = {
    "plain": "application/vnd.oci.image.layer.v1.tar",
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "gzip members": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "zstd frames": "application/vnd.oci.image.layer.v1.tar+zstd",
}


def files(seed: int, folder: str = "opt", count: int = 8, size: int = 400_000) -> list[Entry]:
    """Files that gzip makes no smaller."""
    return [entry(f"{folder}/{number}", Random(seed + number).randbytes(size), mode=0o640) for number in range(count)]


BASE = tar([directory("opt", 0o755), entry("opt/gone", b"1"), directory("old"), entry("old/a", b"2"), entry("kept")])
UPPER = tar(
    [
        directory("opt", 0o710),
        entry("opt/hello", hello_binary(), mode=0o755),
        *files(1),
        link("opt/again", "opt/0"),
        entry("opt/.wh.gone"),
        directory("old", 0o700),
        entry("old/.wh..wh..opq"),
        *files(20, "old", 3),
        symlink("opt/to", "../old/1"),
        entry("opt/extended", b"x", pax_headers={"SCHILY.xattr.user.note": "kept"}, mtime=1_700_000_000.5),
    ]
)


def image(*layers: bytes, storage: Storage = "gzip", media: Media = "oci", **config: Any) -> BuiltImage:
    """An image of these plain tars."""
    made = build_image({}, media=media, platform=native_platform())
    manifest, inner = json.loads(made.manifest), json.loads(made.config)
    kept = [stored(layer, storage) for layer in layers]
    inner["rootfs"]["diff_ids"] = [digest_of(layer) for layer in layers]
    inner["history"] = [
        {"created_by": "ENV a=b", "empty_layer": True},
        *({"created": "1970-01-01T00:00:00Z", "created_by": f"COPY {number}"} for number in range(len(layers))),
    ]
    inner |= config
    raw = json.dumps(inner).encode()
    media_type = manifest["layers"][0]["mediaType"] if media == "docker" else TYPES[storage]
    manifest["layers"] = [{"mediaType": media_type, "size": len(one), "digest": digest_of(one)} for one in kept]
    manifest["config"] |= {"size": len(raw), "digest": digest_of(raw)}
    manifest["annotations"] = {"kept": "as it is"}
    blobs = {digest_of(one): one for one in (*kept, raw)}
    return BuiltImage(json.dumps(manifest).encode(), made.media_type, raw, blobs, made.platform)


@dataclass
class Place:
    """A manifest for a sandbox, with a source elsewhere."""

    workplace: Workplace
    sandbox: RunningSandbox
    source: RegistryServer

    @property
    def repository(self) -> str:
        return f"{self.workplace.app}/worker"

    def offer(self, image: BuiltImage | BuiltIndex, tag: str = "1") -> None:
        push(self.source.host, self.repository, tag, image)

    def write(self, policy: dict[str, Any] | None = None, source: str | None = None) -> None:
        """A manifest with the tag 1, which comes from the source registry, or from `source`."""
        tag = {"tag": "1", "source": source or f"{self.source.host}/{self.repository}:1"}
        self.workplace.write(self.sandbox.host, {"name": "worker", "tags": [tag]}, policy=policy or SPLIT)

    def action(self, *options: str) -> dict[str, Any]:
        (action,) = self.workplace.actions(*options).values()
        return dict(action)

    def get(self, kind: str, reference: str) -> bytes:
        client = Uploader(self.sandbox.host, self.repository, self.sandbox.credentials)
        accept = {"Accept": ", ".join(("application/vnd.oci.image.manifest.v1+json", *MEDIA))}
        answer = client.request("GET", f"/v2/{self.repository}/{kind}/{reference}", headers=accept)
        assert answer.status == 200, answer.body
        return answer.body

    def pushed(self, reference: str = "1") -> tuple[dict[str, Any], dict[str, Any], list[bytes]]:
        """Image manifest, config and layers of what was pushed."""
        manifest = json.loads(self.get("manifests", reference))
        config = json.loads(self.get("blobs", manifest["config"]["digest"]))
        return manifest, config, [self.get("blobs", layer["digest"]) for layer in manifest["layers"]]


MEDIA = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)


@pytest.fixture
def place(workplace: Workplace, sandbox: RunningSandbox, docker_registry: RegistryServer) -> Place:
    """A place without any image."""
    workplace.sign_in(sandbox)
    return Place(workplace, sandbox, docker_registry)


@pytest.mark.parametrize("storage", TYPES)
def test_a_large_layer_arrives_as_several_and_the_next_plan_has_nothing_to_do(place: Place, storage: Storage) -> None:
    whole = image(BASE, UPPER, storage=storage)
    place.offer(whole)
    place.write()
    action = place.action()
    assert (action["kind"], action["after"]["digest"]) == ("create", None)
    assert action["after"]["made_from"] == f"{whole.digest} split to {LIMIT}"
    (note,) = action["notes"]
    assert "is split into layers of at most 1.0 MB, which takes up to " in note
    place.workplace.apply()
    manifest, config, layers = place.pushed()
    assert [layer["size"] for layer in manifest["layers"]] == [len(layer) for layer in layers]
    assert max(map(len, layers)) <= LIMIT
    assert len(layers) == 1 + 6
    assert manifest["annotations"] == {"kept": "as it is"}
    assert {layer["mediaType"] for layer in manifest["layers"][1:]} == {TYPES["gzip"]}
    plain = [BASE, *(gzip.decompress(layer) for layer in layers[1:])]
    assert config["rootfs"]["diff_ids"] == [digest_of(one) for one in plain]
    assert unpacked(plain) == unpacked([BASE, UPPER])
    assert [entry["created_by"] for entry in config["history"]] == [
        *("ENV a=b", "COPY 0", "COPY 1"),
        *(f"replsync split: part {number} of 6" for number in range(2, 7)),
    ]
    labels = config["config"]["Labels"]
    assert labels.pop("dev.replsync.split.seal")
    assert labels == {
        "dev.replsync.split.source": whole.digest,
        "dev.replsync.split.limit": str(LIMIT),
    }
    assert place.workplace.is_in_sync()


def test_of_an_index_only_the_images_with_large_layers_change(place: Place) -> None:
    small = build_image({"a": b"1"}, platform="linux/arm64")
    index = build_index([image(BASE, UPPER), small])
    place.offer(index)
    place.write()
    place.workplace.apply()
    pushed = json.loads(place.get("manifests", "1"))
    before = json.loads(index.manifest)
    assert pushed["manifests"][1] == before["manifests"][1]
    child = pushed["manifests"][0]
    assert child["platform"] == before["manifests"][0]["platform"]
    assert place.pushed(child["digest"])[1]["config"]["Labels"]["dev.replsync.split.source"] == index.digest
    assert place.workplace.is_in_sync()


def test_a_saved_plan_splits_and_is_applied_once(place: Place) -> None:
    place.offer(image(BASE, UPPER))
    place.write()
    place.workplace.plan("--out", "plan.json")
    done = place.workplace.run("apply", "plan.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert place.workplace.run("apply", "plan.json").stdout.startswith("The plan is already applied")


@pytest.mark.parametrize("large", [True, False])
def test_by_the_lock_alone_a_layer_is_split_if_it_is_large(place: Place, large: bool) -> None:
    whole = image(BASE, UPPER) if large else image(BASE)
    place.offer(whole)
    place.write()
    assert place.workplace.run("lock").returncode == 0
    place.workplace.plan("--locked", "--out", "plan.json")
    done = place.workplace.run("apply", "plan.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(place.pushed()[2]) == (7 if large else 1)
    for options in ((), ("--locked",)):
        assert place.workplace.is_in_sync(*options)


def test_a_file_over_the_limit_fails_by_name_and_size_and_nothing_is_sent(place: Place) -> None:
    place.offer(image(BASE, tar([entry("opt/model.bin", Random(1).randbytes(1_200_000))])))
    place.write()
    done = place.workplace.run("apply", "--auto-approve")
    assert done.returncode == 6, done.stdout
    assert "its file '/opt/model.bin' (1,200,000 bytes) can't be split" in done.stderr + done.stdout
    assert writes(place.sandbox) == []


def test_split_without_a_limit_is_a_fault_of_the_manifest(place: Place) -> None:
    place.write({"oversize_layers": "split"})
    done = place.workplace.run("validate")
    assert done.returncode == 3
    assert "`oversize_layers: split` needs a `max_layer_size`" in done.stderr


@pytest.mark.parametrize("policy", [SPLIT, {"max_layer_size": "1MB"}])
def test_layers_of_an_archive_are_held_to_the_limit_once_they_are_packed(place: Place, policy: dict[str, Any]) -> None:
    whole = image(BASE, UPPER, media="docker")
    (place.workplace.folder / "worker.tar").write_bytes(docker_archive(whole, "worker:1"))
    place.write(policy, "docker-archive:worker.tar")
    action = place.action()
    assert action["kind"] == "create"
    if policy is SPLIT:
        assert "large ones are split" in action["notes"][0]
        place.workplace.apply()
        assert max(map(len, place.pushed()[2])) <= LIMIT
        assert place.workplace.is_in_sync()
    else:
        done = place.workplace.run("apply", "--auto-approve")
        assert done.returncode == 6
        assert "more than policy.max_layer_size, 1,000,000 bytes" in done.stderr + done.stdout
        assert writes(place.sandbox) == []


@pytest.mark.parametrize("source", ["registry", "daemon"])
def test_docker_unpacks_and_runs_the_same(
    place: Place, dockerd: DockerDaemon, namespace: str, source: str, tmp_path: Path
) -> None:
    """With whiteouts over a lower layer, a hard link, an extended attribute and a program that runs."""
    name = f"{namespace}/whole:1"
    whole = image(BASE, UPPER, media="docker", config={"Entrypoint": ["/opt/hello"]})
    archive = tmp_path / "whole.tar"
    archive.write_bytes(docker_archive(whole, name))
    dockerd.cli("load", "--input", str(archive))
    if source == "daemon":
        place.write(source=f"docker-daemon:{name}")
        place.workplace.env.update(DOCKER_HOST=dockerd.host)
    else:
        place.offer(whole)
        place.write()
    place.workplace.apply()
    assert len(place.pushed()[2]) > 5
    assert place.workplace.is_in_sync()
    reference = f"{place.sandbox.host}/{place.repository}:1"
    creds = place.sandbox.credentials
    assert creds
    dockerd.cli("login", "--username", creds[0], "--password-stdin", place.sandbox.host, input=creds[1])
    dockerd.cli("pull", reference)
    assert dockerd.cli("run", "--rm", "--network=none", reference).stdout == "hello from the image\n"
    assert exported(dockerd, reference, tmp_path / "split") == exported(dockerd, name, tmp_path / "whole")


def exported(dockerd: DockerDaemon, image: str, folder: Path) -> dict[str, tuple[object, ...]]:
    """The file system of a container of this image."""
    container = dockerd.cli("create", image).stdout.strip()
    archive = folder.with_suffix(".export")
    dockerd.cli("export", "--output", str(archive), container)
    dockerd.cli("rm", container)
    found = unpacked([archive.read_bytes()])
    return {path: said for path, said in found.items() if path.partition("/")[0] in ("opt", "old", "kept")}


def test_parts_of_an_image_in_the_same_registry_are_sent_and_the_rest_is_mounted(place: Place) -> None:
    whole = image(BASE, UPPER)
    push(place.sandbox.host, f"{place.workplace.app}/source", "1", whole, place.sandbox.credentials)
    place.write(source=f"{place.sandbox.host}/{place.workplace.app}/source:1")
    place.workplace.apply()
    assert unpacked(gzip.decompress(layer) for layer in place.pushed()[2]) == unpacked([BASE, UPPER])
    assert place.workplace.is_in_sync()
