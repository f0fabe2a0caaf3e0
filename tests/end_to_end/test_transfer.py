"""How images get there: what crosses the wire, in which order, and what a failure leaves behind."""

from collections import Counter

import pytest

from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Asked, Proxy, Reply, error
from tests.end_to_end.workplace import Workplace, digests
from tests.servers.images import build_image, build_index, digest_of
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox
from tests.servers.skopeo import Skopeo

BASE = build_image({"base": b"base" * 10_000})
GOOD = build_image({"good": b"good"}, base=BASE)
BAD = build_image({"bad": b"bad" * 1000})
OLD = build_image({"old": b"old"})


def put_manifests(sandbox: RunningSandbox) -> list[str]:
    """The references of all image manifests that were written, in order."""
    return [
        asked.path.removeprefix("/v2/").replace("/manifests/", ":")
        for asked in sandbox.answered
        if asked.method == "PUT" and "/manifests/" in asked.path
    ]


def writes(proxy: Proxy) -> list[Asked]:
    return [asked for asked in proxy.asked if asked.method in ("POST", "PUT", "PATCH", "DELETE")]


@pytest.fixture
def rehearsal(workplace: Workplace, sandbox: RunningSandbox) -> Workplace:
    """A workplace that is signed in to the sandbox."""
    workplace.env["REPLICATED_API_TOKEN"] = sandbox.credentials.password
    return workplace


def test_each_blob_crosses_the_wire_once_and_is_mounted_elsewhere(
    rehearsal: Workplace, sandbox: RunningSandbox, source: RegistryServer
) -> None:
    names = ["api", "front", "migrate", "proxy", "worker"]
    images = {
        f"{name}:{tag}": build_image({name: f"{name} {tag}".encode()}, base=BASE) for name in names for tag in "12"
    }
    for name, image in images.items():
        push(source.host, f"acme/{name.partition(':')[0]}", name.partition(":")[2], image)
    rehearsal.write(
        sandbox.host,
        *({"name": name, "source": f"{source.host}/acme/{name}", "tags": ["1", "2"]} for name in names),
    )
    planned = rehearsal.actions()
    rehearsal.apply()
    received = Counter(one.received for one in sandbox.answered if one.method == "PUT" and "/uploads/" in one.path)
    blobs = {digest: len(blob) for image in images.values() for digest, blob in image.blobs.items()}
    assert received == Counter(blobs.values())
    uploaded = sum(action["bytes"]["upload"] for action in planned.values())
    assert uploaded == sum(blobs.values())
    base_blobs = [one for one in sandbox.answered if one.method == "POST" and one.status == 201]
    assert len(base_blobs) == len(names) - 1  # the base was mounted into all repositories but the first


def test_blobs_are_mounted_from_a_source_in_the_same_registry(
    workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy, skopeo: Skopeo
) -> None:
    target = start_proxy(docker_registry.host)
    push(docker_registry.host, f"{workplace.app}-source/worker", "1", GOOD)
    workplace.write(
        target.host, {"name": "worker", "source": f"{target.host}/{workplace.app}-source/worker", "tags": ["1"]}
    )
    size = sum(map(len, GOOD.blobs.values()))
    assert workplace.actions()["worker:1"]["bytes"] == {"total": size, "upload": 0, "mount": size}
    workplace.apply()
    assert skopeo.digest(f"{target.host}/{workplace.app}/worker:1") == GOOD.digest
    assert all("mount=" in asked.path for asked in writes(target) if "/uploads/" in asked.path)


def test_a_second_apply_writes_nothing(
    workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer, start_proxy: StartProxy
) -> None:
    target = start_proxy(docker_registry.host)
    push(source.host, "acme/worker", "1", GOOD)
    workplace.write(target.host, {"name": "worker", "source": f"{source.host}/acme/worker", "tags": ["1"]})
    workplace.apply()
    target.asked.clear()
    assert workplace.apply().stdout == "Plan: no changes; 1 unchanged.\n"
    assert writes(target) == []


def test_an_index_is_written_after_its_images_and_the_tag_last(
    rehearsal: Workplace, sandbox: RunningSandbox, source: RegistryServer
) -> None:
    images = [build_image({"a": b"1"}, platform=platform) for platform in ("linux/amd64", "linux/arm64")]
    push(source.host, "acme/worker", "1", build_index(images))
    rehearsal.write(sandbox.host, {"name": "worker", "source": f"{source.host}/acme/worker", "tags": ["1"]})
    rehearsal.apply()
    repository = f"{rehearsal.app}/worker"
    assert put_manifests(sandbox) == [*(f"{repository}:{image.digest}" for image in images), f"{repository}:1"]


def test_images_are_created_before_tombstones_are_set(
    rehearsal: Workplace, sandbox: RunningSandbox, source: RegistryServer
) -> None:
    for tag in ("1.9", "1.10"):
        push(sandbox.host, f"{rehearsal.app}/a", tag, OLD, sandbox.credentials)
    for name in ("b", "c"):
        push(source.host, f"acme/{name}", "2.0", GOOD)
    retired = [{"tag": tag, "reason": "use 2.0"} for tag in ("1.9", "1.10")]
    rehearsal.write(
        sandbox.host,
        {"name": "a", "retired": retired},
        *({"name": name, "source": f"{source.host}/acme/{name}", "tags": ["2.0"]} for name in ("b", "c")),
    )
    sandbox.answered.clear()
    rehearsal.apply()
    written = put_manifests(sandbox)
    app = rehearsal.app
    assert sorted(written[:2]) == [f"{app}/b:2.0", f"{app}/c:2.0"]
    assert sorted(written[2:]) == [f"{app}/a:1.10", f"{app}/a:1.9"]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (error(404, "BLOB_UNKNOWN"), "404"),
        (Reply(200, b"short"), "is not the blob"),
        (Reply(200, b"x" * len(BAD.layers[0])), "is not the blob"),
    ],
    ids=["gone", "cut short", "other bytes"],
)
def test_a_broken_blob_at_the_source_fails_its_own_tag_only(
    workplace: Workplace,
    docker_registry: RegistryServer,
    source: RegistryServer,
    start_proxy: StartProxy,
    skopeo: Skopeo,
    reply: Reply,
    said: str,
) -> None:
    broken = start_proxy(source.host)
    push(source.host, "acme/worker", "good", GOOD)
    push(source.host, "acme/worker", "bad", BAD)
    target = f"{docker_registry.host}/{workplace.app}/worker"
    push(docker_registry.host, f"{workplace.app}/worker", "bad", OLD)
    workplace.write(
        docker_registry.host,
        {"name": "worker", "source": f"{broken.host}/acme/worker", "tags": ["good", "bad"], "mutable": ["bad"]},
    )
    layer = digest_of(BAD.layers[0])
    broken.script = lambda asked: reply if layer in asked.path else None
    failed = workplace.run("apply", "--auto-approve")
    assert failed.returncode == 6, failed.stdout + failed.stderr
    assert "Apply: 1 created; 1 failed." in failed.stdout
    assert "worker:bad update" in failed.stdout
    assert said in failed.stdout
    assert "Traceback" not in failed.stderr
    assert digests(skopeo, [target]) == {f"{target}:good": GOOD.digest, f"{target}:bad": OLD.digest}

    broken.script = lambda _: None  # mended
    workplace.apply()
    assert digests(skopeo, [target]) == {f"{target}:good": GOOD.digest, f"{target}:bad": BAD.digest}
    assert workplace.is_in_sync()


def test_a_refusal_to_write_ends_the_run_as_what_it_is(
    workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer, start_proxy: StartProxy
) -> None:
    read_only = start_proxy(
        docker_registry.host, lambda asked: error(403, "DENIED") if asked.method == "POST" else None
    )
    for tag in ("1", "2"):
        push(source.host, "acme/worker", tag, build_image({"tag": tag.encode()}))
    workplace.write(read_only.host, {"name": "worker", "source": f"{source.host}/acme/worker", "tags": ["1", "2"]})
    done = workplace.run("apply", "--auto-approve")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "403" in done.stdout
    assert "the team's right to push may have been withdrawn" in done.stdout
    assert "Apply: nothing done; 2 failed." in done.stdout
    assert [asked for asked in writes(read_only) if asked.method == "PUT"] == []


def test_a_tag_that_moves_after_the_plan_is_left_alone(
    workplace: Workplace,
    docker_registry: RegistryServer,
    source: RegistryServer,
    start_proxy: StartProxy,
    skopeo: Skopeo,
) -> None:
    target = start_proxy(docker_registry.host)
    repository = f"{workplace.app}/worker"
    push(docker_registry.host, repository, "latest", OLD)
    push(source.host, "acme/worker", "latest", GOOD)
    workplace.write(
        target.host,
        {"name": "worker", "source": f"{source.host}/acme/worker", "tags": ["latest"], "mutable": ["latest"]},
    )
    reads = 0

    def someone_pushes_after_the_plan(asked: Asked) -> None:
        nonlocal reads
        if asked == Asked("GET", f"/v2/{repository}/manifests/latest"):
            reads += 1
            if reads == 2:  # the plan's was the first
                push(docker_registry.host, repository, "latest", BAD)

    target.script = someone_pushes_after_the_plan
    done = workplace.run("apply", "--auto-approve")
    assert done.returncode == 6, done.stdout + done.stderr
    assert "the tag changed since the plan was made" in done.stdout
    assert skopeo.digest(f"{docker_registry.host}/{repository}:latest") == BAD.digest


def test_a_registry_that_stores_something_else_is_found_out(
    workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer, start_proxy: StartProxy
) -> None:
    target = start_proxy(docker_registry.host)
    push(source.host, "acme/worker", "1", GOOD)
    tag = f"/v2/{workplace.app}/worker/manifests/1"
    target.script = lambda asked: Reply(201) if asked == Asked("PUT", tag) else None  # says yes, and does nothing
    workplace.write(target.host, {"name": "worker", "source": f"{source.host}/acme/worker", "tags": ["1"]})
    done = workplace.run("apply", "--auto-approve")
    assert done.returncode == 6, done.stdout + done.stderr
    assert "it holds nothing, not what was pushed" in done.stdout


def test_a_digest_at_the_source_that_moves_after_the_plan_is_not_followed(
    workplace: Workplace,
    docker_registry: RegistryServer,
    source: RegistryServer,
    start_proxy: StartProxy,
    skopeo: Skopeo,
) -> None:
    moving = start_proxy(source.host)
    push(source.host, "acme/worker", "1", GOOD)
    layer = digest_of(GOOD.layers[-1])

    def someone_pushes_to_the_source(asked: Asked) -> None:
        if layer in asked.path:
            push(source.host, "acme/worker", "1", BAD)

    moving.script = someone_pushes_to_the_source
    workplace.write(docker_registry.host, {"name": "worker", "source": f"{moving.host}/acme/worker", "tags": ["1"]})
    workplace.apply()
    assert skopeo.digest(f"{docker_registry.host}/{workplace.app}/worker:1") == GOOD.digest
    assert skopeo.digest(f"{source.host}/acme/worker:1") == BAD.digest
