"""Each kind of registry, and what a test of all of them can count on."""

import socket

import pytest

from tests.kinds import SERVERS
from tests.servers import olareg
from tests.servers.any_registry import AnyRegistry, StartAnyRegistry
from tests.servers.images import build_image, build_index
from tests.servers.process import REQUIRE_SERVERS, built
from tests.servers.push import Uploader, push
from tests.servers.registry import StartOpenRegistry, StartRegistry
from tests.servers.skopeo import Skopeo


def test_skopeo_reads_what_was_pushed(any_registry: AnyRegistry, skopeo: Skopeo, namespace: str) -> None:
    index = build_index([build_image({"a": b"1"}, platform=name) for name in ("linux/amd64", "linux/arm64")])
    repository, creds = f"{any_registry.host}/{namespace}/worker", any_registry.credentials
    push(any_registry.host, f"{namespace}/worker", "1.0", index, creds)
    assert skopeo.inspect_raw(f"{repository}:1.0", creds) == index.manifest
    assert skopeo.config(f"{repository}@{index.images[1].digest}", creds) == index.images[1].config
    assert skopeo.tags(repository, creds) == ["1.0"]


def test_two_registries_of_a_kind_share_nothing(start_any_registry: StartAnyRegistry) -> None:
    first, second = start_any_registry(), start_any_registry()
    image = build_image({"a": b"1"})
    push(first.host, "myapp/worker", "1.0", image, first.credentials)
    uploader = Uploader(second.host, "myapp/worker", second.credentials)
    for path in ("manifests/1.0", *(f"blobs/{digest}" for digest in image.blobs)):
        assert uploader.request("GET", f"/v2/myapp/worker/{path}").status == 404


def test_a_test_of_each_kind_has_the_marker_of_its_kind(
    any_registry: AnyRegistry, request: pytest.FixtureRequest
) -> None:
    kind = any_registry.kind
    marker = {"crane_registry": ["crane"], "sandbox": []}.get(kind, [kind])
    assert [name for name in SERVERS if request.node.get_closest_marker(name)] == marker


def test_distribution_with_sign_in_lets_only_its_user_in(start_distribution: StartRegistry, skopeo: Skopeo) -> None:
    server = start_distribution(htpasswd=True)
    image = build_image({"a": b"1"})
    push(server.host, "worker", "1.0", image, server.credentials)
    assert skopeo.inspect_raw(f"{server.host}/worker:1.0", server.credentials) == image.manifest
    assert Uploader(server.host, "worker").request("GET", "/v2/worker/tags/list").status == 401


def test_olareg_takes_another_port_where_its_own_was_taken_meanwhile(
    start_olareg: StartOpenRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Somebody else has taken it, who answers as a registry does.
    taken = int(start_olareg().host.rpartition(":")[2])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    ports = iter([taken, free])
    monkeypatch.setattr(olareg, "_free_port", lambda: next(ports))
    assert start_olareg().host == f"127.0.0.1:{free}"


def test_a_program_that_is_not_built_leaves_the_test_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRE_SERVERS, raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"sh is not built \(scripts/build-go-programs"):
        built("sh")  # it is on PATH


def test_a_program_that_is_not_built_fails_the_test_where_servers_are_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(REQUIRE_SERVERS, "1")
    with pytest.raises(pytest.fail.Exception, match="sh is not built"):
        built("sh")
