"""Signing in by token: which credential buys it where, how long it is used, and what else could go wrong."""

import http.client
import json
import urllib.parse
from contextlib import suppress
from pathlib import Path

import pytest

from replsync.errors import RegistryError, SignInError
from replsync.oci.image_manifest import OCI_MANIFEST
from replsync.registry.client import RegistryClient
from replsync.registry.credentials import Credential, CredentialStore
from replsync.registry.together import together
from replsync.sandbox.server import SandboxOptions
from tests.registry.answers import ANN, BASIC, IMAGE, MANIFEST, asks_bearer, served, token
from tests.registry.clients import SECRET, blob_of, body_of, open_client, repository, tag, uploads
from tests.registry.scripted import Reply, Scripted, StartScripted
from tests.servers.registry import Credentials
from tests.servers.sandbox import RunningSandbox, StartSandbox


def wants_token(scripted: Scripted, *answers: Reply) -> None:
    """The image manifest wants a token once, and the registry's own token server gives it."""
    scripted.on(MANIFEST, asks_bearer(f"http://{scripted.host}/token"), served())
    scripted.on("GET /token", *(answers or (token(),)))


async def test_a_token_mounts_from_a_repository_that_it_was_not_asked_for(sandbox: RunningSandbox) -> None:
    async with open_client({sandbox.host: sandbox.credentials}) as client:
        base = repository(sandbox.host, "app/base")
        await client.upload(base, blob_of(b"data"), body_of(b"data"))
        assert await client.mount(repository(sandbox.host), blob_of(b"data").digest, base)


async def test_an_identity_token_signs_in(sandbox: RunningSandbox) -> None:
    form = {"grant_type": "password", "access_type": "offline", "username": "x", "password": "sandbox"}
    asking = http.client.HTTPConnection(sandbox.host, timeout=10)
    asking.request("POST", "/v2/token", urllib.parse.urlencode(form))
    identity = json.load(asking.getresponse())["refresh_token"]
    asking.close()
    extra = {sandbox.host: Credential("<token>", identity, "tests.json", is_identity_token=True)}
    async with open_client(store=CredentialStore({}, Path("/nowhere"), extra)) as client:
        await client.upload(repository(sandbox.host), blob_of(b"data"), body_of(b"data"))
        assert await client.has_blob(repository(sandbox.host), blob_of(b"data").digest)


async def test_of_two_challenges_the_token_is_taken(scripted: Scripted) -> None:
    challenges = f'Basic realm="x", Bearer realm="http://{scripted.host}/token"'
    scripted.on(MANIFEST, Reply(401, b"", {"WWW-Authenticate": challenges}), served())
    scripted.on("GET /token", token())
    async with open_client({scripted.host: ANN}) as client:
        await client.fetch(tag(scripted.host))
    assert scripted.received[-1].authorization == "Bearer t1"


async def test_a_token_is_asked_for_once_for_many_requests(sandbox: RunningSandbox) -> None:
    async with open_client({sandbox.host: sandbox.credentials}) as client:
        await together(client.head(tag(sandbox.host, str(number))) for number in range(30))
    assert [one.path for one in sandbox.answered].count("/v2/token") == 1


async def test_a_password_goes_to_the_token_server_and_the_token_to_the_registry(scripted: Scripted) -> None:
    wants_token(scripted)
    async with open_client({scripted.host: ANN}) as client:
        await client.fetch(tag(scripted.host))
    assert [(one.path.partition("?")[0], one.authorization) for one in scripted.received] == [
        ("/v2/app/worker/manifests/1", None),
        ("/token", BASIC),
        ("/v2/app/worker/manifests/1", "Bearer t1"),
    ]


async def test_a_token_that_ends_early_is_renewed_in_the_middle_of_a_run(start_sandbox: StartSandbox) -> None:
    # The sandbox says `expires_in: 0`, which can't be, so that only its 401 tells that the token has ended.
    server = start_sandbox(SandboxOptions(token_seconds=0.05))
    async with open_client({server.host: server.credentials}) as client:
        while [one.path for one in server.answered].count("/v2/token") < 3:
            assert await client.head(tag(server.host)) is None


async def test_a_token_is_renewed_once_and_no_more(scripted: Scripted) -> None:
    scripted.on(MANIFEST, asks_bearer(f"http://{scripted.host}/token"))
    scripted.on("GET /token", token("t1"), token("t2"), token("t3"))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(SignInError, match="the registry answered 401 to 'ann'"):
            await client.fetch(tag(scripted.host))
    assert len(scripted.asked(MANIFEST)) == 2


async def test_a_token_that_the_registry_refuses_is_not_used_again(scripted: Scripted) -> None:
    refused = asks_bearer(f"http://{scripted.host}/token")
    scripted.on(MANIFEST, refused, served(), refused, served())
    scripted.on("GET /token", token("t1"), token("t2"))
    async with open_client({scripted.host: ANN}) as client:
        for _ in range(2):
            await client.fetch(tag(scripted.host))
    assert [one.authorization for one in scripted.asked(MANIFEST)] == [None, "Bearer t1", "Bearer t1", "Bearer t2"]


async def test_a_401_in_the_middle_of_an_upload_sends_the_whole_body_again(scripted: Scripted) -> None:
    _, post, put = uploads("x")
    refused = asks_bearer(f"http://{scripted.host}/token")
    scripted.on(post, refused, Reply(202, b"", {"Location": "/upload"}))
    scripted.on(put, refused, Reply(201))
    scripted.on("GET /token", token("t1"), token("t2"))
    async with open_client({scripted.host: ANN}) as client:
        await client.upload(repository(scripted.host), blob_of(b"data"), body_of(b"da", b"ta"))
    assert [(one.authorization, one.body) for one in scripted.asked("PUT")] == [
        ("Bearer t1", b"data"),
        ("Bearer t2", b"data"),
    ]


async def test_each_scope_has_a_token_of_its_own(scripted: Scripted) -> None:
    wants_token(scripted)
    scripted.on("PUT /v2/app/worker/manifests/1", Reply(201))
    async with open_client({scripted.host: ANN}) as client:
        await client.fetch(tag(scripted.host))
        await client.put(tag(scripted.host), IMAGE.manifest, OCI_MANIFEST)
    scopes = [dict(urllib.parse.parse_qsl(one.path.partition("?")[2]))["scope"] for one in scripted.asked("GET /token")]
    assert scopes == ["repository:app/worker:pull", "repository:app/worker:pull,push"]


async def test_a_mount_asks_for_the_push_first_and_then_for_the_pull(scripted: Scripted) -> None:
    _, post, _ = uploads("x")
    scripted.on(post, asks_bearer(f"http://{scripted.host}/token"), Reply(201))
    scripted.on("GET /token", token())
    async with open_client({scripted.host: ANN}) as client:
        await client.mount(repository(scripted.host), blob_of(b"x").digest, repository(scripted.host, "app/base"))
    query = urllib.parse.parse_qsl(scripted.asked("GET /token")[0].path.partition("?")[2])
    assert [value for name, value in query if name == "scope"] == [
        "repository:app/worker:pull,push",
        "repository:app/base:pull",
    ]


async def test_anonymous_tokens_are_asked_for_without_a_credential(scripted: Scripted, client: RegistryClient) -> None:
    wants_token(scripted)
    await client.fetch(tag(scripted.host))
    assert [one.authorization for one in scripted.received] == [None, None, "Bearer t1"]


@pytest.mark.parametrize("is_identity_token", [True, False])
async def test_a_token_server_that_redirects_gets_no_credential_sent_elsewhere(
    scripted: Scripted, start_scripted: StartScripted, is_identity_token: bool
) -> None:
    other = await start_scripted()
    elsewhere = Reply(307, b"", {"Location": f"http://{other.host}/token"})
    scripted.on(MANIFEST, asks_bearer(f"http://{scripted.host}/token"), served())
    scripted.on("GET /token", elsewhere)
    scripted.on("POST /token", elsewhere)
    other.on("GET /token", token())
    extra = {scripted.host: Credential("ann", SECRET, "tests.json", is_identity_token=is_identity_token)}
    async with open_client(store=CredentialStore({}, Path("/nowhere"), extra)) as client:
        with suppress(RegistryError):
            await client.fetch(tag(scripted.host))
    assert len(scripted.asked("POST /token" if is_identity_token else "GET /token")) == 1
    assert [one.authorization for one in other.received] == [None] * (not is_identity_token)
    assert not any(SECRET in f"{one.path}{one.body!r}{one.headers}" for one in other.received)


async def test_anonymous_tokens_may_come_from_anywhere(
    scripted: Scripted, start_scripted: StartScripted, client: RegistryClient
) -> None:
    other = await start_scripted()
    scripted.on(MANIFEST, asks_bearer(f"http://{other.host}/token"), served())
    other.on("GET /token", token())
    await client.fetch(tag(scripted.host))
    assert scripted.received[-1].authorization == "Bearer t1"


async def test_a_password_does_not_go_to_a_token_server_elsewhere(
    scripted: Scripted, start_scripted: StartScripted
) -> None:
    other = await start_scripted()
    scripted.on(MANIFEST, asks_bearer(f"http://{other.host}/token"))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(SignInError, match=f"token server {other.host} is of another site") as caught:
            await client.fetch(tag(scripted.host))
    assert caught.value.host == scripted.host
    assert other.received == []


async def test_a_registry_gets_no_token_that_another_sites_credential_buys(
    scripted: Scripted, start_scripted: StartScripted
) -> None:
    # It would have one with all that the user may do there, in any repository that its realm names.
    other = await start_scripted()
    scripted.on(MANIFEST, asks_bearer(f"http://{other.host}/token?scope=repository:private:pull"))
    other.on("GET /token", token())
    async with open_client({scripted.host: ANN, other.host: Credentials("bob", "bobs")}) as client:
        with pytest.raises(SignInError):
            await client.fetch(tag(scripted.host))
    assert other.received == []


@pytest.mark.parametrize("realm", ["", "/token", "ftp://a.test/", "http://127.0.0.1:99999/", "http://u:p@127.0.0.1/"])
async def test_a_token_server_that_can_not_be_is_an_error(scripted: Scripted, realm: str) -> None:
    scripted.on(MANIFEST, asks_bearer(realm))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(SignInError, match=f"sign in to {scripted.host}: the registry names no usable token server"):
            await client.fetch(tag(scripted.host))


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_token_server_that_refuses_is_asked_once(scripted: Scripted, status: int) -> None:
    wants_token(scripted, Reply(status))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(SignInError, match=rf"^read .*: sign-in as 'ann' was refused with {status}; .*tests\.json$"):
            await client.fetch(tag(scripted.host))
    assert len(scripted.asked("GET /token")) == 1


async def test_a_token_server_that_recovers_is_enough(scripted: Scripted) -> None:
    wants_token(scripted, Reply(500), Reply(503), token())
    async with open_client({scripted.host: ANN}) as client:
        await client.fetch(tag(scripted.host))
    assert scripted.received[-1].authorization == "Bearer t1"


async def test_a_token_server_that_stays_broken_is_asked_as_often_as_any(scripted: Scripted) -> None:
    wants_token(scripted, Reply(500))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(RegistryError, match=f"^read .*: ask {scripted.host} for a token: .* answered 500"):
            await client.fetch(tag(scripted.host))
    assert len(scripted.asked("GET /token")) == 4


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"token": "a\\nb"}'])
async def test_a_token_that_can_not_be_read_is_an_error(scripted: Scripted, body: bytes) -> None:
    wants_token(scripted, Reply(200, body))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(RegistryError, match=r"^read .*: the token server's answer"):
            await client.fetch(tag(scripted.host))


async def test_a_token_answer_over_1_mib_is_not_read(scripted: Scripted) -> None:
    wants_token(scripted, token("t1", padding="x" * 2**20))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(RegistryError, match="sent more than the 1048576 bytes"):
            await client.fetch(tag(scripted.host))


async def test_a_token_servers_redirect_elsewhere_takes_no_password_along(
    scripted: Scripted, start_scripted: StartScripted
) -> None:
    other = await start_scripted()
    wants_token(scripted, Reply(307, b"", {"Location": f"http://{other.host}/steal"}))
    other.on("GET /steal", token())
    async with open_client({scripted.host: ANN}) as client:
        await client.fetch(tag(scripted.host))
    assert [one.authorization for one in other.received] == [None]
