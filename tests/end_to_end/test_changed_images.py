"""Attestations and platforms: what is pushed is the source's image without what is taken away of it."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.end_to_end.desk import writes
from tests.end_to_end.workplace import Workplace
from tests.servers.attested import FORMS, Form, attest, build_attested
from tests.servers.images import BuiltImage, BuiltIndex, build_image, build_index, digest_of
from tests.servers.push import Uploader, push
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox
from tests.servers.skopeo import Skopeo

AMD = build_image({"a": b"1"}, platform="linux/amd64")
ARM = build_image({"b": b"2"}, platform="linux/arm64")
ARM7 = build_image({"c": b"3"}, platform="linux/arm/v7")


class Place:
    """A manifest with the image `worker` for a sandbox, and its source elsewhere."""

    def __init__(self, workplace: Workplace, sandbox: RunningSandbox, source: RegistryServer) -> None:
        self.workplace = workplace
        self.sandbox = sandbox
        self.source = source
        workplace.sign_in(sandbox)

    @property
    def repository(self) -> str:
        return f"{self.workplace.app}/worker"

    def offer(self, image: BuiltImage | BuiltIndex, tag: str = "1") -> None:
        push(self.source.host, self.repository, tag, image)

    def write(self, tags: Sequence[Any] = ("1",), policy: dict[str, Any] | None = None, **worker: Any) -> None:
        image = {"name": "worker", "source": f"{self.source.host}/{self.repository}", "tags": tags, **worker}
        self.workplace.write(self.sandbox.host, image, policy=policy or {})

    def action(self, *options: str) -> dict[str, Any]:
        (action,) = self.workplace.actions(*options).values()
        return dict(action)

    def pushed(self, skopeo: Skopeo, tag: str = "1") -> bytes:
        """What the tag is now, by a program of others."""
        return skopeo.inspect_raw(f"{self.sandbox.host}/{self.repository}:{tag}", self.sandbox.credentials)


@pytest.fixture
def place(workplace: Workplace, sandbox: RunningSandbox, docker_registry: RegistryServer) -> Place:
    return Place(workplace, sandbox, docker_registry)


@pytest.mark.parametrize("form", FORMS)
def test_of_one_attested_image_the_image_is_pushed(place: Place, skopeo: Skopeo, form: Form) -> None:
    attested = build_attested([AMD], form)
    place.offer(attested)
    place.write()
    action = place.action()
    assert action["kind"] == "create"
    assert action["after"]["digest"] == attested.images[0].digest
    assert action["source"]["digest"] == attested.digest
    assert action["notes"] == ["1 attestation is stripped"]
    assert "note: 1 attestation is stripped" in place.workplace.plan().stdout
    place.workplace.apply()
    assert place.pushed(skopeo) == attested.images[0].manifest
    assert place.workplace.is_in_sync()


@pytest.mark.parametrize("form", FORMS)
def test_of_several_attested_images_the_index_is_pushed_without_the_attestations(
    place: Place, skopeo: Skopeo, form: Form
) -> None:
    attested = build_attested([AMD, ARM], form)
    place.offer(attested)
    place.write()
    planned = place.action()
    place.workplace.apply()
    pushed = place.pushed(skopeo)
    whole, stripped = json.loads(attested.manifest), json.loads(pushed)
    assert stripped == whole | {"manifests": whole["manifests"][:2]}
    assert pushed == json.dumps(stripped, indent=2).encode()
    assert planned["after"]["digest"] == digest_of(pushed)
    received = {one.path.rpartition("/")[2] for one in place.sandbox.answered if one.method == "PUT"}
    assert not received & {image.digest for image in attested.images[2:]}
    assert place.workplace.is_in_sync()


def test_an_attestation_whose_annotation_got_lost_is_known_by_its_content(place: Place, skopeo: Skopeo) -> None:
    attested = build_attested([AMD, ARM])
    body = json.loads(attested.manifest)
    for entry in body["manifests"]:
        entry.pop("annotations", None)
    place.offer(BuiltIndex(json.dumps(body).encode(), attested.media_type, attested.images))
    place.write()
    assert place.action()["notes"] == ["2 attestations are stripped"]
    place.workplace.apply()
    assert [entry["digest"] for entry in json.loads(place.pushed(skopeo))["manifests"]] == [
        image.digest for image in attested.images[:2]
    ]


def test_a_saved_plan_pushes_the_image_that_it_names(place: Place, skopeo: Skopeo) -> None:
    attested = build_attested([AMD, ARM])
    place.offer(attested)
    place.write(platforms=["linux/arm64"])
    place.workplace.plan("--out", "plan.json")
    place.offer(build_image({"other": b"x"}))
    done = place.workplace.run("apply", "plan.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert place.pushed(skopeo) == attested.images[1].manifest
    assert place.workplace.run("apply", "plan.json").stdout.startswith("The plan is already applied")


def test_rejected_attestations_block_the_tag(place: Place) -> None:
    place.offer(build_attested([AMD]))
    place.write(policy={"attestations": "reject"})
    done = place.workplace.run("plan")
    assert done.returncode == 7
    assert "the image has 1 attestation (provenance or SBOM), and policy.attestations is `reject`" in done.stdout
    assert "set policy.attestations: strip" in done.stdout
    assert writes(place.sandbox) == []


def test_attestations_in_an_index_within_an_index_block_the_tag(place: Place) -> None:
    inner = build_attested([AMD])
    entry = {"mediaType": inner.media_type, "digest": inner.digest, "size": len(inner.manifest)}
    body = {"schemaVersion": 2, "mediaType": inner.media_type, "manifests": [entry]}
    uploader = Uploader(place.source.host, place.repository)
    uploader.put_image(inner.digest, inner)
    uploader.put_manifest("1", json.dumps(body).encode(), inner.media_type)
    place.write()
    assert "only those at the top can be stripped" in place.action()["reason"]


def test_an_attestation_by_itself_blocks_the_tag(place: Place) -> None:
    place.offer(attest(AMD))
    place.write()
    done = place.workplace.run("plan")
    assert done.returncode == 7
    assert "it is no image but an attestation (in-toto)" in done.stdout


def test_a_tag_that_holds_the_image_with_its_attestations_is_left_alone(place: Place) -> None:
    attested = build_attested([AMD, ARM])
    place.offer(attested)
    push(place.sandbox.host, place.repository, "1", attested, place.sandbox.credentials)
    place.write()
    assert place.action()["kind"] == "unchanged"
    place.write(platforms=["linux/amd64", "linux/arm64"])
    action = place.action()
    assert action["kind"] == "blocked"
    assert "immutable" in action["reason"]
    place.write(platforms=["linux/amd64", "linux/arm64"], mutable=["1"])
    assert place.action()["kind"] == "update"


def test_an_image_with_attestations_that_was_retired_is_put_back_whole(place: Place, skopeo: Skopeo) -> None:
    """As it was: what is put back is not the source's."""
    attested = build_attested([AMD, ARM], "artifact")
    place.offer(attested)
    push(place.sandbox.host, place.repository, "1", attested, place.sandbox.credentials)
    place.write([], retired=[{"tag": "1", "reason": "old"}])
    place.workplace.apply()
    place.write([{"tag": "1", "digest": attested.digest}])
    assert place.action()["kind"] == "restore"
    place.workplace.apply()
    assert place.pushed(skopeo) == attested.manifest


def test_a_stripped_image_that_was_retired_is_put_back(place: Place, skopeo: Skopeo) -> None:
    attested = build_attested([AMD, ARM])
    place.offer(attested)
    place.write()
    place.workplace.apply()
    stripped = place.pushed(skopeo)
    place.write([], retired=[{"tag": "1", "reason": "old"}])
    place.workplace.apply()
    place.write()
    action = place.action()
    assert (action["kind"], action["bytes"]["upload"]) == ("restore", 0)
    place.workplace.apply()
    assert place.pushed(skopeo) == stripped


@pytest.mark.parametrize("media", ["oci", "docker"])
def test_chosen_platforms_are_pushed_and_nothing_else(place: Place, skopeo: Skopeo, media: Any) -> None:
    images = [
        build_image({name: b"x"}, platform=platform, media=media)
        for name, platform in (("a", "linux/amd64"), ("b", "linux/arm64"), ("c", "linux/arm/v7"))
    ]
    index = build_index(images, media=media)
    place.offer(index)
    place.write(platforms=["linux/arm64/v8", "linux/arm"])
    action = place.action()
    assert action["notes"] == ["only linux/arm, linux/arm64/v8; linux/amd64 left out"]
    assert action["bytes"]["total"] == sum(len(blob) for image in images[1:] for blob in image.blobs.values())
    place.workplace.apply()
    pushed = json.loads(place.pushed(skopeo))
    assert pushed["mediaType"] == index.media_type
    assert [entry["digest"] for entry in pushed["manifests"]] == [image.digest for image in images[1:]]
    assert place.workplace.is_in_sync()


def test_a_platform_that_the_source_lacks_blocks_the_tag_and_is_named(place: Place) -> None:
    place.offer(build_index([AMD, ARM7]))
    place.write(platforms=["linux/amd64", "linux/arm64"])
    done = place.workplace.run("plan")
    assert done.returncode == 7
    assert "it has no image for linux/arm64; it has linux/amd64, linux/arm/v7" in done.stdout


def test_an_image_by_itself_has_to_be_of_the_platform(place: Place, skopeo: Skopeo) -> None:
    place.offer(ARM)
    place.write(platforms=["linux/amd64"])
    assert "it has no image for linux/amd64; it has linux/arm64" in place.action()["reason"]
    place.write(platforms=["linux/arm64"])
    place.workplace.apply()
    assert place.pushed(skopeo) == ARM.manifest
