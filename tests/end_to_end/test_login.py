"""`login` and `logout` as one runs them: what is asked, what is kept where, and what is never said."""

import base64
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Reply
from tests.end_to_end.terminal import Terminal, terminal
from tests.end_to_end.workplace import Done, Workplace, assert_refused
from tests.servers.command import clean_environment, replsync_command
from tests.servers.docker import DockerDaemon
from tests.servers.images import build_image
from tests.servers.process import program
from tests.servers.push import push
from tests.servers.registry import TESTER, Credentials, StartRegistry
from tests.servers.sandbox import RunningSandbox, StartSandbox

CANARY = "canary-4711-hunter2"
_HELPER = """#!/bin/sh
# Keeps secrets in a folder, and notes what can be seen of it from outside.
folder="$(dirname "$0")/kept"
mkdir -p "$folder"
tr '\\0' ' ' < /proc/$$/cmdline >> "$folder/cmdline"
case "$1" in
store) cat > "$folder/secret" ;;
get)
    cat > "$folder/asked"
    cat "$folder/secret" 2> /dev/null || { echo credentials not found in native keychain; exit 1; }
    ;;
erase) cat > "$folder/erased"; rm -f "$folder/secret" ;;
esac
"""


@pytest.fixture
def locked(start_sandbox: StartSandbox) -> RunningSandbox:
    from replsync.sandbox.server import SandboxOptions

    return start_sandbox(SandboxOptions(password=CANARY))


@pytest.fixture
def config(workplace: Workplace) -> Path:
    """Docker's file, which isn't there yet."""
    workplace.env["DOCKER_CONFIG"] = str(workplace.folder / "docker")
    return workplace.folder / "docker" / "config.json"


@pytest.fixture
def helper(workplace: Workplace) -> Path:
    """The folder of a credential helper called `safe`."""
    return install(workplace, _HELPER)


def install(workplace: Workplace, script: str) -> Path:
    programs = workplace.folder / "bin"
    programs.mkdir()
    (programs / "docker-credential-safe").write_text(script)
    (programs / "docker-credential-safe").chmod(0o755)
    workplace.env["PATH"] = f"{programs}:{clean_environment(workplace.folder)['PATH']}"
    return programs / "kept"


def login(workplace: Workplace, *args: str, secret: str = CANARY, user: str = "ann") -> Done:
    done = workplace.run("login", *args, "--username", user, "--password-stdin", input=secret)
    assert_no_secret(done.stdout + done.stderr, secret)
    return done


def lists_worker(workplace: Workplace, registry: str) -> None:
    """A manifest for which there is nothing to do."""
    workplace.write(registry, {"name": "worker", "retired": [{"tag": "0.1", "reason": "old"}]})


def assert_no_secret(text: str, secret: str = CANARY, user: str = "ann") -> None:
    assert secret not in text
    assert base64.b64encode(f"{user}:{secret}".encode()).decode() not in text


def written(path: Path, content: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path.read_text()


def signed_in(path: Path) -> dict[str, str]:
    auths = json.loads(path.read_text())["auths"]
    return {host: base64.b64decode(entry["auth"]).decode() for host, entry in auths.items() if entry}


def test_what_is_kept_is_what_replsync_uses(workplace: Workplace, config: Path, locked: RunningSandbox) -> None:
    lists_worker(workplace, locked.host)
    assert workplace.run("plan").returncode == 4
    done = login(workplace, locked.host)
    assert done.stdout == f"signed in to {locked.host} as ann; kept in {config}\n"
    assert "unencrypted" in done.stderr
    workplace.plan()


def test_the_file_is_for_its_owner_alone(workplace: Workplace, config: Path, locked: RunningSandbox) -> None:
    written(config, {"auths": {}})
    config.chmod(0o644)
    login(workplace, locked.host)
    assert config.stat().st_mode & 0o777 == 0o600


def test_the_manifests_registry_is_meant_where_none_is_named(
    workplace: Workplace, config: Path, locked: RunningSandbox
) -> None:
    lists_worker(workplace, locked.host)
    assert login(workplace).returncode == 0
    assert signed_in(config) == {locked.host: f"ann:{CANARY}"}


@pytest.mark.parametrize("kind", ["tokens", "basic"])
def test_a_wrong_password_changes_nothing(
    workplace: Workplace, config: Path, locked: RunningSandbox, start_docker_registry: StartRegistry, kind: str
) -> None:
    host = locked.host if kind == "tokens" else start_docker_registry(htpasswd=True).host
    before = written(config, {"auths": {host: {"auth": base64.b64encode(b"ann:before").decode()}}})
    done = login(workplace, host, secret="wrong-canary-0815")
    assert_refused(done, 4, f"sign in to {host}: ", "nothing was changed")
    assert config.read_text() == before


def test_what_others_keep_in_the_file_stays_in_its_order(
    workplace: Workplace, config: Path, locked: RunningSandbox
) -> None:
    other = {"auth": base64.b64encode(b"bob:b").decode()}
    content = {
        "HttpHeaders": {"X": "ü"},
        "auths": {"z.example": other, locked.host: {"auth": ""}, "a.example": other},
        "psFormat": "x",
    }
    written(config, content)
    assert login(workplace, locked.host).returncode == 0
    after = json.loads(config.read_text())
    assert list(after) == list(content)
    assert list(after["auths"]) == ["z.example", locked.host, "a.example"]
    assert signed_in(config) == {"z.example": "bob:b", locked.host: f"ann:{CANARY}", "a.example": "bob:b"}
    done = workplace.run("logout", locked.host)
    assert done.stdout == f"signed out of {locked.host}; the credential was in {config}\n"
    assert json.loads(config.read_text()) == {**content, "auths": {"z.example": other, "a.example": other}}


def test_a_link_stays_a_link(workplace: Workplace, config: Path, locked: RunningSandbox) -> None:
    real = workplace.folder / "elsewhere.json"
    written(real, {"auths": {}})
    config.parent.mkdir()
    config.symlink_to(real)
    assert login(workplace, locked.host).returncode == 0
    assert config.is_symlink()
    assert signed_in(real) == {locked.host: f"ann:{CANARY}"}


@pytest.mark.parametrize("content", ["{", "[]", '{"auths": 5}'])
@pytest.mark.parametrize("command", ["login", "logout"])
def test_a_file_that_cannot_be_read_is_not_overwritten(
    workplace: Workplace, config: Path, locked: RunningSandbox, content: str, command: str
) -> None:
    written(config, content)
    done = login(workplace, locked.host) if command == "login" else workplace.run("logout", locked.host)
    assert_refused(done, 3, f"read credentials from {config}: ")
    assert config.read_text() == content


def test_a_folder_that_cannot_be_written_is_an_error(
    workplace: Workplace, config: Path, locked: RunningSandbox
) -> None:
    written(workplace.folder / "docker", "a file")
    assert_refused(login(workplace, locked.host), 3, f"read credentials from {config}: Not a directory")


@pytest.mark.parametrize("named", ["credsStore", "credHelpers"])
def test_a_helper_keeps_the_secret_and_the_file_does_not(
    workplace: Workplace, config: Path, locked: RunningSandbox, helper: Path, named: str
) -> None:
    names: object = "safe" if named == "credsStore" else {locked.host: "safe"}
    old = {"auth": base64.b64encode(f"ann:{CANARY}".encode()).decode()}
    written(config, {named: names, "auths": {locked.host: old}})
    done = login(workplace, locked.host)
    assert done.stdout == f"signed in to {locked.host} as ann; kept in the credential helper 'safe' ({config})\n"
    assert "unencrypted" not in done.stderr
    assert json.loads((helper / "secret").read_text()) == {
        "ServerURL": locked.host,
        "Username": "ann",
        "Secret": CANARY,
    }
    assert_no_secret(config.read_text())
    assert_no_secret((helper / "cmdline").read_text())
    assert "docker-credential-safe store" in (helper / "cmdline").read_text()
    lists_worker(workplace, locked.host)
    workplace.plan()
    done = workplace.run("logout", locked.host)
    assert f"the credential was in the credential helper 'safe' ({config})" in done.stdout
    assert (helper / "erased").read_text() == locked.host
    assert not (helper / "secret").exists()
    assert workplace.run("plan").returncode == 4


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("cat; echo no keyring >&2; exit 3", "it ended with 3"),
        ("echo the store is not initialised; exit 1", "it ended with 1 (the store is not initialised)"),
        (f"echo cannot keep {CANARY}; exit 1", "it ended with 1 (cannot keep ***)"),
        ("kill -9 $$", "it ended with -9"),
    ],
)
def test_a_helper_that_fails_is_an_error_and_the_file_stays(
    workplace: Workplace, config: Path, locked: RunningSandbox, script: str, said: str
) -> None:
    install(workplace, f"#!/bin/sh\n{script}\n")
    before = written(config, {"credsStore": "safe"})
    assert_refused(login(workplace, locked.host), 4, f"store the credential with the credential helper 'safe': {said}")
    assert config.read_text() == before


def test_a_helper_that_is_not_installed_is_an_error(workplace: Workplace, config: Path, locked: RunningSandbox) -> None:
    written(config, {"credsStore": "missing"})
    assert_refused(login(workplace, locked.host), 4, "credential helper 'missing': No such file or directory")


@pytest.mark.parametrize("way", ["--password", "-p", "--password="])
def test_a_password_is_not_taken_from_the_command_line(workplace: Workplace, config: Path, way: str) -> None:
    args = [f"{way}{CANARY}"] if way.endswith("=") else [way, CANARY]
    done = workplace.run("login", "127.0.0.1:1", "-u", "ann", *args)
    assert_refused(done, 64, "no password on the command line: it would stand in the shell's history")
    assert_no_secret(done.stderr)


@pytest.mark.parametrize(
    ("args", "secret", "said"),
    [
        ((), None, "nobody is there to type"),
        (("--password-stdin",), "x", "--password-stdin needs --username"),
        (("--password-stdin", "-u", "ann"), "", "it is empty"),
        (("--password-stdin", "-u", "ann"), "\n", "it is empty"),
        (("--password-stdin", "-u", "ann"), f"{CANARY}\n{CANARY}\n", "it holds a line break"),
        (("--password-stdin", "-u", "ann:b"), CANARY, "no colon"),
        (("--password-stdin", "-u", "ann"), CANARY * 5000, "which is no password"),
    ],
)
def test_what_cannot_be_a_sign_in_is_wrong_usage(
    workplace: Workplace, config: Path, args: tuple[str, ...], secret: str | None, said: str
) -> None:
    done = workplace.run("login", "127.0.0.1:1", *args, input=secret)
    assert_refused(done, 64, said)
    assert_no_secret(done.stderr)
    assert not config.exists()


@pytest.mark.parametrize("host", ["https://registry.replicated.com", "registry.replicated.com/app", "-", "a b"])
def test_what_is_no_host_is_wrong_usage(workplace: Workplace, config: Path, host: str) -> None:
    assert_refused(workplace.run("login", "--", host), 64, "is not a registry's host", "HOST:PORT")


def test_a_registry_that_is_not_there_changes_nothing(workplace: Workplace, config: Path) -> None:
    assert_refused(login(workplace, "127.0.0.1:1"), 1, "sign in to 127.0.0.1:1: connection refused")
    assert not config.exists()


def test_a_registry_that_repeats_the_secret_is_not_quoted(
    workplace: Workplace, config: Path, start_proxy: StartProxy
) -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": f"not with {CANARY}"}]}).encode()
    asks = (("WWW-Authenticate", 'Basic realm="x"'),)
    echo = start_proxy(None, lambda _: Reply(401, body, asks))
    assert_refused(login(workplace, echo.host), 4, "(DENIED: not with ***)")


def test_a_registry_that_asks_for_nothing_is_told_apart(
    workplace: Workplace, config: Path, start_docker_registry: StartRegistry
) -> None:
    done = login(workplace, start_docker_registry().host)
    assert done.returncode == 0
    assert "lets everybody in at its door" in done.stderr


def test_a_service_accounts_token_goes_with_any_name(
    workplace: Workplace, config: Path, locked: RunningSandbox
) -> None:
    done = workplace.run("login", locked.host, "--as", "service-account", "--password-stdin", input=f"{CANARY}\r\n")
    assert done.returncode == 0, done.stderr
    assert signed_in(config) == {locked.host: f"replsync:{CANARY}"}


def test_logout_says_what_remains(workplace: Workplace, config: Path, locked: RunningSandbox) -> None:
    login(workplace, locked.host)
    podman = workplace.folder / "xdg" / "containers" / "auth.json"
    auth = {"auth": base64.b64encode(f"pod:{CANARY}".encode()).decode()}
    written(podman, {"auths": {locked.host: auth}})
    env = {"XDG_CONFIG_HOME": str(workplace.folder / "xdg"), "REPLICATED_API_TOKEN": CANARY}
    done = workplace.run("logout", locked.host, env=env)
    assert done.returncode == 0
    assert f"another credential remains: {podman} ({locked.host})" in done.stderr
    assert f"$REPLICATED_API_TOKEN is set, and is used for {locked.host}" in done.stderr
    assert_no_secret(done.stdout + done.stderr)
    again = workplace.run("logout", locked.host, env=env)
    assert f"the credential was in {podman}" in again.stdout
    last = workplace.run("logout", locked.host, env=env)
    assert "no file has a credential for it" in last.stdout


def test_docker_and_skopeo_sign_in_with_what_was_kept(
    workplace: Workplace,
    config: Path,
    locked: RunningSandbox,
    start_docker_registry: StartRegistry,
    dockerd: DockerDaemon,
) -> None:
    registry = start_docker_registry(htpasswd=True)
    for host, user, secret in ((locked.host, "any", CANARY), (registry.host, *TESTER)):
        push(host, f"{workplace.app}/worker", "1", build_image({"f": b"x"}), Credentials(user, secret))
        assert login(workplace, host, secret=secret, user=user).returncode == 0
        image = f"{host}/{workplace.app}/worker:1"
        env = clean_environment(workplace.folder, {"DOCKER_HOST": dockerd.host, "DOCKER_CONFIG": str(config.parent)})
        succeeded([dockerd.program, "pull", image], env)
        inspect = [program("skopeo", "skopeo"), "inspect", "--tls-verify=false", "--authfile", str(config)]
        succeeded([*inspect, f"docker://{image}"], env)


def test_what_docker_kept_is_used_and_changed(
    workplace: Workplace, config: Path, locked: RunningSandbox, dockerd: DockerDaemon
) -> None:
    env = clean_environment(workplace.folder, {"DOCKER_HOST": dockerd.host, "DOCKER_CONFIG": str(config.parent)})
    docker_login = [dockerd.program, "login", locked.host, "-u", "dora", "--password-stdin"]
    succeeded(docker_login, env, CANARY)
    lists_worker(workplace, locked.host)
    workplace.plan()
    assert login(workplace, locked.host).returncode == 0
    assert signed_in(config) == {locked.host: f"ann:{CANARY}"}
    assert f"signed out of {locked.host}" in workplace.run("logout").stdout
    assert signed_in(config) == {}
    succeeded(docker_login, env, CANARY)
    succeeded([dockerd.program, "logout", locked.host], env)


def succeeded(command: list[str], env: Mapping[str, str], input: str | None = None) -> None:
    done = subprocess.run(command, env=dict(env), input=input, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def answer(asked: Terminal, question: str, text: str) -> None:
    asked.wait_for(question)
    asked.type(f"{text}\n")


def test_at_a_terminal_it_asks_which_way_who_and_the_secret(
    workplace: Workplace, config: Path, locked: RunningSandbox
) -> None:
    lists_worker(workplace, locked.host)
    env = clean_environment(workplace.folder, workplace.env)
    with terminal(replsync_command("login"), workplace.folder, env) as asked:
        answer(asked, "Which? [1] ", "7")
        answer(asked, "1, 2 or 3\nWhich? [1] ", "")
        answer(asked, "Email: ", "ann@example.com")
        answer(asked, "User API token (not shown): ", CANARY)
        assert asked.ended() == 0, asked.output
    assert "(or a team's, which are deprecated)" in asked.output
    assert_no_secret(asked.output)
    assert signed_in(config) == {locked.host: f"ann@example.com:{CANARY}"}


def test_at_a_terminal_nothing_is_asked_that_was_said(
    workplace: Workplace, config: Path, locked: RunningSandbox
) -> None:
    env = clean_environment(workplace.folder, workplace.env)
    with terminal(replsync_command("login", locked.host, "--as", "service-account"), workplace.folder, env) as asked:
        answer(asked, "Token (not shown): ", CANARY)
        assert asked.ended() == 0, asked.output
    assert "Which?" not in asked.output
    assert signed_in(config) == {locked.host: f"replsync:{CANARY}"}


@pytest.mark.parametrize(("key", "code"), [("\x04", 64), ("\x03", 130)])
def test_whoever_gives_no_answer_changes_nothing(
    workplace: Workplace, config: Path, locked: RunningSandbox, key: str, code: int
) -> None:
    env = clean_environment(workplace.folder, workplace.env)
    with terminal(replsync_command("login", locked.host), workplace.folder, env) as asked:
        answer(asked, "User name: ", "ann")
        asked.wait_for("(not shown): ")
        asked.type(key)
        assert asked.ended() == code, asked.output
    assert "Traceback" not in asked.output
    assert not config.exists()


@pytest.mark.parametrize(
    "args",
    [
        ("login", "user:hunter2@host.example.com"),
        ("login", "host.example.com", "user", "hunter2"),
        ("doctor", "https://user:hunter2@host.example.com"),
    ],
)
def test_a_secret_that_stands_where_none_belongs_is_not_repeated(workplace: Workplace, args: tuple[str, ...]) -> None:
    done = workplace.run(*args)
    assert_refused(done, 64)
    assert "hunter2" not in done.stdout + done.stderr
