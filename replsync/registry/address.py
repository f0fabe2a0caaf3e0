"""Addresses that servers name, and how far they may lead.

All of it goes by yarl, the parser that aiohttp connects by: where two parsers
read one address differently, a credential goes astray.
"""

from urllib.parse import urlsplit

from yarl import URL

from replsync.errors import RegistryError


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
    return url


def _parse(text: str) -> URL:
    try:
        return URL(text, encoded=True)
    except IndexError as error:  # what yarl raises for `https://[]`
        raise ValueError("an address that can't be read") from error


def origin(url: str) -> tuple[str, str]:
    """Scheme, and host with port: what a credential is bound to."""
    parts = URL(url, encoded=True)
    return parts.scheme, f"{(parts.host or '').lower()}:{parts.port}"


def host_of(url: str) -> str:
    """Host and port of `url`, for messages: never its path or query."""
    return urlsplit(url).netloc.rpartition("@")[2]


def join(base: str, location: str) -> str:
    """Return the URL that `location`, perhaps relative, names from `base`.

    Raises RegistryError where it leads from https to http, or to no URL at all.
    """
    try:
        if not location:
            raise ValueError("no address")
        url = str(parse_address(str(URL(base, encoded=True).join(_parse(location)))))
    except ValueError as error:
        raise RegistryError(f"{host_of(base)} names an address that can't be read") from error
    if base.startswith("https:") and not url.startswith("https:"):
        raise RegistryError(f"{host_of(base)} sends from https to http ({host_of(url)}), which is not followed")
    return url
