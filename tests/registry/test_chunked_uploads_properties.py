"""A blob that goes in chunks arrives, whatever goes wrong on the way, and is told as sent once."""

import asyncio

from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from replsync.registry.chunk_size import ChunkBounds
from replsync.registry.client import Settings
from replsync.registry.persistence import Persistence
from tests.registry.chunk_taker import DATA, ChunkTaker, Fault, Work, afterwards, broken, instead, lost, sent
from tests.registry.clients import open_client
from tests.registry.scripted import Reply, refusal, serve_scripted


def kept(taker: ChunkTaker, number: int) -> Fault:
    """Keep only so many of the bytes of a chunk, and say so."""

    async def fault(request: web.Request, work: Work) -> Reply:
        answer = await work()
        if answer.status != 202:
            return answer
        session = taker.sessions[int(request.path.rpartition("/")[2])]
        start = int(request.headers["Content-Range"].partition("-")[0])
        del session[start + number :]
        location = f"{answer.headers['Location'].partition('=')[0]}={len(session)}"
        return Reply(202, b"", {"Location": location, "Range": f"0-{max(len(session) - 1, 0)}"})

    return fault


fine = st.none()
gone = st.just(broken) | st.just(lost)
refused = st.sampled_from([429, 500, 502, 503, 504, 524]).flatmap(
    lambda status: st.sampled_from([instead(Reply(status)), afterwards(Reply(status))])
)
# A number stands for a chunk of which the registry keeps only so many bytes.
faults = st.fixed_dictionaries(
    {
        "POST": st.lists(fine | gone | refused, max_size=3),
        "PATCH": st.lists(
            fine
            | gone
            | refused
            | st.integers(0, 100)
            | st.sampled_from(
                [
                    instead(refusal(404, "BLOB_UPLOAD_UNKNOWN")),
                    instead(Reply(416)),
                    afterwards(Reply(416)),
                    instead(Reply(405)),
                    afterwards(Reply(202, b"", {"Range": "nonsense"})),
                ]
            ),
            max_size=12,
        ),
        "GET": st.lists(
            fine | gone | refused | st.sampled_from([instead(Reply(404)), instead(Reply(204))]), max_size=6
        ),
        "PUT": st.lists(fine | gone | refused | st.just(afterwards(Reply(404))), max_size=4),
        "HEAD": st.lists(fine | gone | refused, max_size=4),
    }
)


@settings(max_examples=80)
@given(faults, st.booleans(), st.integers(0, len(DATA)), st.integers(10, 100))
def test_whatever_goes_wrong_the_blob_arrives(
    faults: dict[str, list[Fault | int | None]], strict: bool, size: int, largest: int
) -> None:
    async def check() -> None:
        chunks = ChunkBounds(smallest=10, largest=largest)
        patient = Settings(persistence=Persistence(attempts=50, first_wait=0), chunks=chunks)
        async with serve_scripted() as server, open_client(settings=patient) as client, asyncio.timeout(20):
            data = DATA[:size]
            taker = ChunkTaker(server, strict=strict, blobs=(data,))
            for method, those in faults.items():
                for number, one in enumerate(those):
                    if one is not None:
                        taker.faults[method, number] = kept(taker, one) if isinstance(one, int) else one
            await sent(client, taker, data)
            assert len(server.received) < 80

    asyncio.run(check())
