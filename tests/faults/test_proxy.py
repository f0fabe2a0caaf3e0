"""The fault proxy itself: it does what its faults say, and nothing else."""

import http.client
import socket
import time
from collections.abc import Iterator

import pytest

from tests.faults.fault import Ceiling, Fault, What
from tests.faults.kinds import Kind, Position, kind_of
from tests.faults.proxy import FaultProxy, fault_proxy
from tests.faults.wire import Request
from tests.servers.images import build_image, digest_of
from tests.servers.push import Answer, Uploader, push
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox

IMAGE = build_image({"file": b"content" * 10})
BLOB = bytes(range(256)) * 1024
DIGEST = digest_of(BLOB)


@pytest.fixture
def registry(docker_registry: RegistryServer, namespace: str) -> tuple[str, str]:
    """A registry's host, and a repository there that has IMAGE at the tag `1`."""
    push(docker_registry.host, f"{namespace}/worker", "1", IMAGE)
    return docker_registry.host, f"{namespace}/worker"


def fetch(proxy: FaultProxy, repository: str, tag: str = "1", method: str = "GET") -> Answer:
    headers = {"Accept": IMAGE.media_type}
    return Uploader(proxy.host, repository).request(method, f"/v2/{repository}/manifests/{tag}", headers=headers)


def open_upload(proxy: FaultProxy, repository: str) -> str:
    """The path of a new upload's session, with what a digest can be added to."""
    opened = Uploader(proxy.host, repository).request("POST", f"/v2/{repository}/blobs/uploads/")
    assert opened.status == 202
    location = opened.headers["location"]
    assert location.startswith(f"http://{proxy.host}/")
    return location.removeprefix(f"http://{proxy.host}") + "&digest="


def put(proxy: FaultProxy, path: str, body: bytes | Iterator[bytes]) -> int:
    connection = http.client.HTTPConnection(proxy.host, timeout=20)
    try:
        connection.request("PUT", path, body, encode_chunked=not isinstance(body, bytes))
        return connection.getresponse().status
    finally:
        connection.close()


def has(host: str, repository: str, digest: str = DIGEST) -> bool:
    return Uploader(host, repository).request("HEAD", f"/v2/{repository}/blobs/{digest}").status == 200


@pytest.mark.parametrize(
    ("request_line", "kind"),
    [
        ("GET /v2/token?scope=a", Kind.TOKEN),
        ("GET /v2/", Kind.OTHER),
        ("GET /v2/a/b/tags/list?n=5", Kind.TAGS),
        ("HEAD /v2/a/b/manifests/1", Kind.HEAD_MANIFEST),
        ("GET /v2/a/manifests/sha256:ab", Kind.GET_MANIFEST),
        ("PUT /v2/a/manifests/sha256:ab", Kind.PUT_MANIFEST),
        ("PUT /v2/a/manifests/1.0", Kind.PUT_TAG),
        ("HEAD /v2/a/blobs/sha256:ab", Kind.HEAD_BLOB),
        ("GET /v2/a/blobs/sha256:ab", Kind.GET_BLOB),
        ("POST /v2/a/blobs/uploads/", Kind.POST),
        ("POST /v2/a/blobs/uploads/?mount=sha256:ab&from=b", Kind.MOUNT),
        ("PATCH /v2/a/blobs/uploads/1-2?_state=x", Kind.PATCH),
        ("PUT /v2/a/blobs/uploads/1-2?digest=sha256:ab", Kind.PUT_BLOB),
        ("GET /v2/a/blobs/uploads/1-2", Kind.OTHER),
        ("DELETE /v2/a/blobs/uploads/1-2", Kind.OTHER),
        ("HEAD /v2/blobs/manifests/manifests/1", Kind.HEAD_MANIFEST),
    ],
)
def test_requests_are_told_apart(request_line: str, kind: Kind) -> None:
    assert kind_of(Request(f"{request_line} HTTP/1.1", [])) is kind


def test_without_faults_everything_goes_through(registry: tuple[str, str]) -> None:
    host, repository = registry
    with fault_proxy(host) as proxy:
        assert fetch(proxy, repository).body == IMAGE.manifest
        assert fetch(proxy, repository, method="HEAD").headers["docker-content-digest"] == IMAGE.digest
        push(proxy.host, f"{repository}-2", "1", IMAGE)
        assert fetch(proxy, f"{repository}-2").body == IMAGE.manifest
    assert proxy.counts[Kind.PUT_BLOB] == len(IMAGE.blobs)


def test_connections_are_kept(registry: tuple[str, str]) -> None:
    host, repository = registry
    with fault_proxy(host, [Fault(What.S500, Kind.GET_MANIFEST)]) as proxy:
        connection = http.client.HTTPConnection(proxy.host, timeout=20)
        connection.connect()
        port = connection.sock.getsockname()[1]
        for status in (500, 200, 200):
            connection.request("GET", f"/v2/{repository}/manifests/1", headers={"Accept": IMAGE.media_type})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
            assert connection.sock.getsockname()[1] == port
        connection.close()


def test_bodies_in_chunks_go_through(registry: tuple[str, str]) -> None:
    host, repository = registry
    with fault_proxy(host) as proxy:
        path = open_upload(proxy, repository)
        assert put(proxy, path + DIGEST, iter([BLOB[:1000], BLOB[1000:]])) == 201
    assert has(host, repository)


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(registry: tuple[str, str]) -> None:
    host, repository = registry
    with fault_proxy(host) as proxy:
        path = open_upload(proxy, repository)
        name, _, port = proxy.host.partition(":")
        with socket.create_connection((name, int(port)), timeout=20) as connection:
            head = (
                f"PUT {path}{DIGEST} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BLOB)}\r\nExpect: 100-continue\r\n\r\n"
            )
            connection.sendall(head.encode())
            assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(BLOB)
            assert connection.recv(1000).startswith(b"HTTP/1.1 201 ")


def test_a_fault_hits_as_often_as_it_says(registry: tuple[str, str]) -> None:
    host, repository = registry
    fault = Fault(What.S503, Kind.GET_MANIFEST, times=2, skip=1)
    with fault_proxy(host, [fault]) as proxy:
        assert [fetch(proxy, repository).status for _ in range(5)] == [200, 503, 503, 200, 200]
        assert proxy.rules.hits(fault) == 2


def test_a_reset_is_one_and_an_orderly_end_is_none(registry: tuple[str, str]) -> None:
    host, repository = registry
    faults = [Fault(What.RESET, Kind.GET_MANIFEST), Fault(What.TRUNCATED, Kind.GET_MANIFEST, skip=1)]
    with fault_proxy(host, faults) as proxy:
        with pytest.raises(ConnectionResetError):
            fetch(proxy, repository)
        with pytest.raises(http.client.RemoteDisconnected, match="closed connection without response"):
            fetch(proxy, repository)


@pytest.mark.parametrize("position", [Position.MIDDLE, Position.LAST])
def test_an_answer_ends_where_it_is_told(registry: tuple[str, str], position: Position) -> None:
    host, repository = registry
    truncated = Fault(What.TRUNCATED, Kind.GET_MANIFEST, position)
    with fault_proxy(host, [truncated]) as proxy, pytest.raises(http.client.IncompleteRead) as caught:
        fetch(proxy, repository)
    size = len(IMAGE.manifest)
    assert caught.value.partial == IMAGE.manifest[: size // 2 if position is Position.MIDDLE else size - 1]


@pytest.mark.parametrize("position", [Position.FIRST, Position.MIDDLE, Position.LAST])
def test_one_byte_is_corrupt(registry: tuple[str, str], position: Position) -> None:
    host, repository = registry
    with fault_proxy(host, [Fault(What.CORRUPT, Kind.GET_MANIFEST, position)]) as proxy:
        body = fetch(proxy, repository).body
    size = len(IMAGE.manifest)
    wrong = {Position.FIRST: 0, Position.MIDDLE: size // 2, Position.LAST: size - 1}[position]
    assert [at for at in range(size) if body[at] != IMAGE.manifest[at]] == [wrong]
    assert len(body) == size


def test_a_corrupt_upload_is_refused_by_the_registry(registry: tuple[str, str]) -> None:
    host, repository = registry
    with fault_proxy(host, [Fault(What.CORRUPT, Kind.PUT_BLOB, Position.LAST)]) as proxy:
        assert put(proxy, open_upload(proxy, repository) + DIGEST, BLOB) == 400
    assert not has(host, repository)


def test_a_change_that_nobody_notices_makes_another_image(registry: tuple[str, str]) -> None:
    host, repository = registry
    with fault_proxy(host, [Fault(What.UNNOTICED, Kind.PUT_TAG)]) as proxy:
        Uploader(proxy.host, repository).put_manifest("2", IMAGE.manifest, IMAGE.media_type)
        assert digest_of(fetch(proxy, repository, "2").body) != IMAGE.digest


@pytest.mark.parametrize(("position", "landed"), [(Position.LAST, False), (Position.AFTER, True)])
@pytest.mark.parametrize("what", [What.S524, What.S504, What.UNAUTHORIZED, What.RESET])
def test_what_was_committed_is_there(registry: tuple[str, str], what: What, position: Position, landed: bool) -> None:
    host, repository = registry
    with fault_proxy(host, [Fault(what, Kind.PUT_BLOB, position)]) as proxy:
        path = open_upload(proxy, repository)
        if what is What.RESET:
            with pytest.raises(ConnectionError):
                put(proxy, path + DIGEST, BLOB)
        else:
            assert str(put(proxy, path + DIGEST, BLOB)) == what
    assert has(host, repository) is landed


def test_a_lost_session_is_gone_from_the_registry_too(registry: tuple[str, str]) -> None:
    host, repository = registry
    small = BLOB[:10_000]
    with fault_proxy(host, [Fault(What.LOST, Kind.PUT_BLOB)]) as proxy:
        path = open_upload(proxy, repository)
        assert put(proxy, path + digest_of(small), small) == 404
        assert put(proxy, path + digest_of(small), small) == 404


def test_a_lie_is_told_only_where_it_is_one(registry: tuple[str, str]) -> None:
    host, repository = registry
    faults = [Fault(What.LYING_ABSENT, Kind.HEAD_BLOB), Fault(What.LYING_DIGEST, Kind.HEAD_MANIFEST)]
    with fault_proxy(host, faults) as proxy:
        assert not has(proxy.host, repository)  # it isn't there
        assert proxy.rules.hits(faults[0]) == 0
        config = IMAGE.config_digest
        assert [has(proxy.host, repository, config) for _ in range(2)] == [False, True]
        stated = [fetch(proxy, repository, method="HEAD").headers["docker-content-digest"] for _ in range(2)]
        assert stated[0] != stated[1] == IMAGE.digest


def test_a_slow_answer_comes_in_drips(registry: tuple[str, str]) -> None:
    host, repository = registry
    name, _, port = "", "", ""
    with fault_proxy(host, [Fault(What.SLOW, Kind.HEAD_MANIFEST)]) as proxy:
        name, _, port = proxy.host.partition(":")
        with socket.create_connection((name, int(port)), timeout=20) as connection:
            connection.sendall(f"HEAD /v2/{repository}/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert [len(connection.recv(100)) for _ in range(3)] == [1, 1, 1]


def test_where_it_is_redirected_to_no_credential_is_needed(sandbox: RunningSandbox) -> None:
    repository = "app/worker"
    push(sandbox.host, repository, "1", IMAGE, sandbox.credentials)
    with fault_proxy(sandbox.host, [Fault(What.ELSEWHERE, Kind.GET_MANIFEST, times=None)]) as proxy:
        client = Uploader(proxy.host, repository, sandbox.credentials)
        path = f"/v2/{repository}/manifests/1"
        location = client.request("GET", path, headers={"Accept": IMAGE.media_type}).headers["location"]
        assert location == f"http://{proxy.elsewhere.host}{path}"
        other = Uploader(proxy.elsewhere.host, repository)
        assert other.request("GET", path, headers={"Accept": IMAGE.media_type}).body == IMAGE.manifest
        assert proxy.elsewhere.leaks == []
        other.request("GET", path, headers={"Accept": IMAGE.media_type, "Authorization": "Bearer leaked"})
        assert proxy.elsewhere.leaks == [f"GET {path}"]
        assert sandbox.credentials.password in proxy.secrets


def test_a_request_that_runs_too_long_is_cut_off_with_524(registry: tuple[str, str]) -> None:
    host, repository = registry
    with fault_proxy(host, ceiling=Ceiling(seconds=0.5, rate=200_000)) as proxy:
        path = open_upload(proxy, repository)
        assert put(proxy, path + DIGEST, BLOB) == 524
        small = BLOB[:20_000]
        path = open_upload(proxy, repository)
        assert put(proxy, path + digest_of(small), small) == 201
    assert not has(host, repository)


def test_the_rate_holds(registry: tuple[str, str]) -> None:
    host, repository = registry
    with fault_proxy(host, ceiling=Ceiling(seconds=60, rate=500_000)) as proxy:
        path = open_upload(proxy, repository)
        begun = time.monotonic()
        assert put(proxy, path + DIGEST, BLOB) == 201
        assert time.monotonic() - begun > len(BLOB) / 500_000 * 0.9
