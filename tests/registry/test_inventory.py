"""What a tag is: above all, unknown is not absent."""

import json

import pytest

from replsync.errors import SignInError
from replsync.oci.digest import Digest, sha256
from replsync.oci.image_manifest import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED, OCI_INDEX
from replsync.oci.reference import Repository
from replsync.oci.tag_state import Absent, Artifact, Present, Tombstone, Unreadable
from replsync.oci.tombstone import EMPTY_LAYER, Epitaph, tombstone_config, tombstone_manifest
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.inventory import read_tag
from replsync.registry.persistence import Persistence
from tests.registry.answers import ASKS_BASIC, IMAGE, MANIFEST, served
from tests.registry.clients import IMPATIENT, blob_of, body_of, open_client, tag
from tests.registry.scripted import Answer, Reply, Scripted, broken_after, hang, refusal, reset
from tests.servers.images import build_index
from tests.servers.push import Uploader
from tests.servers.registry import RegistryServer

ONCE = Settings(persistence=Persistence(attempts=1))
EPITAPH = Epitaph("registry.example.com/app/worker:1", "CVE-2026-1", Digest(IMAGE.digest), IMAGE.media_type)
CONFIG = tombstone_config(EPITAPH)
TOMBSTONE = tombstone_manifest(CONFIG)
CONFIG_PATH = f"GET /v2/app/worker/blobs/{sha256(CONFIG)}"


@pytest.mark.parametrize("code", ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND"])
async def test_a_404_with_the_registrys_code_is_absent(scripted: Scripted, client: RegistryClient, code: str) -> None:
    scripted.on(MANIFEST, refusal(404, code))
    assert await read_tag(client, tag(scripted.host)) == Absent()


UNKNOWN: dict[str, Answer] = {
    "400": refusal(400, "NAME_INVALID"),
    "404 in HTML": Reply(404, b"<html>Not Found</html>", {"Content-Type": "text/html"}),
    "404 that denies": refusal(404, "DENIED"),
    "404 without a code": refusal(404),
    "404 with a code elsewhere": Reply(404, b'{"error": "MANIFEST_UNKNOWN"}'),
    "410": refusal(410, "MANIFEST_UNKNOWN"),
    "429": Reply(429),
    "500": refusal(500, "MANIFEST_UNKNOWN"),
    "503": Reply(503),
    "524": Reply(524),
    "a reset": reset,
    "no answer": hang,
    "half an answer": broken_after(b"{", 1000),
    "204": Reply(204),
    "a redirect to nowhere": Reply(307, b"", {"Location": "http://127.0.0.1:1/"}),
    "a page in its place": Reply(200, b"<html>sign in</html>", {"Content-Type": "text/html"}),
    "no content": served(b""),
    "no JSON": served(b"{"),
    "a list": served(b"[]"),
    "no layers": served(b"{}"),
    "other content": served(digest=sha256(b"other")),
    "another type": served(media_type=DOCKER_MANIFEST),
    "both in one": served(json.dumps({**json.loads(IMAGE.manifest), "manifests": []}).encode()),
    "too much": served(IMAGE.manifest + b" " * 2**22),
}


@pytest.mark.parametrize("name", UNKNOWN)
async def test_what_can_not_be_read_is_unreadable_and_never_absent(scripted: Scripted, name: str) -> None:
    scripted.on(MANIFEST, UNKNOWN[name])
    async with open_client(settings=ONCE, limits=IMPATIENT) as client:
        state = await read_tag(client, tag(scripted.host))
    assert isinstance(state, Unreadable)
    assert state.why
    assert state.why.isprintable()


async def test_a_registry_that_is_gone_makes_a_tag_unreadable(client: RegistryClient) -> None:
    assert isinstance(await read_tag(client, tag("127.0.0.1:1")), Unreadable)


@pytest.mark.parametrize("answer", [ASKS_BASIC, refusal(401), refusal(403, "DENIED"), refusal(403, "MANIFEST_UNKNOWN")])
async def test_a_refusal_is_raised_since_it_holds_for_every_tag(
    scripted: Scripted, client: RegistryClient, answer: Reply
) -> None:
    scripted.on(MANIFEST, answer)
    with pytest.raises(SignInError):
        await read_tag(client, tag(scripted.host))


async def test_an_image_is_present_with_its_config(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, served())
    expected = Present(Digest(IMAGE.digest), IMAGE.media_type, Digest(IMAGE.config_digest))
    # One small layer: it might be a tombstone, so that its config is read.
    scripted.on(f"GET /v2/app/worker/blobs/{IMAGE.config_digest}", Reply(200, IMAGE.config))
    assert await read_tag(client, tag(scripted.host)) == expected


async def test_an_index_is_present_without_a_config(scripted: Scripted, client: RegistryClient) -> None:
    index = build_index([IMAGE])
    scripted.on(MANIFEST, served(index.manifest, OCI_INDEX))
    assert await read_tag(client, tag(scripted.host)) == Present(Digest(index.digest), OCI_INDEX)


async def test_an_image_of_schema_1_is_present_though_it_can_not_be_copied(
    scripted: Scripted, client: RegistryClient
) -> None:
    raw = b'{"schemaVersion": 1, "name": "app/worker"}'
    scripted.on(MANIFEST, served(raw, DOCKER_SCHEMA1_SIGNED))
    assert await read_tag(client, tag(scripted.host)) == Present(sha256(raw), DOCKER_SCHEMA1_SIGNED)


async def test_a_helm_chart_is_an_artifact(scripted: Scripted, client: RegistryClient) -> None:
    chart = json.loads(IMAGE.manifest)
    chart["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
    raw = json.dumps(chart).encode()
    scripted.on(MANIFEST, served(raw))
    assert await read_tag(client, tag(scripted.host)) == Artifact(
        sha256(raw), "application/vnd.cncf.helm.config.v1+json"
    )


async def test_a_tombstone_is_known_and_what_it_replaced_is_found(
    docker_registry: RegistryServer, client: RegistryClient, namespace: str
) -> None:
    repository = Repository(docker_registry.host, f"{namespace}/worker")
    Uploader(repository.host, repository.path).put_image("1", IMAGE)
    for blob in (EMPTY_LAYER, CONFIG):
        await client.upload(repository, blob_of(blob), body_of(blob))
    await client.put(repository.tagged("1"), TOMBSTONE, DOCKER_MANIFEST)
    replaced = Present(Digest(IMAGE.digest), IMAGE.media_type, Digest(IMAGE.config_digest))
    expected = Tombstone(sha256(TOMBSTONE), sha256(CONFIG), EPITAPH, replaced)
    assert await read_tag(client, repository.tagged("1")) == expected


@pytest.mark.parametrize("answer", [refusal(404, "MANIFEST_UNKNOWN"), Reply(404)])
async def test_what_a_tombstone_replaced_may_be_gone(
    scripted: Scripted, client: RegistryClient, answer: Answer
) -> None:
    scripted.on(MANIFEST, served(TOMBSTONE, DOCKER_MANIFEST))
    scripted.on(CONFIG_PATH, Reply(200, CONFIG))
    scripted.on(f"GET /v2/app/worker/manifests/{IMAGE.digest}", answer)
    state = await read_tag(client, tag(scripted.host))
    assert isinstance(state, Tombstone)
    assert state.replaced is None


@pytest.mark.parametrize("answer", [Reply(500), served(b"{}"), reset])
async def test_what_a_tombstone_replaced_is_not_gone_because_it_can_not_be_read(
    scripted: Scripted, client: RegistryClient, answer: Answer
) -> None:
    scripted.on(MANIFEST, served(TOMBSTONE, DOCKER_MANIFEST))
    scripted.on(CONFIG_PATH, Reply(200, CONFIG))
    scripted.on(f"GET /v2/app/worker/manifests/{IMAGE.digest}", answer)
    assert isinstance(await read_tag(client, tag(scripted.host)), Unreadable)


@pytest.mark.parametrize("answer", [refusal(404, "BLOB_UNKNOWN"), refusal(404, "NAME_UNKNOWN"), Reply(500), reset])
async def test_an_image_whose_config_is_missing_is_unreadable_and_not_absent(
    scripted: Scripted, client: RegistryClient, answer: Answer
) -> None:
    scripted.on(MANIFEST, served(TOMBSTONE, DOCKER_MANIFEST))
    scripted.on(CONFIG_PATH, answer)
    assert isinstance(await read_tag(client, tag(scripted.host)), Unreadable)


async def test_a_config_of_other_bytes_makes_no_tombstone(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, served(TOMBSTONE, DOCKER_MANIFEST))
    scripted.on(CONFIG_PATH, Reply(200, CONFIG.replace(b"CVE-2026-1", b"CVE-2026-2")))
    assert isinstance(await read_tag(client, tag(scripted.host)), Unreadable)


async def test_of_a_large_image_no_config_is_read(scripted: Scripted, client: RegistryClient) -> None:
    document = json.loads(TOMBSTONE)
    document["layers"].append({"mediaType": DOCKER_LAYER, "digest": sha256(b"x"), "size": 1})
    document["config"]["mediaType"] = DOCKER_CONFIG
    scripted.on(MANIFEST, served(json.dumps(document).encode(), DOCKER_MANIFEST))
    state = await read_tag(client, tag(scripted.host))
    assert isinstance(state, Present)
    assert len(scripted.received) == 1
