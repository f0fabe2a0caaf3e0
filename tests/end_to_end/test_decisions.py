"""What a plan decides for each tag, seen from outside, and that apply does that and nothing else."""

import json

import pytest

from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Reply, error
from tests.end_to_end.workplace import Workplace, digests
from tests.servers.images import build_image, digest_of
from tests.servers.push import Uploader, push
from tests.servers.registry import RegistryServer
from tests.servers.skopeo import Skopeo

ONE = build_image({"one": b"1"})
TWO = build_image({"two": b"2"})
DOCKER_MEDIA = build_image({"three": b"3"}, media="docker")
CHART_TYPE = "application/vnd.cncf.helm.config.v1+json"


def push_chart(host: str, repository: str, tag: str) -> str:
    """Push what `helm push` pushes; returns its digest."""
    config, layer = b'{"name":"worker"}', b"a chart"
    uploader = Uploader(host, repository)
    descriptors = []
    for media_type, blob in ((CHART_TYPE, config), ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", layer)):
        uploader.put_blob(digest_of(blob), blob)
        descriptors.append({"mediaType": media_type, "digest": digest_of(blob), "size": len(blob)})
    media_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": media_type, "config": descriptors[0], "layers": descriptors[1:]}
    raw = json.dumps(manifest).encode()
    uploader.put_manifest(tag, raw, media_type)
    return digest_of(raw)


@pytest.mark.parametrize(
    ("unlisted", "kinds"),
    [
        ("report", {"worker:1": "unchanged", "worker:2": "unlisted", "worker:3": "unlisted"}),
        ("ignore", {"worker:1": "unchanged"}),
        ("tombstone", {"worker:1": "unchanged", "worker:2": "tombstone", "worker:3": "tombstone"}),
    ],
)
def test_unlisted_tags_are_treated_by_policy_and_a_chart_beside_them_never(
    workplace: Workplace, docker_registry: RegistryServer, skopeo: Skopeo, unlisted: str, kinds: dict[str, str]
) -> None:
    host, repository = docker_registry.host, f"{workplace.app}/worker"
    for tag, image in (("1", ONE), ("2", TWO), ("3", DOCKER_MEDIA)):
        push(host, repository, tag, image)
    push(host, f"{workplace.app}/not-in-the-manifest", "1", ONE)
    chart = push_chart(host, repository, "0.1.0")
    workplace.write(host, {"name": "worker", "tags": ["1"]}, unlisted=unlisted)
    assert workplace.kinds() == kinds
    workplace.apply()
    assert workplace.is_in_sync()
    after = digests(skopeo, [f"{host}/{repository}"])
    assert after[f"{host}/{repository}:0.1.0"] == chart
    assert after[f"{host}/{repository}:1"] == ONE.digest
    assert (after[f"{host}/{repository}:2"] == TWO.digest) == (unlisted != "tombstone")
    assert skopeo.digest(f"{host}/{workplace.app}/not-in-the-manifest:1") == ONE.digest


def test_an_image_in_docker_format_is_seen_as_it_is_stored(
    workplace: Workplace, docker_registry: RegistryServer
) -> None:
    push(docker_registry.host, f"{workplace.app}/worker", "3", DOCKER_MEDIA)
    workplace.write(docker_registry.host, {"name": "worker", "tags": ["4"]})
    # docker-registry makes schema 1 of it, with another digest, for clients that don't ask for its own type.
    assert workplace.actions()["worker:3"]["before"] == {
        "kind": "image",
        "digest": DOCKER_MEDIA.digest,
        "config": DOCKER_MEDIA.config_digest,
        "made_from": None,
    }


@pytest.mark.parametrize("key", ["tags", "retired"])
def test_a_chart_is_never_overwritten_even_where_the_manifest_names_it(
    workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer, skopeo: Skopeo, key: str
) -> None:
    host, repository = docker_registry.host, f"{workplace.app}/worker"
    chart = push_chart(host, repository, "0.1.0")
    push(source.host, "acme/worker", "0.1.0", ONE)
    named = {"tags": ["0.1.0"], "source": f"{source.host}/acme/worker", "mutable": ["*"]}
    workplace.write(
        host, {"name": "worker"} | (named if key == "tags" else {"retired": [{"tag": "0.1.0", "reason": "r"}]})
    )
    done = workplace.run("apply", "--auto-approve")
    assert done.returncode == 7
    assert CHART_TYPE in done.stdout
    assert skopeo.digest(f"{host}/{repository}:0.1.0") == chart


def test_a_mutable_tag_follows_its_source(
    workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer, skopeo: Skopeo
) -> None:
    tag = f"{docker_registry.host}/{workplace.app}/worker:edge-1"
    workplace.write(
        docker_registry.host,
        {"name": "worker", "source": f"{source.host}/acme/worker", "tags": ["edge-1"], "mutable": ["edge-*"]},
    )
    for image, kind in ((ONE, "create"), (TWO, "update")):
        push(source.host, "acme/worker", "edge-1", image)
        assert workplace.kinds() == {"worker:edge-1": kind}
        workplace.apply()
        assert skopeo.digest(tag) == image.digest


def test_an_immutable_tag_with_another_image_blocks_the_whole_plan_and_nothing_is_written(
    workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer, skopeo: Skopeo
) -> None:
    repository = f"{docker_registry.host}/{workplace.app}/worker"
    for tag in ("1", "edge", "old"):
        push(docker_registry.host, f"{workplace.app}/worker", tag, ONE)
    for tag in ("1", "edge", "new"):
        push(source.host, "acme/worker", tag, TWO)
    worker = {
        "name": "worker",
        "source": f"{source.host}/acme/worker",
        "tags": ["1", "edge", "new"],
        "mutable": ["edge"],
        "retired": [{"tag": "old", "reason": "old"}],
    }
    workplace.write(docker_registry.host, worker)
    assert workplace.kinds() == {
        "worker:1": "blocked",
        "worker:edge": "update",
        "worker:new": "create",
        "worker:old": "tombstone",
    }
    before = digests(skopeo, [repository])
    done = workplace.run("apply", "--auto-approve")
    assert done.returncode == 7
    assert "/worker:1\n      immutable: " in done.stdout
    assert "or list the tag under `mutable`" in done.stdout
    assert digests(skopeo, [repository]) == before


def test_a_tag_with_neither_source_nor_digest_must_merely_exist(
    workplace: Workplace, docker_registry: RegistryServer
) -> None:
    push(docker_registry.host, f"{workplace.app}/worker", "there", ONE)
    workplace.write(docker_registry.host, {"name": "worker", "tags": ["there", "missing"]})
    actions = workplace.actions()
    assert {name: action["kind"] for name, action in actions.items()} == {
        "worker:missing": "blocked",
        "worker:there": "unchanged",
    }
    assert "add a source, or remove the tag" in actions["worker:missing"]["reason"]


def test_a_pinned_tag_gets_its_digest_though_the_source_has_moved_on(
    workplace: Workplace, docker_registry: RegistryServer, source: RegistryServer, skopeo: Skopeo
) -> None:
    for image in (ONE, TWO):
        push(source.host, "acme/worker", "1", image)
    worker = {"name": "worker", "source": f"{source.host}/acme/worker", "tags": [{"tag": "1", "digest": ONE.digest}]}
    workplace.write(docker_registry.host, worker)
    workplace.apply()
    assert skopeo.digest(f"{docker_registry.host}/{workplace.app}/worker:1") == ONE.digest
    assert workplace.is_in_sync()


@pytest.fixture
def adopted(workplace: Workplace, docker_registry: RegistryServer) -> Workplace:
    """A manifest that adopts `worker:1` as the image ONE, which is there."""
    push(docker_registry.host, f"{workplace.app}/worker", "1", ONE)
    adopt(workplace, docker_registry.host)
    return workplace


def adopt(workplace: Workplace, host: str, mutable: tuple[str, ...] = ()) -> None:
    workplace.write(host, {"name": "worker", "tags": [{"tag": "1", "digest": ONE.digest}], "mutable": mutable})


def test_an_adopted_tag_is_unchanged(adopted: Workplace) -> None:
    assert adopted.kinds() == {"worker:1": "unchanged"}


def test_an_adopted_tag_that_is_mutable_is_put_back_after_someone_overwrote_it(
    adopted: Workplace, docker_registry: RegistryServer, skopeo: Skopeo
) -> None:
    push(docker_registry.host, f"{adopted.app}/worker", "1", TWO)
    assert adopted.kinds() == {"worker:1": "blocked"}
    adopt(adopted, docker_registry.host, mutable=("1",))
    assert adopted.kinds() == {"worker:1": "update"}
    adopted.apply()
    assert skopeo.digest(f"{docker_registry.host}/{adopted.app}/worker:1") == ONE.digest


def test_an_adopted_tag_is_put_back_after_it_was_retired(
    adopted: Workplace, docker_registry: RegistryServer, skopeo: Skopeo
) -> None:
    adopted.write(docker_registry.host, {"name": "worker", "retired": [{"tag": "1", "reason": "a mistake"}]})
    adopted.apply()
    adopt(adopted, docker_registry.host)
    assert adopted.kinds() == {"worker:1": "restore"}
    adopted.apply()
    assert skopeo.digest(f"{docker_registry.host}/{adopted.app}/worker:1") == ONE.digest


def test_an_adopted_digest_that_is_lost_blocks_the_plan(
    adopted: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy
) -> None:
    push(docker_registry.host, f"{adopted.app}/worker", "1", TWO)
    gone = start_proxy(
        docker_registry.host, lambda asked: error(404, "MANIFEST_UNKNOWN") if ONE.digest in asked.path else None
    )
    adopt(adopted, gone.host, mutable=("1",))
    action = adopted.actions()["worker:1"]
    assert action["kind"] == "blocked"
    assert f"{ONE.digest}: the registry has no such image; add a source" in action["reason"]


def test_a_source_in_schema_1_is_refused_by_name(
    workplace: Workplace, docker_registry: RegistryServer, start_proxy: StartProxy
) -> None:
    schema1 = Reply(
        200,
        b'{"schemaVersion": 1, "name": "acme/worker", "tag": "1", "fsLayers": [], "history": []}',
        (("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws"),),
    )
    ancient = start_proxy(None, lambda _: schema1)
    workplace.write(docker_registry.host, {"name": "worker", "source": f"{ancient.host}/acme/worker", "tags": ["1"]})
    action = workplace.actions()["worker:1"]
    assert action["kind"] == "blocked"
    assert "schema 1" in action["reason"]
