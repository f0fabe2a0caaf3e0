"""Credential helpers: real programs, found on PATH."""

import asyncio
import os
from pathlib import Path

import pytest

from replsync.errors import SignInError
from replsync.registry import credential_helper
from replsync.registry.credentials import Credential
from tests.registry.clients import SECRET
from tests.registry.docker_files import HOST, Install, auth, docker_config, helped_store

ANSWERS = f"""echo '{{"ServerURL": "x", "Username": "helped", "Secret": "{SECRET}"}}'"""


def is_running(pid: str) -> bool:
    return Path(f"/proc/{pid.strip()}").exists()


async def test_the_store_is_asked_for_the_host(tmp_path: Path, install: Install) -> None:
    path = docker_config(tmp_path, {"credsStore": "safe"})
    asked = install("safe", f'test "$1" = get && cat > {tmp_path}/asked && {ANSWERS}')
    assert await asked.find(HOST, "app/worker") == Credential("helped", SECRET, f"credential helper safe ({path})")
    assert (tmp_path / "asked").read_text() == HOST


async def test_the_store_knows_docker_hub_by_its_old_address(tmp_path: Path, install: Install) -> None:
    docker_config(tmp_path, {"credsStore": "safe"})
    assert await install("safe", f"cat > {tmp_path}/asked && {ANSWERS}").find("docker.io")
    assert (tmp_path / "asked").read_text() == "https://index.docker.io/v1/"


async def test_the_helper_of_a_host_goes_before_the_store(tmp_path: Path, install: Install) -> None:
    docker_config(tmp_path, {"credHelpers": {HOST: "own"}, "credsStore": "fails"})
    install("fails", "exit 1")
    assert await install("own", ANSWERS).find(HOST)


async def test_an_empty_helper_leaves_the_host_to_the_file(tmp_path: Path, install: Install) -> None:
    docker_config(tmp_path, {"credHelpers": {HOST: ""}, "credsStore": "fails", "auths": {HOST: auth("file")}})
    found = await install("fails", "exit 1").find(HOST)
    assert found
    assert found.username == "file"


async def test_another_hosts_helper_is_not_asked(tmp_path: Path, install: Install) -> None:
    docker_config(tmp_path, {"credHelpers": {"other.example.com": "own"}})
    assert await install("own", f"touch {tmp_path}/asked; {ANSWERS}").find(HOST) is None
    assert not (tmp_path / "asked").exists()


async def test_an_identity_token_is_known_by_its_user(tmp_path: Path, install: Install) -> None:
    docker_config(tmp_path, {"credsStore": "safe"})
    found = await install("safe", f"""echo '{{"Username": "<token>", "Secret": "{SECRET}"}}'""").find(HOST)
    assert found
    assert found.is_identity_token


@pytest.mark.parametrize(
    "script",
    [
        "echo credentials not found in native keychain; exit 1",
        """echo '{"ServerURL": "", "Username": "", "Secret": ""}'""",
    ],
)
async def test_a_helper_that_knows_nothing_leaves_the_host_to_the_file(
    tmp_path: Path, install: Install, script: str
) -> None:
    docker_config(tmp_path, {"credsStore": "safe", "auths": {HOST: auth("file")}})
    found = await install("safe", script).find(HOST)
    assert found
    assert found.username == "file"


@pytest.mark.parametrize(
    "script",
    [
        f"echo {SECRET}; exit 3",
        f"echo {SECRET} >&2; kill -9 $$",
        f"echo '{SECRET}'",
        "true",
        "echo null",
        "echo []",
        """echo '{"Username": "helped"}'""",
        f"""echo '{{"Secret": "{SECRET}"}}'""",
        """echo '{"Username": "helped", "Secret": null}'""",
        """printf '\\377'""",
        "head -c 200000 /dev/zero | tr '\\0' '['",
    ],
)
async def test_a_helper_that_fails_is_an_error_and_never_anonymous(
    tmp_path: Path, install: Install, script: str
) -> None:
    docker_config(tmp_path, {"credsStore": "safe", "auths": {HOST: auth("file")}})
    with pytest.raises(SignInError, match=f"ask the credential helper 'safe' for {HOST}: ") as caught:
        await install("safe", script).find(HOST)
    assert caught.value.host == HOST
    assert caught.value.hint
    assert SECRET not in f"{caught.value!r}{caught.value.hint}{caught.value.__cause__}"


async def test_a_helper_that_is_not_installed_is_an_error(tmp_path: Path) -> None:
    docker_config(tmp_path, {"credsStore": "missing"})
    with pytest.raises(SignInError, match=r"'missing' for .*: No such file or directory"):
        await helped_store(tmp_path).find(HOST)


@pytest.mark.parametrize("name", ["../evil", "/bin/evil", "a b", "a;b", None, 5, ["x"]])
async def test_what_is_no_name_of_a_helper_is_never_run(tmp_path: Path, install: Install, name: object) -> None:
    (tmp_path / "bin" / "docker-credential-..").mkdir()
    asked = install("../evil", f"touch {tmp_path}/ran; {ANSWERS}")
    docker_config(tmp_path, {"credHelpers": {HOST: name}})
    with pytest.raises(SignInError, match="that is not the name of a helper"):
        await asked.find(HOST)
    assert not (tmp_path / "ran").exists()


async def test_a_helper_that_never_answers_is_ended(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credential_helper, "SECONDS", 0.3)
    docker_config(tmp_path, {"credsStore": "slow"})
    with pytest.raises(SignInError, match=r"'slow' for .*: no answer in 0.3 s"):
        await install("slow", f"echo $$ > {tmp_path}/pid; exec sleep 1000").find(HOST)
    assert not is_running((tmp_path / "pid").read_text())


async def test_a_helper_ends_with_the_task_that_asked_it(tmp_path: Path, install: Install) -> None:
    docker_config(tmp_path, {"credsStore": "slow"})
    os.mkfifo(tmp_path / "started")
    asking = asyncio.create_task(install("slow", f"echo $$ > {tmp_path}/started; exec sleep 1000").find(HOST))
    pid = await asyncio.to_thread((tmp_path / "started").read_text)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not is_running(pid)


async def test_a_helper_that_does_not_read_its_input_is_fine(tmp_path: Path, install: Install) -> None:
    docker_config(tmp_path, {"credsStore": "deaf"})
    assert await install("deaf", f"exec <&-; {ANSWERS}").find(HOST)
