"""`doctor` as one runs it: at registries that do, and at everything that may be in the way."""

import base64
import email.utils
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Asked, Reply
from tests.end_to_end.tunnels import certificate_for, connect_proxy, tls_before
from tests.end_to_end.workplace import Done, Workplace
from tests.servers.docker import DockerDaemon
from tests.servers.images import build_image
from tests.servers.push import push
from tests.servers.registry import RegistryServer, StartOpenRegistry, StartRegistry
from tests.servers.sandbox import RunningSandbox, StartSandbox

CANARY = "canary-4711-hunter2"
OPEN = Reply(200, b"{}")
REGISTRY = "registry.test"


@pytest.fixture
def locked(start_sandbox: StartSandbox) -> RunningSandbox:
    from replsync.sandbox.server import SandboxOptions

    return start_sandbox(SandboxOptions(password=CANARY, pull_only_passwords=("a-licence-of-canary",)))


@pytest.fixture
def silent() -> Iterator[str]:
    """A host that accepts, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@dataclass(frozen=True)
class Examined:
    """What doctor found, by check; of several of one check the last."""

    done: Done
    findings: list[dict[str, Any]]

    def of(self, check: str) -> dict[str, Any]:
        return [one for one in self.findings if one["check"] == check][-1]

    def verdict(self, check: str) -> str:
        return str(self.of(check)["verdict"])

    @property
    def checks(self) -> list[str]:
        return [one["check"] for one in self.findings]


def examine(workplace: Workplace, *args: str) -> Examined:
    """Run it, and see that it keeps secrets, and says how to go on where something failed."""
    done = workplace.run("doctor", "--format", "json", *args)
    for text in (done.stdout, done.stderr):
        assert "canary" not in text
        assert base64.b64encode(CANARY.encode()).decode()[:16] not in text
        assert base64.b64encode(f"ann:{CANARY}".encode()).decode()[:16] not in text
        assert "Traceback" not in text
    findings = json.loads(done.stdout)["findings"]
    for one in findings:
        assert (one["verdict"] in ("failed", "warning")) <= bool(one["next"]), one
    failed = any(one["verdict"] == "failed" for one in findings)
    assert (done.returncode != 0) == failed, done.stdout
    return Examined(done, findings)


def sign_in(workplace: Workplace, host: str, secret: str = CANARY, user: str = "ann") -> None:
    auth = base64.b64encode(f"{user}:{secret}".encode()).decode()
    (workplace.folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    workplace.env["DOCKER_CONFIG"] = str(workplace.folder)


def lists_worker(workplace: Workplace, registry: str, source: str | None = None) -> None:
    image = {"source": source} if source else {}
    workplace.write(registry, {"name": "worker", "tags": ["1"], **image})


def test_where_nothing_is_in_the_way_every_line_is_ok(workplace: Workplace, locked: RunningSandbox) -> None:
    sign_in(workplace, locked.host)
    push(locked.host, f"{workplace.app}/worker", "1", build_image({"f": b"x"}), locked.credentials)
    lists_worker(workplace, locked.host)
    found = examine(workplace)
    assert found.done.returncode == 0, found.done.stdout
    assert {one["check"]: one["verdict"] for one in found.findings} == {
        "replsync": "ok",
        "manifest": "ok",
        "temporary": "ok",
        "journal": "ok",
        "docker": "skipped",
        "proxy": "skipped",
        "name": "skipped",
        "connection": "ok",
        "TLS": "skipped",
        "registry": "ok",
        "clock": "ok",
        "limits": "ok",
        "credential": "ok",
        "sign-in": "ok",
        "rights": "ok",
        "tags": "ok",
        "upload": "skipped",
    }
    assert found.of("credential")["said"] == f"'ann', from {workplace.folder}/config.json ({locked.host})"
    assert found.of("rights")["said"] == f"pull, push on {workplace.app}/worker"
    assert found.of("tags")["said"] == f"1 tag in {workplace.app}/worker"


def test_text_has_a_line_for_each_and_a_summary(workplace: Workplace, locked: RunningSandbox) -> None:
    sign_in(workplace, locked.host, "wrong")
    lists_worker(workplace, locked.host)
    done = workplace.run("doctor")
    assert done.returncode == 4
    assert "this machine\n  ok    replsync    " in done.stdout
    assert f"\n{locked.host}\n  ok    credential  'ann', from {workplace.folder}/config.json" in done.stdout
    assert "\n  --    proxy       none: it is this machine\n" in done.stdout
    assert "\n  fail  sign-in     sign-in as 'ann' was refused with 401" in done.stdout
    assert f"\n                    next: sign in again: replsync login {locked.host}\n" in done.stdout
    assert done.stdout.endswith("\n1 failed, 0 warnings.\n")


def test_it_writes_nothing_unless_it_is_told_to(workplace: Workplace, locked: RunningSandbox) -> None:
    sign_in(workplace, locked.host)
    lists_worker(workplace, locked.host)
    before = sorted(workplace.folder.rglob("*"))
    examine(workplace)
    assert {one.method for one in locked.answered} == {"GET"}
    assert sorted(workplace.folder.rglob("*")) == before


def test_with_write_an_upload_is_opened_and_cancelled(workplace: Workplace, locked: RunningSandbox) -> None:
    sign_in(workplace, locked.host)
    lists_worker(workplace, locked.host)
    found = examine(workplace, "--write")
    assert found.of("upload")["said"] == f"{workplace.app}/worker takes uploads, in chunks; it was cancelled"
    methods = [(one.method, one.status) for one in locked.answered if one.method != "GET"]
    assert methods[-3:] == [("POST", 202), ("PATCH", 202), ("DELETE", 204)]


def test_uploads_are_tried_at_every_kind_of_registry(
    workplace: Workplace, start_any_registry: StartOpenRegistry
) -> None:
    registry = start_any_registry()
    workplace.sign_in(registry)
    lists_worker(workplace, registry.host)
    assert examine(workplace, "--write").verdict("upload") == "ok"


def test_basic_sign_in_is_examined_too(workplace: Workplace, start_docker_registry: StartRegistry) -> None:
    registry = start_docker_registry(htpasswd=True)
    assert registry.credentials
    lists_worker(workplace, registry.host)
    sign_in(workplace, registry.host, registry.credentials.password, registry.credentials.username)
    found = examine(workplace, "--write")
    assert found.done.returncode == 0
    assert (found.verdict("sign-in"), found.verdict("rights"), found.verdict("upload")) == ("ok", "skipped", "ok")
    sign_in(workplace, registry.host)
    found = examine(workplace)
    assert (found.done.returncode, found.verdict("sign-in")) == (4, "failed")


def test_a_licence_that_only_pulls_is_told_by_the_token(workplace: Workplace, locked: RunningSandbox) -> None:
    sign_in(workplace, locked.host, "a-licence-of-canary")
    lists_worker(workplace, locked.host)
    found = examine(workplace)
    assert found.done.returncode == 4
    assert found.of("rights")["said"] == f"pull only, no push, on {workplace.app}/worker"
    assert "a customer's licence?" in found.of("rights")["next"]
    assert found.verdict("tags") == "ok"
    found = examine(workplace, "--write")
    assert "answered 403" in found.of("upload")["said"]


def test_a_source_only_has_to_be_read(
    workplace: Workplace, locked: RunningSandbox, docker_registry: RegistryServer
) -> None:
    sign_in(workplace, locked.host, "a-licence-of-canary")
    lists_worker(workplace, docker_registry.host, f"{locked.host}/acme/worker")
    found = examine(workplace)
    assert found.done.returncode == 0
    assert found.of("rights")["said"] == "pull on acme/worker"
    assert found.of("rights")["about"] == locked.host


def test_no_credential_for_the_target_fails(workplace: Workplace, locked: RunningSandbox) -> None:
    lists_worker(workplace, locked.host)
    found = examine(workplace)
    assert found.done.returncode == 4
    assert (found.verdict("credential"), found.verdict("sign-in")) == ("skipped", "failed")
    assert found.of("sign-in")["next"] == f"sign in: replsync login {locked.host}"
    assert found.checks[-1] == "further"


def test_the_api_token_is_named_by_its_variable(workplace: Workplace, locked: RunningSandbox) -> None:
    workplace.env["REPLICATED_API_TOKEN"] = CANARY
    found = examine(workplace, locked.host)
    assert found.of("credential")["said"] == "'replsync', from $REPLICATED_API_TOKEN"
    assert found.verdict("sign-in") == "ok"


def test_an_unknown_host_ends_the_way_at_its_name(workplace: Workplace) -> None:
    found = examine(workplace, "no-such-host.invalid")
    assert found.done.returncode == 1
    assert found.of("name")["said"] == "no-such-host.invalid: no such host"
    assert found.checks[-1] == "further"


@pytest.mark.parametrize("proxy", ["u:hunter2@proxy:port", ":::bad", "http://[::1"])
def test_a_proxy_that_is_no_address_is_found_and_not_shown(workplace: Workplace, proxy: str) -> None:
    workplace.env["HTTPS_PROXY"] = proxy
    found = examine(workplace, "registry.example.com")
    assert found.of("proxy")["said"] == "the address in $HTTPS_PROXY or $HTTP_PROXY is none"
    assert "hunter2" not in found.done.stdout + found.done.stderr


def test_a_closed_port_ends_the_way_at_the_connection(workplace: Workplace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
    found = examine(workplace, host)
    assert "connection refused" in found.of("connection")["said"]
    assert found.checks[-1] == "further"


def test_a_host_that_never_answers_holds_nothing_up(workplace: Workplace, silent: str) -> None:
    found = examine(workplace, silent, "--timeout", "0.3")
    assert found.verdict("connection") == "ok"
    assert found.of("registry")["verdict"] == "failed"
    found = examine(workplace, f"0x7f.1:{silent.rpartition(':')[2]}", "--timeout", "0.3")
    assert found.of("TLS")["said"] == "no answer in 0.3 s"


def test_a_credential_helper_that_never_answers_holds_nothing_up(workplace: Workplace, locked: RunningSandbox) -> None:
    programs = workplace.folder / "bin"
    programs.mkdir()
    (programs / "docker-credential-slow").write_text("#!/bin/sh\nsleep 100 &\nwait\n")
    (programs / "docker-credential-slow").chmod(0o755)
    (workplace.folder / "config.json").write_text(json.dumps({"credsStore": "slow"}))
    workplace.env.update({"DOCKER_CONFIG": str(workplace.folder), "PATH": f"{programs}:{os.environ['PATH']}"})
    found = examine(workplace, locked.host, "--timeout", "0.5")
    assert found.of("credential")["said"] == "no answer in 0.5 s"
    assert "credential helper" in found.of("credential")["next"]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(404, b"<html>"), "not as a registry does"),
        (Reply(403), "refuses everybody from here (403)"),
        (Reply(429, b"", (("Retry-After", "120"),)), "wants fewer requests (429)"),
        (Reply(500), "it answered 500"),
        (Reply(401, b"", (("WWW-Authenticate", "Negotiate"),)), "of a kind that replsync doesn't know"),
        (Reply(401, b"", (("WWW-Authenticate", "Bearer"),)), "names no usable token server"),
    ],
)
def test_what_is_no_registry_is_told(workplace: Workplace, start_proxy: StartProxy, reply: Reply, said: str) -> None:
    found = examine(workplace, start_proxy(None, lambda _: reply).host)
    assert said in found.of("registry")["said"]
    assert found.done.returncode != 0


@pytest.mark.parametrize(
    ("off", "said"), [(3 * 3600 + 30, "3 h behind"), (-300, "5 min ahead of"), (-20 * 86400, "20 days ahead of")]
)
def test_a_clock_that_is_off_is_a_warning(workplace: Workplace, start_proxy: StartProxy, off: int, said: str) -> None:
    def answer(_: Asked) -> Reply:
        return Reply(200, b"{}", (("Date", email.utils.formatdate(time.time() + off, usegmt=True)),))

    found = examine(workplace, start_proxy(None, answer).host)
    assert found.verdict("clock") == "warning"
    assert f"this machine is {said} the registry" in found.of("clock")["said"]
    assert found.done.returncode == 0


@pytest.mark.parametrize("date", ["yesterday", "", "Mon, 99 Foo 99999 99:99:99 GMT"])
def test_a_date_that_cannot_be_read_is_none(workplace: Workplace, start_proxy: StartProxy, date: str) -> None:
    headers = (("Date", date),)
    assert examine(workplace, start_proxy(None, lambda _: Reply(200, b"", headers)).host).verdict("clock") == "skipped"


def test_what_a_registry_says_of_itself_is_shown_harmless(workplace: Workplace, start_proxy: StartProxy) -> None:
    headers = (("Server", "x\x1b[31m##[error]"), ("RateLimit-Remaining", "76;w=21600"), ("X-Other", "y"))
    host = start_proxy(None, lambda _: Reply(200, b"{}", headers)).host
    said = examine(workplace, host).of("limits")["said"]
    assert "RateLimit-Remaining: 76;w=21600" in said
    assert "X-Other" not in said
    assert "\x1b" not in workplace.run("doctor", host).stdout


def test_a_secret_that_a_registry_repeats_is_not_shown(workplace: Workplace, start_proxy: StartProxy) -> None:
    challenge = f'Basic realm="{CANARY}"'
    echo = (("Server", CANARY), ("WWW-Authenticate", challenge))
    body = json.dumps({"errors": [{"code": CANARY, "message": f"not {CANARY}"}]}).encode()
    host = start_proxy(None, lambda _: Reply(401, body, echo)).host
    sign_in(workplace, host)
    assert examine(workplace, host).verdict("sign-in") == "failed"


def test_a_self_signed_certificate_has_a_next_move_that_helps(
    workplace: Workplace, docker_registry: RegistryServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    certificate = certificate_for(REGISTRY, tmp_path_factory.mktemp("tls"))
    with tls_before(docker_registry.host, certificate) as secure:
        # 127.0.0.1 would be plain http: so by a name that needs no DNS, and is no loopback's.
        host = f"0x7f.1:{secure.rpartition(':')[2]}"
        found = examine(workplace, host)
        assert "self-signed certificate" in found.of("TLS")["said"].replace("self signed", "self-signed")
        assert "SSL_CERT_FILE" in found.of("TLS")["next"]
        workplace.env["SSL_CERT_FILE"] = str(certificate.certificate)
        assert "mismatch" in examine(workplace, host).of("TLS")["said"]
        workplace.env["SSL_CERT_FILE"] = "/no/such/file"
        assert "there is no such file" in examine(workplace, host).of("TLS")["next"]


def test_https_to_a_server_of_http_is_told(workplace: Workplace, docker_registry: RegistryServer) -> None:
    found = examine(workplace, f"0x7f.1:{docker_registry.host.rpartition(':')[2]}")
    assert found.of("TLS")["verdict"] == "failed"
    assert "--plain-http" in found.of("TLS")["next"]


def test_plan_and_doctor_go_through_the_proxy_of_the_environment(
    workplace: Workplace, docker_registry: RegistryServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    push(docker_registry.host, f"{workplace.app}/worker", "1", build_image({"f": b"x"}))
    certificate = certificate_for(REGISTRY, tmp_path_factory.mktemp("tls"))
    lists_worker(workplace, REGISTRY)
    with tls_before(docker_registry.host, certificate) as secure, connect_proxy(secure) as proxy:
        workplace.env["SSL_CERT_FILE"] = str(certificate.certificate)
        workplace.env["HTTPS_PROXY"] = f"http://user:{CANARY}@{proxy.host}"
        assert "1 unchanged" in workplace.plan().stdout
        found = examine(workplace)
        assert found.done.returncode == 0, found.done.stdout
        assert found.of("proxy")["said"] == f"{proxy.host}, by the environment"
        assert found.of("tags")["said"] == f"1 tag in {workplace.app}/worker"
        assert set(proxy.asked) == {f"CONNECT {REGISTRY}:443 HTTP/1.1"}
        assert proxy.signed
        workplace.env["NO_PROXY"] = REGISTRY
        assert examine(workplace).verdict("name") == "failed"


def test_a_proxy_that_refuses_is_named(workplace: Workplace) -> None:
    with connect_proxy("127.0.0.1:1", refuses="407 Proxy Authentication Required") as proxy:
        workplace.env["HTTPS_PROXY"] = f"http://user:{CANARY}@{proxy.host}"
        found = examine(workplace, REGISTRY)
        assert "its proxy refused the way there (407)" in found.of("registry")["said"]
    assert "port" in examine(workplace, REGISTRY).of("connection")["said"]


def test_a_certificate_that_ends_soon_is_a_warning(
    workplace: Workplace, docker_registry: RegistryServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    certificate = certificate_for("0x7f.1", tmp_path_factory.mktemp("tls"), days=3)
    with tls_before(docker_registry.host, certificate) as secure:
        workplace.env["SSL_CERT_FILE"] = str(certificate.certificate)
        found = examine(workplace, f"0x7f.1:{secure.rpartition(':')[2]}")
    assert found.verdict("TLS") == "warning", found.of("TLS")
    assert "certificate by Acme Tests" in found.of("TLS")["said"]


def test_a_manifest_that_is_wrong_fails_and_leaves_registries_alone(workplace: Workplace) -> None:
    workplace.manifest.write_text("version: 1\nimages: 5\n")
    found = examine(workplace)
    assert found.done.returncode == 1
    assert found.verdict("manifest") == "failed"
    assert found.checks[-1] == "registries"


def test_docker_is_looked_at_where_the_manifest_needs_it(
    workplace: Workplace, docker_registry: RegistryServer, dockerd: DockerDaemon
) -> None:
    lists_worker(workplace, docker_registry.host, "docker-daemon:worker")
    workplace.env.update(dockerd.env())
    assert examine(workplace).verdict("docker") == "ok"
    workplace.env["DOCKER_HOST"] = "unix:///no/such/socket"
    found = examine(workplace)
    assert found.verdict("docker") == "failed"


def test_a_daemon_that_never_answers_holds_nothing_up(
    workplace: Workplace, docker_registry: RegistryServer, dockerd: DockerDaemon, silent: str
) -> None:
    lists_worker(workplace, docker_registry.host, "docker-daemon:worker")
    workplace.env["DOCKER_HOST"] = f"tcp://{silent}"
    found = examine(workplace, "--timeout", "1")
    assert "no answer in 1 s" in found.of("docker")["said"]


def test_a_folder_in_the_journals_place_fails(workplace: Workplace, docker_registry: RegistryServer) -> None:
    lists_worker(workplace, docker_registry.host)
    Path(workplace.folder / ".replsync").write_text("a file")
    assert examine(workplace).verdict("journal") == "failed"


@pytest.mark.parametrize("host", ["https://registry.replicated.com", "a b"])
def test_what_is_no_host_is_wrong_usage(workplace: Workplace, host: str) -> None:
    done = workplace.run("doctor", host)
    assert done.returncode == 64
    assert "is not a registry's host" in done.stderr
