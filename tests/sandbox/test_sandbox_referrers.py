import json

import pytest

from replsync.sandbox import Limits, SandboxOptions
from tests.sandbox.client import OCI_INDEX, OCI_MANIFEST, Answer, Client, open_client
from tests.servers.images import build_image
from tests.servers.sandbox import StartSandbox

NAME = "myapp/worker"
SCOPE = f"repository:{NAME}:pull,push"
IMAGE = build_image({"hello": b"world"})
SUBJECT = {"mediaType": OCI_MANIFEST, "digest": IMAGE.digest, "size": len(IMAGE.manifest)}


def about(subject: object, **more: object) -> bytes:
    """IMAGE as an image manifest that is about `subject`."""
    return json.dumps({**json.loads(IMAGE.manifest), "subject": subject, **more}).encode()


async def put(client: Client, manifest: bytes, tag: str = "signature") -> Answer:
    for blob in IMAGE.blobs.values():
        await client.push_blob(NAME, blob)
    return await client.put_manifest(NAME, tag, manifest, OCI_MANIFEST)


async def listed(client: Client, query: str = "") -> Answer:
    answer = await client.ask("GET", f"/v2/{NAME}/referrers/{IMAGE.digest}{query}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, OCI_INDEX)
    assert answer.json().keys() == {"schemaVersion", "mediaType", "manifests"}
    return answer


async def test_what_nothing_refers_to_has_an_empty_list(client: Client) -> None:
    assert (await listed(client)).json()["manifests"] == []


async def test_a_referrer_is_listed_with_what_it_is(client: Client) -> None:
    annotations = {"by": "me"}
    manifest = about(SUBJECT, artifactType="application/signature", annotations=annotations)
    answer = await put(client, manifest)
    assert (answer.status, answer.headers["OCI-Subject"]) == (201, IMAGE.digest)
    assert (await listed(client)).json()["manifests"] == [
        {
            "mediaType": OCI_MANIFEST,
            "digest": answer.headers["Docker-Content-Digest"],
            "size": len(manifest),
            "artifactType": "application/signature",
            "annotations": annotations,
        }
    ]


async def test_a_referrer_without_a_type_has_that_of_its_config(client: Client) -> None:
    await put(client, about(SUBJECT))
    (one,) = (await listed(client)).json()["manifests"]
    assert one["artifactType"] == json.loads(IMAGE.manifest)["config"]["mediaType"]
    assert "annotations" not in one


async def test_referrers_are_chosen_by_type(client: Client) -> None:
    for kind in ("a/one", "a/two"):
        await put(client, about(SUBJECT, artifactType=kind))
    answer = await listed(client, "?artifactType=a/two")
    assert [one["artifactType"] for one in answer.json()["manifests"]] == ["a/two"]
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"


async def test_referrers_of_another_repository_are_not_listed(client: Client) -> None:
    await put(client, about(SUBJECT))
    other = await client.ask("GET", f"/v2/myapp/other/referrers/{IMAGE.digest}")
    assert other.json()["manifests"] == []


async def test_an_image_without_a_subject_has_no_such_header(client: Client) -> None:
    assert "OCI-Subject" not in (await put(client, IMAGE.manifest)).headers


@pytest.mark.parametrize("subject", ["sha256:1", {}, {"digest": "sha256:../up"}, {"digest": None}, []])
async def test_a_subject_that_is_none_is_refused(client: Client, subject: object) -> None:
    answer = await put(client, about(subject))
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")


async def test_referrers_of_no_digest_are_refused(client: Client) -> None:
    answer = await client.ask("GET", f"/v2/{NAME}/referrers/1.0")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


async def test_referrers_take_a_sign_in(anonymous: Client) -> None:
    answer = await anonymous.ask("GET", f"/v2/{NAME}/referrers/{IMAGE.digest}")
    assert answer.status == 401
    assert f'scope="repository:{NAME}:pull"' in answer.headers["WWW-Authenticate"]


async def test_without_the_api_a_subject_is_stored_and_the_list_not_found(start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(SandboxOptions(limits=Limits(no_referrers=True)))
    async with open_client(sandbox.host, SCOPE) as client:
        answer = await put(client, about(SUBJECT))
        assert (answer.status, answer.headers.get("OCI-Subject")) == (201, None)
        answer = await client.ask("GET", f"/v2/{NAME}/referrers/{IMAGE.digest}")
        assert (answer.status, answer.code) == (404, "UNSUPPORTED")
