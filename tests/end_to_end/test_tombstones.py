"""Retiring a tag and taking it back, with both engines."""

import json

import pytest

from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Asked, error
from tests.end_to_end.workplace import Workplace
from tests.servers.docker import DockerDaemon
from tests.servers.hello import hello_binary, native_platform
from tests.servers.images import BuiltImage, build_image, build_index
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.skopeo import Skopeo

ENGINES = ["registry", "docker"]
REASON = "CVE-2026-1234, use 1.10"
LABEL = "dev.replsync.tombstone"


def hello(text: str) -> BuiltImage:
    return build_image({"hello": hello_binary(text)}, platform=native_platform(), entrypoint=["/hello"], media="docker")


def labels(skopeo: Skopeo, reference: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(skopeo.config(reference))["config"]["Labels"]
    return found


def retire(workplace: Workplace, host: str, reason: str = REASON) -> None:
    workplace.write(host, {"name": "worker", "retired": [{"tag": "1.9", "reason": reason}]})


def list_again(workplace: Workplace, host: str, source: str) -> None:
    workplace.write(host, {"name": "worker", "source": f"{source}/acme/worker", "tags": ["1.9"]})


@pytest.mark.parametrize("engine", ENGINES)
def test_a_tombstone_says_what_it_replaced_and_why_and_whoever_runs_it_reads_it(
    workplace: Workplace, docker_registry: RegistryServer, dockerd: DockerDaemon, skopeo: Skopeo, engine: str
) -> None:
    workplace.env.update(dockerd.env())
    tag = f"{docker_registry.host}/{workplace.app}/worker:1.9"
    old = hello("old\n")
    push(docker_registry.host, f"{workplace.app}/worker", "1.9", old)
    retire(workplace, docker_registry.host)
    assert workplace.kinds("--engine", engine) == {"worker:1.9": "tombstone"}
    workplace.apply("--engine", engine)
    assert labels(skopeo, tag) == {
        LABEL: "1",
        f"{LABEL}.reason": REASON,
        f"{LABEL}.reference": tag,
        f"{LABEL}.replaces": old.digest,
        f"{LABEL}.replaces.media-type": old.media_type,
    }
    for either in ENGINES:
        assert workplace.is_in_sync("--engine", either)
    dockerd.cli("pull", tag)
    run = dockerd.cli("run", "--rm", "--network", "none", tag, check=False)
    assert run.returncode != 0
    assert f"{tag} was retired: {REASON}" in run.stderr


@pytest.mark.parametrize(("first", "second"), [ENGINES, ENGINES[::-1]])
def test_another_reason_writes_the_tombstone_again_and_keeps_the_first_digest(
    workplace: Workplace,
    docker_registry: RegistryServer,
    dockerd: DockerDaemon,
    skopeo: Skopeo,
    first: str,
    second: str,
) -> None:
    workplace.env.update(dockerd.env())
    tag = f"{docker_registry.host}/{workplace.app}/worker:1.9"
    old = hello("old\n")
    push(docker_registry.host, f"{workplace.app}/worker", "1.9", old)
    retire(workplace, docker_registry.host)
    workplace.apply("--engine", first)
    retire(workplace, docker_registry.host, "end of life")
    assert workplace.kinds("--engine", second) == {"worker:1.9": "tombstone"}
    workplace.apply("--engine", second)
    assert labels(skopeo, tag)[f"{LABEL}.reason"] == "end of life"
    assert labels(skopeo, tag)[f"{LABEL}.replaces"] == old.digest


def test_a_tag_that_is_retired_and_not_there_stays_away(
    workplace: Workplace, docker_registry: RegistryServer, skopeo: Skopeo
) -> None:
    push(docker_registry.host, f"{workplace.app}/worker", "1.10", hello("new\n"))
    retire(workplace, docker_registry.host)
    assert workplace.is_in_sync()
    workplace.apply()
    assert skopeo.tags(f"{docker_registry.host}/{workplace.app}/worker") == ["1.10"]


def test_an_image_pushed_over_a_tombstone_is_retired_too(
    workplace: Workplace, docker_registry: RegistryServer, skopeo: Skopeo
) -> None:
    old, newer = hello("old\n"), hello("newer\n")
    push(docker_registry.host, f"{workplace.app}/worker", "1.9", old)
    retire(workplace, docker_registry.host)
    workplace.apply()
    push(docker_registry.host, f"{workplace.app}/worker", "1.9", newer)
    workplace.apply()
    found = labels(skopeo, f"{docker_registry.host}/{workplace.app}/worker:1.9")
    assert found[f"{LABEL}.replaces"] == newer.digest


def test_restoring_puts_the_same_digest_back_and_sends_no_blob(
    workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy, skopeo: Skopeo
) -> None:
    target = start_proxy(docker_registry.host)
    images = [build_image({"a": b"1"}, platform=platform) for platform in ("linux/amd64", "linux/arm64")]
    index = build_index(images)
    push(docker_registry.host, f"{workplace.app}/worker", "1.9", index)
    retire(workplace, target.host)
    workplace.apply()
    workplace.write(target.host, {"name": "worker", "tags": ["1.9"]})
    action = workplace.actions()["worker:1.9"]
    assert action["kind"] == "restore"
    assert action["bytes"]["upload"] == action["bytes"]["mount"] == 0
    target.asked.clear()
    workplace.apply()
    assert skopeo.inspect_raw(f"{target.host}/{workplace.app}/worker:1.9") == index.manifest
    assert [asked for asked in target.asked if asked.method in ("POST", "PATCH")] == []


def test_the_docker_engine_restores_what_the_registry_engine_retired(
    workplace: Workplace, docker_registry: RegistryServer, dockerd: DockerDaemon, skopeo: Skopeo
) -> None:
    workplace.env.update(dockerd.env())
    tag = f"{docker_registry.host}/{workplace.app}/worker:1.9"
    old = hello("old\n")
    push(docker_registry.host, f"{workplace.app}/worker", "1.9", old)
    retire(workplace, docker_registry.host)
    workplace.apply("--engine", "registry")
    workplace.write(docker_registry.host, {"name": "worker", "tags": ["1.9"]})
    assert workplace.kinds("--engine", "docker") == {"worker:1.9": "restore"}
    workplace.apply("--engine", "docker")
    assert skopeo.config(tag) == old.config
    dockerd.cli("pull", tag)
    assert dockerd.cli("run", "--rm", "--network", "none", tag).stdout == "old\n"


def test_the_docker_engine_leaves_an_index_that_was_retired_to_the_registry_engine(
    workplace: Workplace, docker_registry: RegistryServer, dockerd: DockerDaemon
) -> None:
    workplace.env.update(dockerd.env())
    index = build_index([build_image({"a": b"1"}, platform=platform) for platform in ("linux/amd64", "linux/arm64")])
    push(docker_registry.host, f"{workplace.app}/worker", "1.9", index)
    retire(workplace, docker_registry.host)
    workplace.apply("--engine", "docker")
    workplace.write(docker_registry.host, {"name": "worker", "tags": ["1.9"]})
    action = workplace.actions("--engine", "docker")["worker:1.9"]
    assert action["kind"] == "blocked"
    assert "--engine registry" in action["reason"]
    assert workplace.kinds("--engine", "registry") == {"worker:1.9": "restore"}


@pytest.mark.parametrize("engine", ENGINES)
def test_what_the_registry_lost_is_copied_from_the_source_again(
    workplace: Workplace,
    docker_registry: RegistryServer,
    source: RegistryServer,
    dockerd: DockerDaemon,
    start_proxy: StartProxy,
    skopeo: Skopeo,
    engine: str,
) -> None:
    workplace.env.update(dockerd.env())
    old = hello("old\n")
    push(source.host, "acme/worker", "1.9", old)
    push(docker_registry.host, f"{workplace.app}/worker", "1.9", old)
    lost = Asked("GET", f"/v2/{workplace.app}/worker/manifests/{old.digest}")
    forgetful = start_proxy(
        docker_registry.host, lambda asked: error(404, "MANIFEST_UNKNOWN") if asked == lost else None
    )
    retire(workplace, forgetful.host)
    workplace.apply()
    list_again(workplace, forgetful.host, source.host)
    action = workplace.actions("--engine", engine)["worker:1.9"]
    assert action["kind"] == "restore"
    assert action["source"]["reference"].startswith(f"docker://{source.host}/acme/worker")
    workplace.apply("--engine", engine)
    assert skopeo.config(f"{docker_registry.host}/{workplace.app}/worker:1.9") == old.config


def test_an_index_that_lost_one_of_its_images_is_copied_from_the_source_again(
    workplace: Workplace,
    docker_registry: RegistryServer,
    source: RegistryServer,
    start_proxy: StartProxy,
    skopeo: Skopeo,
) -> None:
    images = [build_image({"a": b"1"}, platform=platform) for platform in ("linux/amd64", "linux/arm64")]
    index = build_index(images)
    for host, repository in ((docker_registry.host, f"{workplace.app}/worker"), (source.host, "acme/worker")):
        push(host, repository, "1.9", index)
    lost = Asked("GET", f"/v2/{workplace.app}/worker/manifests/{images[1].digest}")
    unknown = error(404, "MANIFEST_UNKNOWN")
    forgetful = start_proxy(docker_registry.host, lambda asked: unknown if asked == lost else None)
    retire(workplace, forgetful.host)
    workplace.apply()
    list_again(workplace, forgetful.host, source.host)
    assert workplace.actions()["worker:1.9"]["source"]["reference"] == f"docker://{source.host}/acme/worker:1.9"
    workplace.apply()
    assert skopeo.inspect_raw(f"{docker_registry.host}/{workplace.app}/worker:1.9") == index.manifest


def test_what_the_registry_lost_and_no_source_has_blocks_the_plan(
    workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy
) -> None:
    old = hello("old\n")
    push(docker_registry.host, f"{workplace.app}/worker", "1.9", old)
    forgetful = start_proxy(
        docker_registry.host, lambda asked: error(404, "MANIFEST_UNKNOWN") if old.digest in asked.path else None
    )
    retire(workplace, forgetful.host)
    workplace.apply()
    workplace.write(forgetful.host, {"name": "worker", "tags": ["1.9"]})
    action = workplace.actions()["worker:1.9"]
    assert action["kind"] == "blocked"
    assert "add a source" in action["reason"]


def test_a_retired_tag_that_is_listed_with_another_image_gets_that_image(
    workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer, skopeo: Skopeo
) -> None:
    push(docker_registry.host, f"{workplace.app}/worker", "1.9", hello("old\n"))
    fixed = hello("fixed\n")
    push(source.host, "acme/worker", "1.9", fixed)
    retire(workplace, docker_registry.host)
    workplace.apply()
    list_again(workplace, docker_registry.host, source.host)
    workplace.apply()
    assert skopeo.digest(f"{docker_registry.host}/{workplace.app}/worker:1.9") == fixed.digest
