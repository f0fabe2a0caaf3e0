"""The makers of images beside images.py: indexes as BuildKit writes them, and what crane makes."""

import json
from pathlib import Path

import pytest

from tests.servers.attested import FORMS, PROVENANCE, SBOM, Form, attest, build_attested
from tests.servers.crane import Crane
from tests.servers.images import BuiltImage, build_image, digest_of
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.skopeo import Skopeo

AMD64 = build_image({"hello": b"from amd64"}, platform="linux/amd64")
ARM64 = build_image({"hello": b"from arm64"}, platform="linux/arm64/v8")


@pytest.mark.parametrize("form", FORMS)
def test_each_image_has_an_attestation_about_it_behind_the_images(form: Form) -> None:
    index = build_attested([AMD64, ARM64], form)
    entries = json.loads(index.manifest)["manifests"]
    assert [entry["digest"] for entry in entries] == [image.digest for image in index.images]
    assert [entry["platform"]["architecture"] for entry in entries] == ["amd64", "arm64", "unknown", "unknown"]
    for image, attestation, entry in zip(index.images[:2], index.images[2:], entries[2:], strict=True):
        assert entry["annotations"] == {
            "vnd.docker.reference.digest": image.digest,
            "vnd.docker.reference.type": "attestation-manifest",
        }
        (statement,) = attestation.layers
        (subject,) = json.loads(statement)["subject"]
        assert f"sha256:{subject['digest']['sha256']}" == image.digest


def test_the_first_form_has_an_ordinary_config() -> None:
    attestation = attest(AMD64, "image", (SBOM, PROVENANCE))
    layers = json.loads(attestation.manifest)["layers"]
    assert json.loads(attestation.config) == {
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(statement) for statement in attestation.layers]},
    }
    assert [layer["annotations"]["in-toto.io/predicate-type"] for layer in layers] == [SBOM, PROVENANCE]
    assert [json.loads(statement)["predicateType"] for statement in attestation.layers] == [SBOM, PROVENANCE]


def test_the_newer_form_names_its_subject() -> None:
    manifest = json.loads(attest(AMD64, "artifact").manifest)
    assert list(manifest) == ["schemaVersion", "mediaType", "artifactType", "config", "layers", "subject"]
    assert manifest["subject"]["digest"] == AMD64.digest
    # The digest of `{}`, as image-spec's manifest.md gives it.
    assert manifest["config"]["digest"] == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("images", [(AMD64,), (AMD64, ARM64)], ids=["one", "two"])
def test_a_registry_takes_it_and_skopeo_copies_all_of_it(
    docker_registry: RegistryServer,
    skopeo: Skopeo,
    namespace: str,
    tmp_path: Path,
    form: Form,
    images: tuple[BuiltImage, ...],
) -> None:
    index = build_attested(images, form)
    reference = f"{docker_registry.host}/{namespace}/worker"
    push(docker_registry.host, f"{namespace}/worker", "1.0", index)
    assert skopeo.inspect_raw(f"{reference}:1.0") == index.manifest
    skopeo.copy(f"docker://{reference}:1.0", f"oci:{tmp_path / 'out'}:1.0", "--all")
    for image in index.images:
        for digest in (image.digest, *image.blobs):
            assert (tmp_path / "out" / "blobs" / "sha256" / digest.removeprefix("sha256:")).is_file()


@pytest.mark.parametrize("options", [(), ("--oci-empty-base",)], ids=["docker", "oci"])
def test_crane_makes_images_from_nothing_and_changes_them(
    docker_registry: RegistryServer, crane: Crane, skopeo: Skopeo, namespace: str, options: tuple[str, ...]
) -> None:
    worker = f"{docker_registry.host}/{namespace}/worker"
    crane.append({"a": b"1"}, f"{worker}:1.0", *options)
    crane.append({"b": b"2"}, f"{worker}:1.1", "--base", f"{worker}:1.0")
    crane.mutate(f"{worker}:1.1", f"{worker}:1.2", "--label", "made-by=crane", "--entrypoint", "/a")
    assert len(json.loads(skopeo.inspect_raw(f"{worker}:1.1"))["layers"]) == 2
    config = json.loads(skopeo.config(f"{worker}:1.2"))["config"]
    assert config["Labels"] == {"made-by": "crane"}
    assert config["Entrypoint"] == ["/a"]
