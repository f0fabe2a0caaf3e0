"""An example application to try things out on: what a vendor's registry may look like after some releases.

The same bytes every time, on every machine: the digests in documentation and
tests hold. The images run: each greets, and ends. What else is in them is
made up, so that there is something to send and to share.
"""

import hashlib
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replsync.oci.digest import sha256
from replsync.oci.image_manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
)
from replsync.oci.tombstone import EMPTY_LAYER, Epitaph, tombstone_config, tombstone_manifest
from replsync.sandbox.program import greeting_program
from replsync.sandbox.store import Store, StoredManifest

APP = "myapp"
IMAGES = ("worker", "web", "migrations")
"""The repositories below APP that hold images. Another one holds a Helm chart, as a promoted release would."""

_ARCHITECTURES = ("amd64", "arm64")
_WORKER = {
    "1.8.0": "2026-01-12T09:00:00Z",
    "1.9.3": "2026-03-03T09:00:00Z",
    "1.10": "2026-05-19T09:00:00Z",
    "1.11.0": "2026-08-04T09:00:00Z",
}
_WEB = {"2.3.0": "2026-05-19T10:00:00Z", "2.4.0": "2026-08-04T10:00:00Z"}
_MIGRATIONS = {"41": "2026-05-19T08:00:00Z", "42": "2026-08-04T08:00:00Z"}
_RETIRED, _REASON = "1.8.0", "CVE-2026-0815, use 1.9.3"
_SIZES = {"base": 900_000, "worker": 400_000, "web": 700_000, "migrations": 100_000}  # bytes of made-up content


def seed(store: Store) -> bool:
    """Put the example application into `store`; False, and nothing is done, where anything is in it already."""
    if store.repositories():
        return False
    for name, releases in (("worker", _WORKER), ("web", _WEB)):
        for tag, created in releases.items():
            index = _index(store, f"{APP}/{name}", tag, created)
            store.keep_manifest(f"{APP}/{name}", index, tag)
            store.keep_manifest(f"{APP}/{name}", index, "latest")
    _retire(store, f"{APP}/worker", _RETIRED)
    for tag, created in _MIGRATIONS.items():
        # As `docker push` writes them: Docker's own types, and one platform.
        image = _image(store, f"{APP}/migrations", tag, created, "amd64", _DOCKER)
        store.keep_manifest(f"{APP}/migrations", image, tag)
    _keep_chart(store, f"{APP}/stable/{APP}", "1.11.0")
    return True


@dataclass(frozen=True)
class _Media:
    manifest: str
    config: str
    layer: str


_OCI = _Media(OCI_MANIFEST, OCI_CONFIG, OCI_LAYER)
_DOCKER = _Media(DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER)


def _index(store: Store, repository: str, tag: str, created: str) -> StoredManifest:
    entries = []
    for architecture in _ARCHITECTURES:
        image = _image(store, repository, tag, created, architecture, _OCI)
        store.keep_manifest(repository, image, None)
        platform = {"architecture": architecture, "os": "linux"}
        entries.append(_descriptor(image.media_type, image.raw) | {"platform": platform})
    return _stored(OCI_INDEX, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})


def _image(store: Store, repository: str, tag: str, created: str, architecture: str, media: _Media) -> StoredManifest:
    name = repository.rpartition("/")[2]
    greeting = f"{repository}:{tag} for linux/{architecture}: hello from the sandbox\n"
    tars = {
        "base": _tar({"usr/lib/base": _made_up(f"base {architecture}", _SIZES["base"])}),
        "libraries": _tar({"app/libraries": _made_up(f"{name} {architecture}", _SIZES[name])}),
        "program": _tar({f"app/{name}": greeting_program(greeting, architecture)}),
    }
    config = _json(
        {
            "architecture": architecture,
            "config": {
                "Entrypoint": [f"/app/{name}"],
                "Labels": {"org.opencontainers.image.title": name, "org.opencontainers.image.version": tag},
            },
            "created": created,
            "history": [{"created": created, "created_by": f"example: {part}"} for part in tars],
            "os": "linux",
            "rootfs": {"diff_ids": [sha256(tar) for tar in tars.values()], "type": "layers"},
        }
    )
    layers = [_gzip(tar) for tar in tars.values()]
    return _manifest(store, repository, media, config, layers)


def _retire(store: Store, repository: str, tag: str) -> None:
    replaced = store.manifest(repository, tag)
    assert replaced
    # The host by which the real one is known: with this machine's port, the digest would change with the port.
    epitaph = Epitaph(f"registry.replicated.com/{repository}:{tag}", _REASON, replaced.digest, replaced.media_type)
    config = tombstone_config(epitaph)
    raw = tombstone_manifest(config)
    for blob in (config, EMPTY_LAYER):
        _keep_blob(store, repository, blob)
    store.keep_manifest(repository, StoredManifest(sha256(raw), DOCKER_MANIFEST, raw), tag)


def _keep_chart(store: Store, repository: str, version: str) -> None:
    about = {"apiVersion": "v2", "description": "An example", "name": APP, "type": "application", "version": version}
    template = (
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: worker}\nspec:\n  template:\n    spec:\n"
        "      restartPolicy: Never\n      containers: [{name: worker, image: {{ .Values.image }}}]\n"
    )
    # What is JSON is YAML, too.
    files = {
        f"{APP}/Chart.yaml": _json(about),
        f"{APP}/templates/worker.yaml": template.encode(),
        f"{APP}/values.yaml": _json({"image": f"registry.replicated.com/{APP}/worker:{version}"}),
    }
    helm = _Media(
        OCI_MANIFEST,
        "application/vnd.cncf.helm.config.v1+json",
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
    )
    chart = _manifest(store, repository, helm, _json(about), [_gzip(_tar(files))])
    store.keep_manifest(repository, chart, version)


def _manifest(store: Store, repository: str, media: _Media, config: bytes, layers: Sequence[bytes]) -> StoredManifest:
    for blob in (*layers, config):
        _keep_blob(store, repository, blob)
    return _stored(
        media.manifest,
        {
            "schemaVersion": 2,
            "mediaType": media.manifest,
            "config": _descriptor(media.config, config),
            "layers": [_descriptor(media.layer, layer) for layer in layers],
        },
    )


def _stored(media_type: str, body: object) -> StoredManifest:
    raw = _json(body)
    return StoredManifest(sha256(raw), media_type, raw)


def _keep_blob(store: Store, repository: str, content: bytes) -> None:
    upload = store.new_upload()
    upload.write_bytes(content)
    store.keep_blob(repository, sha256(content), upload)


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": sha256(content), "size": len(content)}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _made_up(name: str, size: int) -> bytes:
    return hashlib.shake_256(name.encode()).digest(size)


def _tar(files: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    # The format without extensions, so that nothing of this machine gets in.
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o755
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def _gzip(content: bytes) -> bytes:
    """`content` as gzip without compression (RFC 1951, 3.2.4): what a compressor writes depends on its version."""
    blocks = [content[start : start + 0xFFFF] for start in range(0, len(content), 0xFFFF)]
    stored = b"".join(
        struct.pack("<BHH", block is blocks[-1], len(block), len(block) ^ 0xFFFF) + block for block in blocks
    )
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + stored + struct.pack("<II", zlib.crc32(content), len(content))
