"""Sending one blob: the part of the protocol where most goes wrong.

distribution-spec, "Pushing Blobs": POST opens a session; PUT sends all of the
bytes, or PATCH sends them in chunks and PUT ends the session. A small blob goes
in one request, a large one in chunks of a few seconds each (`ChunkSize`), so
that no proxy on the way loses its patience. What was answered decides how it
goes on:

- after a PATCH the `Range` of the answer counts, not what was sent;
- a PATCH without an answer leaves the session where nobody knows: it is asked,
  and where it doesn't say, a new one is opened;
- a PUT without an answer, or with a gateway's, may have done its work: the
  registry is asked for the blob, a few times, before anything is sent again;
- a registry that handles chunks badly gets whole blobs for the rest of the run.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from replsync.errors import CorruptBlob, RegistryError, RegistryUnreachable, ReplsyncError, SignInError
from replsync.oci.image_manifest import Descriptor
from replsync.oci.reference import Repository
from replsync.registry.address import join
from replsync.registry.persistence import MAX_WAIT, is_passing, persistently
from replsync.registry.refusal import named, read_errors
from replsync.registry.session import SMALL_BLOB, Session, push
from replsync.registry.transport import Answer

BlobBytes = Callable[[int], AsyncGenerator[bytes, None]]
"""Opens a blob's bytes from a position on, as often as it is called."""

_CUT_OFF = {408, 413, 504, 524}  # too long or too large for one request
_NO_CHUNKS = {400, 404, 405, 411, 415, 416, 501}
_LOOKS = 5
_ASK_AT_MOST = 4  # times in a row, where a registry may have a fault for these questions alone
_OUTCOME_UNKNOWN = {404, 408, 500, 502, 503, 504, 520, 522, 524}
_RANGE = re.compile(r"(?:bytes[= ])?0-([0-9]{1,18})")


def from_memory(data: bytes) -> BlobBytes:
    """The bytes of a blob that is held in memory."""

    async def content(start: int) -> AsyncGenerator[bytes, None]:
        yield data[start:]

    return content


async def upload_blob(
    session: Session,
    repository: Repository,
    blob: Descriptor,
    content: BlobBytes,
    sent: Callable[[int], None] = lambda _: None,
) -> None:
    """Send the blob whose bytes `content` opens; `sent` is told of each byte once, whatever is sent again.

    Raises RegistryError where the registry won't have it, or whatever `content` raises.
    """
    upload = _Upload(session, repository, blob, _Feed(content, sent))
    try:
        # However long a large blob takes, it goes on as long as it gets ahead.
        await persistently(
            session.persistence, upload.attempt, progress=lambda: upload.furthest, waiting=upload.tell_wait
        )
    except _SourceBroke as broke:
        raise broke.error from broke.error.__cause__
    finally:
        await upload.feed.close()


class _SourceBroke(Exception):
    """The bytes couldn't be had: no fault of the registry's, and not for it to be tried again."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class _Feed:
    """A blob's bytes by position: one stream as long as they are asked for in order, else opened anew."""

    def __init__(self, content: BlobBytes, sent: Callable[[int], None]) -> None:
        self._content = content
        self._sent = sent
        self._told = 0
        self._stream: AsyncGenerator[bytes, None] | None = None
        self._at: int | None = None
        self._rest = b""

    async def part(self, start: int, size: int) -> AsyncGenerator[bytes, None]:
        """Stream `size` bytes from `start` on."""
        if not size:
            return
        if self._stream is None or self._at != start:
            await self.close()
            self._stream = self._content(start)
        self._at = None  # unknown until this part was read to its end
        left = size
        while left:
            piece, self._rest = self._rest or await self._next(self._stream), b""
            if len(piece) > left:
                piece, self._rest = piece[:left], piece[left:]
            left -= len(piece)
            yield piece
            self._tell(start + size - left)
        self._at = start + size

    async def finish(self) -> None:
        """Read to the end where everything was sent: there a source says that its bytes were not those of the blob."""
        if self._stream is None:
            return
        try:
            async with aclosing(self._stream) as stream:
                is_more = bool(self._rest)
                async for piece in stream:
                    if is_more := is_more or bool(piece):
                        break
                if is_more:
                    raise RegistryError("the source gives more bytes than were announced")
        except ReplsyncError as error:
            raise _SourceBroke(error) from error
        finally:
            self._stream, self._at, self._rest = None, None, b""

    async def close(self) -> None:
        """Close what is open."""
        stream, self._stream, self._at, self._rest = self._stream, None, None, b""
        if stream is not None:
            await stream.aclose()

    def _tell(self, reached: int) -> None:
        if reached > self._told:
            self._sent(reached - self._told)
            self._told = reached

    async def _next(self, stream: AsyncGenerator[bytes, None]) -> bytes:
        try:
            return await anext(stream)
        except StopAsyncIteration:
            raise _SourceBroke(RegistryError("the source gives fewer bytes than were announced")) from None
        except Exception as error:
            raise _SourceBroke(error) from error


class _Upload:
    """One blob on its way: the session, if there is one, and how far it has got."""

    def __init__(self, session: Session, repository: Repository, blob: Descriptor, feed: _Feed) -> None:
        self.feed = feed
        self.furthest = 0
        self._session = session
        self._repository = repository
        self._blob = blob
        self._operation = f"push {blob.digest} ({blob.size} bytes) to {repository}"
        self._scopes = (push(repository.path),)
        self._location: str | None = None
        self._offset = 0
        self._at_least = 0
        self._is_doubtful = False  # the session stands where only the registry knows
        self._asked_in_vain = 0
        self._misplaced = 0
        self._may_have_landed = False
        self._was_corrupt = False
        self._but = ""  # what is done otherwise next time

    def tell_wait(self, seconds: float, error: RegistryError) -> None:
        """Tell whoever watches of a wait before the next attempt."""
        but, self._but = self._but, ""
        self._session.waits(seconds, error, but)

    async def attempt(self) -> None:
        """Bring the blob over, as far as it goes. Raises RegistryError, or _SourceBroke."""
        if self._may_have_landed and await self._has_landed():
            return
        self._may_have_landed = False
        if self._is_doubtful:
            await self._ask_how_far()
        if self._location is None:
            await self._open()
        try:
            await self._send()
        except _SourceBroke as broke:
            await self.feed.close()
            if not isinstance(broke.error, CorruptBlob) or self._was_corrupt:
                raise
            # Bytes that were damaged on their way are worth one more try, from the first on.
            self._was_corrupt = True
            self._forget()
            raise RegistryUnreachable(broke.error.message, hint=broke.error.hint) from broke.error

    async def _open(self) -> None:
        path = f"/v2/{self._repository.path}/blobs/uploads/"
        opened = await self._call("POST", path, ok=(202,), headers={"Content-Length": "0"})
        self._offset = 0
        self._go_to(opened)
        least = opened.headers.get("OCI-Chunk-Min-Length", "")
        self._at_least = int(least) if least.isdecimal() and len(least) < 12 else 0

    async def _send(self) -> None:
        chunk_size, size = self._session.chunk_size, self._blob.size
        if self._offset == 0 and (not self._session.takes_chunks or chunk_size.of(size, self._at_least) >= size):
            await self._put(size)
            return
        while self._offset < size:
            await self._patch(chunk_size.of(size - self._offset, self._at_least))
        await self._put(0)

    async def _patch(self, size: int) -> None:
        """Send a chunk, and go by what the answer says of how far the session is."""
        start = self._offset
        headers = {"Content-Range": f"{start}-{start + size - 1}"}
        answer = await self._request("PATCH", self._at(), headers, size)
        if answer.status in (202, 204):
            reached = _reached(answer.headers.get("Range"), otherwise=start + size)
            if reached is None or not start + size // 4 < reached <= start + size:
                self._give_up_chunks()
                raise self._passing("the registry counts a chunk's bytes in a way that can't be followed")
            self._session.has_taken_chunks = True
            self._offset = reached
            self.furthest = max(self.furthest, reached)
            if self._offset < self._blob.size or "Location" in answer.headers:
                self._go_to(answer)
            return
        self._misplaced += answer.status == 416
        if answer.status == 416 and start and self._misplaced < _ASK_AT_MOST:
            self._is_doubtful = True
            raise self._passing("the registry stands at another byte than was sent")
        if _is_lost(answer):
            self._forget()
            raise self._passing("the registry lost the upload")
        if answer.status in _NO_CHUNKS:
            # What has taken chunks gives a stray answer, as a proxy does while it is started again.
            if self._session.has_taken_chunks and answer.status != 416:
                self._forget()
                raise self._passing(f"the registry answered {answer.status} to a chunk")
            self._give_up_chunks()
            raise self._passing(f"the registry answered {answer.status} to a chunk; the next try is in one piece")
        self._is_doubtful = True
        raise self._refused(answer)

    async def _put(self, size: int) -> None:
        """End the session; with all the bytes where none was sent yet."""
        location = self._at()
        url = f"{location}{'&' if '?' in location else '?'}digest={self._blob.digest}"
        try:
            answer = await self._request("PUT", url, {}, size)
        except RegistryUnreachable:
            self._may_have_landed = True
            self._doubt(size)
            raise
        if answer.status in (201, 204):
            await self.feed.finish()
            return
        if answer.status in _OUTCOME_UNKNOWN or _is_lost(answer):
            self._may_have_landed = True
            self._doubt(size)
        if answer.status == 404 or _is_lost(answer):
            self._forget()  # or it landed: a successful PUT that is repeated is answered 404, too
            raise self._passing("the registry lost the upload")
        if answer.status == 400:
            await self.feed.finish()  # first: the source may have had other bytes
            if not self._was_corrupt:  # bytes may be damaged on their way
                self._was_corrupt = True
                self._forget()
                raise self._passing(f"the registry answered {answer.status} to the blob's bytes")
            if size == 0:
                self._give_up_chunks()
                raise self._passing("the registry put the chunks together wrongly; the next try is in one piece")
        raise self._refused(answer)

    async def _request(self, method: str, url: str, headers: dict[str, str], size: int) -> Answer:
        headers = {"Content-Type": "application/octet-stream", **headers}
        start, begun = self._offset, time.monotonic()
        in_turn = size > 0 and self._blob.size > SMALL_BLOB  # a large blob has its place already
        try:
            answer = await self._session.upload(
                self._operation,
                method,
                url,
                self._scopes,
                headers,
                lambda: self.feed.part(start, size),
                size,
                in_turn=in_turn,
            )
        except RegistryUnreachable:
            self._is_doubtful = True
            is_smaller = self._session.chunk_size.was_cut_off(size, time.monotonic() - begun, for_good=False)
            self._but = "; then in smaller pieces" if is_smaller and self._session.takes_chunks else ""
            raise
        except _SourceBroke:
            self._forget()  # half a chunk was sent: a new session costs less than to find out
            raise
        seconds = time.monotonic() - begun
        if answer.status < 300:
            self._session.chunk_size.took(size, seconds)
        if answer.status in _CUT_OFF and size:
            is_smaller = self._session.chunk_size.was_cut_off(size, seconds, for_good=True)
            self._but = "; then in smaller pieces" if is_smaller and self._session.takes_chunks else ""
            if answer.status == 413 and is_smaller and self._session.takes_chunks:
                self._doubt(size if method == "PUT" else 0)
                raise self._passing("the registry answered 413; the next try is in smaller pieces")
        return answer

    def _refused(self, answer: Answer) -> ReplsyncError:
        return self._session.failure(self._operation, answer, self._scopes)

    async def _ask_how_far(self) -> None:
        """Take the session up where the registry says that it stands; forget it where it doesn't say."""
        self._is_doubtful = False
        if self._location is None or not self._session.takes_chunks:
            self._forget()
            return
        try:
            answer = await self._call("GET", self._location, ok=(204,))
        except (RegistryError, SignInError) as error:  # not every registry lets one look at sessions
            self._asked_in_vain += 1
            if is_passing(error) and self._asked_in_vain < _ASK_AT_MOST:
                self._is_doubtful = True  # it may well be there when the registry answers again
                raise
            self._forget()
            return
        self._asked_in_vain = 0
        reached = _reached(answer.headers.get("Range"), otherwise=None)
        if reached is None or reached > self._blob.size:
            self._forget()
            return
        if reached == 1:
            reached = 0  # distribution says 0-0 of a session without a byte, too; no chunk is of one
        self._offset = reached
        self.furthest = max(self.furthest, reached)
        if "Location" in answer.headers:
            self._go_to(answer)

    async def _has_landed(self) -> bool:
        """Look for the blob, a few times: what a proxy gave up waiting for may still be under way."""
        for look in range(_LOOKS):
            path = f"/v2/{self._repository.path}/blobs/{self._blob.digest}"
            operation = f"look up {self._blob.digest} in {self._repository}"
            answer = await self._session.call(operation, "HEAD", path, self._scopes, ok=(200, 404), once=True)
            if answer.status == 200:
                return True
            if self._blob.size <= SMALL_BLOB:  # to send it again costs less than to wait for it
                return False
            if look < _LOOKS - 1:
                await asyncio.sleep(min(self._session.persistence.first_wait * 2**look, MAX_WAIT))
        return False

    async def _call(
        self, method: str, url: str, *, ok: tuple[int, ...], headers: dict[str, str] | None = None
    ) -> Answer:
        return await self._session.call(self._operation, method, url, self._scopes, ok=ok, headers=headers, once=True)

    def _at(self) -> str:
        if self._location is None:
            raise AssertionError("a session was opened")
        return self._location

    def _go_to(self, answer: Answer) -> None:
        try:
            self._location = join(answer.url, answer.headers.get("Location", ""))
        except RegistryError as error:
            raise named(self._operation, error) from error

    def _doubt(self, size: int) -> None:
        """A session that has bytes is worth a question; one that was to get all of them in this request isn't."""
        if size:
            self._forget()
        else:
            self._is_doubtful = True

    def _forget(self) -> None:
        self._location = None
        self._offset = 0
        self._is_doubtful = False

    def _give_up_chunks(self) -> None:
        self._session.takes_chunks = False
        self._forget()

    def _passing(self, why: str) -> RegistryError:
        return RegistryError(f"{self._operation}: {why}", hint="try again later", status=503)


def _is_lost(answer: Answer) -> bool:
    """Whether the registry doesn't know the session (distribution-spec, "Error Codes"): 404, or 400 as olareg says."""
    codes = read_errors(answer.body)[0] if answer.status in (400, 404) else ()
    return "BLOB_UPLOAD_UNKNOWN" in codes or (answer.status == 404 and "BLOB_UPLOAD_INVALID" in codes)


def _reached(header: str | None, otherwise: int | None) -> int | None:
    """How many bytes a session has by its Range header, `0-LAST`; `otherwise` without one, None for nonsense."""
    if not header:
        return otherwise
    found = _RANGE.fullmatch(header.strip())
    return int(found[1]) + 1 if found else None
