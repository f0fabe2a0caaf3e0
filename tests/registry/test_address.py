"""Addresses that servers name."""

import email.utils
from datetime import UTC, datetime
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.errors import RegistryError
from replsync.registry.address import host_of, join, origin
from replsync.registry.transport import retry_after

BASE = "https://registry.example.com/v2/app/blobs/uploads/"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/v2/x?_state=a%2Fb%3D", "https://registry.example.com/v2/x?_state=a%2Fb%3D"),
        ("abc", BASE + "abc"),
        ("?n=1", BASE + "?n=1"),
        ("https://other.example.com/x", "https://other.example.com/x"),
        ("//other.example.com/x", "https://other.example.com/x"),
        ("/upload?state=x#at", "https://registry.example.com/upload?state=x"),
        ("https://a_b.c-d.test:8443/", "https://a_b.c-d.test:8443/"),
        ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443/"),
        ("../../a", "https://registry.example.com/v2/app/a"),
    ],
)
def test_an_address_may_be_relative(location: str, url: str) -> None:
    assert join(BASE, location) == url


@pytest.mark.parametrize("location", ["http://registry.example.com/x", "http://other.example.com/", "HTTP://a.test/"])
def test_https_never_leads_to_http(location: str) -> None:
    with pytest.raises(RegistryError, match=r"^registry\.example\.com sends from https to http"):
        join(BASE, location)


def test_http_may_lead_to_https() -> None:
    assert join("http://127.0.0.1:5000/", "https://store.example.com/x") == "https://store.example.com/x"


@pytest.mark.parametrize(
    "location",
    [
        *("", "ftp://a.test/", "file:///etc/passwd", "javascript:alert(1)", "mailto:a@b.test"),
        *("https://a.test:99999/", "https://a.test:x/", "https://[::1", "https://[]", "https://user:pw@a.test/"),
        *("https://evil.test;registry.example.com/", "https://evil.test,registry.example.com/", "https://a..b/"),
        *("https://registry.example.com%2eevil.test/", "https://a.test%00.b.test/", "https://[fe80::1%25eth0]/"),
        *("https://[v1.x]/", f"https://{'a' * 64}.test/", "https://registry.example.com./", "https://-a.test/"),
        *("https://a.test/b c", "https://a.test/\r\nX: 1", "https://ä.test/", "/\udcff", "https://a.test\\@b.test/"),
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(location: str) -> None:
    with pytest.raises(RegistryError, match=r"^registry\.example\.com names an address that can't be read$"):
        join(BASE, location)


@given(st.text() | st.text(alphabet="htps:/@\\.a1[]?#").map(lambda rest: f"https://{rest}"))
def test_any_location_is_a_url_of_a_server_or_a_registry_error(location: str) -> None:
    try:
        url = join(BASE, location)
    except RegistryError:
        return
    scheme, server = origin(url)
    assert scheme == "https"
    assert server.rpartition(":")[0]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.test/x?y", "https://A.test:443", True),
        ("http://a.test", "http://a.test:80/", True),
        ("http://a.test", "https://a.test", False),
        ("https://a.test", "https://a.test:8443", False),
        ("https://a.test", "https://b.a.test", False),
        ("http://[::1]:5000/", "http://[::1]:5000", True),
    ],
)
def test_an_origin_is_scheme_host_and_port(one: str, other: str, same: bool) -> None:
    assert (origin(one) == origin(other)) is same


def test_the_host_of_a_url_shows_neither_password_nor_path() -> None:
    assert host_of("https://user:secret@a.test:5000/path?token=secret") == "a.test:5000"


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(("0", 0), ("7", 7), ("1.5", 1.5), ("-3", 0), ("100000", 100_000), ("inf", inf)),
        *((None, None), ("", None), ("nan", None), ("soon", None), ("Thu, 99 Jan 2026 00:00:00 GMT", None)),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 01:00:00 GMT", 3600),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0),
        ("Thu, 01 Jan 2026 00:00:30 -0000", 30),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW.timestamp()) == seconds


@given(st.text() | st.datetimes(timezones=st.just(UTC)).map(email.utils.format_datetime))
def test_any_retry_after_is_seconds_or_nothing(value: str) -> None:
    seconds = retry_after(value, NOW.timestamp())
    assert seconds is None or seconds >= 0
