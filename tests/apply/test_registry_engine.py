"""How blobs get to the target: in which order, how often, and what waits for what."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace

import pytest
from aiohttp import web

from replsync.apply.engine import Destination, Waits, untold
from replsync.apply.registry_engine import HELD, RegistryEngine
from replsync.errors import PermissionDenied
from replsync.oci.digest import sha256
from replsync.oci.image_manifest import OCI_MANIFEST
from replsync.oci.recipe import Recipe
from replsync.oci.reference import Repository
from replsync.oci.source_name import RegistrySource
from replsync.registry.blob_map import BlobMap
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.session import SMALL_BLOB
from replsync.registry.together import together
from replsync.sources.by_name import Sources
from tests.end_to_end.proxy import error, proxy
from tests.registry.answers import IMAGE, served
from tests.registry.clients import AT_ONCE, blob_of, open_client, repository
from tests.registry.scripted import Handler, Reply, Scripted, StartScripted, refusal
from tests.servers.images import BuiltImage, build_image, digest_of
from tests.servers.push import Uploader, push
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox

_numbers = random.Random(4)


def large(name: str, more: int = 0, base: BuiltImage | None = None) -> BuiltImage:
    """An image whose uppermost layer is a large blob, which no compression makes small."""
    return build_image({name: _numbers.randbytes(SMALL_BLOB + 10_000 + more)}, base=base)


@dataclass(frozen=True)
class Run:
    """A run of the engine."""

    client: RegistryClient
    engine: RegistryEngine

    async def push(
        self,
        source: Repository,
        tag: str,
        target: Repository,
        sent: Callable[[int], None] = lambda _: None,
        waits: Waits = untold,
    ) -> None:
        async def announce() -> None:
            pass

        name = RegistrySource(source.tagged(tag))
        await self.engine.push(Recipe(name), Destination(target.tagged("1"), None, announce), sent, waits)


@asynccontextmanager
async def run(
    *signed_in: RunningSandbox, settings: Settings = AT_ONCE, siblings: tuple[Repository, ...] = ()
) -> AsyncIterator[Run]:
    async with open_client({one.host: one.credentials for one in signed_in}, settings=settings) as client:
        yield Run(client, RegistryEngine(client, Sources(client), BlobMap(client, siblings)))


def received(sandbox: RunningSandbox) -> list[int]:
    """The sizes of the blobs that came, in order."""
    return [one.received for one in sandbox.answered if one.method in ("PUT", "PATCH") and "/uploads/" in one.path]


async def test_the_blob_that_most_images_wait_for_goes_first(
    sandbox: RunningSandbox, docker_registry: RegistryServer, namespace: str
) -> None:
    base = large("base", 3000)
    images = [large("one", 1000), large("other", 2000), *(build_image({name: b"x"}, base=base) for name in "abc")]
    source = repository(docker_registry.host, f"{namespace}/source")
    targets = [repository(sandbox.host, f"{namespace}/target{number}") for number in range(len(images))]
    for number, image in enumerate(images):
        push(source.host, source.path, str(number), image)
    layers = [image.layers[0] for image in (*images[:2], base, base, base)]
    looks = [(target.path, digest_of(layer)) for target, layer in zip(targets, layers, strict=True)]

    def looked() -> set[tuple[str, str]]:
        heads = (one.path for one in sandbox.answered if one.method == "HEAD" and "/blobs/" in one.path)
        return {(path.split("/blobs/")[0].removeprefix("/v2/"), path.rpartition("/")[2]) for path in heads}

    async with run(sandbox, settings=replace(AT_ONCE, transfers=1)) as one, asyncio.timeout(60):
        pushing = []
        async with one.client.transfer(source.host, sandbox.host, lambda: 0):
            for number, target in enumerate(targets):
                pushing.append(asyncio.create_task(one.push(source, str(number), target)))
                while looks[number] not in looked():
                    await asyncio.sleep(0.01)
                for _ in range(3):
                    await one.client.ping(sandbox.host)  # by then, the answer before has been read, too
        await asyncio.gather(*pushing)
    order = [size for size in received(sandbox) if size > SMALL_BLOB]
    assert order[0] == len(base.layers[0])
    assert sorted(order) == sorted(len(image.layers[0]) for image in (base, *images[:2]))


def descriptor(media_type: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


@pytest.fixture
def taker(scripted: Scripted) -> Scripted:
    """A registry that has nothing, and takes everything, into any of four repositories."""
    for number in range(4):
        scripted.on(f"POST /v2/app/w{number}/blobs/uploads/", Reply(202, b"", {"Location": f"/upload/{number}"}))
        scripted.on(f"PUT /upload/{number}", Reply(201))
        scripted.on(f"PUT /v2/app/w{number}/manifests/1", Reply(201))
    return scripted


@pytest.fixture
def source(docker_registry: RegistryServer, namespace: str) -> Repository:
    """A repository with IMAGE as `1`."""
    push(docker_registry.host, f"{namespace}/source", "1", IMAGE)
    return repository(docker_registry.host, f"{namespace}/source")


def uploaded(taker: Scripted) -> Counter[str]:
    """How often each blob was sent."""
    return Counter(one.path.partition("digest=")[2] for one in taker.asked("PUT /upload/"))


async def push_to_four(one: Run, source: Repository, taker: Scripted) -> None:
    await together(one.push(source, "1", repository(taker.host, f"app/w{number}")) for number in range(4))


async def test_a_blob_is_sent_once_and_then_mounted_everywhere_at_the_same_time(
    taker: Scripted, source: Repository
) -> None:
    mounting: Counter[str] = Counter()

    def answer(number: int) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            blob = request.query.get("mount")
            if blob is None:
                return web.Response(status=202, headers={"Location": f"/upload/{number}"})
            mounting[blob] += 1
            async with asyncio.timeout(10):
                while mounting[blob] < 3:  # the other two have to be asked for before this one is answered
                    await asyncio.sleep(0.01)
            return web.Response(status=201)

        return handler

    for number in range(4):
        taker.on(f"POST /v2/app/w{number}/blobs/uploads/", answer(number))
    async with run() as one:
        await push_to_four(one, source, taker)
    assert uploaded(taker) == dict.fromkeys(IMAGE.blobs, 1)
    assert mounting == dict.fromkeys(IMAGE.blobs, 3)


async def test_whoever_wants_a_blob_that_another_tag_is_sending_waits_and_says_so(
    taker: Scripted, source: Repository
) -> None:
    waiting: list[str] = []
    over: list[str] = []

    @contextmanager
    def waits(why: str) -> Iterator[None]:
        waiting.append(why)
        yield
        over.append(why)

    async def opened(request: web.Request) -> web.StreamResponse:
        async with asyncio.timeout(10):
            while "mount" not in request.query and not waiting:  # the first goes on once another waits for it
                await asyncio.sleep(0.01)
        return web.Response(status=201 if "mount" in request.query else 202, headers={"Location": "/upload/0"})

    for number in range(4):
        taker.on(f"POST /v2/app/w{number}/blobs/uploads/", opened)
    async with run() as one:
        await together(one.push(source, "1", repository(taker.host, f"app/w{n}"), waits=waits) for n in range(4))
    assert set(waiting) == {"for another tag's layer"}
    assert over == waiting


@pytest.mark.parametrize("answer", [None, refusal(405, "UNSUPPORTED"), refusal(403, "DENIED"), Reply(500)])
async def test_where_mounts_are_refused_blobs_are_sent(
    taker: Scripted, source: Repository, answer: Reply | None
) -> None:
    async def refuse_mounts(request: web.Request) -> web.StreamResponse:
        if answer is None or "mount" not in request.query:
            number = request.path.split("/")[3].removeprefix("w")
            return web.Response(status=202, headers={"Location": f"/upload/{number}"})
        return web.Response(status=answer.status, body=answer.body)

    for number in range(4):
        taker.on(f"POST /v2/app/w{number}/blobs/uploads/", refuse_mounts)
    async with run() as one:
        await push_to_four(one, source, taker)
    assert uploaded(taker) == dict.fromkeys(IMAGE.blobs, 4)


async def test_a_blob_that_fails_in_one_repository_is_sent_to_the_next(taker: Scripted, source: Repository) -> None:
    taker.on("PUT /upload/0", refusal(403, "DENIED"))
    async with run() as one, asyncio.timeout(20):
        outcomes = await asyncio.gather(
            *(one.push(source, "1", repository(taker.host, f"app/w{number}")) for number in range(2)),
            return_exceptions=True,
        )
    assert isinstance(outcomes[0], PermissionDenied)
    assert outcomes[1] is None


async def test_a_push_that_is_cancelled_leaves_its_turn_to_the_next(taker: Scripted, source: Repository) -> None:
    reached = asyncio.Event()

    async def stuck(request: web.Request) -> web.StreamResponse:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    taker.on("PUT /upload/0", stuck)
    async with run() as one, asyncio.timeout(20):
        first = asyncio.create_task(one.push(source, "1", repository(taker.host, "app/w0")))
        await reached.wait()
        second = asyncio.create_task(one.push(source, "1", repository(taker.host, "app/w1")))
        await asyncio.sleep(0)
        first.cancel()
        await second
    assert uploaded(taker).keys() == IMAGE.blobs.keys()


async def test_a_large_blob_that_an_earlier_run_left_is_not_sent_again(
    sandbox: RunningSandbox, docker_registry: RegistryServer, namespace: str
) -> None:
    image = large("one")
    layer = image.layers[0]
    source, target = (
        repository(docker_registry.host, f"{namespace}/source"),
        repository(sandbox.host, f"{namespace}/target"),
    )
    push(source.host, source.path, "1", image)
    Uploader(sandbox.host, target.path, sandbox.credentials).put_blob(digest_of(layer), layer)
    told: list[int] = []
    async with run(sandbox) as one:
        assert await one.client.tags(target) == ()
        sandbox.answered.clear()
        await one.push(source, "1", target, told.append)
        assert await one.client.read_small_blob(target, blob_of(image.config))
    assert received(sandbox) == [len(image.config)]
    assert told == [len(image.config)]
    looked = [one.path for one in sandbox.answered if one.method == "HEAD" and "/blobs/" in one.path]
    assert looked == [f"/v2/{target.path}/blobs/{digest_of(layer)}"]  # a small one costs less to send than to ask for


async def test_what_is_held_in_memory_is_bounded_however_slow_the_target(
    taker: Scripted, start_scripted: StartScripted
) -> None:
    """Small blobs are read before they are sent: not all of many at once."""
    layers = [bytes([number]) * SMALL_BLOB for number in range(60)]
    image = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", b"{}"),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer) for layer in layers],
    }
    source = await start_scripted()
    source.on("GET /v2/app/source/manifests/1", served(json.dumps(image).encode()))
    for blob in (b"{}", *layers):
        source.on(f"GET /v2/app/source/blobs/{digest_of(blob)}", Reply(200, blob))
    go_on = asyncio.Event()
    opened: list[int] = []

    async def slow(request: web.Request) -> web.StreamResponse:
        opened.append(len(source.asked("GET /v2/app/source/blobs/")))
        await go_on.wait()
        return web.Response(status=202, headers={"Location": "/upload/0"})

    taker.on("POST /v2/app/w0/blobs/uploads/", slow)
    async with run() as one, asyncio.timeout(60):
        pushing = asyncio.create_task(
            one.push(repository(source.host, "app/source"), "1", repository(taker.host, "app/w0"))
        )
        while not opened:
            await asyncio.sleep(0.01)
        for _ in range(50):
            await one.client.has_blob(repository(source.host, "app/source"), sha256(b"other"))
        assert len(source.asked("GET /v2/app/source/blobs/")) <= HELD // SMALL_BLOB + 1
        go_on.set()
        await pushing
    assert len(uploaded(taker)) == len(layers) + 1


async def test_each_byte_that_is_sent_is_told_once(
    sandbox: RunningSandbox, docker_registry: RegistryServer, namespace: str
) -> None:
    image = large("one", base=build_image({"small": b"x"}))
    source = repository(docker_registry.host, f"{namespace}/source")
    push(source.host, source.path, "1", image)
    told: list[int] = []
    async with run(sandbox) as one:
        for name in ("a", "b"):
            await one.push(source, "1", repository(sandbox.host, f"{namespace}/{name}"), told.append)
    assert sum(told) == sum(map(len, image.blobs.values()))


async def test_nothing_waits_for_ever_with_one_request_and_one_transfer_at_a_time(
    sandbox: RunningSandbox, docker_registry: RegistryServer, namespace: str
) -> None:
    """Within each of two registries that refuse mounts, and between them in both directions, all at once."""
    shared = large("shared")
    images = [large(f"own {number}", base=shared) for number in range(2)]
    images += [build_image({"small": bytes([number])}, base=shared) for number in range(2)]
    with (
        proxy(docker_registry.host, lambda asked: error(405) if "mount=" in asked.path else None) as here,
        proxy(sandbox.host, lambda asked: error(405) if "mount=" in asked.path else None) as there,
    ):
        tight = replace(AT_ONCE, parallelism=1, transfers=1)
        user = {there.host: sandbox.credentials}
        for number, image in enumerate(images):
            push(docker_registry.host, f"{namespace}/source", str(number), image)
            push(sandbox.host, f"{namespace}/source", str(number), image, sandbox.credentials)
        async with open_client(user, settings=tight) as client, asyncio.timeout(90):
            one = Run(client, RegistryEngine(client, Sources(client), BlobMap(client, ())))
            await together(
                one.push(
                    repository(come_from.host, f"{namespace}/source"),
                    str(number),
                    repository(go_to.host, f"{namespace}/{'here' if come_from is here else 'there'}{number}"),
                )
                for number in range(len(images))
                for come_from in (here, there)
                for go_to in (here, there)
            )
            for number, image in enumerate(images):
                for host in (here.host, there.host):
                    for name in ("here", "there"):
                        found = await client.head(repository(host, f"{namespace}/{name}{number}").tagged("1"))
                        assert found
                        assert found.digest == image.digest
