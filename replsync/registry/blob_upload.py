"""Sending one blob: the part of the protocol where most goes wrong.

distribution-spec, "Pushing a blob monolithically": POST opens a session, PUT
sends the bytes. A failed PUT is ambiguous, since the blob may have landed: so
before the next try the registry is asked whether it has it.
"""

from replsync.errors import RegistryError
from replsync.oci.digest import Digest
from replsync.oci.image_manifest import Descriptor
from replsync.oci.reference import Repository
from replsync.registry.address import join
from replsync.registry.refusal import named
from replsync.registry.session import Session, push, retrying
from replsync.registry.transport import Body


async def upload_blob(session: Session, repository: Repository, blob: Descriptor, body: Body) -> None:
    """Send the blob that `body` opens; its bytes must be those of `blob.digest`.

    Raises RegistryError where the registry won't have it, or whatever `body` raises.
    """
    operation = f"push {blob.digest} ({blob.size} bytes) to {repository}"
    scopes = (push(repository.path),)
    again = False

    async def attempt() -> None:
        nonlocal again
        if again and await _landed(session, repository, blob.digest):
            return
        again = True
        opened = await session.call(
            operation,
            "POST",
            f"/v2/{repository.path}/blobs/uploads/",
            scopes,
            ok=(202,),
            headers={"Content-Length": "0"},
            once=True,
        )
        try:
            location = join(opened.url, opened.headers.get("Location", ""))
        except RegistryError as error:
            raise named(operation, error) from error
        answer = await session.upload(
            operation,
            "PUT",
            f"{location}{'&' if '?' in location else '?'}digest={blob.digest}",
            scopes,
            {"Content-Type": "application/octet-stream"},
            body,
            blob.size,
        )
        if answer.status == 404:  # the session is lost; a new one may do
            raise RegistryError(f"{operation}: the registry lost the upload", status=503)
        if answer.status not in (201, 204):
            raise session.failure(operation, answer, scopes)

    # However long a large blob took, it gets its tries.
    await retrying(session.persistence, patient=True)(attempt)


async def _landed(session: Session, repository: Repository, digest: Digest) -> bool:
    answer = await session.call(
        f"look up {digest} in {repository}",
        "HEAD",
        f"/v2/{repository.path}/blobs/{digest}",
        (push(repository.path),),
        ok=(200, 404),
        once=True,
    )
    return answer.status == 200
