"""Reading one blob as a stream that goes on where a connection broke."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from replsync.errors import CorruptBlob, RegistryError
from replsync.oci.digest import hasher_of
from replsync.oci.image_manifest import Descriptor
from replsync.oci.reference import Repository
from replsync.registry.persistence import backoff, is_passing
from replsync.registry.session import SMALL_BLOB, Session, pull


async def read_blob(
    session: Session, repository: Repository, blob: Descriptor, start: int = 0
) -> AsyncGenerator[bytes, None]:
    """Stream a blob from byte `start` on; what has come is kept when a connection breaks (RFC 9110, 14.2).

    Size and digest are checked over all of it: raises CorruptBlob at the end
    if they differ. From another `start` than 0 only the size can be: whoever
    reads so has the digest checked elsewhere. Raises RegistryError after as many
    tries in a row as the session's persistence allows that got ahead at less
    than `TimeLimits.least_rate`: what trickles would else never end.

    A small blob is one request among others, and comes in one piece; whoever
    reads a large one has one of the session's `downloads`.
    """
    if blob.size > SMALL_BLOB:
        async with aclosing(_resumed(session, repository, blob, start)) as parts:
            async for part in parts:
                yield part
        return
    try:
        yield await _whole(session, repository, blob, start)
    except CorruptBlob:  # nobody has used its bytes yet, so that what was damaged on its way is asked for once more
        yield await _whole(session, repository, blob, start)


async def _whole(session: Session, repository: Repository, blob: Descriptor, start: int) -> bytes:
    async with session.turn(), aclosing(_resumed(session, repository, blob, start)) as parts:
        return b"".join([part async for part in parts])


async def _resumed(
    session: Session, repository: Repository, blob: Descriptor, start: int
) -> AsyncGenerator[bytes, None]:
    operation = f"read {blob.digest} of {repository}"
    hasher = hasher_of(blob.digest)
    at = start
    fruitless = 0
    begun = ahead_at = time.monotonic()
    takes_ranges = True
    is_small = blob.size <= SMALL_BLOB
    while True:
        before = at
        try:
            async with aclosing(_parts(session, operation, repository, blob, at, takes_ranges)) as parts:
                async for part in parts:
                    at += len(part)
                    hasher.update(part)
                    yield part
            break
        except RegistryError as error:
            now = time.monotonic()  # the wait before the try counts, too
            is_ahead, begun = at - before > session.least_rate * (now - begun), now
            ahead_at = now if is_ahead else ahead_at
            fruitless = 1 if is_ahead else fruitless + 1
            is_refused_range = error.status == 416 and takes_ranges and at > 0
            takes_ranges = takes_ranges and not is_refused_range
            persistence = session.persistence
            is_last = fruitless >= persistence.attempts if is_small else persistence.is_enough(fruitless, ahead_at)
            if is_last or not (is_passing(error) or is_refused_range):
                raise
            seconds = backoff(session.persistence, fruitless)
            session.waits(seconds, error)
        await asyncio.sleep(seconds)
    if start == 0 and hasher.hexdigest() != blob.digest.partition(":")[2]:
        raise _corrupt(operation, blob)


async def _parts(
    session: Session, operation: str, repository: Repository, blob: Descriptor, start: int, takes_ranges: bool
) -> AsyncGenerator[bytes, None]:
    """The rest of the blob in one request. Where a registry takes no ranges, the beginning comes too and is skipped."""
    if start == blob.size:
        return
    path = f"/v2/{repository.path}/blobs/{blob.digest}"
    async with session.stream(operation, path, (pull(repository.path),), start if takes_ranges else 0, blob.size) as (
        at,
        parts,
    ):
        async for part in parts:
            end = at + len(part)
            if end > blob.size:
                raise _corrupt(operation, blob)
            if end > start:
                yield part[start - at :] if at < start else part
            at = end
    if at < blob.size:
        raise _corrupt(operation, blob)


def _corrupt(operation: str, blob: Descriptor) -> CorruptBlob:
    return CorruptBlob(
        f"{operation}: what the registry sent is not the blob (of {blob.size} bytes) that was asked for",
        hint="the registry, or a proxy on the way, is broken: try again, then report it to its operator",
    )
