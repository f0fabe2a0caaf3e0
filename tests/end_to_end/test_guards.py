"""What an apply leaves alone: a tag that somebody else pushes to, tombstones as sources, signatures."""

from typing import Any

from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.proxy import Asked, Reaction, error
from tests.end_to_end.workplace import Workplace, digests
from tests.servers.images import BuiltImage, build_image, digest_of
from tests.servers.push import Uploader, push
from tests.servers.registry import RegistryServer
from tests.servers.skopeo import Skopeo

OLD, NEW, HOTFIX = (build_image({"version": name}) for name in (b"old", b"new", b"hotfix"))


def worker(source: str, **more: Any) -> dict[str, Any]:
    return {"name": "worker", "source": f"{source}/acme/worker", **more}


def test_a_push_of_somebody_else_during_the_transfer_is_not_overwritten(
    workplace: Workplace,
    docker_registry: RegistryServer,
    source: RegistryServer,
    start_proxy: StartProxy,
    skopeo: Skopeo,
) -> None:
    target = docker_registry.host
    push(source.host, "acme/worker", "latest", NEW)
    push(target, f"{workplace.app}/worker", "latest", OLD)

    def meanwhile(asked: Asked) -> Reaction:
        if digest_of(NEW.layers[0]) in asked.path and asked.method == "GET":
            push(target, f"{workplace.app}/worker", "latest", HOTFIX)
        return None

    workplace.write(target, worker(start_proxy(source.host, meanwhile).host, tags=["latest"], mutable=["latest"]))
    done = workplace.run("apply", "--auto-approve")
    assert done.returncode == 6
    assert "the tag changed while its image was on the way; it was left alone" in done.stdout
    assert digests(skopeo, [f"{target}/{workplace.app}/worker"]).popitem()[1] == HOTFIX.digest


def test_a_source_that_was_retired_is_not_copied_over_a_live_tag(
    workplace: Workplace, docker_registry: RegistryServer
) -> None:
    target, repository = docker_registry.host, f"{workplace.app}/worker"
    push(target, repository, "1.9", OLD)
    push(target, repository, "latest", NEW)
    latest = {"tag": "latest", "source": f"{target}/{repository}:1.9"}
    retired = [{"tag": "1.9", "reason": "CVE-1"}]
    workplace.write(target, {"name": "worker", "retired": retired})
    workplace.apply()
    workplace.write(target, {"name": "worker", "mutable": ["latest"], "tags": [latest], "retired": retired})
    done = workplace.run("plan")
    assert done.returncode == 7
    assert "was retired: CVE-1\n      next: name another source" in done.stdout


def test_a_tombstone_waits_for_the_tags_of_its_image(
    workplace: Workplace,
    docker_registry: RegistryServer,
    source: RegistryServer,
    start_proxy: StartProxy,
    skopeo: Skopeo,
) -> None:
    target, repository = docker_registry.host, f"{workplace.app}/worker"
    push(source.host, "acme/worker", "1.10", NEW)
    push(target, repository, "1.9", OLD)

    def broken(asked: Asked) -> Reaction:
        return error(404, "BLOB_UNKNOWN") if "/blobs/" in asked.path else None

    image = worker(start_proxy(source.host, broken).host, tags=["1.10"], retired=[{"tag": "1.9", "reason": "use 1.10"}])
    workplace.write(target, image)
    done = workplace.run("apply", "--auto-approve")
    assert done.returncode == 6
    assert "1.9: not tried, since a tag of its image failed" in done.stdout
    assert skopeo.digest(f"{target}/{repository}:1.9") == OLD.digest


def test_signatures_are_never_listed_nor_touched(
    workplace: Workplace, docker_registry: RegistryServer, skopeo: Skopeo
) -> None:
    """cosign's have an image's config, and other layers; older tags name them by the digest they sign."""
    target, repository = docker_registry.host, f"{workplace.app}/worker"
    layer = b"application/vnd.oci.image.layer.v1.tar+gzip"
    manifest = OLD.manifest.replace(layer, b"application/vnd.dev.cosign.simplesigning.v1+json")
    signature = BuiltImage(manifest, OLD.media_type, OLD.config, OLD.blobs, OLD.platform)
    uploader = Uploader(target, repository, None)
    uploader.put_image("signature", signature)
    uploader.put_image(f"{OLD.digest.replace(':', '-')}.sig", OLD)
    uploader.put_image("1", NEW)
    before = digests(skopeo, [f"{target}/{repository}"])
    workplace.write(target, {"name": "worker", "tags": ["1"]}, unlisted="tombstone")
    assert workplace.is_in_sync()
    workplace.apply()
    assert digests(skopeo, [f"{target}/{repository}"]) == before
