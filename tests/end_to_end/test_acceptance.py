"""The main job: plan, apply, and plan again finds nothing to do."""

import pytest

from replsync.cli.workspace import token_credential
from replsync.sandbox.server import SandboxOptions
from tests.end_to_end.workplace import Workplace, digests
from tests.servers.docker import DockerDaemon
from tests.servers.hello import hello_binary, native_platform
from tests.servers.images import BuiltImage, BuiltIndex, Media, build_image, build_index, load_into
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox, StartSandbox
from tests.servers.skopeo import Skopeo

# 20 tags in 5 repositories: by digest what comes from a registry, by image ID what comes from the daemon.
MANIFEST = """\
version: 1
app: {app}
registry: {target}
images:
  - name: worker
    source: {source}/acme/worker
    mutable: [latest]
    tags:
      - 1.9
      - 1.10
      - 1.11
      - tag: latest
        source: {source}/acme/worker:1.11
  - name: api
    source: docker://{source}/acme/api
    tags: [1.9, 1.10, 1.11, 2.0]
  - name: web/front
    source: {source}/acme/web
    tags: [1.9, 1.10, 1.11, 2.0]
  - name: tools.migrate
    source: docker-daemon:{app}-migrate
    tags: [1.9, 1.10, 1.11, 2.0]
  - name: hello
    tags:
      - tag: 1.0
        source: {source}/acme/hello:1.0
      - tag: dev
        source: docker-daemon:{app}-hello:dev
      - tag: pinned
        source: {source}/acme/hello
        digest: {pinned}
      - tag: same
        source: {source}/acme/hello:1.0
"""


def image(text: str, media: Media = "oci", platform: str | None = None) -> BuiltImage:
    """A program that says `text`, on a base that all share."""
    base = build_image({"etc/base": b"base" * 1000}, platform=platform or native_platform(), media=media)
    files = {"hello": hello_binary(f"{text}\n")}
    return build_image(files, platform=platform or native_platform(), media=media, entrypoint=["/hello"], base=base)


def index(text: str, media: Media = "oci") -> BuiltIndex:
    return build_index([image(text, media, name) for name in ("linux/amd64", "linux/arm64")], media=media)


def test_twenty_images_from_a_registry_and_the_daemon_arrive_and_stay(
    workplace: Workplace,
    docker_registry: RegistryServer,
    source: RegistryServer,
    dockerd: DockerDaemon,
    skopeo: Skopeo,
) -> None:
    app, target = workplace.app, f"{docker_registry.host}/{workplace.app}"
    workplace.env.update(dockerd.env())
    by_digest: dict[str, bytes] = {}
    by_image_id: dict[str, bytes] = {}

    def in_registry(name: str, tag: str, built: BuiltImage | BuiltIndex) -> None:
        push(source.host, f"acme/{name}", tag, built)

    for tag in ("1.9", "1.10", "1.11", "2.0"):
        worker, api, web = image(f"worker {tag}"), image(f"api {tag}", "docker"), index(f"web {tag}")
        in_registry("worker", tag, worker)
        in_registry("api", tag, api)
        in_registry("web", tag, web)
        migrate = image(f"migrate {tag}", "docker")
        load_into(dockerd, migrate, f"{app}-migrate:{tag}")
        by_digest |= {f"api:{tag}": api.manifest, f"web/front:{tag}": web.manifest}
        by_digest |= {"worker:latest" if tag == "2.0" else f"worker:{tag}": worker.manifest}
        by_image_id[f"tools.migrate:{tag}"] = migrate.config
    by_digest["worker:latest"] = by_digest["worker:1.11"]
    hello, pinned, dev = image("hello 1.0"), index("hello pinned", "docker"), image("hello dev")
    in_registry("hello", "1.0", hello)
    in_registry("hello", "pinned", pinned)
    load_into(dockerd, dev, f"{app}-hello:dev")
    by_digest |= {"hello:1.0": hello.manifest, "hello:same": hello.manifest, "hello:pinned": pinned.manifest}
    by_image_id["hello:dev"] = dev.config
    assert len(by_digest) + len(by_image_id) == 20
    workplace.manifest.write_text(
        MANIFEST.format(app=app, target=docker_registry.host, source=source.host, pinned=pinned.digest)
    )

    planned = workplace.run("plan", "--detailed-exitcode")
    assert planned.returncode == 2, planned.stderr
    assert "Plan: 20 to create." in planned.stdout
    applied = workplace.apply()
    assert "Apply: 20 created." in applied.stdout
    again = workplace.run("plan", "--detailed-exitcode")
    assert again.stdout == "Plan: no changes; 20 unchanged.\n"
    assert again.returncode == 0

    for name, manifest in by_digest.items():
        assert skopeo.inspect_raw(f"{target}/{name}") == manifest
    for name, config in by_image_id.items():
        assert skopeo.config(f"{target}/{name}") == config
    for name, text in {"web/front:1.10": "web 1.10", "tools.migrate:2.0": "migrate 2.0"}.items():
        dockerd.cli("pull", f"{target}/{name}")
        assert dockerd.cli("run", "--rm", "--network", "none", f"{target}/{name}").stdout == f"{text}\n"


def test_the_api_token_signs_in_where_no_other_credential_is_configured(
    workplace: Workplace, start_sandbox: StartSandbox, source: RegistryServer, skopeo: Skopeo
) -> None:
    sandbox = start_sandbox(SandboxOptions(password="api-token"))
    worker = index("worker")
    push(source.host, "acme/worker", "1.10", worker)
    workplace.write(sandbox.host, {"name": "worker", "source": f"{source.host}/acme/worker", "tags": ["1.10"]})
    workplace.env["REPLICATED_API_TOKEN"] = "api-token"
    applied = workplace.apply()
    assert skopeo.inspect_raw(f"{sandbox.host}/{workplace.app}/worker:1.10", sandbox.credentials) == worker.manifest
    assert workplace.is_in_sync()
    assert "api-token" not in applied.stdout + applied.stderr


def test_a_docker_configuration_signs_in_to_source_and_target(
    workplace: Workplace, sandbox: RunningSandbox, start_sandbox: StartSandbox, skopeo: Skopeo
) -> None:
    source = start_sandbox(SandboxOptions(password="another"))
    worker = image("worker")
    push(source.host, "acme/worker", "1.10", worker, source.credentials)
    workplace.sign_in(source, sandbox)
    workplace.write(sandbox.host, {"name": "worker", "source": f"{source.host}/acme/worker", "tags": ["1.10"]})
    workplace.apply()
    assert workplace.is_in_sync()
    tag = f"{sandbox.host}/{workplace.app}/worker:1.10"
    assert digests(skopeo, [tag.rpartition(":")[0]], sandbox.credentials) == {tag: worker.digest}


@pytest.mark.parametrize(
    "registry", ["registry.replicated.com", "replicated.com", "127.0.0.1:5000", "localhost:5000", "[::1]:5000"]
)
def test_the_api_token_is_for_replicated_and_for_this_machine(registry: str) -> None:
    found = token_credential(registry, {"REPLICATED_API_TOKEN": "secret"})
    assert list(found) == [registry]
    assert found[registry].password == "secret"


@pytest.mark.parametrize(
    "registry", ["ghcr.io", "registry.example.com:5000", "replicated.com.example.com", "notreplicated.com", "10.0.0.1"]
)
def test_the_api_token_goes_nowhere_else(registry: str) -> None:
    assert token_credential(registry, {"REPLICATED_API_TOKEN": "secret"}) == {}


def test_without_an_api_token_there_is_no_credential() -> None:
    assert token_credential("registry.replicated.com", {"REPLICATED_API_TOKEN": ""}) == {}
