"""What shares a registry with images and is none: Helm charts, and images whose content is another's."""

import dataclasses
import gzip
import io
import json
import tarfile

from tests.servers.images import BuiltImage, digest_of

_HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
_HELM_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def build_chart(name: str, version: str) -> BuiltImage:
    """Build a chart as `helm push` sends it (helm.sh/docs/topics/registries, "Helm chart manifest")."""
    about = json.dumps({"apiVersion": "v2", "name": name, "version": version}).encode()
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        member = tarfile.TarInfo(f"{name}/Chart.yaml")
        member.size = len(about)
        tar.addfile(member, io.BytesIO(about))
    layer = gzip.compress(content.getvalue(), mtime=0)
    manifest = {
        "schemaVersion": 2,
        "config": {"mediaType": _HELM_CONFIG, "digest": digest_of(about), "size": len(about)},
        "layers": [{"mediaType": _HELM_LAYER, "digest": digest_of(layer), "size": len(layer)}],
    }
    blobs = {digest_of(blob): blob for blob in (layer, about)}
    return BuiltImage(json.dumps(manifest).encode(), _MANIFEST, about, blobs, "")


def build_tombstone(reference: str, reason: str, replaces: BuiltImage) -> BuiltImage:
    """Build the tombstone of `reference`, by the labels that the documentation names."""
    from replsync.oci.digest import parse_digest
    from replsync.oci.tombstone import EMPTY_LAYER, EMPTY_LAYER_DIGEST, Epitaph, tombstone_config, tombstone_manifest

    config = tombstone_config(Epitaph(reference, reason, parse_digest(replaces.digest), replaces.media_type))
    manifest = tombstone_manifest(config)
    blobs = {str(EMPTY_LAYER_DIGEST): EMPTY_LAYER, digest_of(config): config}
    media_type = str(json.loads(manifest)["mediaType"])
    return dataclasses.replace(replaces, manifest=manifest, media_type=media_type, config=config, blobs=blobs)
