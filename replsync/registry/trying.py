"""Finding out whether a registry takes pushes, with an upload that is cancelled: nothing is there afterwards."""

from contextlib import suppress
from dataclasses import dataclass

from replsync.errors import PermissionDenied, RegistryError, SignInError
from replsync.oci.reference import Repository
from replsync.registry.address import join
from replsync.registry.session import Session, push

_BYTES = b"replsync doctor"


@dataclass(frozen=True)
class Tried:
    """What came of it.

    `chunk_answer` is the status that a chunk got, `least_chunk` the fewest bytes that a chunk must have, 0 where the
    registry names none; `was_cancelled` tells whether it took the upload back, or lets it expire.
    """

    chunk_answer: int
    least_chunk: int
    was_cancelled: bool

    @property
    def takes_chunks(self) -> bool:
        """Whether a layer may come in parts."""
        return self.chunk_answer in (202, 204)


async def try_upload(session: Session, repository: Repository) -> Tried:
    """Open an upload, send a chunk of a few bytes, and cancel it. No blob is made, and no tag.

    Raises PermissionDenied or SignInError where the account may not push, RegistryError for anything else.
    """
    operation = f"open an upload to {repository}"
    scopes = (push(repository.path),)
    opened = await session.call(
        operation,
        "POST",
        f"/v2/{repository.path}/blobs/uploads/",
        scopes,
        ok=(202,),
        headers={"Content-Length": "0"},
    )
    location = join(opened.url, opened.headers.get("Location", ""))
    least = opened.headers.get("OCI-Chunk-Min-Length", "")
    headers = {"Content-Type": "application/octet-stream", "Content-Range": f"0-{len(_BYTES) - 1}"}
    try:
        answer = await session.call(operation, "PATCH", location, scopes, ok=(202, 204), headers=headers, data=_BYTES)
        status = answer.status
        location = join(answer.url, answer.headers.get("Location") or location)
    except PermissionDenied:
        raise
    except RegistryError as error:
        if error.status is None:
            raise
        status = error.status
    was_cancelled = False
    with suppress(RegistryError, SignInError):  # distribution-spec has no such request, though most registries do
        await session.call(f"cancel an upload to {repository}", "DELETE", location, scopes, ok=(200, 202, 204))
        was_cancelled = True
    return Tried(status, int(least) if least.isdecimal() and len(least) < 12 else 0, was_cancelled)
