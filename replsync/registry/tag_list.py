"""The tags of a repository (distribution-spec, "Listing Tags")."""

import json
import re
from collections.abc import Iterable
from urllib.parse import urlencode

from replsync.errors import NotFound, RegistryError
from replsync.oci.reference import Repository, is_tag
from replsync.registry.address import host_of, join, origin
from replsync.registry.refusal import named
from replsync.registry.session import Session, pull

MAX_PAGES = 10_000
MAX_TAGS = 100_000
"""Tags of a repository that are taken in, whatever number of pages they come on."""

_PAGE = 1000
_MAX_PAGE_BYTES = 8 * 1024 * 1024
_LINK = re.compile(r"""<([^<>]*)>\s*;(?:[^,<]*;)?\s*rel="?next"?""", re.IGNORECASE)


async def list_tags(session: Session, repository: Repository) -> tuple[str, ...]:
    """Return every tag of a repository, sorted; none where the registry doesn't know it.

    Raises RegistryError where the list can't be read to its end.
    """
    operation = f"list the tags of {repository}"
    url = f"{session.base}/v2/{repository.path}/tags/list?n={_PAGE}"
    found: set[str] = set()
    seen: set[str] = set()
    while len(seen) < MAX_PAGES:
        seen.add(url)
        try:
            answer = await session.call(
                operation, "GET", url, (pull(repository.path),), ok=(200,), limit=_MAX_PAGE_BYTES
            )
        except NotFound:
            if len(seen) > 1:
                raise  # it was there a page ago: the list is cut short
            return ()
        page = read_page(operation, answer.body)
        is_new = not found.issuperset(page)
        found.update(filter(is_tag, page))
        if len(found) > MAX_TAGS:
            raise RegistryError(f"{operation}: more than {MAX_TAGS} tags")
        place = next_page(answer.headers.getall("Link", []))
        if place is None and len(page) == _PAGE and is_new:
            # Cut at the number that was asked for, without a word of the rest: go-containerregistry's does that.
            place = f"?{urlencode({'n': _PAGE, 'last': page[-1]})}"
        if place is None:
            return tuple(sorted(found))
        try:
            url = join(url, place)
        except RegistryError as error:
            raise named(operation, error) from error
        if origin(url) != origin(session.base):
            raise RegistryError(f"{operation}: the next page is on another host, {host_of(url)}")
        if url in seen:
            raise RegistryError(f"{operation}: the pages go in a circle")
    raise RegistryError(f"{operation}: more than {MAX_PAGES} pages")


def read_page(operation: str, body: bytes, key: str = "tags") -> list[str]:
    """Return what a page lists below `key`, in its order. Raises RegistryError where it is no page."""
    try:
        listed = json.loads(body)[key]
        if not isinstance(listed, list | None) or not all(isinstance(one, str) for one in listed or ()):
            raise TypeError("no list of texts")
        return listed or []  # null for a repository without tags
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RegistryError(f"{operation}: the answer is not a list of {key}") from error


def next_page(links: Iterable[str]) -> str | None:
    """Return where the Link headers say that the next page is; None where there is none (RFC 8288)."""
    link = _LINK.search(", ".join(links))
    return link[1] if link else None
