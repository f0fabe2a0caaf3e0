"""The engine that pulls, tags and pushes through a Docker daemon."""

import pytest

from replsync.sandbox.server import SandboxOptions
from tests.end_to_end.workplace import Workplace
from tests.servers.docker import DockerDaemon
from tests.servers.hello import hello_binary, native_platform
from tests.servers.images import BuiltImage, build_image, build_index, load_into
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import StartSandbox
from tests.servers.skopeo import Skopeo

DOCKER = ("--engine", "docker")


def hello(text: str, platform: str | None = None) -> BuiltImage:
    return build_image({"hello": hello_binary(text)}, platform=platform or native_platform(), entrypoint=["/hello"])


@pytest.fixture
def workplace(workplace: Workplace, dockerd: DockerDaemon) -> Workplace:
    """A workplace at the tests' own daemon."""
    workplace.env.update(dockerd.env())
    return workplace


def test_images_of_a_registry_and_of_the_daemon_arrive_and_stay(
    workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer, dockerd: DockerDaemon, skopeo: Skopeo
) -> None:
    target = f"{docker_registry.host}/{workplace.app}/worker"
    own, dev = hello("own platform\n"), hello("dev\n")
    other = "linux/arm64" if native_platform() == "linux/amd64" else "linux/amd64"
    push(source.host, "acme/worker", "plain", hello("plain\n"))
    push(source.host, "acme/worker", "index", build_index([hello("other\n", other), own]))
    load_into(dockerd, dev, f"{workplace.app}-worker:dev")
    worker = {
        "name": "worker",
        "source": f"{source.host}/acme/worker",
        "tags": ["plain", "index", {"tag": "dev", "source": f"docker-daemon:{workplace.app}-worker:dev"}],
    }
    workplace.write(docker_registry.host, worker)
    planned = workplace.actions(*DOCKER)
    assert {name: action["after"] for name, action in planned.items()} == {
        "worker:plain": {"kind": "image", "digest": None, "config": hello("plain\n").config_digest, "made_from": None},
        "worker:index": {"kind": "image", "digest": None, "config": own.config_digest, "made_from": None},
        "worker:dev": {"kind": "image", "digest": None, "config": dev.config_digest, "made_from": None},
    }
    workplace.apply(*DOCKER)
    assert workplace.is_in_sync(*DOCKER)
    for tag, image in (("plain", hello("plain\n")), ("index", own), ("dev", dev)):
        assert skopeo.config(f"{target}:{tag}") == image.config


def test_an_index_without_the_daemons_platform_blocks_the_plan(
    workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer
) -> None:
    push(source.host, "acme/worker", "1", build_index([build_image({"a": b"1"}, platform="linux/s390x")]))
    workplace.write(docker_registry.host, {"name": "worker", "source": f"{source.host}/acme/worker", "tags": ["1"]})
    action = workplace.actions(*DOCKER)["worker:1"]
    assert action["kind"] == "blocked"
    assert "linux/s390x" in action["reason"]
    assert "--engine registry" in action["reason"]


def test_an_adopted_digest_is_put_back(workplace: Workplace, docker_registry: RegistryServer, skopeo: Skopeo) -> None:
    one, two = hello("one\n"), hello("two\n")
    for image in (one, two):
        push(docker_registry.host, f"{workplace.app}/worker", "1", image)
    worker = {"name": "worker", "tags": [{"tag": "1", "digest": one.digest}], "mutable": ["1"]}
    workplace.write(docker_registry.host, worker)
    assert workplace.kinds(*DOCKER) == {"worker:1": "update"}
    workplace.apply(*DOCKER)
    assert skopeo.config(f"{docker_registry.host}/{workplace.app}/worker:1") == one.config
    assert workplace.is_in_sync(*DOCKER)


def test_a_tag_that_moves_at_the_source_after_the_plan_is_pulled_by_digest(
    workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer
) -> None:
    one = hello("one\n")
    push(source.host, "acme/worker", "1", one)
    workplace.write(docker_registry.host, {"name": "worker", "source": f"{source.host}/acme/worker", "tags": ["1"]})
    planned = workplace.actions(*DOCKER)["worker:1"]["source"]["reference"]
    assert planned == f"docker://{source.host}/acme/worker@{one.digest}"


def test_the_daemons_own_sign_in_is_used(
    workplace: Workplace, start_sandbox: StartSandbox, dockerd: DockerDaemon, skopeo: Skopeo
) -> None:
    sandbox = start_sandbox(SandboxOptions(password="for docker"))
    dockerd.cli("login", sandbox.host, "--username", "any", "--password-stdin", input="for docker")
    image = hello("signed in\n")
    load_into(dockerd, image, f"{workplace.app}-worker:1")
    workplace.write(sandbox.host, {"name": "worker", "source": f"docker-daemon:{workplace.app}-worker", "tags": ["1"]})
    workplace.apply(*DOCKER)
    assert skopeo.config(f"{sandbox.host}/{workplace.app}/worker:1", sandbox.credentials) == image.config


def test_a_push_that_the_daemon_may_not_do_fails_with_its_next_move(
    workplace: Workplace, start_sandbox: StartSandbox, dockerd: DockerDaemon
) -> None:
    sandbox = start_sandbox(SandboxOptions(password="not for docker"))
    load_into(dockerd, hello("one\n"), f"{workplace.app}-worker:1")
    workplace.write(sandbox.host, {"name": "worker", "source": f"docker-daemon:{workplace.app}-worker", "tags": ["1"]})
    workplace.env["REPLICATED_API_TOKEN"] = "not for docker"
    done = workplace.run("apply", "--auto-approve", *DOCKER)
    assert done.returncode == 6, done.stdout + done.stderr
    assert "sign the daemon's client in with `docker login`" in done.stdout
    assert "not for docker" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
