"""Images in files that other programs wrote, from the manifest to the registry."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.desk import writes
from tests.end_to_end.workplace import Workplace, assert_refused
from tests.servers.attested import build_attested
from tests.servers.docker import DockerDaemon
from tests.servers.images import BuiltImage, build_image, build_index, load_into
from tests.servers.layouts import saved, write_layout
from tests.servers.process import built
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox
from tests.servers.skopeo import Skopeo

AMD = build_image({"a": b"1"}, platform="linux/amd64")
ARM = build_image({"b": b"2"}, platform="linux/arm64")
BOTH = build_index([AMD, ARM])
OTHER = build_image({"c": b"3"})


class Place:
    """A manifest with the image `worker` for a sandbox."""

    def __init__(self, workplace: Workplace, sandbox: RunningSandbox) -> None:
        self.workplace = workplace
        self.sandbox = sandbox
        workplace.sign_in(sandbox)

    @property
    def folder(self) -> Path:
        return self.workplace.folder

    def write(self, *tags: Any, **worker: Any) -> None:
        self.workplace.write(self.sandbox.host, {"name": "worker", "tags": tags, **worker})

    def action(self, tag: str = "1") -> dict[str, Any]:
        return dict(self.workplace.actions()[f"worker:{tag}"])

    def name(self, tag: str = "1") -> str:
        return f"{self.sandbox.host}/{self.workplace.app}/worker:{tag}"

    def digest(self, skopeo: Skopeo, tag: str = "1") -> str:
        return skopeo.digest(self.name(tag), self.sandbox.credentials)

    def config(self, skopeo: Skopeo, tag: str = "1") -> bytes:
        return skopeo.config(self.name(tag), self.sandbox.credentials)

    def assert_pushed(self) -> None:
        self.workplace.apply()
        assert self.workplace.is_in_sync()


@pytest.fixture
def place(workplace: Workplace, sandbox: RunningSandbox) -> Place:
    return Place(workplace, sandbox)


@pytest.fixture
def upstream(docker_registry: RegistryServer, namespace: str) -> Callable[[Any], str]:
    """Pushes an image for other programs to take, and names it."""

    def pushed(image: Any) -> str:
        push(docker_registry.host, f"{namespace}/up", "1", image)
        return f"{docker_registry.host}/{namespace}/up:1"

    return pushed


@pytest.mark.parametrize("transport", ["oci:dist", "oci-archive:dist.tar"])
@pytest.mark.parametrize("image", [AMD, BOTH], ids=["image", "index"])
def test_what_skopeo_wrote_is_pushed_to_the_byte(
    place: Place, skopeo: Skopeo, upstream: Callable[[Any], str], transport: str, image: Any
) -> None:
    kind, _, path = transport.partition(":")
    skopeo.copy(f"docker://{upstream(image)}", f"{kind}:{place.folder / path}:worker:1", "--all", "--preserve-digests")
    place.write({"tag": "1", "source": transport})
    action = place.action()
    assert (action["kind"], action["after"]["digest"]) == ("create", image.digest)
    assert action["source"]["reference"] == transport
    place.assert_pushed()
    assert place.digest(skopeo) == image.digest


def test_what_skopeo_saved_is_pushed(place: Place, skopeo: Skopeo, upstream: Callable[[Any], str]) -> None:
    skopeo.copy(f"docker://{upstream(AMD)}", f"docker-archive:{place.folder / 'dist.tar'}:acme/worker:1")
    place.write({"tag": "1", "source": "docker-archive:dist.tar"})
    action = place.action()
    assert (action["kind"], action["after"]["digest"], action["after"]["config"]) == ("create", None, AMD.config_digest)
    place.assert_pushed()
    assert place.config(skopeo) == AMD.config


def test_one_image_of_docker_save_is_pushed(place: Place, skopeo: Skopeo, dockerd: DockerDaemon) -> None:
    name = f"{place.workplace.app}/saved:dev"
    load_into(dockerd, AMD, name)
    dockerd.cli("save", "--output", str(place.folder / "saved.tar"), name)
    place.write(
        {"tag": "1", "source": "docker-archive:saved.tar"}, {"tag": "2", "source": f"docker-archive:saved.tar:{name}"}
    )
    assert place.action("1")["after"]["config"] == place.action("2")["after"]["config"] == AMD.config_digest
    place.assert_pushed()
    assert place.config(skopeo, "1") == place.config(skopeo, "2") == AMD.config


def test_several_images_of_docker_save_are_pushed_by_their_names(
    place: Place, skopeo: Skopeo, dockerd: DockerDaemon
) -> None:
    base = f"{place.workplace.app}/several"
    for tag, image in (("1", AMD), ("2", OTHER)):
        load_into(dockerd, image, f"{base}:{tag}")
    dockerd.cli("save", "--output", str(place.folder / "all.tar"), f"{base}:1", f"{base}:2")
    place.write("1", "2", source=f"docker-archive:all.tar:{base}")
    place.assert_pushed()
    assert (place.config(skopeo, "1"), place.config(skopeo, "2")) == (AMD.config, OTHER.config)
    place.write({"tag": "3", "source": "docker-archive:all.tar"})
    planned = place.workplace.run("plan")
    assert planned.returncode == 7
    assert "it has 2 images, so that one must be named" in planned.stdout


@pytest.mark.parametrize("transport", ["oci", "docker-archive"])
def test_what_crane_pulled_is_pushed(
    place: Place, skopeo: Skopeo, upstream: Callable[[Any], str], transport: str
) -> None:
    form = "oci" if transport == "oci" else "tarball"
    crane(place, "pull", f"--format={form}", upstream(AMD), str(place.folder / "pulled"))
    place.write({"tag": "1", "source": f"{transport}:pulled"})
    place.assert_pushed()
    assert place.config(skopeo) == AMD.config
    if transport == "oci":
        assert place.digest(skopeo) == AMD.digest


def test_what_regctl_exported_is_pushed(place: Place, skopeo: Skopeo, upstream: Callable[[Any], str]) -> None:
    source = upstream(BOTH)
    run(place, "regctl", "registry", "set", "--tls", "disabled", source.partition("/")[0])
    run(place, "regctl", "image", "export", source, str(place.folder / "exported.tar"))
    place.write({"tag": "1", "source": "oci-archive:exported.tar"})
    place.assert_pushed()
    assert place.digest(skopeo) == BOTH.digest


def crane(place: Place, *args: str) -> None:
    run(place, "crane", "--insecure", *args)


def run(place: Place, program: str, *args: str) -> None:
    done = subprocess.run(
        [built(program), *args],
        env={"HOME": str(place.folder), "DOCKER_CONFIG": str(place.folder / "none"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_each_tag_is_looked_up_in_the_layout_by_its_name(place: Place, skopeo: Skopeo) -> None:
    write_layout(place.folder / "dist", {"1": AMD, "docker.io/acme/worker:2": OTHER})
    place.write("1", "2", "3", source="oci:dist")
    actions = place.workplace.actions()
    assert actions["worker:3"]["kind"] == "blocked"
    assert "it has no image '3'; there are '1', 'docker.io/acme/worker:2'" in actions["worker:3"]["reason"]
    place.write("1", "2", source="oci:dist")
    place.assert_pushed()
    assert (place.digest(skopeo, "1"), place.digest(skopeo, "2")) == (AMD.digest, OTHER.digest)


def test_a_path_starts_from_the_manifests_folder(place: Place, skopeo: Skopeo) -> None:
    inner = place.folder / "with blank"
    write_layout(inner / "dist", {None: AMD})
    write_layout(place.folder / "beside", {None: OTHER})
    place.write({"tag": "1", "source": "oci:dist"}, {"tag": "2", "source": "oci:../beside"})
    place.workplace.manifest.rename(inner / "images.yaml")
    plan = ("-f", "with blank/images.yaml")
    assert place.workplace.run("lock", *plan).returncode == 0
    assert f"oci:../beside: {OTHER.digest}" in (inner / "images.lock.yaml").read_text()
    assert place.workplace.run("plan", *plan, "--locked", "--out", "plan.json").returncode == 0
    applied = place.workplace.run("apply", "plan.json", env={})
    assert applied.returncode == 0, applied.stderr
    assert (place.digest(skopeo, "1"), place.digest(skopeo, "2")) == (AMD.digest, OTHER.digest)
    assert place.workplace.run("lock", "--check", *plan).returncode == 0


def put(place: Place, kind: str, image: BuiltImage) -> None:
    """Write `image` to the file, or folder, `dist`."""
    if kind == "oci":
        write_layout(place.folder / "dist", {"1": image})
    else:
        (place.folder / "dist").write_bytes(saved({"acme/worker:1": image}))


@pytest.mark.parametrize("kind", ["oci", "docker-archive"])
def test_a_saved_plan_refuses_a_file_that_is_another_image_by_now(place: Place, kind: str) -> None:
    put(place, kind, AMD)
    place.write({"tag": "1", "source": f"{kind}:dist"})
    assert place.workplace.run("plan", "--out", "plan.json").returncode == 0
    put(place, kind, OTHER)
    refused = place.workplace.run("apply", "plan.json")
    assert_refused(refused, 5, "another image")
    assert writes(place.sandbox) == []


@pytest.mark.parametrize("kind", ["oci", "docker-archive"])
def test_a_locked_file_is_what_the_lock_says_or_the_tag_is_blocked(place: Place, kind: str) -> None:
    put(place, kind, AMD)
    place.write({"tag": "1", "source": f"{kind}:dist"})
    unlocked = place.workplace.run("plan", "--locked")
    assert unlocked.returncode != 0
    assert place.workplace.run("lock").returncode == 0
    locked = (place.folder / "replicated-images.lock.yaml").read_text()
    assert f"{kind}:dist: {AMD.digest if kind == 'oci' else AMD.config_digest}" in locked
    put(place, kind, OTHER)
    for option in ((), ("--locked",)):
        (action,) = place.workplace.actions(*option).values()
        assert action["kind"] == "blocked"
        assert "another image" in action["reason"]
        assert "replsync lock --upgrade IMAGE:TAG" in action["reason"]
    assert place.workplace.run("lock", "--check").returncode == 2
    put(place, kind, AMD)
    place.workplace.apply("--locked")
    assert place.workplace.is_in_sync("--locked")


@pytest.mark.parametrize("source", ["oci:dist", "docker-archive:dist.tar"])
def test_a_locked_file_is_still_held_against_the_platforms(place: Place, source: str) -> None:
    write_layout(place.folder / "dist", {None: AMD})
    (place.folder / "dist.tar").write_bytes(saved({"acme/worker:1": AMD}))
    tag = {"tag": "1", "source": source}
    place.write(tag)
    assert place.workplace.run("lock").returncode == 0
    place.write(tag, platforms=["linux/arm64"])
    (action,) = place.workplace.actions("--locked").values()
    assert action["kind"] == "blocked"
    assert "it has no image for linux/arm64; it has linux/amd64" in action["reason"]


def test_a_file_is_not_needed_once_its_locked_image_is_in_place(place: Place) -> None:
    write_layout(place.folder / "dist", {None: AMD})
    place.write({"tag": "1", "source": "oci:dist"})
    place.workplace.run("lock")
    place.workplace.apply()
    (place.folder / "dist").rename(place.folder / "gone")
    assert place.workplace.is_in_sync()


@pytest.mark.parametrize("source", ["oci:dist", "docker-archive:dist.tar"])
def test_the_docker_engine_pushes_no_files(place: Place, dockerd: DockerDaemon, source: str) -> None:
    place.write({"tag": "1", "source": source})
    place.workplace.env.update(dockerd.env())
    place.workplace.sign_in(place.sandbox)
    (action,) = place.workplace.actions("--engine", "docker").values()
    assert action["kind"] == "blocked"
    assert "use --engine registry" in action["reason"]


def test_a_damaged_layer_is_told_and_its_tag_left_alone(place: Place) -> None:
    write_layout(place.folder / "dist", {None: AMD})
    layer = json.loads(AMD.manifest)["layers"][0]
    file = place.folder / "dist" / "blobs" / layer["digest"].replace(":", "/")
    file.write_bytes(bytes(layer["size"]))
    place.write({"tag": "1", "source": "oci:dist"})
    applied = place.workplace.run("apply", "--auto-approve")
    assert applied.returncode == 6, applied.stdout
    assert "its bytes are not those of its digest" in applied.stdout + applied.stderr
    assert "Traceback" not in applied.stderr


def test_two_manifests_each_have_files_beside_them(place: Place, skopeo: Skopeo) -> None:
    for name, image in (("a", AMD), ("b", OTHER)):
        write_layout(place.folder / name / "dist", {None: image})
        place.write({"tag": "1", "source": "oci:dist"})
        content = json.loads(place.workplace.manifest.read_text())
        content["images"][0]["name"] = name
        (place.folder / name / "images.yaml").write_text(json.dumps(content))
    both = ("-f", "a/images.yaml", "-f", "b/images.yaml")
    place.workplace.apply(*both)
    assert place.workplace.is_in_sync(*both)
    for name, image in (("a", AMD), ("b", OTHER)):
        pushed = f"{place.sandbox.host}/{place.workplace.app}/{name}:1"
        assert skopeo.digest(pushed, place.sandbox.credentials) == image.digest


def test_attestations_in_a_layout_are_stripped(place: Place, skopeo: Skopeo) -> None:
    attested = build_attested([AMD, ARM])
    write_layout(place.folder / "dist", {"1": attested})
    place.write("1", source="oci:dist", platforms=["linux/arm64"])
    action = place.action()
    assert action["source"]["digest"] == attested.digest
    assert action["after"]["digest"] == attested.images[1].digest
    assert place.workplace.run("plan", "--out", "plan.json").returncode == 0
    assert place.workplace.run("apply", "plan.json").returncode == 0
    assert place.workplace.is_in_sync()
    assert place.digest(skopeo) == attested.images[1].digest


def test_a_retired_tag_of_a_file_can_be_restored(place: Place, skopeo: Skopeo) -> None:
    (place.folder / "all.tar").write_bytes(saved({"acme/worker:1": AMD, "acme/worker:2": OTHER}))
    place.write("1", "2", source="docker-archive:all.tar:acme/worker")
    place.assert_pushed()
    before = place.digest(skopeo)
    retired = place.workplace.run("retire", "worker:1", "--reason", "old", "--auto-approve")
    assert retired.returncode == 0, retired.stderr
    restored = place.workplace.run("restore", "worker:1", "--auto-approve")
    assert restored.returncode == 0, restored.stderr
    assert place.digest(skopeo) == before
    assert place.workplace.is_in_sync()


def test_what_is_no_archive_blocks_with_a_next_move(place: Place) -> None:
    (place.folder / "text.tar").write_text("no tar" * 500)
    place.write(
        {"tag": "1", "source": "oci:missing"},
        {"tag": "2", "source": "oci-archive:text.tar"},
        {"tag": "3", "source": "docker-archive:text.tar:worker"},
    )
    planned = place.workplace.run("plan")
    assert planned.returncode == 7
    assert "read missing: No such file or directory\n      next: check the source's path" in planned.stdout
    assert "oci-archive:text.tar: it is no tar" in planned.stdout
    assert "docker-archive:text.tar:docker.io/library/worker:3: it is no tar" in planned.stdout
    assert "Traceback" not in planned.stdout + planned.stderr
