"""The fixtures themselves: each server with each reader, and the images that tests put there."""

import gzip
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from replsync.errors import ReplsyncError
from replsync.sandbox.server import SandboxOptions
from tests.servers.command import RunReplsync, clean_environment
from tests.servers.docker import DockerDaemon
from tests.servers.hello import hello_binary, native_platform
from tests.servers.images import BuiltImage, Media, build_image, build_index, docker_archive, load_into
from tests.servers.process import REQUIRE_SERVERS, program, running
from tests.servers.push import Uploader, push
from tests.servers.registry import Credentials, RegistryServer, StartRegistry
from tests.servers.sandbox import RunningSandbox, StartSandbox
from tests.servers.skopeo import Skopeo

MEDIA: tuple[Media, ...] = ("oci", "docker")


def hello_image(media: Media = "docker") -> BuiltImage:
    return build_image({"hello": hello_binary()}, platform=native_platform(), entrypoint=["/hello"], media=media)


def test_the_same_arguments_build_the_same_bytes() -> None:
    assert build_image({"b": b"2", "a": b"1"}) == build_image({"a": b"1", "b": b"2"})


def test_an_image_holds_its_files() -> None:
    image = build_image({"etc/greeting": b"hello"})
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(image.layers[0]))) as archive:
        member = archive.extractfile("etc/greeting")
        assert member is not None
        assert member.read() == b"hello"


def test_an_image_on_a_base_shares_its_layers() -> None:
    base = build_image({"a": b"1"})
    image = build_image({"b": b"2"}, base=base)
    assert image.layers[0] == base.layers[0]
    assert len(image.layers) == 2


def test_the_hello_program_runs_without_a_container(tmp_path: Path) -> None:
    program = tmp_path / "hello"
    program.write_bytes(hello_binary("good morning\n"))
    program.chmod(0o755)
    assert subprocess.run([program], capture_output=True, check=True).stdout == b"good morning\n"


@pytest.mark.parametrize("media", MEDIA)
def test_skopeo_reads_the_bytes_pushed_to_docker_registry(
    docker_registry: RegistryServer, skopeo: Skopeo, namespace: str, media: Media
) -> None:
    image = build_image({"a": b"1"}, labels={"who": "tests"}, media=media)
    repository = f"{docker_registry.host}/{namespace}/worker"
    push(docker_registry.host, f"{namespace}/worker", "1.0", image)
    assert skopeo.inspect_raw(f"{repository}:1.0") == image.manifest
    assert skopeo.config(f"{repository}:1.0") == image.config
    assert skopeo.digest(f"{repository}:1.0") == image.digest
    assert skopeo.tags(repository) == ["1.0"]


@pytest.mark.parametrize("media", MEDIA)
def test_skopeo_copies_an_index_with_all_platforms(
    docker_registry: RegistryServer, skopeo: Skopeo, namespace: str, media: Media
) -> None:
    host = docker_registry.host
    images = [build_image({"a": b"1"}, platform=name, media=media) for name in ("linux/amd64", "linux/arm64/v8")]
    index = build_index(images, media=media)
    push(host, f"{namespace}/from", "1.0", index)
    skopeo.copy(f"docker://{host}/{namespace}/from:1.0", f"docker://{host}/{namespace}/to:2.0", "--all")
    assert skopeo.inspect_raw(f"{host}/{namespace}/to:2.0") == index.manifest
    assert skopeo.config(f"{host}/{namespace}/to@{images[1].digest}") == images[1].config


def test_docker_registry_with_sign_in_lets_only_its_user_in(
    start_docker_registry: StartRegistry, skopeo: Skopeo
) -> None:
    server = start_docker_registry(htpasswd=True)
    image = build_image({"a": b"1"})
    push(server.host, "worker", "1.0", image, server.credentials)
    assert skopeo.inspect_raw(f"{server.host}/worker:1.0", server.credentials) == image.manifest
    wrong = Credentials("tester", "wrong")
    for creds in (None, wrong):
        assert Uploader(server.host, "worker", creds).request("GET", "/v2/worker/tags/list").status == 401


def test_docker_registry_deletes_nothing(docker_registry: RegistryServer, namespace: str) -> None:
    uploader = Uploader(docker_registry.host, f"{namespace}/worker")
    digest = uploader.put_image("1.0", build_image({"a": b"1"}))
    assert uploader.request("DELETE", f"/v2/{namespace}/worker/manifests/{digest}").status == 405


def test_two_registries_share_nothing(start_docker_registry: StartRegistry) -> None:
    first, second = start_docker_registry(), start_docker_registry()
    push(first.host, "worker", "1.0", build_image({"a": b"1"}))
    assert Uploader(second.host, "worker").request("GET", "/v2/worker/tags/list").status == 404


@pytest.mark.parametrize("media", MEDIA)
def test_dockerd_pulls_what_was_pushed_and_runs_it(
    docker_registry: RegistryServer, dockerd: DockerDaemon, namespace: str, media: Media
) -> None:
    image = hello_image(media)
    push(docker_registry.host, f"{namespace}/hello", "1.0", image)
    name = f"{docker_registry.host}/{namespace}/hello:1.0"
    dockerd.cli("pull", name)
    assert dockerd.cli("image", "inspect", "--format", "{{.Id}}", name).stdout.strip() == image.config_digest
    assert dockerd.cli("run", "--rm", "--network", "none", name).stdout == "hello from the image\n"


def test_dockerd_loads_an_image_and_pushes_it(
    docker_registry: RegistryServer, dockerd: DockerDaemon, skopeo: Skopeo, namespace: str
) -> None:
    image = hello_image()
    name = f"{docker_registry.host}/{namespace}/hello:dev"
    assert load_into(dockerd, image, name) == image.config_digest
    assert dockerd.cli("image", "inspect", "--format", "{{.Id}}", name).stdout.strip() == image.config_digest
    dockerd.cli("push", name)
    assert json.loads(skopeo.inspect_raw(name))["config"]["digest"] == image.config_digest


def test_dockerd_signs_in_with_its_own_configuration(
    start_docker_registry: StartRegistry, dockerd: DockerDaemon
) -> None:
    server = start_docker_registry(htpasswd=True)
    assert server.credentials is not None
    username, password = server.credentials
    dockerd.cli("login", server.host, "--username", username, "--password-stdin", input=password)
    assert server.host in json.loads((dockerd.config_dir / "config.json").read_text())["auths"]


def test_a_docker_archive_names_its_image() -> None:
    image = hello_image()
    with tarfile.open(fileobj=io.BytesIO(docker_archive(image, "worker:dev"))) as archive:
        table = archive.extractfile("manifest.json")
        assert table is not None
        assert json.load(table)[0]["RepoTags"] == ["worker:dev"]


def test_skopeo_reads_what_was_pushed_to_the_sandbox(sandbox: RunningSandbox, skopeo: Skopeo) -> None:
    image = build_image({"a": b"1"})
    push(sandbox.host, "myapp/worker", "1.0", image, sandbox.credentials)
    assert skopeo.inspect_raw(f"{sandbox.host}/myapp/worker:1.0", sandbox.credentials) == image.manifest
    assert sandbox.answered[-1].path == "/v2/myapp/worker/manifests/1.0"


def test_two_sandboxes_share_nothing(start_sandbox: StartSandbox) -> None:
    first, second = start_sandbox(), start_sandbox()
    push(first.host, "myapp/worker", "1.0", build_image({"a": b"1"}), first.credentials)
    uploader = Uploader(second.host, "myapp/worker", second.credentials)
    assert uploader.request("GET", "/v2/myapp/worker/manifests/1.0").status == 404


def test_a_sandbox_that_can_not_start_fails_with_its_own_error(
    start_sandbox: StartSandbox, sandbox: RunningSandbox
) -> None:
    with pytest.raises(ReplsyncError, match="sandbox"):
        start_sandbox(SandboxOptions(port=int(sandbox.host.rpartition(":")[2])))


def test_a_server_that_dies_fails_the_test_with_the_end_of_its_log(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo no disk left; exit 3"]
    with (
        pytest.raises(pytest.fail.Exception, match=r"(?s)ended with 3:.*no disk left"),
        running(command, tmp_path / "log", lambda: None),
    ):
        pass


def test_a_server_that_is_never_ready_fails_the_test_and_is_stopped(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = ["sh", "-c", f"echo $$ > {pid}; echo waiting for the moon; exec sleep 1000"]
    with (
        pytest.raises(pytest.fail.Exception, match=r"(?s)not ready in time:.*waiting for the moon"),
        running(command, tmp_path / "log", lambda: None, deadline=1),
    ):
        pass
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_a_missing_server_program_leaves_the_test_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRE_SERVERS, raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"no-such-server is not installed \(Debian's package is moon\)"):
        program("no-such-server", "moon")


def test_a_missing_server_program_fails_the_test_where_servers_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRE_SERVERS, "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-server is not installed"):
        program("no-such-server", "moon")


def test_replsync_runs_as_a_process(run_replsync: RunReplsync, tmp_path: Path) -> None:
    done = run_replsync("--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "apply" in done.stdout


def test_a_clean_environment_has_no_configuration_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATED_API_TOKEN", "secret")
    monkeypatch.setenv("DOCKER_CONFIG", "/home/tester/.docker")
    environment = clean_environment(tmp_path, {"REPLICATED_APP": "myapp"})
    assert environment["HOME"] == str(tmp_path)
    assert environment["REPLICATED_APP"] == "myapp"
    assert not {"REPLICATED_API_TOKEN", "DOCKER_CONFIG"} & set(environment)
