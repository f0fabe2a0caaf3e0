"""A registry that takes blobs in chunks as distribution does, and goes wrong where a test says so."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from aiohttp import web

from replsync.oci.digest import sha256
from replsync.oci.image_manifest import Descriptor
from replsync.registry.chunk_size import ChunkBounds
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.persistence import Persistence
from tests.registry.clients import blob_of, repository
from tests.registry.scripted import Reply, Scripted, refusal, reset

Work = Callable[[], Awaitable[Reply]]
"""Does what the request is for, and returns what a good registry answers."""
Fault = Callable[[web.Request, Work], Awaitable[web.StreamResponse | Reply]]

IN_CHUNKS = Settings(
    persistence=Persistence(attempts=4, first_wait=0), chunks=ChunkBounds(smallest=10, largest=100, seconds=5)
)
"""Chunks of 100 bytes; tries again at once."""

DATA = bytes(range(250))
OTHER = bytes(reversed(range(250)))


class ChunkTaker:
    """Sessions at `/upload/N`, whose address changes with each chunk; `strict`: the old address is dead then.

    `faults` are by method and how many requests of that method came before.
    """

    def __init__(self, server: Scripted, *, strict: bool = False, blobs: tuple[bytes, ...] = (DATA, OTHER)) -> None:
        self.server = server
        self.strict = strict
        self.blobs: dict[str, bytes] = {}
        self.faults: dict[tuple[str, int], Fault] = {}
        self.always: dict[str, Fault] = {}
        self.sessions: list[bytearray] = []
        self.post_headers: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        server.on("POST /v2/app/worker/blobs/uploads/", self._handle)
        for number in range(50):
            for method in ("PATCH", "GET", "PUT"):
                server.on(f"{method} /upload/{number}", self._handle)
        for blob in blobs:
            server.on(f"HEAD /v2/app/worker/blobs/{sha256(blob)}", self._handle)

    @property
    def methods(self) -> str:
        """The methods of the requests that came, in order."""
        return " ".join(one.method for one in self.server.received)

    @property
    def chunks(self) -> list[str]:
        """What the chunks were announced as."""
        return [one.headers["Content-Range"] for one in self.server.asked("PATCH")]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        received = self.server.received[-1]
        method = request.method
        before = self._counts.get(method, 0)
        self._counts[method] = before + 1

        async def work() -> Reply:
            received.body = await request.read()
            return self._work(request, received.body)

        fault = self.faults.get((method, before)) or self.always.get(method)
        answer = await (fault(request, work) if fault else work())
        if isinstance(answer, Reply):
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        return answer

    def _work(self, request: web.Request, body: bytes) -> Reply:
        if request.method == "HEAD":
            return Reply(200 if request.path.rpartition("/")[2] in self.blobs else 404)
        if request.method == "POST":
            self.sessions.append(bytearray())
            number = len(self.sessions) - 1
            return Reply(202, b"", {"Location": f"/upload/{number}?at=0", "Range": "0-0", **self.post_headers})
        number = int(request.path.rpartition("/")[2])
        session = self.sessions[number]
        if self.strict and int(request.query["at"]) != len(session):
            return refusal(404, "BLOB_UPLOAD_INVALID")
        if request.method == "PATCH" and int(request.headers["Content-Range"].partition("-")[0]) != len(session):
            return refusal(416, "RANGE_INVALID")
        session += body
        if request.method == "PUT":
            if sha256(bytes(session)) != request.query["digest"]:
                return refusal(400, "DIGEST_INVALID")
            self.blobs[sha256(bytes(session))] = bytes(session)
            return Reply(201)
        headers = {"Location": f"/upload/{number}?at={len(session)}", "Range": f"0-{max(len(session) - 1, 0)}"}
        return Reply(202 if request.method == "PATCH" else 204, b"", headers)


def instead(answer: Reply) -> Fault:
    """Answer so, and forget what was sent."""

    async def fault(request: web.Request, work: Work) -> Reply:
        await request.read()
        return answer

    return fault


def afterwards(answer: Reply) -> Fault:
    """Do what is asked for, and answer so."""

    async def fault(request: web.Request, work: Work) -> Reply:
        await work()
        return answer

    return fault


async def lost(request: web.Request, work: Work) -> web.StreamResponse:
    """Do what is asked for, and break the connection."""
    await work()
    return await reset(request)


async def broken(request: web.Request, work: Work) -> web.StreamResponse:
    """Break the connection, and forget what was sent."""
    return await reset(request)


class Source:
    """A blob's bytes, in small parts; notes where it was opened, how many are still open, and what was told as sent."""

    def __init__(self, data: bytes = DATA, part: int = 7) -> None:
        self.data = data
        self.part = part
        self.opened: list[int] = []
        self.open = 0
        self.told: list[int] = []

    @property
    def blob(self) -> Descriptor:
        return blob_of(self.data)

    async def __call__(self, start: int) -> AsyncGenerator[bytes, None]:
        self.opened.append(start)
        self.open += 1
        try:
            for at in range(start, len(self.data), self.part):
                await asyncio.sleep(0)
                yield self.data[at : at + self.part]
        finally:
            self.open -= 1

    async def send(self, client: RegistryClient, host: str) -> None:
        """Send it; whatever happens, nothing is left open, and no byte is told twice."""
        try:
            await client.upload(repository(host), self.blob, self, self.told.append)
        finally:
            assert self.open == 0
            assert sum(self.told) <= len(self.data)
            assert all(number > 0 for number in self.told)


async def sent(client: RegistryClient, taker: ChunkTaker, data: bytes = DATA) -> Source:
    """Send the data, and see that it has arrived, and that it was told so, each byte once."""
    source = Source(data, part=max(7, len(data) // 100))
    await source.send(client, taker.server.host)
    assert taker.blobs[source.blob.digest] == data
    assert sum(source.told) == len(data)
    return source
