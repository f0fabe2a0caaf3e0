"""The pages of a list of tags (distribution-spec, "Listing Tags"), as a registry answers them."""

import json
import re
from collections.abc import Iterable

from replsync.errors import RegistryError
from replsync.oci.reference import is_tag

MAX_TAGS = 100_000
"""Tags of a repository that are taken in, whatever number of pages they come on."""

_NEXT = re.compile(r"""<([^<>]*)>\s*;(?:[^,<]*;)?\s*rel="?next"?""", re.IGNORECASE)


def add_tags(found: set[str], operation: str, body: bytes) -> None:
    """Add the tags of a page to `found`; what is no tag is left out. Raises RegistryError where it is no page."""
    try:
        tags = json.loads(body)["tags"]
        if not isinstance(tags, list | None):  # null for a repository without tags
            raise TypeError("no list")
        found.update(tag for tag in tags or () if is_tag(tag))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RegistryError(f"{operation}: the answer is not a list of tags") from error
    if len(found) > MAX_TAGS:
        raise RegistryError(f"{operation}: more than {MAX_TAGS} tags")


def next_page(links: Iterable[str]) -> str | None:
    """Return where the Link headers say that the next page is; None where there is none (RFC 8288)."""
    link = _NEXT.search(", ".join(links))
    return link[1] if link else None
