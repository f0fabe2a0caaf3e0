"""Signing in, as far as it needs no socket."""

import base64
import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.errors import RegistryError, SignInError
from replsync.registry.credentials import Credential
from replsync.registry.sign_in import (
    Challenge,
    basic_header,
    granted,
    may_send,
    parse_challenges,
    read_token,
    token_request,
    token_server,
)
from tests.registry.clients import SECRET

REALM = "https://auth.example.com/token"
PASSWORD = Credential("ann", SECRET, "config.json")
IDENTITY = Credential("<token>", SECRET, "config.json", is_identity_token=True)
PUSH, PULL = "repository:app/worker:pull,push", "repository:app/base:pull"


def bearer(**parameters: str) -> Challenge:
    return Challenge("bearer", parameters)


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("", []),
        ("Basic", [Challenge("basic", {})]),
        ('Basic realm="tests"', [Challenge("basic", {"realm": "tests"})]),
        ("BEARER REALM=x", [bearer(realm="x")]),
        (
            'Bearer realm="https://a/token",service="a",scope="repository:x:pull,push"',
            [bearer(realm="https://a/token", service="a", scope="repository:x:pull,push")],
        ),
        (
            'Basic realm="a, Bearer realm=b", charset="UTF-8", Bearer realm="c"',
            [Challenge("basic", {"realm": "a, Bearer realm=b", "charset": "UTF-8"}), bearer(realm="c")],
        ),
        (r'Basic realm="say \"hi\" \\"', [Challenge("basic", {"realm": 'say "hi" \\'})]),
        ('Bearer realm = "spaced" , service = x', [bearer(realm="spaced", service="x")]),
        ('Negotiate, Basic realm="x"', [Challenge("negotiate", {}), Challenge("basic", {"realm": "x"})]),
        ('Negotiate YII/x+==, Basic realm="x"', [Challenge("negotiate", {}), Challenge("basic", {"realm": "x"})]),
        ('Digest-SHA-256 realm="d"', [Challenge("digest-sha-256", {"realm": "d"})]),
        ('Bearer realm="first",realm="second"', [bearer(realm="first")]),
        ('Bearer realm="", error="insufficient_scope"', [bearer(realm="", error="insufficient_scope")]),
        ('((( ), Bearer realm="x"', [bearer(realm="x")]),
        ('Bearer x="not closed', [Challenge("bearer", {})]),
        (", ,, ", []),
        ('realm="nobody\'s"', []),
    ],
)  # fmt: skip
def test_challenges_are_read(header: str, challenges: list[Challenge]) -> None:
    assert list(parse_challenges(header)) == challenges


@given(st.text() | st.text(alphabet='Basic relm="\\,;\t= '))
def test_any_text_can_be_read_as_challenges(header: str) -> None:
    for challenge in parse_challenges(header):
        assert challenge.scheme == challenge.scheme.lower()


_NAMES = st.text("abcdefgh", min_size=1)


@given(st.lists(st.tuples(_NAMES, st.dictionaries(_NAMES, st.text(st.characters(codec="ascii"))))))
def test_challenges_that_were_written_are_read_back(written: list[tuple[str, dict[str, str]]]) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    header = ", ".join(
        f"{scheme} " + ", ".join(f"{name}={quoted(value)}" for name, value in parameters.items())
        for scheme, parameters in written
    )
    assert [(one.scheme, one.parameters) for one in parse_challenges(header)] == written


def test_a_token_is_asked_for_with_service_scopes_and_account_in_this_order() -> None:
    request = token_request(bearer(service="registry"), REALM, (PUSH, PULL), PASSWORD)
    assert request.form is None
    assert request.url.startswith(REALM + "?")
    assert parse_qsl(urlsplit(request.url).query) == [
        ("service", "registry"),
        ("scope", PUSH),
        ("scope", PULL),
        ("account", "ann"),
    ]
    assert request.headers == {"Authorization": basic_header(PASSWORD)}


def test_a_password_is_in_no_url() -> None:
    assert SECRET not in token_request(bearer(service="registry"), REALM, (PUSH,), PASSWORD).url


def test_an_anonymous_token_is_asked_for_without_a_credential() -> None:
    request = token_request(bearer(), REALM, (PULL,), None)
    assert request.headers == {}
    assert parse_qsl(urlsplit(request.url).query) == [("scope", PULL)]


def test_a_token_server_keeps_the_query_that_it_has() -> None:
    request = token_request(bearer(), REALM + "?tenant=a%20b", (PULL,), None)
    assert request.url == f"{REALM}?tenant=a%20b&scope=repository%3Aapp%2Fbase%3Apull"


def test_an_identity_token_is_posted_and_stays_out_of_url_and_headers() -> None:
    request = token_request(bearer(service="registry"), REALM, (PUSH, PULL), IDENTITY)
    assert (request.url, request.headers) == (REALM, {})
    assert request.form == {
        "grant_type": "refresh_token",
        "client_id": "replsync",
        "refresh_token": SECRET,
        "service": "registry",
        "scope": f"{PUSH} {PULL}",
    }


@pytest.mark.parametrize(
    ("answer", "value", "seconds"),
    [
        ({"token": "t", "expires_in": 100}, "t", 90),
        ({"access_token": "a", "expires_in": 100}, "a", 90),
        ({"token": "t", "access_token": "a", "expires_in": 100}, "t", 90),
        ({"token": "", "access_token": "a", "expires_in": 100}, "a", 90),
        ({"token": "t"}, "t", 54),
        ({"token": "t", "expires_in": None}, "t", 54),
        ({"token": "t", "expires_in": 0}, "t", 54),
        ({"token": "t", "expires_in": -5}, "t", 54),
        ({"token": "t", "expires_in": "100"}, "t", 90),
        ({"token": "t", "expires_in": "soon"}, "t", 54),
        ({"token": "t", "expires_in": [1]}, "t", 54),
        ({"token": "t", "expires_in": float("nan")}, "t", 54),
        ({"token": "t", "expires_in": float("inf")}, "t", 0.9 * 86_400),
        ({"token": "t", "expires_in": 10**400}, "t", 54),
        ({"token": "t", "expires_in": 1e300}, "t", 0.9 * 86_400),
    ],
)
def test_a_token_is_used_for_nine_tenths_of_the_life_that_can_be_believed(
    answer: dict[str, object], value: str, seconds: float
) -> None:
    token = read_token(json.dumps(answer).encode(), now=1000)
    assert token.value == value
    assert token.expires_at == pytest.approx(1000 + seconds)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"not JSON", b"\xff\xfe", b"null", b"[]", b'"t"', b"{}", b'{"token": null}', b'{"token": 5}'),
        *(b'{"token": ""}', b'{"token": "a\\r\\nX-Evil: 1"}', '{"token": "ä"}'.encode(), b"[" * 100_000),
    ],
)
def test_an_answer_without_a_usable_token_is_an_error(body: bytes) -> None:
    with pytest.raises(RegistryError, match="the token server's answer"):
        read_token(body, now=0)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.binary() | st.fixed_dictionaries({"token": _JSON, "expires_in": _JSON}).map(lambda x: json.dumps(x).encode()))
def test_any_answer_is_a_token_for_a_day_at_most_or_a_registry_error(body: bytes) -> None:
    try:
        token = read_token(body, now=1000)
    except RegistryError:
        return
    assert 1000 < token.expires_at <= 1000 + 86_400


@pytest.mark.parametrize(
    ("registry", "realm", "allowed"),
    [
        ("https://registry.example.com", "https://registry.example.com/token", True),
        ("https://registry.example.com", "https://REGISTRY.example.com:443/token", True),
        ("https://registry-1.docker.io", "https://auth.docker.io/token", True),
        ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth", True),
        ("https://gitlab.example.com:5050", "https://gitlab.example.com/jwt/auth", True),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/token", True),
        ("http://registry.example.com", "https://auth.example.com/token", True),
        ("https://registry.example.com", "https://evil.test/token", False),
        ("https://registry.example.com", "https://evilexample.com/token", False),
        ("https://registry.example.com", "https://registry.example.com.evil.test/token", False),
        ("https://registry.example.com", "https://example.com@evil.test/token", False),
        ("https://registry.example.com", "http://registry.example.com/token", False),
        ("https://registry.example.com", "http://auth.example.com/token", False),
        ("http://registry.example.com", "http://auth.example.com/token", False),
        ("https://quay.io", "https://evil.io/token", False),
        ("https://registry", "https://auth/token", False),
        ("https://shop.co.uk", "https://evil.co.uk/token", False),
        ("https://shop.me.uk", "https://evil.me.uk/token", False),
        ("https://shop.gob.mx", "https://evil.gob.mx/token", False),
        ("https://registry.shop.co.uk", "https://auth.shop.co.uk/token", True),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", False),
        ("http://127.0.0.1:5000", "https://127.0.0.1:5001/token", False),
        ("http://localhost:5000", "https://localhost:5001/token", False),
        ("https://10.0.0.1", "https://10.0.0.1:8443/token", True),
        ("https://10.0.0.1", "https://10.9.0.1/token", False),
        ("https://10.0.0.1", "https://0.0.1/token", False),
        ("https://[2001:db8::1]", "https://[2001:db8::1]/token", True),
        ("https://[2001:db8::1]", "https://[2001:db8::2]/token", False),
    ],
)
def test_where_a_credential_may_go(registry: str, realm: str, allowed: bool) -> None:
    assert may_send(registry, realm) is allowed


def test_the_token_server_is_the_realm() -> None:
    assert token_server(bearer(realm=REALM), "https://registry.example.com", "registry.example.com") == REALM


def test_a_fragment_is_no_part_of_a_token_server() -> None:
    assert token_server(bearer(realm=REALM + "#x"), "https://registry.example.com", "registry.example.com") == REALM


@pytest.mark.parametrize(
    "realm",
    [
        *("", "/token", "auth.example.com/token", "ftp://auth.example.com/", "https://", "https:///token"),
        *("https://user@auth.example.com/", "https://:pw@auth.example.com/", "https://auth.example.com:99999/"),
        *("https://auth.example.com:x/", "https://[::1", "https://[]", "https://auth.example.com/a b", "https://auth.example.com/\r\n"),
        *("https://auth.example.com\\@evil.test/", "https://äuth.example.com/", "javascript:alert(1)"),
    ],
)  # fmt: skip
def test_a_realm_that_is_no_server_is_refused(realm: str) -> None:
    with pytest.raises(SignInError, match="names no usable token server") as caught:
        token_server(bearer(realm=realm), "https://registry.example.com", "registry.example.com")
    assert caught.value.host == "registry.example.com"


def test_a_challenge_without_a_realm_is_refused() -> None:
    with pytest.raises(SignInError, match="names no usable token server"):
        token_server(bearer(), "https://registry.example.com", "registry.example.com")


def test_a_token_server_with_http_is_refused_for_a_registry_with_https() -> None:
    with pytest.raises(SignInError, match=r"its token server auth\.example\.com only http"):
        token_server(bearer(realm="http://auth.example.com/token"), "https://registry.example.com", "example")


def test_basic_sign_in_is_utf_8() -> None:
    assert basic_header(Credential("ann", "pässword", "x")) == "Basic YW5uOnDDpHNzd29yZA=="


def jwt(claims: object) -> bytes:
    """An answer with a token in JWT's form; its signature is none."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return json.dumps({"token": f"e30.{payload}.x"}).encode()


@pytest.mark.parametrize(
    ("body", "rights"),
    [
        (b'{"token": "t", "scope": "repository:app/worker:pull"}', {"app/worker": {"pull"}}),
        (b'{"token": "t", "scope": "repository:a:pull repository:a:push"}', {"a": {"pull", "push"}}),
        (b'{"token": "t", "scope": ""}', {}),
        (
            jwt({"access": [{"type": "repository", "name": "a/b", "actions": ["pull", "push"]}]}),
            {"a/b": {"pull", "push"}},
        ),
        (jwt({"access": [{"type": "registry", "name": "catalog", "actions": ["*"]}]}), {}),
        (jwt({"access": []}), {}),
        (jwt({}), None),
        (jwt({"access": None}), None),
        (jwt({"access": [{"type": "repository"}]}), None),
        (b'{"token": "opaque"}', None),
        (b'{"access_token": "a.b.c"}', None),
        (b"[]", None),
        (b"\xff", None),
    ],
)
def test_what_a_token_allows_is_read_where_it_says_so(body: bytes, rights: dict[str, set[str]] | None) -> None:
    assert granted(body) == rights


@given(st.binary())
def test_any_answer_can_be_looked_at_for_rights(body: bytes) -> None:
    granted(body)
    granted(json.dumps({"token": body.decode(errors="replace")}).encode())
