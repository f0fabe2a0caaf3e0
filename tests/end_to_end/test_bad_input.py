"""What goes wrong outside of replsync: each gets a message, its exit code and no traceback, and nothing is written."""

import base64
import json
import shutil
import socket
from collections.abc import Iterator

import pytest

from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Proxy, Reply, error
from tests.end_to_end.workplace import Workplace, assert_refused
from tests.servers.docker import DockerDaemon
from tests.servers.images import build_image, load_into
from tests.servers.push import push
from tests.servers.registry import RegistryServer, StartRegistry
from tests.servers.sandbox import RunningSandbox

IMAGE = build_image({"a": b"1"})
FAULTY = """\
version: 1
app: myapp
images:
  - name: worker
    sorce: ghcr.io/acme/worker
    tags: [1.10, bad tag]
"""


@pytest.fixture
def nobody() -> Iterator[str]:
    """A HOST:PORT that is taken, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def list_worker(workplace: Workplace, target: str, source: str = "ghcr.io") -> None:
    workplace.write(target, {"name": "worker", "source": f"{source}/acme/worker", "tags": ["1"]})


def assert_nothing_was_written(proxy: Proxy) -> None:
    assert {asked.method for asked in proxy.asked} <= {"GET", "HEAD"}


def assert_blocked(workplace: Workplace, *said: str) -> None:
    """Both commands end with 7 and say why, on stdout with the plan."""
    for command in (("plan",), ("apply", "--auto-approve")):
        done = workplace.run(*command)
        assert done.returncode == 7, done.stdout + done.stderr
        for text in said:
            assert text in done.stdout
        assert "1 blocked." in done.stdout
        assert "Traceback" not in done.stderr


# The manifest


@pytest.mark.parametrize("command", ["validate", "plan", "apply"])
def test_no_manifest(workplace: Workplace, command: str) -> None:
    options = ["--auto-approve"] if command == "apply" else []
    done = workplace.run(command, *options)
    assert_refused(done, 3, "read the manifest replicated-images.yaml: there is no such file", "name it with -f")


def test_a_folder_without_a_manifest(workplace: Workplace) -> None:
    done = workplace.run("validate", "-f", workplace.folder)
    assert_refused(done, 3, f"read the manifests of {workplace.folder}: the folder has no YAML file in it")


@pytest.mark.parametrize(
    ("content", "said"), [("", "the file is empty"), ("# later\n", "the file holds only comments")]
)
def test_a_manifest_with_nothing_in_it(workplace: Workplace, content: str, said: str) -> None:
    workplace.manifest.write_text(content)
    done = workplace.run("plan")
    assert done.returncode == 3
    assert f"replicated-images.yaml:1:1: {said}" in done.stderr
    assert "start with" in done.stderr


def test_an_invalid_manifest_shows_each_fault_with_its_line_and_a_caret(workplace: Workplace) -> None:
    workplace.manifest.write_text(FAULTY)
    done = workplace.run("apply", "--auto-approve")
    assert done.returncode == 3
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "replicated-images.yaml:5:5: " in done.stderr
    assert "\n  5 |     sorce: ghcr.io/acme/worker\n    |     ^\n" in done.stderr
    assert "replicated-images.yaml:6:18: " in done.stderr
    assert "2 faults in replicated-images.yaml" in done.stderr


def test_a_valid_manifest_is_counted(workplace: Workplace) -> None:
    list_worker(workplace, "registry.replicated.com")
    done = workplace.run("validate")
    assert done.stdout == "replicated-images.yaml: valid; 1 image, 1 tag, 0 retired\n"
    assert done.returncode == 0


# The application's slug


@pytest.fixture
def without_app(workplace: Workplace, docker_registry: RegistryServer) -> Workplace:
    """A manifest that names no application; its one tag must merely exist, and does in `test-app`."""
    push(docker_registry.host, f"{workplace.app}/worker", "1", IMAGE)
    images = [{"name": "worker", "tags": ["1"]}]
    content = {"version": 1, "registry": docker_registry.host, "images": images}
    workplace.manifest.write_text(json.dumps(content))
    return workplace


def test_no_application_anywhere(without_app: Workplace) -> None:
    done = without_app.run("plan")
    assert_refused(done, 3, "find the application: the manifest names no `app`", "set REPLICATED_APP")


def test_the_application_may_come_from_the_environment(without_app: Workplace) -> None:
    without_app.env["REPLICATED_APP"] = without_app.app
    assert without_app.is_in_sync()


def test_an_application_in_the_environment_that_can_be_none(without_app: Workplace) -> None:
    without_app.env["REPLICATED_APP"] = "My App"
    assert_refused(without_app.run("plan"), 3, "'My App' is not an application's slug")


@pytest.mark.parametrize("name", [".replicated", ".replicated.yaml"])
def test_the_application_may_come_from_the_vendors_file_further_up(without_app: Workplace, name: str) -> None:
    (without_app.folder / name).write_text(f"appSlug: {without_app.app}\n")
    below = without_app.folder / "a" / "b"
    below.mkdir(parents=True)
    shutil.copy(without_app.manifest, below)
    done = without_app.replsync("plan", "--detailed-exitcode", cwd=below)
    assert done.returncode == 0, done.stderr


def test_a_vendors_file_that_is_not_yaml(without_app: Workplace) -> None:
    (without_app.folder / ".replicated").write_text("{")
    assert_refused(without_app.run("plan"), 3, ".replicated can't be read as YAML")


# The target


def test_a_target_that_is_down(workplace: Workplace, nobody: str) -> None:
    list_worker(workplace, nobody)
    assert_refused(workplace.run("plan"), 1, f"reach the registry {nobody}: ", "connection refused")


def test_a_target_that_accepts_and_never_answers(workplace: Workplace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        list_worker(workplace, host)
        done = workplace.run("apply", "--auto-approve", "--timeout", "0.5")
        assert_refused(done, 1, f"reach the registry {host}: ", "no answer in time", "--timeout gives it longer")


@pytest.mark.parametrize(("status", "code"), [(403, 4), (500, 1)])
def test_a_target_that_answers_with_an_error(
    workplace: Workplace, start_proxy: StartProxy, status: int, code: int
) -> None:
    broken = start_proxy(None, lambda _: error(status, "DENIED"))
    list_worker(workplace, broken.host)
    done = workplace.run("apply", "--auto-approve")
    assert_refused(done, code, broken.host, f"the registry answered {status}")
    assert_nothing_was_written(broken)


def test_a_target_that_is_no_registry(workplace: Workplace, start_proxy: StartProxy) -> None:
    web_server = start_proxy(None, lambda _: error(404))
    list_worker(workplace, web_server.host)
    done = workplace.run("apply", "--auto-approve")
    assert_refused(done, 1, "it answers, but not as a registry does", "check `registry` in the manifest")


def test_a_password_that_the_target_refuses(
    workplace: Workplace, start_docker_registry: StartRegistry, start_proxy: StartProxy
) -> None:
    locked = start_proxy(start_docker_registry(htpasswd=True).host)
    auth = base64.b64encode(b"tester:guessed wrong").decode()
    (workplace.folder / "config.json").write_text(json.dumps({"auths": {locked.host: {"auth": auth}}}))
    list_worker(workplace, locked.host)
    done = workplace.run("apply", "--auto-approve", env={"DOCKER_CONFIG": str(workplace.folder)})
    operation = f"list the tags of {locked.host}/{workplace.app}/worker"
    assert_refused(done, 4, f"{operation}: the registry answered 401", "replsync login")
    assert "guessed" not in done.stdout + done.stderr
    assert auth not in done.stdout + done.stderr
    assert_nothing_was_written(locked)


def test_an_api_token_that_the_target_refuses(workplace: Workplace, sandbox: RunningSandbox) -> None:
    list_worker(workplace, sandbox.host)
    done = workplace.run("apply", "--auto-approve", env={"REPLICATED_API_TOKEN": "guessed-wrong"})
    assert_refused(
        done, 4, "was refused with 401; the credential is from $REPLICATED_API_TOKEN", "correct $REPLICATED_API_TOKEN"
    )
    assert "guessed-wrong" not in done.stdout + done.stderr


def test_no_credential_for_a_target_that_wants_one(workplace: Workplace, sandbox: RunningSandbox) -> None:
    list_worker(workplace, sandbox.host)
    done = workplace.run("plan")
    assert_refused(done, 4, f"{sandbox.host} wants a sign-in, and no credential is configured", "replsync login")


def test_a_credential_helper_that_is_missing(workplace: Workplace, sandbox: RunningSandbox) -> None:
    (workplace.folder / "config.json").write_text(json.dumps({"credsStore": "no-such-helper"}))
    list_worker(workplace, sandbox.host)
    done = workplace.run("plan", env={"DOCKER_CONFIG": str(workplace.folder)})
    assert_refused(done, 4, "credential helper 'no-such-helper'", "No such file or directory")


def test_one_tag_of_the_target_that_can_not_be_read_blocks_the_plan(
    workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy
) -> None:
    for tag in ("good", "bad"):
        push(docker_registry.host, f"{workplace.app}/worker", tag, IMAGE)
    target = start_proxy(
        docker_registry.host, lambda asked: error(500) if asked.path.endswith("/manifests/bad") else None
    )
    workplace.write(target.host, {"name": "worker", "tags": ["good", "bad"]})
    done = workplace.run("apply", "--auto-approve")
    assert done.returncode == 7, done.stdout + done.stderr
    assert "/worker:bad\n      the registry's tag can't be read: " in done.stdout
    assert "the registry answered 500" in done.stdout
    assert "1 unchanged, 1 blocked" in done.stdout
    assert_nothing_was_written(target)


# The sources


def test_a_tag_that_the_source_does_not_have(
    workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer
) -> None:
    push(source.host, "acme/worker", "2", IMAGE)
    list_worker(workplace, docker_registry.host, source.host)
    assert_blocked(workplace, f"{source.host}/acme/worker:1: the registry has no such image")


def test_a_source_registry_that_is_down(workplace: Workplace, docker_registry: RegistryServer, nobody: str) -> None:
    list_worker(workplace, docker_registry.host, nobody)
    done = workplace.run("plan")
    assert done.returncode == 7, done.stdout + done.stderr
    assert f"look up {nobody}/acme/worker:1: " in done.stdout


def test_a_source_that_wants_a_sign_in(
    workplace: Workplace, docker_registry: RegistryServer, sandbox: RunningSandbox
) -> None:
    list_worker(workplace, docker_registry.host, sandbox.host)
    assert_blocked(workplace, f"{sandbox.host} wants a sign-in", f"replsync login {sandbox.host}")


def test_a_source_that_is_a_chart(
    workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy
) -> None:
    media_type = "application/vnd.oci.image.manifest.v1+json"
    config = {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": "sha256:" + "0" * 64, "size": 2}
    chart = json.dumps({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": []}).encode()
    charts = start_proxy(None, lambda _: Reply(200, chart, (("Content-Type", media_type),)))
    list_worker(workplace, docker_registry.host, charts.host)
    assert_blocked(workplace, "it is a Helm chart and no container image")


@pytest.fixture
def from_daemon(workplace: Workplace, docker_registry: RegistryServer) -> Workplace:
    workplace.write(docker_registry.host, {"name": "worker", "source": "docker-daemon:worker", "tags": ["dev"]})
    return workplace


def test_a_daemon_that_is_not_running(from_daemon: Workplace, dockerd: DockerDaemon) -> None:
    from_daemon.env["DOCKER_HOST"] = f"unix://{from_daemon.folder}/no.sock"
    assert_blocked(from_daemon, "look up docker-daemon:worker:dev: ", "start Docker, or point DOCKER_HOST at it")


def test_the_docker_engine_without_a_daemon(
    workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer, dockerd: DockerDaemon
) -> None:
    push(source.host, "acme/worker", "1", IMAGE)
    list_worker(workplace, docker_registry.host, source.host)
    done = workplace.run("plan", "--engine", "docker", env={"DOCKER_HOST": f"unix://{workplace.folder}/no.sock"})
    assert done.returncode == 7, done.stdout + done.stderr
    assert "start Docker, or point DOCKER_HOST at it" in done.stdout


def test_no_docker_program(from_daemon: Workplace) -> None:
    from_daemon.env["PATH"] = str(from_daemon.folder)
    assert_blocked(from_daemon, "the `docker` command is not installed", "install Docker's command line")


def test_an_image_that_the_daemon_does_not_have(from_daemon: Workplace, dockerd: DockerDaemon) -> None:
    load_into(dockerd, IMAGE, f"{from_daemon.app}-worker:dev")
    from_daemon.env.update(dockerd.env())
    assert_blocked(from_daemon, "look up docker-daemon:worker:dev: the Docker daemon has no such image")


# The command line


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["plan", "--detailed"], "--detailed"),
        (["plam"], "plam"),
        ([], "Missing command"),
        (["plan", "--format", "xml"], "xml"),
        (["plan", "--engine", "podman"], "podman"),
        (["apply", "--parallelism", "0"], "--parallelism"),
        (["plan", "--timeout", "soon"], "--timeout"),
        (["plan", "surplus"], "surplus"),
    ],
)
def test_a_command_line_that_is_wrong_ends_with_64(workplace: Workplace, args: list[str], said: str) -> None:
    done = workplace.run(*args)
    assert_refused(done, 64, said, "--help")
    assert done.stdout == ""


def test_apply_without_a_terminal_wants_an_approval_beforehand(workplace: Workplace, start_proxy: StartProxy) -> None:
    target = start_proxy(None, lambda _: error(500))
    list_worker(workplace, target.host)
    assert_refused(workplace.run("apply", input="yes\n"), 64, "nobody is there to approve", "apply --auto-approve")
    assert target.asked == []


@pytest.mark.parametrize("epoch", ["9" * 30, "yesterday"])
def test_a_time_that_is_none(workplace: Workplace, docker_registry: RegistryServer, epoch: str) -> None:
    push(docker_registry.host, f"{workplace.app}/worker", "1", IMAGE)
    workplace.write(docker_registry.host, {"name": "worker", "tags": ["1"]})
    done = workplace.run("plan", env={"SOURCE_DATE_EPOCH": epoch})
    assert_refused(done, 3, "SOURCE_DATE_EPOCH")


def test_help_and_version_go_to_stdout(workplace: Workplace) -> None:
    for option in ("--help", "--version"):
        done = workplace.run(option)
        assert (done.returncode, done.stderr) == (0, "")
        assert "replsync" in done.stdout
