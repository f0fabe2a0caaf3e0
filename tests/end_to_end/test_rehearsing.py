"""The sandbox with the real registry's limits: docker and skopeo run into them, replsync keeps to them or says so."""

import random
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from replsync.sandbox import Limits, SandboxOptions
from tests.end_to_end.workplace import Workplace, assert_refused
from tests.servers.attested import FORMS, Form, build_attested
from tests.servers.command import RunReplsync, clean_environment, replsync_command
from tests.servers.docker import DockerDaemon
from tests.servers.images import BuiltImage, BuiltIndex, build_image, load_into
from tests.servers.push import push
from tests.servers.registry import Credentials, RegistryServer
from tests.servers.sandbox import RunningSandbox, StartSandbox
from tests.servers.skopeo import Skopeo

SMALL_OCI = build_image({"a": b"1"})
SMALL = build_image({"a": b"1"}, media="docker")
LARGE = build_image({"large": random.Random(1).randbytes(5_000_000)}, media="docker")  # gzip makes it no smaller
ATTESTED = build_attested([build_image({"a": b"1"}), build_image({"a": b"2"}, platform="linux/arm64")])
CUT_OFF = 1_000_000
LICENCE = Credentials("customer", "of-a-licence")


@contextmanager
def signed_in(docker: DockerDaemon, host: str, password: str) -> Iterator[DockerDaemon]:
    docker.cli("login", "--username", "me", "--password-stdin", host, input=password)
    try:
        yield docker
    finally:
        docker.cli("logout", host)


def refusal(skopeo: Skopeo, source: str, sandbox: RunningSandbox, *options: str) -> str:
    """What skopeo says when it copies `source` to the sandbox, which must fail."""
    done = skopeo.try_copy(
        f"docker://{source}", f"docker://{sandbox.host}/myapp/w:1", *options, target_creds=sandbox.credentials
    )
    assert done.returncode
    return done.stderr.decode()


@pytest.mark.parametrize("form", FORMS)
def test_skopeo_is_refused_an_index_with_attestations(
    docker_registry: RegistryServer, start_sandbox: StartSandbox, skopeo: Skopeo, namespace: str, form: Form
) -> None:
    sandbox = start_sandbox(SandboxOptions(limits=Limits(refuse_attestations=True)))
    push(docker_registry.host, namespace, "1", build_attested([SMALL_OCI], form))
    assert "manifest invalid" in refusal(skopeo, f"{docker_registry.host}/{namespace}:1", sandbox, "--all")
    assert 400 in {one.status for one in sandbox.answered}


def test_skopeo_is_cut_off(
    docker_registry: RegistryServer, start_sandbox: StartSandbox, skopeo: Skopeo, namespace: str
) -> None:
    sandbox = start_sandbox(SandboxOptions(limits=Limits(cut_off_size=CUT_OFF)))
    push(docker_registry.host, namespace, "1", LARGE)
    assert "524" in refusal(skopeo, f"{docker_registry.host}/{namespace}:1", sandbox)


def test_docker_is_cut_off(dockerd: DockerDaemon, start_sandbox: StartSandbox, namespace: str) -> None:
    sandbox = start_sandbox(SandboxOptions(limits=Limits(cut_off_size=CUT_OFF)))
    reference = f"{sandbox.host}/{namespace}/worker:1"
    load_into(dockerd, LARGE, reference)
    push_it, env = [dockerd.program, "push", reference], clean_environment(Path("/"), dockerd.env())
    with (
        signed_in(dockerd, sandbox.host, sandbox.credentials.password),
        subprocess.Popen(push_it, env=env, stdout=subprocess.DEVNULL) as pushing,
    ):
        # docker tries again, for a minute and more: it is enough to see why.
        deadline = time.monotonic() + 60
        while 524 not in {one.status for one in sandbox.answered} and time.monotonic() < deadline:
            time.sleep(0.05)
        pushing.terminate()
    assert 524 in {one.status for one in sandbox.answered}
    assert not any("/manifests/1" in one.path and one.method == "PUT" for one in sandbox.answered)
    dockerd.cli("image", "rm", reference)


def test_docker_pulls_with_a_licence_and_is_denied_to_push(
    dockerd: DockerDaemon, start_sandbox: StartSandbox, namespace: str
) -> None:
    sandbox = start_sandbox(SandboxOptions(pull_only_passwords=(LICENCE.password,)))
    reference, other = f"{sandbox.host}/{namespace}/worker:1", f"{sandbox.host}/{namespace}/worker:2"
    push(sandbox.host, f"{namespace}/worker", "1", SMALL, sandbox.credentials)
    with signed_in(dockerd, sandbox.host, LICENCE.password):
        dockerd.cli("pull", reference)
        dockerd.cli("tag", reference, other)
        refused = dockerd.cli("push", other, check=False)
    assert refused.returncode
    assert "denied" in refused.stderr
    dockerd.cli("image", "rm", reference, other)


def applied(
    workplace: Workplace,
    sandbox: RunningSandbox,
    source: RegistryServer,
    image: BuiltImage | BuiltIndex,
    **more: object,
) -> None:
    """`apply` brings `image` from `source` to the sandbox, and nothing is left to do."""
    push(source.host, f"{workplace.app}-source", "1", image)
    workplace.env["REPLICATED_API_TOKEN"] = sandbox.credentials.password
    entry = {"name": "worker", "source": f"{source.host}/{workplace.app}-source", "tags": ["1"]}
    workplace.write(sandbox.host, entry)
    assert "1 created" in workplace.apply().stdout
    assert workplace.is_in_sync()


@pytest.mark.parametrize("lands", [False, True], ids=["cut", "landed"])
def test_replsync_gets_a_large_layer_past_a_cut_off(
    workplace: Workplace,
    start_sandbox: StartSandbox,
    docker_registry: RegistryServer,
    skopeo: Skopeo,
    lands: bool,
) -> None:
    sandbox = start_sandbox(SandboxOptions(limits=Limits(cut_off_size=CUT_OFF, cut_off_lands=lands)))
    applied(workplace, sandbox, docker_registry, LARGE)
    assert 524 in {one.status for one in sandbox.answered}
    copied = skopeo.inspect_raw(f"{sandbox.host}/{workplace.app}/worker:1", sandbox.credentials)
    assert copied == LARGE.manifest


def test_replsync_waits_as_long_as_it_is_told(
    workplace: Workplace, start_sandbox: StartSandbox, docker_registry: RegistryServer
) -> None:
    sandbox = start_sandbox(SandboxOptions(limits=Limits(requests_per_second=4)))
    applied(workplace, sandbox, docker_registry, ATTESTED)
    assert 429 in {one.status for one in sandbox.answered}


def test_replsync_signs_in_anew_where_tokens_are_short(
    workplace: Workplace, start_sandbox: StartSandbox, docker_registry: RegistryServer
) -> None:
    sandbox = start_sandbox(SandboxOptions(token_seconds=1, limits=Limits(requests_per_second=5)))
    applied(workplace, sandbox, docker_registry, ATTESTED)
    assert len([one for one in sandbox.answered if one.path == "/v2/token" and one.status == 200]) > 2


@pytest.mark.parametrize(
    "options",
    [
        SandboxOptions(pull_only_passwords=(LICENCE.password,)),
        SandboxOptions(password=LICENCE.password, push_withdrawn=True),
    ],
    ids=["licence", "withdrawn"],
)
def test_replsync_says_that_it_may_not_push(
    workplace: Workplace, start_sandbox: StartSandbox, docker_registry: RegistryServer, options: SandboxOptions
) -> None:
    sandbox = start_sandbox(options)
    push(docker_registry.host, workplace.app, "1", SMALL)
    workplace.env["REPLICATED_API_TOKEN"] = LICENCE.password
    workplace.write(
        sandbox.host, {"name": "worker", "source": f"{docker_registry.host}/{workplace.app}", "tags": ["1"]}
    )
    done = workplace.run("apply", "--auto-approve")
    assert done.returncode == 4
    assert "the registry answered 403 (DENIED: requested access to the resource is denied" in done.stderr
    refused = f"\nreplsync: apply: nothing was written: {sandbox.host} refused it\n"
    assert f"{refused}  next: this account may not push here; a customer's licence, for one, only pulls." in done.stderr
    assert f"replsync login {sandbox.host}. " in done.stderr
    assert LICENCE.password not in done.stdout + done.stderr


def said(*options: str) -> str:
    """What `replsync sandbox OPTIONS` prints when it is ready."""
    command = replsync_command("sandbox", "--port", "0", *options)
    with subprocess.Popen(command, env=clean_environment(Path("/")), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = [process.stdout.readline()]
        try:
            while "real one does" not in lines[-1]:
                lines.append(process.stdout.readline())
        finally:
            process.terminate()
        return "".join(lines) + process.stdout.read()


PAGE = (Path(__file__).parents[2] / "docs/rehearsing.md").read_text()


def test_the_page_shows_what_is_printed() -> None:
    shown = PAGE.split("```")[1].split("\n", 2)[2]
    port = re.compile(r"127\.0\.0\.1:[0-9]+")
    assert port.sub("", said("--seed", "--like-replicated")) == port.sub("", shown)


def test_the_page_has_every_limit_of_the_command(run_replsync: RunReplsync, tmp_path: Path) -> None:
    offered = re.findall("(?m)^  .*?(--[a-z-]+)", run_replsync("sandbox", "--help", cwd=tmp_path).stdout)
    limits = set(offered) - {"--port", "--data", "--seed", "--like-replicated", "--verbose", "--help"}
    assert limits == set(re.findall("(?m)^[|] `(--[a-z-]+)", PAGE))
    assert set(offered) >= set(re.findall("`(--[a-z-]+)", PAGE))


def test_the_command_says_what_it_refuses() -> None:
    assert said().endswith("It deletes nothing, lists no repositories, and wants a sign-in, as the real one does.\n")
    assert said("--like-replicated").endswith(
        "as the real one does. And it refuses\n"
        "  attestations, with 400\n"
        "  upload requests of more than 2.0 GB, with 524\n"
        "  to list what refers to an image, with 404\n"
    )
    every = said(
        *("--like-replicated", "--cut-off-size", "30MB", "--cut-off-time", "2.5", "--cut-off-lands"),
        *("--rate-limit", "5", "--pull-only-password", "hunter2", "--token-seconds", "60"),
    )
    assert "  upload requests of more than 30.0 MB, with 524, and yet carries them out\n" in every
    assert "  requests that take longer than 2.5 s, with 524, and yet carries them out\n" in every
    assert "  more than 5 requests a second, with 429\n" in every
    assert "  pushes of whoever signs in with a pull-only password, with 403\n" in every
    assert "  tokens that are older than 60 s, with 401\n" in every
    assert "hunter2" not in every
    assert said("--push-withdrawn").endswith("And it refuses\n  every push, with 403\n")


def test_the_command_says_where_to_point_other_programs(tmp_path: Path) -> None:
    text = said("--data", str(tmp_path))
    (host,) = set(re.findall(r"127\.0\.0\.1:[0-9]+", text))
    assert text.startswith(f"The sandbox serves {host}; it keeps images in {tmp_path}.\n")
    assert f"http://{host}/. " in text
    assert f"`registry: {host}`" in text
    for line in (
        "export REPLICATED_API_TOKEN=sandbox",
        f"echo sandbox | docker login {host} --username any --password-stdin",
        f"docker push {host}/myapp/worker:1.0",
    ):
        assert f"  {line}\n" in text
    assert "example application" not in text


def test_the_command_says_what_it_was_seeded_with(tmp_path: Path) -> None:
    first = said("--seed", "--data", str(tmp_path))
    (host,) = set(re.findall(r"127\.0\.0\.1:[0-9]+", first))
    assert f"  replsync import --registry {host} --app myapp worker web migrations\n" in first
    assert f"No example application was added: there are images in {tmp_path} already.\n" in said(
        "--seed", "--data", str(tmp_path)
    )


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--cut-off-size", "30 apples"), "is no size"),
        (("--pull-only-password", ""), "at least one character"),
        (("--cut-off-lands",), "cuts nothing off"),
        (("--rate-limit", "0"), "--rate-limit"),
        (("--token-seconds", "0"), "--token-seconds"),
    ],
)
def test_the_command_refuses_limits_that_are_none(
    run_replsync: RunReplsync, tmp_path: Path, options: tuple[str, ...], why: str
) -> None:
    assert_refused(run_replsync("sandbox", "--port", "0", *options, cwd=tmp_path), 64, why)
