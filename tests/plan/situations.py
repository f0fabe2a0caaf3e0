"""Small situations for the planner: one image, `worker`, in one registry."""

from collections.abc import Mapping
from typing import Any

from replsync.manifest.model import Manifest
from replsync.oci.digest import Digest, sha256
from replsync.oci.image_manifest import DOCKER_MANIFEST, OCI_INDEX
from replsync.oci.reference import parse_reference
from replsync.oci.source_name import RegistrySource, SourceName, parse_source, pinned
from replsync.oci.tag_state import Present, Resolved, TagState, Tombstone, Wanted
from replsync.oci.tombstone import Epitaph, tombstone_config, tombstone_manifest
from replsync.plan.action import Action, Copy
from replsync.plan.planner import Situation, Target, decide

TARGET = Target("registry.test", "myapp")
WORKER = TARGET.repository("worker")
SOURCE = RegistrySource(parse_reference("ghcr.io/acme/worker:1.0"))


def digest(name: str) -> Digest:
    return sha256(name.encode())


def present(name: str) -> Present:
    """An image of one platform: digest and config both follow from its name."""
    return Present(digest(name), DOCKER_MANIFEST, digest(f"{name}'s config"))


def present_index(name: str) -> Present:
    return Present(digest(name), OCI_INDEX)


def resolved(name: str) -> Resolved:
    """What a registry source offers."""
    return Resolved(pinned(SOURCE, digest(name)), digest(name))


def resolved_in_daemon(name: str) -> Resolved:
    """What a daemon offers: an image ID and no digest."""
    return Resolved(parse_source("docker-daemon:worker:dev"), None, digest(f"{name}'s config"))


def tombstone(replaces: str, reason: str = "old", *, readable: bool = True, tag: str = "1.0") -> Tombstone:
    epitaph = Epitaph(str(WORKER.tagged(tag)), reason, digest(replaces), DOCKER_MANIFEST)
    config = tombstone_config(epitaph)
    replaced = present(replaces) if readable else None
    return Tombstone(sha256(tombstone_manifest(config)), sha256(config), epitaph, replaced)


def manifest(*, unlisted: str = "report", **image: Any) -> Manifest:
    return Manifest.model_validate(
        {
            "version": 1,
            "app": TARGET.app,
            "registry": TARGET.registry,
            "policy": {"unlisted": unlisted},
            "images": [{"name": "worker", "source": "ghcr.io/acme/worker", **image}],
        }
    )


def listing(*, mutable: bool = False) -> Manifest:
    """The file says: image at tag 1.0."""
    return manifest(tags=["1.0"], mutable=["1.*"] if mutable else [])


def retiring(reason: str = "old") -> Manifest:
    """The file says: tag 1.0 is retired."""
    return manifest(retired=[{"tag": "1.0", "reason": reason}])


def actions(
    file: Manifest,
    there: Mapping[str, TagState],
    wanted: Mapping[str, Wanted] | None = None,
    *,
    daemon_pushes: bool = False,
) -> tuple[Action, ...]:
    """The actions for a registry that has `there` and sources that offer `wanted`, both by tag."""

    inventory = {WORKER.tagged(tag): state for tag, state in there.items()}
    offered = {WORKER.tagged(tag): offer for tag, offer in (wanted or {}).items()}
    return decide(file, Situation(TARGET, inventory, offered, daemon_pushes))


def action(file: Manifest, there: TagState, wanted: Wanted | None = None, *, daemon_pushes: bool = False) -> Action:
    """The one action for tag 1.0."""
    (only,) = actions(file, {"1.0": there}, {"1.0": wanted} if wanted else {}, daemon_pushes=daemon_pushes)
    return only


def copied(action: Action) -> SourceName | None:
    """What is copied to the tag, if anything is."""
    return action.write.source if isinstance(action.write, Copy) else None


def own(name: str) -> RegistrySource:
    """The target's own repository, by digest: where what a tombstone replaced is put back from."""
    return RegistrySource(WORKER.at(digest(name)))
