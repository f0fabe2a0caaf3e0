"""Indexes with attestations, made byte for byte as BuildKit makes them.

Source: BuildKit's "Image attestation storage" (docs/attestations/attestation-storage.md)
and its exporter, which writes image manifests and indexes with an indentation of
two, configs and statements without any, and keys in the order used below.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Literal

from tests.servers.images import BuiltImage, BuiltIndex, digest_of

Form = Literal["image", "artifact"]
"""How an attestation manifest is written: `image` with an image config, as all did at first (BuildKit 0.11), or
`artifact` with an artifactType, the empty config and a subject, as newer ones do."""

FORMS: tuple[Form, ...] = ("image", "artifact")

PROVENANCE = "https://slsa.dev/provenance/v0.2"
SBOM = "https://spdx.dev/Document"

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_IN_TOTO = "application/vnd.in-toto+json"
_ARTIFACT = "application/vnd.docker.attestation.manifest.v1+json"
_EMPTY = b"{}"
# BuildKit takes image-spec's DescriptorEmptyJSON, which has the content with it.
_EMPTY_CONFIG: Mapping[str, object] = {
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": digest_of(_EMPTY),
    "size": len(_EMPTY),
    "data": "e30=",
}
_UNKNOWN = {"architecture": "unknown", "os": "unknown"}


def build_attested(
    images: Sequence[BuiltImage], form: Form = "image", predicates: Sequence[str] = (PROVENANCE,)
) -> BuiltIndex:
    """Build an index of `images`, in their order, and behind them an attestation manifest for each.

    The images of the result are those that are in the index: the given ones with their manifests indented (see
    `as_buildkit_writes`), then the attestations. They have OCI's media types, which BuildKit insists on here.
    """
    written = [as_buildkit_writes(image) for image in images]
    attestations = [attest(image, form, predicates) for image in written]
    entries = [_descriptor(image) | {"platform": _platform(image.platform)} for image in written]
    for image, attestation in zip(written, attestations, strict=True):
        annotations = {
            "vnd.docker.reference.digest": image.digest,
            "vnd.docker.reference.type": "attestation-manifest",
        }
        entries.append(_descriptor(attestation) | {"annotations": annotations, "platform": _UNKNOWN})
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries}
    return BuiltIndex(_indented(index), _INDEX, (*written, *attestations))


def attest(image: BuiltImage, form: Form = "image", predicates: Sequence[str] = (PROVENANCE,)) -> BuiltImage:
    """Build the attestation manifest of `image`: one in-toto statement about it for each of `predicates`."""
    statements = [_statement(image, predicate) for predicate in predicates]
    layers = [
        {
            "mediaType": _IN_TOTO,
            "digest": digest_of(statement),
            "size": len(statement),
            "annotations": {"in-toto.io/predicate-type": predicate},
        }
        for statement, predicate in zip(statements, predicates, strict=True)
    ]
    kind: dict[str, object] = {}
    about: dict[str, object] = {}
    if form == "artifact":
        config, pointer = _EMPTY, _EMPTY_CONFIG
        kind, about = {"artifactType": _ARTIFACT}, {"subject": _descriptor(image)}
    else:
        diff_ids = [layer["digest"] for layer in layers]
        config = _compact({**_UNKNOWN, "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}})
        pointer = {"mediaType": _CONFIG, "digest": digest_of(config), "size": len(config)}
    head = {"schemaVersion": 2, "mediaType": _MANIFEST, **kind}
    manifest = {**head, "config": pointer, "layers": layers, **about}
    blobs = {digest_of(blob): blob for blob in (*statements, config)}
    return BuiltImage(_indented(manifest), _MANIFEST, config, blobs, "unknown/unknown")


def as_buildkit_writes(image: BuiltImage) -> BuiltImage:
    """The same image with its manifest indented, and so with another digest."""
    return dataclasses.replace(image, manifest=_indented(json.loads(image.manifest)))


def _statement(image: BuiltImage, predicate: str) -> bytes:
    content: dict[str, Mapping[str, object]] = {
        PROVENANCE: {
            "builder": {"id": ""},
            "buildType": "https://mobyproject.org/buildkit@v1",
            "materials": [],
            "invocation": {
                "configSource": {"entryPoint": "Dockerfile"},
                "parameters": {"frontend": "dockerfile.v0", "locals": [{"name": "context"}, {"name": "dockerfile"}]},
                "environment": {"platform": image.platform},
            },
        },
        SBOM: {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "sbom"},
    }
    algorithm, _, hexadecimal = image.digest.partition(":")
    return _compact(
        {
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": predicate,
            "subject": [{"name": "_", "digest": {algorithm: hexadecimal}}],
            "predicate": content[predicate],
        }
    )


def _descriptor(image: BuiltImage) -> dict[str, object]:
    return {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}


def _platform(name: str) -> dict[str, str]:
    system, architecture, *variant = name.split("/")
    # Go writes the fields of its struct in their order.
    return {"architecture": architecture, "os": system} | ({"variant": variant[0]} if variant else {})


def _indented(value: object) -> bytes:
    return json.dumps(value, indent=2).encode()


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
