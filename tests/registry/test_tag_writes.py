"""Writing a tag: the look right before it, and what happens when a try fails."""

import pytest

from replsync.errors import ChangedMeanwhile, RegistryError
from replsync.oci.digest import Digest, sha256
from replsync.oci.image_manifest import OCI_MANIFEST
from replsync.registry.client import RegistryClient
from tests.registry.answers import IMAGE
from tests.registry.clients import tag
from tests.registry.scripted import Reply, Scripted, refusal, reset

HEAD, PUT = (f"{method} /v2/app/worker/manifests/1" for method in ("HEAD", "PUT"))
BEFORE, FOREIGN, OURS = Digest(sha256(b"before")), Digest(sha256(b"foreign")), Digest(IMAGE.digest)
DAMAGED = Digest(sha256(b"damaged"))
ABSENT = Reply(404)


def holding(digest: Digest) -> Reply:
    return Reply(200, headers={"Docker-Content-Digest": digest, "Content-Type": OCI_MANIFEST})


async def write(client: RegistryClient, scripted: Scripted, before: Digest | None) -> None:
    await client.put_tag(tag(scripted.host), IMAGE.manifest, OCI_MANIFEST, before)


def methods(scripted: Scripted) -> list[str]:
    return [one.method for one in scripted.received]


@pytest.mark.parametrize(("there", "before"), [(ABSENT, None), (holding(BEFORE), BEFORE)], ids=["nothing", "an image"])
async def test_a_tag_that_is_as_expected_is_written_after_one_look(
    scripted: Scripted, client: RegistryClient, there: Reply, before: Digest | None
) -> None:
    scripted.on(HEAD, there)
    scripted.on(PUT, Reply(201))
    await write(client, scripted, before)
    assert methods(scripted) == ["HEAD", "PUT"]


@pytest.mark.parametrize(
    ("there", "before"),
    [(holding(FOREIGN), BEFORE), (holding(FOREIGN), None), (ABSENT, BEFORE)],
    ids=["another image", "an image in place of nothing", "nothing in place of an image"],
)
async def test_a_tag_that_changed_is_left_alone(
    scripted: Scripted, client: RegistryClient, there: Reply, before: Digest | None
) -> None:
    scripted.on(HEAD, there)
    with pytest.raises(ChangedMeanwhile, match="it was left alone"):
        await write(client, scripted, before)
    assert methods(scripted) == ["HEAD"]


@pytest.mark.parametrize("failure", [Reply(503), reset], ids=["503", "reset"])
async def test_a_write_that_is_tried_again_looks_again_first(
    scripted: Scripted, client: RegistryClient, failure: Reply
) -> None:
    scripted.on(HEAD, holding(BEFORE))
    scripted.on(PUT, failure, Reply(201))
    await write(client, scripted, BEFORE)
    assert methods(scripted) == ["HEAD", "PUT", "HEAD", "PUT"]


async def test_a_push_of_somebody_else_between_two_tries_is_not_overwritten(
    scripted: Scripted, client: RegistryClient
) -> None:
    scripted.on(HEAD, holding(BEFORE), holding(FOREIGN))
    scripted.on(PUT, Reply(503))
    with pytest.raises(RegistryError, match="a first try to write it failed, and by now it holds something else"):
        await write(client, scripted, BEFORE)
    assert methods(scripted) == ["HEAD", "PUT", "HEAD"]


async def test_a_try_that_arrived_although_it_failed_is_found(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(HEAD, holding(BEFORE), holding(OURS))
    scripted.on(PUT, Reply(504))
    await write(client, scripted, BEFORE)
    assert methods(scripted) == ["HEAD", "PUT", "HEAD"]


async def test_a_look_that_fails_for_a_moment_is_repeated(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(HEAD, Reply(503), holding(BEFORE))
    scripted.on(PUT, Reply(201))
    await write(client, scripted, BEFORE)
    assert methods(scripted) == ["HEAD", "HEAD", "PUT"]


async def test_a_registry_that_overlooks_a_blob_for_a_moment_is_asked_again(
    scripted: Scripted, client: RegistryClient
) -> None:
    scripted.on(HEAD, holding(BEFORE))
    scripted.on(PUT, refusal(400, "MANIFEST_BLOB_UNKNOWN"), Reply(201))
    await write(client, scripted, BEFORE)
    assert methods(scripted) == ["HEAD", "PUT", "HEAD", "PUT"]


def stored(digest: str) -> Reply:
    """What a registry answers that took these bytes."""
    return Reply(201, headers={"Docker-Content-Digest": digest})


async def test_bytes_that_were_damaged_on_their_way_to_the_tag_are_written_again(
    scripted: Scripted, client: RegistryClient
) -> None:
    scripted.on(HEAD, holding(BEFORE), holding(DAMAGED))
    scripted.on(PUT, stored(DAMAGED), stored(OURS))
    await write(client, scripted, BEFORE)
    assert methods(scripted) == ["HEAD", "PUT", "HEAD", "PUT"]


async def test_bytes_that_are_damaged_again_in_the_same_way_are_given_up_and_named(
    scripted: Scripted, client: RegistryClient
) -> None:
    scripted.on(HEAD, holding(BEFORE), holding(DAMAGED))
    scripted.on(PUT, stored(DAMAGED))
    with pytest.raises(RegistryError, match=rf"^push .*: .* other bytes than were sent \({DAMAGED}\)$") as caught:
        await write(client, scripted, BEFORE)
    assert methods(scripted) == ["HEAD", "PUT", "HEAD", "PUT"]
    assert caught.value.hint


async def test_bytes_that_are_damaged_in_ever_other_ways_are_given_up(
    scripted: Scripted, client: RegistryClient
) -> None:
    damaged = [Digest(sha256(bytes([number]))) for number in range(20)]
    scripted.on(HEAD, holding(BEFORE), *map(holding, damaged))
    scripted.on(PUT, *map(stored, damaged))
    with pytest.raises(RegistryError, match="other bytes than were sent"):
        await write(client, scripted, BEFORE)
    assert methods(scripted).count("PUT") == 4


async def test_what_somebody_else_pushed_after_the_damage_is_left_alone(
    scripted: Scripted, client: RegistryClient
) -> None:
    scripted.on(HEAD, holding(BEFORE), holding(FOREIGN))
    scripted.on(PUT, stored(DAMAGED))
    with pytest.raises(RegistryError, match="by now it holds something else; it was left as it is"):
        await write(client, scripted, BEFORE)
    assert methods(scripted) == ["HEAD", "PUT", "HEAD"]


async def test_damage_that_only_the_answer_had_is_none(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(HEAD, holding(BEFORE), holding(OURS))
    scripted.on(PUT, stored("sha256:nonsense"))
    await write(client, scripted, BEFORE)
    assert methods(scripted) == ["HEAD", "PUT", "HEAD"]
