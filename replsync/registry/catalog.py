"""The repositories of a registry, where it lists them (distribution's HTTP API V2, "Listing Repositories")."""

from replsync.errors import RegistryError
from replsync.oci.reference import is_path
from replsync.registry.address import join, origin
from replsync.registry.session import Session
from replsync.registry.tag_list import next_page, read_page

_MAX_PAGES = 1000
_MAX_PAGE_BYTES = 8 * 1024 * 1024
_SCOPE = "registry:catalog:*"


async def list_repositories(session: Session, below: str) -> tuple[str, ...]:
    """Return the paths of all repositories below the path `below`, sorted.

    Raises RegistryError or SignInError where the registry doesn't list them, as most don't, or not to the end.
    """
    operation = f"list the repositories of {session.host}"
    url = f"{session.base}/v2/_catalog?n=1000"
    found: set[str] = set()
    seen: set[str] = set()
    while len(seen) < _MAX_PAGES and url not in seen:
        seen.add(url)
        answer = await session.call(operation, "GET", url, (_SCOPE,), ok=(200,), limit=_MAX_PAGE_BYTES)
        page = read_page(operation, answer.body, "repositories")
        found.update(path for path in page if path.startswith(f"{below}/") and is_path(path))
        place = next_page(answer.headers.getall("Link", []))
        if place is None:
            return tuple(sorted(found))
        url = join(url, place)
        if origin(url) != origin(session.base):
            break
    raise RegistryError(f"{operation}: the list has no end")
