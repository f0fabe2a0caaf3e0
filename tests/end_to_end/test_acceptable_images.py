"""Images that the registry refuses or cuts off arrive there all the same, and are the same when they run.

The sandbox has the real registry's limits, and the first tests show that they are real. The layer is small, and
so are the limits, so that it takes seconds; with REPLSYNC_REAL_SIZES=1 in the environment it has 3 GB, and the
limits are those of the real one.
"""

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from replsync.sandbox import Limits, SandboxOptions
from tests.end_to_end.workplace import Workplace
from tests.servers.attested import FORMS, Form, build_attested
from tests.servers.command import clean_environment, replsync_command
from tests.servers.docker import DockerDaemon
from tests.servers.hello import hello_binary, native_platform
from tests.servers.images import BuiltImage, BuiltIndex, build_image
from tests.servers.large import Large, write_large
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox, StartSandbox
from tests.servers.skopeo import Skopeo

REAL = os.environ.get("REPLSYNC_REAL_SIZES") == "1"
# Bytes of the layer and of each file in it, and of one request at most; and policy.max_layer_size.
LAYER, FILE = (3_000_000_000, 200_000_000) if REAL else (100_000_000, 7_000_000)
CUT_OFF, MAX_LAYER, MAX_LAYER_TEXT = (
    (2_000_000_000, 1_900_000_000, "1.9GB") if REAL else (30_000_000, 20_000_000, "20MB")
)
_LIMIT = 3600 if REAL else 110  # seconds for one run of replsync

pytestmark = pytest.mark.timeout(2 * 3600 if REAL else 240)

# What Docker puts into every container by itself, with the time at which it did.
_OF_DOCKER = {
    *(".dockerenv", "dev", "dev/console", "dev/pts", "dev/shm", "proc", "sys"),
    *("etc", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"),
}


GREETING = "hello from under many files\n"
HELLO = build_image(
    {"hello": hello_binary("hello with provenance\n"), "settings": b"1"},
    platform=native_platform(),
    entrypoint=["/hello"],
)


@dataclass(frozen=True)
class Place:
    """The images `attested:1` and `large:1` at a source, and a manifest that wants both at a sandbox with limits."""

    workplace: Workplace
    source: RegistryServer
    sandbox: RunningSandbox

    def at_source(self, name: str) -> str:
        return f"{self.source.host}/{self.workplace.app}/{name}:1"

    def at_sandbox(self, name: str) -> str:
        return f"{self.sandbox.host}/{self.workplace.app}/{name}:1"

    def write(self, *names: str) -> None:
        images = [{"name": name, "source": self.at_source(name).removesuffix(":1"), "tags": ["1"]} for name in names]
        policy = {"max_layer_size": MAX_LAYER_TEXT, "oversize_layers": "split"}
        self.workplace.write(self.sandbox.host, *images, policy=policy)

    def offer(self, name: str, image: BuiltImage | BuiltIndex) -> None:
        push(self.source.host, f"{self.workplace.app}/{name}", "1", image)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Large:
    """An image whose upper layer is over the limits, and made of files that aren't."""
    return write_large(tmp_path_factory.mktemp("large") / "layout", LAYER, FILE, GREETING)


@pytest.fixture
def place(tmp_path: Path, namespace: str, docker_registry: RegistryServer, start_sandbox: StartSandbox) -> Place:
    sandbox = start_sandbox(SandboxOptions(limits=Limits(refuse_attestations=True, cut_off_size=CUT_OFF)))
    workplace = Workplace(tmp_path, namespace, _run)
    workplace.sign_in(sandbox)
    return Place(workplace, docker_registry, sandbox)


def _run(
    *args: str | Path, cwd: Path, env: Mapping[str, str] | None = None, input: str | None = None
) -> CompletedProcess[str]:
    command, own = replsync_command(*args), clean_environment(cwd, env)
    return subprocess.run(command, cwd=cwd, env=own, input=input, capture_output=True, text=True, timeout=_LIMIT)


@pytest.fixture
def docker(dockerd: DockerDaemon, place: Place) -> Iterator[DockerDaemon]:
    """The daemon, signed in to the sandbox; what it pulled is gone afterwards."""
    creds = place.sandbox.credentials
    dockerd.cli("login", "--username", creds.username, "--password-stdin", place.sandbox.host, input=creds.password)
    yield dockerd
    dockerd.cli("logout", place.sandbox.host)
    names = [name(image) for image in ("attested", "large") for name in (place.at_source, place.at_sandbox)]
    dockerd.cli("image", "rm", "--force", *names, check=False)


def file_system(docker: DockerDaemon, reference: str) -> dict[str, tuple[object, ...]]:
    """What is in a container of the image, by name: all that `docker export` says of it."""
    container = docker.cli("create", "--network", "none", reference).stdout.strip()
    found = {}
    export = [docker.program, "export", container]
    with subprocess.Popen(export, env=os.environ | docker.env(), stdout=subprocess.PIPE) as process:
        assert process.stdout
        with tarfile.open(mode="r|", fileobj=process.stdout) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                digest = hashlib.file_digest(content, "sha256").hexdigest() if content else None  # type: ignore[arg-type] # a member is a file, too
                owner, device = (member.uid, member.gid), (member.devmajor, member.devminor)
                found[member.name] = (
                    *(member.type, member.mode, owner, member.mtime, member.size, member.linkname, device, digest),
                    {key: value for key, value in member.pax_headers.items() if key.startswith("SCHILY.xattr.")},
                )
        process.stdout.read()
    assert process.returncode == 0
    docker.cli("rm", container)
    return {name: said for name, said in found.items() if name not in _OF_DOCKER}


def assert_same_when_it_runs(
    docker: DockerDaemon, place: Place, name: str, greeting: str
) -> dict[str, tuple[object, ...]]:
    """Docker pulls both, and they greet and look the same inside, which is returned."""
    for reference in (place.at_source(name), place.at_sandbox(name)):
        docker.cli("pull", reference)
        assert docker.cli("run", "--rm", "--network", "none", reference).stdout == greeting
    before, after = (file_system(docker, one) for one in (place.at_source(name), place.at_sandbox(name)))
    assert after == before
    return after


def layer_sizes(place: Place, skopeo: Skopeo, name: str) -> list[int]:
    """Bytes of each layer at the sandbox."""
    body = json.loads(skopeo.inspect_raw(place.at_sandbox(name), place.sandbox.credentials))
    return [layer["size"] for layer in body["layers"]]


def statuses(place: Place) -> set[int]:
    return {one.status for one in place.sandbox.answered}


@pytest.mark.parametrize("form", FORMS)
def test_without_replsync_provenance_is_answered_400(place: Place, skopeo: Skopeo, form: Form) -> None:
    place.offer("attested", build_attested([HELLO], form))
    done = skopeo.try_copy(
        f"docker://{place.at_source('attested')}",
        f"docker://{place.at_sandbox('attested')}",
        "--all",
        target_creds=place.sandbox.credentials,
    )
    assert done.returncode
    assert "manifest invalid" in done.stderr.decode()
    assert 400 in statuses(place)


def test_without_replsync_the_large_layer_is_answered_524(place: Place, skopeo: Skopeo, large: Large) -> None:
    there = f"docker://{place.at_sandbox('large')}"
    done = skopeo.try_copy(large.layout, there, target_creds=place.sandbox.credentials)
    assert done.returncode
    assert "524" in done.stderr.decode()
    assert 524 in statuses(place)


def test_both_arrive_and_are_the_same_when_they_run(
    place: Place, docker: DockerDaemon, skopeo: Skopeo, large: Large
) -> None:
    assert max(large.layers) > CUT_OFF > MAX_LAYER
    skopeo.copy(large.layout, f"docker://{place.at_source('large')}")
    place.offer("attested", build_attested([HELLO]))
    place.write("attested", "large")
    done = place.workplace.apply()
    assert "2 created" in done.stdout
    assert place.workplace.is_in_sync()
    assert statuses(place).isdisjoint({400, 524})
    assert all(size <= MAX_LAYER for size in layer_sizes(place, skopeo, "large"))
    assert_same_when_it_runs(docker, place, "attested", "hello with provenance\n")
    inside = assert_same_when_it_runs(docker, place, "large", GREETING)
    # What the layer takes away is away, and what it adds is there: the comparison compares something.
    assert inside.keys().isdisjoint({"old/gone", "hidden/below"})
    assert inside.keys() >= {"hello", "old/kept", "hidden/above", "data/pipe", "data/sub/same-as-file-0000"}


def test_a_large_image_with_provenance_is_stripped_and_split(place: Place, skopeo: Skopeo, large: Large) -> None:
    skopeo.copy(large.layout, f"docker://{place.at_source('large')}")
    manifest = skopeo.inspect_raw(place.at_source("large"))
    # Its blobs are there already.
    image = BuiltImage(manifest, "application/vnd.oci.image.manifest.v1+json", b"", {}, native_platform())
    place.offer("large", build_attested([image]))
    place.write("large")
    (action,) = place.workplace.actions().values()
    assert "1 attestation is stripped" in action["notes"]
    assert "1 created" in place.workplace.apply().stdout
    assert place.workplace.is_in_sync()
    assert statuses(place).isdisjoint({400, 524})
    assert all(size <= MAX_LAYER for size in layer_sizes(place, skopeo, "large"))
