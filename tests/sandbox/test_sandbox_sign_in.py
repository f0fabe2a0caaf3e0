import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.sandbox import SandboxOptions
from replsync.sandbox.sign_in import Right, Tokens, rights_in
from tests.sandbox.client import Client, open_client
from tests.servers.sandbox import StartSandbox

NOBODY: frozenset[Right] = frozenset()
BLOB = "/v2/myapp/worker/blobs/sha256:" + "0" * 64
MANIFEST = "/v2/myapp/worker/manifests/1.0"
UPLOADS = "/v2/myapp/worker/blobs/uploads/"
PULL, PUSH = "repository:myapp/worker:pull", "repository:myapp/worker:pull,push"


async def challenge(client: Client, method: str, path: str, headers: dict[str, str] | None = None) -> dict[str, str]:
    answer = await client.ask(method, path, headers=headers)
    assert answer.status == 401
    assert method == "HEAD" or answer.code == "UNAUTHORIZED"
    scheme, _, parameters = answer.headers["WWW-Authenticate"].partition(" ")
    assert scheme == "Bearer"
    return dict(re.findall(r'(\w+)="([^"]*)"', parameters))


async def test_the_version_check_is_challenged_without_a_scope(anonymous: Client) -> None:
    assert await challenge(anonymous, "GET", "/v2/") == {
        "realm": f"http://{anonymous.host}/v2/token",
        "service": "replsync-sandbox",
    }


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", MANIFEST, PULL),
        ("HEAD", MANIFEST, PULL),
        ("PUT", MANIFEST, PUSH),
        ("DELETE", MANIFEST, PUSH),
        ("GET", BLOB, PULL),
        ("HEAD", BLOB, PULL),
        ("DELETE", BLOB, PUSH),
        ("GET", "/v2/myapp/worker/tags/list", PULL),
        ("POST", UPLOADS, PUSH),
        ("PATCH", f"{UPLOADS}some-session", PUSH),
        ("PUT", f"{UPLOADS}some-session", PUSH),
        ("GET", f"{UPLOADS}some-session", PUSH),
        ("DELETE", f"{UPLOADS}some-session", PUSH),
        ("GET", "/v2/myapp/stable/chart/tags/list", "repository:myapp/stable/chart:pull"),
    ],
)
async def test_the_challenge_names_the_scope_that_the_request_needs(
    anonymous: Client, method: str, path: str, scope: str
) -> None:
    assert (await challenge(anonymous, method, path))["scope"] == scope


async def test_the_challenge_to_a_mount_names_where_the_blob_comes_from_too(anonymous: Client) -> None:
    asked = await challenge(anonymous, "POST", f"{UPLOADS}?mount=sha256:{'0' * 64}&from=myapp/other")
    assert asked["scope"] == f"{PUSH} repository:myapp/other:pull"


async def test_a_source_that_would_break_out_of_the_challenge_is_left_out(anonymous: Client) -> None:
    asked = await challenge(anonymous, "POST", f"{UPLOADS}?mount=x&from=a%22,realm=%22b")
    assert asked["scope"] == PUSH
    assert asked["realm"] == f"http://{anonymous.host}/v2/token"


@pytest.mark.parametrize("path", ["/v2/_catalog", "/v2/nothing/here", "/v2", "/index.html"])
async def test_unknown_paths_are_challenged_too(anonymous: Client, path: str) -> None:
    assert "realm" in await challenge(anonymous, "GET", path)


async def test_the_realm_is_at_the_host_that_the_client_named(anonymous: Client) -> None:
    asked = await challenge(anonymous, "GET", "/v2/", {"Host": "registry.example:5000"})
    assert asked["realm"] == "http://registry.example:5000/v2/token"


async def test_a_host_header_that_would_break_out_of_the_challenge_is_refused(anonymous: Client) -> None:
    answer = await anonymous.ask("GET", "/v2/", headers={"Host": 'evil",realm="http://evil'})
    assert answer.status == 400
    assert "WWW-Authenticate" not in answer.headers


async def test_a_name_that_would_break_out_of_the_challenge_is_refused(anonymous: Client) -> None:
    answer = await anonymous.ask("GET", "/v2/a%22,scope=%22b/tags/list")
    assert (answer.status, answer.code) == (400, "NAME_INVALID")
    assert "WWW-Authenticate" not in answer.headers


async def test_a_name_with_a_line_break_gets_into_no_header(anonymous: Client) -> None:
    answer = await anonymous.ask("GET", "/v2/a%0d%0aEvil:%20b/tags/list")
    assert answer.status == 401
    assert "evil" not in str(answer.headers).lower()


async def test_any_user_name_signs_in_with_the_password(anonymous: Client) -> None:
    for username in ("me@example.com", "", "x"):
        assert (await anonymous.token_answer("", username)).status == 200


async def test_a_token_answer_has_both_names_of_the_token_and_its_life(anonymous: Client) -> None:
    body = (await anonymous.token_answer(f"scope={PUSH}")).json()
    assert body["token"] == body["access_token"]
    assert body["expires_in"] == 300
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", body["issued_at"])
    assert "refresh_token" not in body


@pytest.mark.parametrize("password", ["wrong", "", "sandboxx", "Sandbox", "sändbox"])
async def test_a_wrong_password_is_refused(anonymous: Client, password: str) -> None:
    answer = await anonymous.token_answer(f"scope={PUSH}", password=password)
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("authorization", ["", "Basic", "Basic !!!", "Basic /w==", "Basic c2FuZGJveA==", "Bearer x"])
async def test_no_token_without_well_formed_basic_credentials(anonymous: Client, authorization: str) -> None:
    answer = await anonymous.ask("GET", "/v2/token", headers={"Authorization": authorization})
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")


async def test_no_anonymous_token(anonymous: Client) -> None:
    assert (await anonymous.ask("GET", f"/v2/token?scope={PULL}")).status == 401


async def test_each_configured_password_signs_in(start_sandbox: StartSandbox) -> None:
    options = SandboxOptions(password="one", more_passwords=("two", "drei-ß"))
    async with open_client(start_sandbox(options).host) as client:
        statuses = {word: (await client.token_answer("", "me", word)).status for word in ("one", "two", "drei-ß", "x")}
    assert statuses == {"one": 200, "two": 200, "drei-ß": 200, "x": 401}


async def test_a_token_opens_the_version_check(anonymous: Client) -> None:
    answer = await (await anonymous.signed_in("")).ask("GET", "/v2/")
    assert (answer.status, answer.json()) == (200, {})
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


async def test_an_unknown_token_is_called_invalid(anonymous: Client) -> None:
    assert (await challenge(replace(anonymous, token="made-up"), "GET", MANIFEST))["error"] == "invalid_token"


async def test_basic_credentials_are_no_token(anonymous: Client) -> None:
    basic = {"Authorization": "Basic bWU6c2FuZGJveA=="}
    assert (await challenge(anonymous, "GET", "/v2/", basic))["realm"].endswith("/v2/token")


async def test_an_ended_token_is_called_invalid(start_sandbox: StartSandbox) -> None:
    async with open_client(start_sandbox(SandboxOptions(token_seconds=0)).host, PULL) as client:
        assert (await challenge(client, "GET", MANIFEST))["error"] == "invalid_token"


async def test_a_token_to_pull_is_not_enough_to_push(anonymous: Client) -> None:
    client = await anonymous.signed_in(PULL)
    assert (await client.ask("GET", MANIFEST)).status == 404
    asked = await challenge(client, "POST", UPLOADS)
    assert (asked["error"], asked["scope"]) == ("insufficient_scope", PUSH)


async def test_a_token_holds_for_its_repository_alone(anonymous: Client) -> None:
    client = await anonymous.signed_in(PUSH)
    assert (await challenge(client, "GET", "/v2/myapp/other/tags/list"))["error"] == "insufficient_scope"


@pytest.mark.parametrize(
    "query",
    [
        "scope=repository:myapp/worker:pull&scope=repository:myapp/other:pull",
        "scope=repository:myapp/worker:pull+repository:myapp/other:pull",
        "scope=repository:myapp/worker:pull%20repository:myapp/other:*&scope=registry:catalog:*",
    ],
)
async def test_several_scopes_go_into_one_token(anonymous: Client, query: str) -> None:
    client = replace(anonymous, token=(await anonymous.token_answer(query)).json()["token"])
    assert (await client.ask("GET", "/v2/myapp/worker/tags/list")).status == 404
    assert (await client.ask("GET", "/v2/myapp/other/tags/list")).status == 404


async def test_the_oauth2_form_takes_a_password(anonymous: Client) -> None:
    form = {"grant_type": "password", "username": "me", "password": "sandbox", "scope": PULL, "service": "s"}
    body = (await anonymous.ask("POST", "/v2/token", form)).json()
    assert (await replace(anonymous, token=body["access_token"]).ask("GET", MANIFEST)).status == 404
    assert body["scope"] == PULL
    assert "refresh_token" not in body


async def test_the_oauth2_form_gives_a_refresh_token_where_asked_and_takes_it_back(anonymous: Client) -> None:
    form = {"grant_type": "password", "username": "me", "password": "sandbox", "access_type": "offline"}
    refresh = (await anonymous.ask("POST", "/v2/token", form)).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh, "scope": PULL}
    token = (await anonymous.ask("POST", "/v2/token", form)).json()["access_token"]
    assert (await replace(anonymous, token=token).ask("GET", MANIFEST)).status == 404


@pytest.mark.parametrize(
    "form",
    [
        {"grant_type": "password", "username": "me", "password": "wrong", "access_type": "offline"},
        {"grant_type": "password", "username": "me"},
        {"grant_type": "refresh_token", "refresh_token": "made-up"},
        {"grant_type": "refresh_token"},
    ],
)
async def test_the_oauth2_form_refuses_wrong_credentials(anonymous: Client, form: dict[str, str]) -> None:
    answer = await anonymous.ask("POST", "/v2/token", form)
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("body", [b"", b"grant_type=authorization_code", b"\xff\xfe%ff=&&"])
async def test_another_grant_is_a_bad_request(anonymous: Client, body: bytes) -> None:
    answer = await anonymous.ask("POST", "/v2/token", body, {"Content-Type": "text/plain; charset=nonsense"})
    assert (answer.status, answer.code) == (400, "UNSUPPORTED")


async def test_a_refresh_token_is_no_bearer_token(anonymous: Client) -> None:
    form = {"grant_type": "password", "password": "sandbox", "access_type": "offline"}
    refresh = (await anonymous.ask("POST", "/v2/token", form)).json()["refresh_token"]
    assert (await challenge(replace(anonymous, token=refresh), "GET", "/v2/"))["error"] == "invalid_token"


@pytest.mark.parametrize(
    ("scope", "rights"),
    [
        ("repository:a/b:pull", {Right("a/b", "pull")}),
        ("repository:a:pull,push", {Right("a", "pull"), Right("a", "push")}),
        ("repository:a:*", {Right("a", "pull"), Right("a", "push")}),
        ("repository:a:delete", set()),
        ("repository:UPPER:pull", set()),
        ("repository:../a:pull", set()),
        ("registry:catalog:*", set()),
        ("repository:a", set()),
        ("", set()),
    ],
)
def test_scopes_grant_what_is_known_and_nothing_else(scope: str, rights: set[Right]) -> None:
    assert rights_in([scope]) == rights


@given(seconds=st.floats(0.001, 1e6), start=st.floats(0, 1e6), fraction=st.floats(0, 0.99))
def test_a_token_holds_until_its_end_and_not_longer(seconds: float, start: float, fraction: float) -> None:
    tokens = Tokens(["p"], seconds)
    token = tokens.issue(NOBODY, start)
    assert tokens.rights_of(token, start + seconds * fraction) == NOBODY
    assert tokens.rights_of(token, start + seconds) is None


def test_ended_tokens_are_forgotten() -> None:
    tokens = Tokens(["p"], 10)
    old = tokens.issue(NOBODY, 0)
    tokens.issue(NOBODY, 10)
    assert tokens.rights_of(old, 5) is None  # at a time when it would still have held
