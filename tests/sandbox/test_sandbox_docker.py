from collections.abc import Iterator

import pytest

from tests.servers.docker import DockerDaemon
from tests.servers.hello import hello_binary, native_platform
from tests.servers.images import build_image, load_into
from tests.servers.sandbox import RunningSandbox

HELLO = build_image(
    {"hello": hello_binary("hello from the sandbox\n")},
    platform=native_platform(),
    media="docker",
    entrypoint=["/hello"],
)


@pytest.fixture
def signed_in(dockerd: DockerDaemon, sandbox: RunningSandbox) -> Iterator[DockerDaemon]:
    """A daemon whose client is signed in to the sandbox."""
    dockerd.cli("login", "--username", "me@example.com", "--password-stdin", sandbox.host, input="sandbox")
    yield dockerd
    dockerd.cli("logout", sandbox.host)


def test_docker_pushes_pulls_and_runs(signed_in: DockerDaemon, sandbox: RunningSandbox, namespace: str) -> None:
    reference = f"{sandbox.host}/{namespace}/stable/worker:1.0"
    image_id = load_into(signed_in, HELLO, reference)
    signed_in.cli("push", reference)
    signed_in.cli("image", "rm", "--force", image_id)
    signed_in.cli("pull", reference)
    assert signed_in.cli("image", "inspect", "--format", "{{.Id}}", reference).stdout.strip() == image_id
    assert signed_in.cli("run", "--rm", "--network", "none", reference).stdout == "hello from the sandbox\n"
    signed_in.cli("image", "rm", reference)


def test_docker_mounts_a_layer_that_it_pushed_before(
    signed_in: DockerDaemon, sandbox: RunningSandbox, namespace: str
) -> None:
    first, second = f"{sandbox.host}/{namespace}/one:1.0", f"{sandbox.host}/{namespace}/two:1.0"
    load_into(signed_in, HELLO, first)
    signed_in.cli("tag", first, second)
    signed_in.cli("push", first)
    assert f"Mounted from {namespace}/one" in signed_in.cli("push", second).stdout
    signed_in.cli("image", "rm", first, second)


def test_docker_is_refused_with_the_wrong_password(dockerd: DockerDaemon, sandbox: RunningSandbox) -> None:
    refused = dockerd.cli("login", "--username", "me", "--password-stdin", sandbox.host, input="wrong", check=False)
    assert refused.returncode != 0
    assert "unknown password" in refused.stderr


def test_docker_pulls_nothing_without_signing_in(
    dockerd: DockerDaemon, sandbox: RunningSandbox, namespace: str
) -> None:
    refused = dockerd.cli("pull", f"{sandbox.host}/{namespace}/worker:1.0", check=False)
    assert refused.returncode != 0
    assert "unauthorized" in refused.stderr or "no basic auth credentials" in refused.stderr
