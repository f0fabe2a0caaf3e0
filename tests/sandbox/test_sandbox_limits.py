"""The limits of the real registry, as options; all are off unless asked for."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.sandbox import Limits, SandboxOptions, serve
from replsync.sandbox.limits import NO_LIMITS, Rate
from tests.sandbox.client import OCI_INDEX, OCI_MANIFEST, Client, open_client, sha256
from tests.servers.attested import FORMS, Form, attest, build_attested
from tests.servers.images import BuiltImage, build_image
from tests.servers.sandbox import StartSandbox

NAME = "myapp/worker"
SCOPE = f"repository:{NAME}:pull,push"
AMD64 = build_image({"hello": b"from amd64"})
ARM64 = build_image({"hello": b"from arm64"}, platform="linux/arm64")
AS_OCI = {"Content-Type": OCI_MANIFEST}
SIZE = 100_000
PIECE = b"x" * 10_000
SECONDS = 0.5


async def trickle(pieces: int, wait: float) -> AsyncIterator[bytes]:
    for _ in range(pieces):
        yield PIECE
        await asyncio.sleep(wait)


def index_of(*entries: tuple[BuiltImage, Mapping[str, object]]) -> bytes:
    described = [
        {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest), **more}
        for image, more in entries
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": described}).encode()


@pytest.fixture
async def refusing(start_sandbox: StartSandbox) -> AsyncIterator[Client]:
    """A client of a sandbox that refuses attestations."""
    sandbox = start_sandbox(SandboxOptions(limits=Limits(refuse_attestations=True)))
    async with open_client(sandbox.host, SCOPE) as client:
        yield client


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("images", [(AMD64,), (AMD64, ARM64)], ids=["one", "two"])
async def test_without_limits_an_index_with_attestations_is_taken(
    client: Client, form: Form, images: Sequence[BuiltImage]
) -> None:
    await client.push(NAME, "1.0", build_attested(images, form))


@pytest.mark.parametrize("form", FORMS)
async def test_an_attestation_manifest_is_refused(refusing: Client, form: Form) -> None:
    attestation = attest(AMD64, form)
    for blob in attestation.blobs.values():
        await refusing.push_blob(NAME, blob)
    answer = await refusing.put_manifest(NAME, attestation.digest, attestation.manifest, attestation.media_type)
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
    assert "attestations" in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize(
    "more",
    [
        {"platform": {"architecture": "unknown", "os": "unknown"}},
        {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}},
    ],
    ids=["platform", "annotation"],
)
async def test_an_index_with_an_attestation_in_it_is_refused_by_either_mark(
    refusing: Client, more: dict[str, object]
) -> None:
    await refusing.push(NAME, AMD64.digest, AMD64)
    answer = await refusing.put_manifest(NAME, "1.0", index_of((AMD64, {}), (AMD64, more)), OCI_INDEX)
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")


async def test_one_in_toto_layer_among_others_is_enough(refusing: Client) -> None:
    mixed = json.loads(AMD64.manifest)
    mixed["layers"].append({**mixed["layers"][0], "mediaType": "application/vnd.in-toto+json"})
    await refusing.push(NAME, AMD64.digest, AMD64)
    answer = await refusing.put_manifest(NAME, "1.0", json.dumps(mixed).encode(), OCI_MANIFEST)
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")


async def test_images_and_their_index_are_taken_by_one_that_refuses_attestations(refusing: Client) -> None:
    for image in (AMD64, ARM64):
        await refusing.push(NAME, image.digest, image)
    entries = [
        (image, {"platform": {"os": "linux", "architecture": arch}})
        for image, arch in ((AMD64, "amd64"), (ARM64, "arm64"))
    ]
    assert (await refusing.put_manifest(NAME, "1.0", index_of(*entries), OCI_INDEX)).status == 201


@pytest.fixture
async def cutting(start_sandbox: StartSandbox) -> AsyncIterator[Client]:
    """A client of a sandbox that cuts off requests of more than SIZE bytes."""
    sandbox = start_sandbox(SandboxOptions(limits=Limits(cut_off_size=SIZE)))
    async with open_client(sandbox.host, SCOPE) as client:
        yield client


async def test_a_request_of_just_the_size_passes(cutting: Client) -> None:
    location = await cutting.start_upload(NAME)
    answer = await cutting.ask("PATCH", location, b"x" * SIZE)
    assert (answer.status, answer.headers["Range"]) == (202, f"0-{SIZE - 1}")


@pytest.mark.parametrize("with_length", [True, False], ids=["length", "chunked"])
async def test_a_larger_one_gets_a_proxys_answer_and_what_came_in_stays(cutting: Client, with_length: bool) -> None:
    location = await cutting.start_upload(NAME)
    content = PIECE * 11
    answer = await cutting.ask("PATCH", location, content if with_length else trickle(11, 0))
    assert answer.status == 524
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Connection"] == "close"
    assert "Docker-Distribution-API-Version" not in answer.headers
    status = await cutting.ask("GET", location)
    assert status.headers["Range"] == f"0-{SIZE - 1}"
    digest = sha256(content)
    assert (await cutting.ask("PUT", f"{location}&digest={digest}", content[SIZE:])).status == 201
    assert (await cutting.ask("GET", f"/v2/{NAME}/blobs/{digest}")).body == content


async def test_a_blob_in_one_request_is_cut_off_in_every_way_to_send_it(cutting: Client) -> None:
    content = PIECE * 11
    digest = sha256(content)
    location = await cutting.start_upload(NAME)
    assert (await cutting.ask("PUT", f"{location}&digest={digest}", content)).status == 524
    assert (await cutting.ask("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest}", content)).status == 524
    assert (await cutting.ask("HEAD", f"/v2/{NAME}/blobs/{digest}")).status == 404


async def test_a_slow_request_is_cut_off_and_what_came_in_stays(start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(SandboxOptions(limits=Limits(cut_off_seconds=SECONDS)))
    async with open_client(sandbox.host, SCOPE) as client:
        location = await client.start_upload(NAME)
        started = time.monotonic()
        assert (await client.ask("PATCH", location, trickle(10, SECONDS / 3))).status == 524
        assert time.monotonic() - started >= SECONDS
        status = await client.ask("GET", location)
        arrived = int(status.headers["Range"].removeprefix("0-")) + 1
        assert 0 < arrived < 10 * len(PIECE)
        content = PIECE * 10
        answer = await client.ask("PUT", f"{location}&digest={sha256(content)}", content[arrived:])
        assert answer.status == 201


@pytest.mark.parametrize(
    ("limits", "wait"),
    [(Limits(cut_off_size=SIZE, cut_off_lands=True), 0), (Limits(cut_off_seconds=SECONDS, cut_off_lands=True), 0.1)],
    ids=["size", "time"],
)
async def test_what_is_cut_off_may_have_landed(start_sandbox: StartSandbox, limits: Limits, wait: float) -> None:
    sandbox = start_sandbox(SandboxOptions(limits=limits))
    async with open_client(sandbox.host, SCOPE) as client:
        digest = sha256(PIECE * 11)
        location = await client.start_upload(NAME)
        assert (await client.ask("PUT", f"{location}&digest={digest}", trickle(11, wait))).status == 524
        assert (await client.ask("HEAD", f"/v2/{NAME}/blobs/{digest}")).status == 200
        assert (await client.ask("PUT", f"{location}&digest={digest}", b"")).code == "BLOB_UPLOAD_UNKNOWN"


async def test_what_is_within_the_limits_is_answered_as_without(start_sandbox: StartSandbox) -> None:
    limits = Limits(True, SIZE, 60, cut_off_lands=True, requests_per_second=1000)
    sandbox = start_sandbox(SandboxOptions(limits=limits))
    async with open_client(sandbox.host, SCOPE) as client:
        assert await client.push(NAME, "1.0", AMD64) == AMD64.digest
        assert (await client.ask("GET", f"/v2/{NAME}/manifests/1.0")).body == AMD64.manifest


async def test_too_many_requests_are_told_when_to_come_back(start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(SandboxOptions(limits=Limits(requests_per_second=3)))
    async with open_client(sandbox.host) as client:
        answers = [await client.ask("GET", "/v2/") for _ in range(10)]
        assert [answer.status for answer in answers[:3]] == [401] * 3
        refused = answers[-1]
        assert (refused.status, refused.code) == (429, "TOOMANYREQUESTS")
        await asyncio.sleep(int(refused.headers["Retry-After"]))
        assert (await client.ask("GET", "/v2/")).status == 401


@given(st.integers(1, 50), st.lists(st.floats(0, 3), max_size=200))
def test_the_rate_holds_over_any_second_and_lets_in_who_waited(per_second: int, gaps: list[float]) -> None:
    rate, now, passed = Rate(per_second), 0.0, list[float]()
    for gap in gaps:
        now += gap
        wait = rate.wait(now)
        if wait:
            now += wait * 1.001
            assert rate.wait(now) == 0
        passed.append(now)
    for start in passed:
        # A second's worth that was left over, and what came on top during the second.
        assert sum(start <= one < start + 1 for one in passed) <= 2 * per_second


async def test_a_licence_pulls_and_is_denied_to_push(start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(SandboxOptions(pull_only_passwords=("licence",)))
    async with open_client(sandbox.host, SCOPE) as vendor:
        await vendor.push(NAME, "1.0", AMD64)
        token = await vendor.token_answer(f"scope={SCOPE}", password="licence")
        assert token.json()["scope"] == f"repository:{NAME}:pull"
        customer = replace(vendor, token=token.json()["token"])
        assert (await customer.ask("GET", f"/v2/{NAME}/manifests/1.0")).body == AMD64.manifest
        for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/1.0"), ("DELETE", "manifests/1.0")):
            answer = await customer.ask(method, f"/v2/{NAME}/{path}")
            assert (answer.status, answer.code) == (403, "DENIED")
        assert (await vendor.ask("PUT", f"/v2/{NAME}/manifests/1.0", AMD64.manifest, AS_OCI)).status == 201


async def test_a_licence_asks_for_what_it_may_pull_as_anybody_does(start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(SandboxOptions(pull_only_passwords=("licence",)))
    async with open_client(sandbox.host) as anonymous:
        token = (await anonymous.token_answer("", password="licence")).json()["token"]
        answer = await replace(anonymous, token=token).ask("GET", f"/v2/{NAME}/tags/list")
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        assert f'scope="repository:{NAME}:pull"' in answer.headers["WWW-Authenticate"]


async def test_a_refresh_token_of_a_licence_pushes_neither(start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(SandboxOptions(pull_only_passwords=("licence",)))
    form = {"grant_type": "password", "password": "licence", "access_type": "offline"}
    async with open_client(sandbox.host) as client:
        refresh = (await client.ask("POST", "/v2/token", form)).json()["refresh_token"]
        form = {"grant_type": "refresh_token", "refresh_token": refresh, "scope": SCOPE}
        token = (await client.ask("POST", "/v2/token", form)).json()["token"]
        answer = await replace(client, token=token).ask("POST", f"/v2/{NAME}/blobs/uploads/")
        assert (answer.status, answer.code) == (403, "DENIED")


async def test_where_the_right_to_push_was_withdrawn_everybody_pulls_and_is_denied_to_push(
    start_sandbox: StartSandbox, tmp_path: Path
) -> None:
    async with serve(SandboxOptions(data=tmp_path)) as before, open_client(before.host, SCOPE) as vendor:
        await vendor.push(NAME, "1.0", AMD64)
    sandbox = start_sandbox(SandboxOptions(data=tmp_path, push_withdrawn=True, pull_only_passwords=("licence",)))
    async with open_client(sandbox.host) as anonymous:
        for password in ("sandbox", "licence"):
            token = (await anonymous.token_answer(f"scope={SCOPE}", password=password)).json()["token"]
            client = replace(anonymous, token=token)
            assert (await client.ask("GET", f"/v2/{NAME}/manifests/1.0")).body == AMD64.manifest
            for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/1.0")):
                answer = await client.ask(method, f"/v2/{NAME}/{path}")
                assert (answer.status, answer.code) == (403, "DENIED")


def test_options_show_no_licence_and_have_no_limits_by_default() -> None:
    options = SandboxOptions(pull_only_passwords=("hunter2",))
    assert "hunter2" not in repr(options)
    assert options.limits == NO_LIMITS == Limits()
