"""Signing in over a socket: which credential goes where, how often, and what is said when it doesn't do."""

import base64
import json
from pathlib import Path

import pytest

from replsync.errors import NotFound, PermissionDenied, RegistryError, SignInError
from replsync.oci.image_manifest import OCI_MANIFEST
from replsync.oci.reference import Repository
from replsync.registry.client import RegistryClient
from replsync.registry.credentials import CredentialStore
from replsync.registry.together import together
from tests.registry.answers import ANN, ASKS_BASIC, BASIC, IMAGE, MANIFEST, asks_bearer, served, token
from tests.registry.clients import SECRET, blob_of, body_of, open_client, repository, tag
from tests.registry.docker_files import Install, docker_config
from tests.registry.scripted import Reply, Scripted, refusal
from tests.servers.registry import Credentials, RegistryServer, StartRegistry
from tests.servers.sandbox import RunningSandbox


async def push_and_read(client: RegistryClient, where: Repository) -> None:
    for blob in IMAGE.blobs.values():
        await client.upload(where, blob_of(blob), body_of(blob))
    await client.put(where.tagged("1"), IMAGE.manifest, OCI_MANIFEST)
    assert (await client.fetch(where.tagged("1"))).raw == IMAGE.manifest


@pytest.fixture
def locked(start_docker_registry: StartRegistry) -> RegistryServer:
    return start_docker_registry(htpasswd=True)


async def test_basic_sign_in_pushes_and_reads(locked: RegistryServer) -> None:
    async with open_client({locked.host: locked.credentials}) as client:
        await push_and_read(client, repository(locked.host))


async def test_tokens_push_and_read(sandbox: RunningSandbox) -> None:
    async with open_client({sandbox.host: sandbox.credentials}) as client:
        await push_and_read(client, repository(sandbox.host))


@pytest.mark.parametrize("name", ["locked", "sandbox"])
async def test_a_wrong_password_is_an_error_that_names_the_file(
    locked: RegistryServer, sandbox: RunningSandbox, name: str
) -> None:
    host = locked.host if name == "locked" else sandbox.host
    async with open_client({host: Credentials("ann", "wrong " + SECRET)}) as client:
        with pytest.raises(SignInError, match=r"401.*; the credential is from tests\.json$") as caught:
            await client.head(tag(host))
    assert "'ann'" in caught.value.message
    assert caught.value.host == host
    assert caught.value.hint == f"sign in again: replsync login {host}"


@pytest.mark.parametrize("name", ["locked", "sandbox"])
async def test_no_credential_is_an_error_with_a_next_move(
    locked: RegistryServer, sandbox: RunningSandbox, client: RegistryClient, name: str
) -> None:
    host = locked.host if name == "locked" else sandbox.host
    with pytest.raises(SignInError, match=f"{host} wants a sign-in, and no credential is configured for it") as caught:
        await client.fetch(tag(host))
    assert (caught.value.host, caught.value.hint) == (host, f"sign in: replsync login {host}")


async def test_a_wrong_password_is_sent_once(scripted: Scripted) -> None:
    scripted.on(MANIFEST, ASKS_BASIC)
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(SignInError, match="the registry answered 401 to 'ann'"):
            await client.fetch(tag(scripted.host))
    assert [one.authorization for one in scripted.received] == [None, BASIC]


async def test_without_a_credential_nothing_is_asked_twice(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, ASKS_BASIC)
    with pytest.raises(SignInError):
        await client.fetch(tag(scripted.host))
    assert len(scripted.received) == 1


@pytest.mark.parametrize("challenge", ["", "Negotiate", "Digest realm=x", "((("])
async def test_a_401_that_asks_for_nothing_known_is_a_sign_in_error(scripted: Scripted, challenge: str) -> None:
    scripted.on(MANIFEST, Reply(401, b"", {"WWW-Authenticate": challenge}))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(SignInError):
            await client.fetch(tag(scripted.host))
    assert [one.authorization for one in scripted.received] == [None]


async def test_a_403_is_a_refusal_that_is_not_tried_again(scripted: Scripted) -> None:
    scripted.on(MANIFEST, refusal(403, "DENIED", message="team has no access"))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(PermissionDenied, match=r"answered 403 \(DENIED: team has no access\)$") as caught:
            await client.fetch(tag(scripted.host))
    assert caught.value.host == scripted.host
    assert len(scripted.received) == 1


async def test_what_to_do_about_a_403_depends_on_what_was_to_be_done(scripted: Scripted) -> None:
    scripted.on(MANIFEST, refusal(403, "DENIED"))
    scripted.on(MANIFEST.replace("GET", "PUT"), refusal(403, "DENIED"))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(PermissionDenied) as reading:
            await client.fetch(tag(scripted.host))
        with pytest.raises(PermissionDenied) as pushing:
            await client.put(tag(scripted.host), IMAGE.manifest, OCI_MANIFEST)
    assert "may not read here" in str(reading.value.hint)
    assert "customer's licence" in str(pushing.value.hint)
    assert f"replsync login {scripted.host}" in str(pushing.value.hint)


async def test_netrc_is_not_read(
    scripted: Scripted, client: RegistryClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login ann password {SECRET}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    scripted.on(MANIFEST, ASKS_BASIC)
    with pytest.raises(SignInError):
        await client.fetch(tag(scripted.host))
    assert {one.authorization for one in scripted.received} == {None}


async def test_the_most_specific_credential_of_a_repository_signs_it(scripted: Scripted, tmp_path: Path) -> None:
    scripted.on(MANIFEST, ASKS_BASIC, served())
    scripted.on("GET /v2/app/other/manifests/1", served())
    auths = {
        f"{scripted.host}/{path}": {"auth": base64.b64encode(f"{path}:pw".encode()).decode()}
        for path in ("app/worker", "app")
    }
    auth_file = tmp_path / "auth.json"
    auth_file.write_text(json.dumps({"auths": auths}))
    store = CredentialStore({"REGISTRY_AUTH_FILE": str(auth_file)}, tmp_path)
    async with open_client(store=store) as client:
        for path in ("app/worker", "app/other"):
            await client.fetch(tag(scripted.host, path=path))
    signed = [base64.b64decode(one.authorization[6:]) for one in scripted.received if one.authorization]
    assert signed == [b"app/worker:pw", b"app:pw"]


async def test_a_helper_is_asked_once_for_a_repository(scripted: Scripted, tmp_path: Path, install: Install) -> None:
    docker_config(tmp_path, {"credsStore": "safe"})
    store = install("safe", f"""echo asked >> {tmp_path}/log; echo '{{"Username": "ann", "Secret": "{SECRET}"}}'""")
    scripted.on(MANIFEST, ASKS_BASIC, served())
    async with open_client(store=store) as client:
        await client.fetch(tag(scripted.host))
        await together(client.fetch(tag(scripted.host)) for _ in range(20))
    assert (tmp_path / "log").read_text().splitlines() == ["asked"]


async def test_a_helper_is_asked_again_after_its_password_was_refused(
    scripted: Scripted, tmp_path: Path, install: Install
) -> None:
    docker_config(tmp_path, {"credsStore": "safe"})
    counts = f"echo x >> {tmp_path}/log; count=$(wc -l < {tmp_path}/log)"
    store = install("safe", counts + """; echo "{\\"Username\\": \\"ann\\", \\"Secret\\": \\"pw$count\\"}" """)
    scripted.on(MANIFEST, ASKS_BASIC, served(), ASKS_BASIC, served())
    async with open_client(store=store) as client:
        for _ in range(2):
            await client.fetch(tag(scripted.host))
    signed = [one.authorization and base64.b64decode(one.authorization[6:]) for one in scripted.received]
    assert signed == [None, b"ann:pw1", b"ann:pw1", b"ann:pw2"]


async def test_a_blob_is_read_after_signing_in(scripted: Scripted) -> None:
    path = f"GET /v2/app/worker/blobs/{blob_of(b'data').digest}"
    scripted.on(path, asks_bearer(f"http://{scripted.host}/token"), Reply(200, b"data"))
    scripted.on("GET /token", token())
    async with open_client({scripted.host: ANN}) as client:
        assert await client.read_small_blob(repository(scripted.host), blob_of(b"data")) == b"data"


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_blob_that_is_refused_is_no_blob(scripted: Scripted, status: int) -> None:
    scripted.on(f"GET /v2/app/worker/blobs/{blob_of(b'data').digest}", refusal(status, "DENIED"))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises((SignInError, RegistryError)) as caught:
            await client.read_small_blob(repository(scripted.host), blob_of(b"data"))
    assert not isinstance(caught.value, NotFound)
    assert len(scripted.received) == 1
