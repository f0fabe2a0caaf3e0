"""Secrets that others repeat are taken out, in whatever form they come back."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.registry.blotting import blotted
from replsync.registry.refusal import read_errors

SECRET = "hunter2/and+more? ümläut%41"


@pytest.mark.parametrize(
    "said",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET),
        quote(SECRET, safe="").lower(),
        quote_plus(SECRET),
        "".join(f"%{byte:02X}" for byte in SECRET.encode()),
        json.dumps(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        *(base64.b64encode(f"{user}:{SECRET}".encode()).decode() for user in ("a", "an", "ann", "anna")),
        base64.b64encode(f"{{'password': '{SECRET}'}}".encode()).decode(),
        SECRET[: len(SECRET) // 2 + 1],
        SECRET[:-1],
    ],
)
def test_a_secret_is_taken_out_in_every_form(said: str) -> None:
    found = blotted(f"before {said} after", [SECRET])
    assert found.startswith("before ")
    assert found.endswith(" after")
    assert "***" in found
    rest = found.removeprefix("before ").removesuffix(" after").replace("***", "").strip('"')
    assert len(rest) <= 24  # in base64: what is of others, and bits that a secret shares with its neighbours


@pytest.mark.parametrize("padded", ["  the-secret\n", "the-secret\n"])
def test_the_newline_that_an_environment_adds_hides_no_secret(padded: str) -> None:
    assert blotted("not with the-secret!", [padded]) == "not with ***!"


@pytest.mark.parametrize("secret", ["a", "or", "not", "", " "])
def test_a_short_secret_leaves_the_text_readable(secret: str) -> None:
    said = "the registry is not for authors"
    assert blotted(said, [secret]) == said.replace(f" {secret} ", " *** " if secret.strip() else f" {secret} ")


def test_the_longer_of_two_secrets_is_taken_out_as_a_whole() -> None:
    assert blotted("token-and-more token-and", ["token-and", "token-and-more"]) == "*** ***"


@given(st.text(), st.lists(st.text()))
def test_any_text_can_be_looked_through(text: str, secrets: list[str]) -> None:
    found = blotted(text, secrets)
    assert not any(len(secret.strip()) >= 8 and secret in found for secret in secrets if "*" not in secret)


def test_a_secret_is_taken_out_before_the_message_is_cut() -> None:
    body = json.dumps({"errors": [{"code": "X", "message": "x" * 290 + SECRET}]}).encode()
    assert SECRET[:5] not in read_errors(body, [SECRET])[1]


@pytest.mark.parametrize("value", [{"a": SECRET}, [SECRET], 5, None, True, {"a": "x" * 9_000}])
def test_what_is_no_text_is_shown_short_and_without_secrets(value: object) -> None:
    codes, said = read_errors(json.dumps({"errors": [{"code": value, "message": value}] * 50}).encode(), [SECRET])
    assert len(said) <= 300
    assert SECRET not in said
    assert all(len(code) <= 300 for code in codes)
