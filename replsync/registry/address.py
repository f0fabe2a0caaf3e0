"""Addresses that servers name, and how far they may lead.

All of it goes by yarl, the parser that aiohttp connects by: where two parsers
read one address differently, a credential goes astray.
"""

import ipaddress
import re
from urllib.parse import urlsplit

from yarl import URL

from replsync.errors import RegistryError

# RFC 1123, 2.1, and `_`, which some names have. Nothing else is looked up, nor compared: `a.test;b.test` may be one
# host to us and another one to a proxy.
_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def parse_address(text: str) -> URL:
    """Return `text`, an absolute http or https URL, as it is.

    Raises ValueError for anything else, and for a URL with a user name in it:
    servers have no reason to name one.
    """
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("an address of characters that don't belong there")
    url = _parse(text)
    if url.scheme not in ("http", "https") or not url.host or "@" in url.authority:
        raise ValueError("not the address of a server")
    _check_host(url.raw_host or "", is_bracketed="[" in url.raw_authority)
    return url


def _check_host(host: str, *, is_bracketed: bool) -> None:
    """Raise ValueError for what is no name and no address, or has a zone in it."""
    if is_bracketed:
        if "%" in host:
            raise ValueError("an address with a zone")
        ipaddress.IPv6Address(host)
    elif not _NAME.fullmatch(host):
        raise ValueError("not the name of a host")


def _parse(text: str) -> URL:
    try:
        return URL(text, encoded=True)
    except IndexError as error:  # what yarl raises for `https://[]`
        raise ValueError("an address that can't be read") from error


def origin(url: str) -> tuple[str, str]:
    """Scheme, and host with port: what a credential is bound to."""
    parts = URL(url, encoded=True)
    return parts.scheme, f"{(parts.raw_host or '').lower()}:{parts.port}"


def host_of(url: str) -> str:
    """Host and port of `url`, for messages: never its path or query."""
    return urlsplit(url).netloc.rpartition("@")[2]


def join(base: str, location: str) -> str:
    """Return the URL that `location`, perhaps relative, names from `base`; without a fragment, which is not sent.

    Raises RegistryError where it leads from https to http, or to no URL at all.
    """
    try:
        if not location:
            raise ValueError("no address")
        url = str(parse_address(str(URL(base, encoded=True).join(_parse(location)))).with_fragment(None))
    except ValueError as error:
        raise RegistryError(f"{host_of(base)} names an address that can't be read") from error
    if base.startswith("https:") and not url.startswith("https:"):
        raise RegistryError(f"{host_of(base)} sends from https to http ({host_of(url)}), which is not followed")
    return url
