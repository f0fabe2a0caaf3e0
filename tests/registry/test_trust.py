"""What a server may lead the client to, and what of its words is shown."""

import base64
import json
from pathlib import Path

import pytest

from replsync.errors import RegistryError, ReplsyncError, SignInError, UnsupportedImage
from replsync.oci.digest import sha256
from replsync.oci.image_manifest import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.credentials import Credential, CredentialStore
from replsync.registry.persistence import Persistence
from replsync.registry.refusal import read_errors
from replsync.registry.transport import MAX_REDIRECTS, TimeLimits, Transport
from tests.registry.answers import ANN, ASKS_BASIC, BASIC, IMAGE, MANIFEST, asks_bearer, served, token
from tests.registry.clients import AT_ONCE, PATIENT, SECRET, blob_of, body_of, open_client, repository, tag, uploads
from tests.registry.scripted import Answer, Reply, Scripted, StartScripted, broken_after, refusal, reset

DATA = blob_of(b"data")
BLOB = f"GET /v2/app/worker/blobs/{DATA.digest}"


def redirect(url: str, status: int = 307) -> Reply:
    return Reply(status, b"", {"Location": url})


async def read_data(client: RegistryClient, scripted: Scripted) -> bytes:
    return await client.read_small_blob(repository(scripted.host), DATA)


async def test_a_redirected_blob_is_read_without_authorization(
    scripted: Scripted, start_scripted: StartScripted
) -> None:
    store = await start_scripted()
    scripted.on(BLOB, ASKS_BASIC, redirect(f"http://{store.host}/data?signature=a%2Fb"))
    store.on("GET /data", Reply(200, b"data"))
    async with open_client({scripted.host: ANN}) as client:
        assert await read_data(client, scripted) == b"data"
    assert scripted.received[-1].authorization == BASIC
    assert [(one.path, one.authorization) for one in store.received] == [("/data?signature=a%2Fb", None)]


async def test_a_redirect_back_brings_no_authorization_back(scripted: Scripted, start_scripted: StartScripted) -> None:
    other = await start_scripted()
    scripted.on(BLOB, ASKS_BASIC, redirect(f"http://{other.host}/there"))
    other.on("GET /there", redirect(f"http://{scripted.host}/back"))
    scripted.on("GET /back", Reply(200, b"data"))
    async with open_client({scripted.host: ANN}) as client:
        assert await read_data(client, scripted) == b"data"
    assert [one.authorization for one in scripted.asked("GET /back")] == [None]


async def test_a_redirect_within_the_registry_keeps_authorization(scripted: Scripted) -> None:
    scripted.on(BLOB, ASKS_BASIC, redirect("/elsewhere", 302))
    scripted.on("GET /elsewhere", Reply(200, b"data"))
    async with open_client({scripted.host: ANN}) as client:
        await read_data(client, scripted)
    assert scripted.received[-1].authorization == BASIC


async def test_redirects_in_a_circle_come_to_an_end(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(BLOB, redirect(f"http://{scripted.host}{BLOB[4:]}"))
    with pytest.raises(RegistryError, match=rf"^read .*: {scripted.host} redirects more than {MAX_REDIRECTS} times$"):
        await read_data(client, scripted)
    assert len(scripted.received) == MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    "location", ["", "ftp://a.test/", "http://127.0.0.1:99999/", "http://u:p@127.0.0.1/", "http://"]
)
async def test_a_redirect_to_no_address_is_an_error(scripted: Scripted, client: RegistryClient, location: str) -> None:
    scripted.on(BLOB, redirect(location))
    with pytest.raises(RegistryError, match=r"^read .*: 127\.0\.0\.1:\d+ (names an address|redirects more)"):
        await read_data(client, scripted)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_storage_that_refuses_is_no_refusal_by_the_registry(
    scripted: Scripted, start_scripted: StartScripted, status: int
) -> None:
    store = await start_scripted()
    scripted.on(BLOB, redirect(f"http://{store.host}/data"))
    store.on("GET /data", Reply(status, b"", {"WWW-Authenticate": 'Basic realm="give it to me"'}))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(RegistryError, match=f"{store.host}, where the registry sends to, answered {status}"):
            await read_data(client, scripted)
    assert {one.authorization for one in store.received} == {None}


async def test_an_upload_to_another_origin_has_no_authorization(
    scripted: Scripted, start_scripted: StartScripted
) -> None:
    other = await start_scripted()
    _, post, _ = uploads(DATA.digest)
    scripted.on(post, ASKS_BASIC, Reply(202, b"", {"Location": f"http://{other.host}/upload?state=x"}))
    other.on("PUT /upload", Reply(201))
    async with open_client({scripted.host: ANN}) as client:
        await client.upload(repository(scripted.host), DATA, body_of(b"data"))
    assert scripted.received[-1].authorization == BASIC
    (put,) = other.received
    assert (put.path, put.authorization) == (f"/upload?state=x&digest={DATA.digest}", None)


async def test_a_challenge_from_another_origin_is_not_answered(
    scripted: Scripted, start_scripted: StartScripted
) -> None:
    other = await start_scripted()
    _, post, _ = uploads(DATA.digest)
    scripted.on(post, Reply(202, b"", {"Location": f"http://{other.host}/upload"}))
    other.on("PUT /upload", ASKS_BASIC)
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(RegistryError, match=f"^push .*: {other.host}, where the registry sends to, answered 401"):
            await client.upload(repository(scripted.host), DATA, body_of(b"data"))
    assert [one.authorization for one in other.received] == [None]


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_what_writes_follows_no_redirect(
    scripted: Scripted, start_scripted: StartScripted, client: RegistryClient, method: str
) -> None:
    other = await start_scripted()
    head, post, put = uploads(DATA.digest)
    scripted.on(head, Reply(404))
    scripted.on(post, Reply(202, b"", {"Location": "/upload"}))
    scripted.on(post if method == "POST" else put, redirect(f"http://{other.host}/steal"))
    with pytest.raises(RegistryError, match="the registry answered 307"):
        await client.upload(repository(scripted.host), DATA, body_of(b"data"))
    assert other.received == []


async def test_a_proxy_is_not_asked_for_this_machine(
    scripted: Scripted, start_scripted: StartScripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = await start_scripted()
    monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
    scripted.on(MANIFEST, served())
    async with open_client() as client:
        await client.fetch(tag(scripted.host))
    assert proxy.received == []


@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_a_proxy_is_asked_for_other_hosts(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("http_proxy", scheme + scripted.host)
    scripted.on(MANIFEST, served())
    plain = Settings(plain_http=frozenset({"registry.test"}), persistence=AT_ONCE.persistence)
    async with open_client(settings=plain) as client:
        await client.fetch(tag("registry.test"))
    assert scripted.received[0].headers["Host"] == "registry.test"


async def test_no_proxy_is_asked_for_hosts_that_are_excepted(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = "192.0.2.1"  # RFC 5737: there is no such machine
    monkeypatch.setenv("http_proxy", f"http://{scripted.host}")
    monkeypatch.setenv("no_proxy", nobody)
    settings = Settings(plain_http=frozenset({nobody}), persistence=Persistence(attempts=1))
    async with open_client(settings=settings, limits=TimeLimits(connect=0.1)) as client:
        with pytest.raises(RegistryError):
            await client.fetch(tag(nobody))
    assert scripted.received == []


async def test_https_to_a_server_of_http_is_an_error_with_a_next_move(scripted: Scripted) -> None:
    async with Transport(PATIENT) as transport:
        with pytest.raises(RegistryError, match=f"^{scripted.host}: TLS failed$") as caught:
            await transport.fetch("GET", f"https://{scripted.host}/v2/", {}, limit=100)
    assert caught.value.hint
    assert f"--plain-http {scripted.host}" in caught.value.hint


_AMBIGUOUS = {**json.loads(IMAGE.manifest), "manifests": []}
_OTHER_TYPE = {**json.loads(IMAGE.manifest), "mediaType": DOCKER_MANIFEST}


@pytest.mark.parametrize(
    ("document", "media_type", "said"),
    [
        (_OTHER_TYPE, OCI_MANIFEST, "the registry calls it"),
        (_AMBIGUOUS, OCI_MANIFEST, "both `manifests` and `layers` is ambiguous"),
        (_AMBIGUOUS, OCI_INDEX, "both `manifests` and `layers` is ambiguous"),
        (json.loads(IMAGE.manifest), "text/html", "the registry calls it 'text/html'"),
        (["x"], OCI_MANIFEST, "is not a JSON object"),
    ],
)
async def test_what_can_be_read_in_two_ways_is_refused(
    scripted: Scripted, client: RegistryClient, document: object, media_type: str, said: str
) -> None:
    scripted.on(MANIFEST, served(json.dumps(document).encode(), media_type))
    with pytest.raises(UnsupportedImage, match=f"^{tag(scripted.host)}: .*{said}"):
        await client.tree(tag(scripted.host))


HOSTILE = "\x1b[2J\x1b]0;owned\x07 line\r\n::error::fake\u202egnp.exe\u2028\x00" + "x" * 5000


async def test_a_registrys_words_are_one_short_printable_line(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, refusal(400, "\x1b[31mRED\r\n", message=HOSTILE))
    with pytest.raises(RegistryError) as caught:
        await client.fetch(tag(scripted.host))
    assert caught.value.message.isprintable()
    assert "::error::fake" in caught.value.message
    assert not any(line.startswith("::") for line in caught.value.message.splitlines())
    assert len(caught.value.message) < 450


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"null", b"[]", b'{"errors": 5}', b'{"errors": {"a": 1}}', b'{"errors": [5]}', b"[" * 99_999],
)
def test_an_error_body_of_any_shape_can_be_read(body: bytes) -> None:
    assert read_errors(body) == ((), "")


async def test_an_error_body_without_end_is_not_read_to_its_end(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(MANIFEST, Reply(400, b"x" * 6_000_000))
    with pytest.raises(RegistryError, match="sent more than"):
        await client.fetch(tag(scripted.host))


ECHOES: dict[str, Answer] = {
    "a refusal": refusal(400, "UNKNOWN", message=f"your password {SECRET}, {BASIC}, Bearer t-secret"),
    "a 401": refusal(401, "UNAUTHORIZED", message=f"wrong: {SECRET} {BASIC} t-secret"),
    "a 403": refusal(403, "DENIED", message=f"not with {SECRET} {BASIC} t-secret"),
    "a 500": refusal(500, "UNKNOWN", message=f"not with {SECRET} {BASIC} t-secret"),
    "a 404 in HTML": Reply(404, f"<html>{SECRET}{BASIC}t-secret".encode()),
    "a reset": reset,
    "a broken answer": broken_after(SECRET.encode(), 100_000),
    "a redirect": redirect(f"http://127.0.0.1:1/?secret={SECRET}&{BASIC}"),
    "another redirect": redirect(f"http://{SECRET}:{SECRET}@127.0.0.1:1/"),
    "an odd redirect": redirect(f"ftp://{SECRET}/"),
    "a redirect to a host": redirect(f"http://{SECRET}.invalid/"),
    "another form": refusal(400, "UNKNOWN", message=f"not {base64.b64encode(SECRET.encode()).decode()}"),
    "a beginning": refusal(400, "UNKNOWN", message=f"not {SECRET[:10]}..."),
    "other content": served(digest=sha256(SECRET.encode())),
}


@pytest.mark.parametrize("name", ECHOES)
async def test_no_error_shows_a_credential(scripted: Scripted, name: str) -> None:
    scripted.on(MANIFEST, asks_bearer(f"http://{scripted.host}/token"), ECHOES[name])
    scripted.on("GET /token", token("t-secret"))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(ReplsyncError) as caught:
            await client.fetch(tag(scripted.host))
    assert "Bearer t-secret" in str(scripted.received[-1].authorization)
    said = f"{caught.value} {caught.value.hint}"
    for secret in (SECRET[:10], BASIC.removeprefix("Basic "), base64.b64encode(SECRET.encode()).decode(), "t-secret"):
        assert secret not in said


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
async def test_no_error_of_a_token_server_shows_a_credential(scripted: Scripted, status: int) -> None:
    scripted.on(MANIFEST, asks_bearer(f"http://{scripted.host}/token?pw={SECRET}"))
    scripted.on("GET /token", refusal(status, "UNKNOWN", message=f"wrong: {SECRET} {BASIC}"))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises((SignInError, RegistryError)) as caught:
            await client.fetch(tag(scripted.host))
    assert SECRET not in f"{caught.value} {caught.value.hint}"
    assert BASIC.removeprefix("Basic ") not in f"{caught.value} {caught.value.hint}"


async def test_no_error_shows_a_credential_in_the_name_of_a_token_server(scripted: Scripted) -> None:
    scripted.on(MANIFEST, asks_bearer(f"http://{SECRET}.test/token"))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(SignInError, match=r"the registry's token server \*\*\*\.test is of another site"):
            await client.fetch(tag(scripted.host))


async def test_no_error_shows_an_identity_token(scripted: Scripted) -> None:
    extra = {scripted.host: Credential("<token>", SECRET, "tests.json", is_identity_token=True)}
    scripted.on(MANIFEST, asks_bearer(f"http://{scripted.host}/token"))
    scripted.on("POST /token", refusal(500, "UNKNOWN", message=f"wrong: {SECRET}"))
    async with open_client(store=CredentialStore({}, Path("/nowhere"), extra)) as client:
        with pytest.raises(RegistryError, match=r"wrong: \*\*\*"):
            await client.fetch(tag(scripted.host))
    assert SECRET.encode() in scripted.asked("POST /token")[0].body


@pytest.mark.parametrize(
    "answer",
    [
        served(media_type=f"{SECRET}/x"),
        served(json.dumps({**json.loads(IMAGE.manifest), "mediaType": "t-secret-of-the-registry"}).encode()),
        served(digest=SECRET),
    ],
)
async def test_an_answer_that_holds_a_credential_is_not_taken(scripted: Scripted, answer: Reply) -> None:
    scripted.on(MANIFEST, asks_bearer(f"http://{scripted.host}/token"), answer)
    scripted.on("GET /token", token("t-secret-of-the-registry"))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(RegistryError, match=r"answers with the credential that it was sent$"):
            await client.fetch(tag(scripted.host))


async def test_a_tag_that_is_a_credential_is_not_taken(scripted: Scripted) -> None:
    scripted.on("GET /v2/app/worker/tags/list", ASKS_BASIC, Reply(200, json.dumps({"tags": ["1", SECRET]}).encode()))
    async with open_client({scripted.host: ANN}) as client:
        with pytest.raises(RegistryError, match=r"^list the tags of .*: the registry answers with the credential"):
            await client.tags(repository(scripted.host))


async def test_the_address_of_an_upload_may_hold_a_token(scripted: Scripted) -> None:
    _, post, put = uploads(DATA.digest)
    scripted.on(post, ASKS_BASIC, Reply(202, b"", {"Location": f"/upload?_state={SECRET}"}))
    scripted.on(put, Reply(201))
    async with open_client({scripted.host: ANN}) as client:
        await client.upload(repository(scripted.host), DATA, body_of(b"data"))
