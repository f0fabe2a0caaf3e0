"""Stopping a run: nothing is half-made, the message says how to go on, and the next run does."""

import contextlib
import random
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Hold
from tests.end_to_end.terminal import terminal
from tests.end_to_end.workplace import Workplace
from tests.servers.command import clean_environment, replsync_command
from tests.servers.docker import DockerDaemon
from tests.servers.images import build_image, digest_of
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.skopeo import Skopeo

_DEADLINE = 60  # seconds
SMALL = build_image({"small": b"small"})
# Bytes that don't compress: more than the buffers on the way can hold.
LARGE, ANOTHER = (build_image({"large": random.Random(seed).randbytes(16_000_000)}) for seed in (1, 2))
GO_ON = (
    "replsync: interrupted\n"
    "  next: no tag is half-made: run the same command again to go on\n"
    "  more: replsync explain interrupted\n"
)


# Becomes the command, with the given reaction to SIGINT: it is inherited, and pytest's own may be either.
_WITH_SIGINT = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.Handlers[sys.argv[1]]); "
    "os.execvp(sys.argv[2], sys.argv[2:])"
)


@contextlib.contextmanager
def started(workplace: Workplace, *args: str, sigint: str = "SIG_DFL") -> Iterator[subprocess.Popen[str]]:
    """replsync as a process that is still running."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WITH_SIGINT, sigint, *replsync_command(*args)],
        cwd=workplace.folder,
        env=clean_environment(workplace.folder, workplace.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_transfer_that_is_interrupted_leaves_no_tag_and_the_next_run_goes_on(
    workplace: Workplace,
    docker_registry: RegistryServer,
    source: RegistryServer,
    start_proxy: StartProxy,
    skopeo: Skopeo,
    number: signal.Signals,
) -> None:
    slow = start_proxy(source.host)
    push(source.host, "acme/worker", "large", LARGE)
    push(source.host, "acme/worker", "small", SMALL)
    push(docker_registry.host, f"{workplace.app}/worker", "before", SMALL)
    worker = {"name": "worker", "source": f"{slow.host}/acme/worker", "tags": ["large", "small"]}
    workplace.write(docker_registry.host, worker, unlisted="ignore")
    hold, layer = Hold(), digest_of(LARGE.layers[0])
    slow.script = lambda asked: hold if layer in asked.path else None
    with started(workplace, "apply", "--auto-approve") as process:
        assert hold.reached.wait(_DEADLINE)
        process.send_signal(number)
        _, said = process.communicate(timeout=_DEADLINE)
    hold.go_on.set()
    assert process.returncode == 130
    assert said.endswith(GO_ON)
    assert "Traceback" not in said
    assert "large" not in skopeo.tags(f"{docker_registry.host}/{workplace.app}/worker")

    slow.script = lambda _: None
    workplace.apply()
    assert skopeo.digest(f"{docker_registry.host}/{workplace.app}/worker:large") == LARGE.digest
    assert workplace.is_in_sync()


@pytest.mark.parametrize(
    ("number", "sigint"),
    [(signal.SIGINT, "SIG_DFL"), (signal.SIGTERM, "SIG_IGN")],
    ids=["Ctrl-C", "SIGTERM to a background job"],
)
def test_a_plan_that_is_interrupted_says_so(
    workplace: Workplace,
    docker_registry: RegistryServer,
    start_proxy: StartProxy,
    number: signal.Signals,
    sigint: str,
) -> None:
    hold = Hold()
    slow = start_proxy(docker_registry.host, lambda _: hold)
    workplace.write(slow.host, {"name": "worker", "tags": ["1"]})
    with started(workplace, "plan", sigint=sigint) as process:
        assert hold.reached.wait(_DEADLINE)
        process.send_signal(number)
        out, said = process.communicate(timeout=_DEADLINE)
    hold.go_on.set()
    assert (process.returncode, out, said) == (130, "", GO_ON)


def test_ctrl_c_in_place_of_an_approval_writes_nothing(
    workplace: Workplace, docker_registry: RegistryServer, skopeo: Skopeo
) -> None:
    push(docker_registry.host, f"{workplace.app}/worker", "1", SMALL)
    workplace.write(docker_registry.host, {"name": "worker", "retired": [{"tag": "1", "reason": "old"}]})
    environment = clean_environment(workplace.folder)
    with terminal(replsync_command("apply"), workplace.folder, environment) as shown:
        shown.wait_for("Type yes to carry this out: ")
        shown.press_ctrl_c()
        assert shown.ended() == 130
    assert shown.output.endswith(GO_ON)
    assert skopeo.digest(f"{docker_registry.host}/{workplace.app}/worker:1") == SMALL.digest


def test_ctrl_c_at_a_terminal_ends_a_transfer_under_its_display(
    workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer, start_proxy: StartProxy
) -> None:
    slow = start_proxy(source.host)
    push(source.host, "acme/worker", "large", LARGE)
    workplace.write(docker_registry.host, {"name": "worker", "source": f"{slow.host}/acme/worker", "tags": ["large"]})
    hold, layer = Hold(), digest_of(LARGE.layers[0])
    slow.script = lambda asked: hold if layer in asked.path else None
    environment = clean_environment(workplace.folder)
    with terminal(replsync_command("apply", "--auto-approve"), workplace.folder, environment) as shown:
        shown.wait_for("0/1 tags")
        assert hold.reached.wait(_DEADLINE)
        shown.press_ctrl_c()
        assert shown.ended() == 130
    hold.go_on.set()
    assert GO_ON in shown.output
    assert "Traceback" not in shown.output


def test_ctrl_c_at_a_terminal_ends_a_pull_of_the_docker_engine(
    workplace: Workplace,
    docker_registry: RegistryServer,
    source: RegistryServer,
    dockerd: DockerDaemon,
    start_proxy: StartProxy,
    skopeo: Skopeo,
) -> None:
    slow = start_proxy(source.host)
    push(source.host, "acme/worker", "large", LARGE)
    push(docker_registry.host, f"{workplace.app}/worker", "before", SMALL)
    worker = {"name": "worker", "source": f"{slow.host}/acme/worker", "tags": ["large"]}
    workplace.write(docker_registry.host, worker, unlisted="ignore")
    hold, layer = Hold(), digest_of(LARGE.layers[0])
    slow.script = lambda asked: hold if layer in asked.path else None
    command = replsync_command("apply", "--auto-approve", "--engine", "docker")
    with terminal(command, workplace.folder, clean_environment(workplace.folder, dockerd.env())) as shown:
        assert hold.reached.wait(_DEADLINE)
        shown.press_ctrl_c()
        assert shown.ended() == 130
    hold.go_on.set()
    assert GO_ON in shown.output
    assert "Traceback" not in shown.output
    assert skopeo.tags(f"{docker_registry.host}/{workplace.app}/worker") == ["before"]


def test_a_pull_of_the_docker_engine_that_is_told_to_stop_is_not_followed_by_a_push(
    workplace: Workplace,
    docker_registry: RegistryServer,
    source: RegistryServer,
    dockerd: DockerDaemon,
    start_proxy: StartProxy,
    skopeo: Skopeo,
) -> None:
    workplace.env.update(dockerd.env())
    slow = start_proxy(source.host)
    push(source.host, "acme/worker", "large", ANOTHER)
    push(docker_registry.host, f"{workplace.app}/worker", "before", SMALL)
    worker = {"name": "worker", "source": f"{slow.host}/acme/worker", "tags": ["large"]}
    workplace.write(docker_registry.host, worker, unlisted="ignore")
    hold, layer = Hold(), digest_of(ANOTHER.layers[0])
    slow.script = lambda asked: hold if layer in asked.path else None
    with started(workplace, "apply", "--auto-approve", "--engine", "docker") as process:
        assert hold.reached.wait(_DEADLINE)
        process.send_signal(signal.SIGTERM)  # to replsync alone: docker goes on pulling
        hold.go_on.set()
        _, said = process.communicate(timeout=_DEADLINE)
    assert (process.returncode, said) == (130, GO_ON)
    assert skopeo.tags(f"{docker_registry.host}/{workplace.app}/worker") == ["before"]
