"""Looking sources up for a lock, and planning by what the lock says, on real servers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from replsync.apply.docker_engine import DockerEngine
from replsync.apply.registry_engine import RegistryEngine
from replsync.errors import DockerError, InvalidInput, NotFound, RegistryUnreachable, UnsupportedImage, UsageError
from replsync.manifest.lock import (
    CheckedSource,
    Lock,
    LockCheck,
    Moved,
    NotLocked,
    NotRead,
    Same,
    needed,
)
from replsync.manifest.lock_text import lock_text, read_lock
from replsync.manifest.model import Manifest
from replsync.oci.digest import Digest, sha256
from replsync.oci.recipe import Recipe
from replsync.oci.reference import Repository
from replsync.oci.source_name import DaemonSource, RegistrySource, SourceName, parse_source, pinned
from replsync.oci.tag_state import Resolved
from replsync.registry.blob_map import BlobMap
from replsync.sources.by_name import Sources
from replsync.survey.gathering import Offer
from replsync.survey.locking import LockedOffer, check, look_up
from tests.registry.clients import open_client
from tests.servers.docker import DockerDaemon
from tests.servers.hello import native_platform
from tests.servers.images import build_image, build_index, load_into
from tests.servers.push import Uploader
from tests.servers.sandbox import RunningSandbox

NAME = "replicated-images.lock.yaml"
IMAGE = build_image({"a": b"1"}, platform=native_platform())
OTHER = build_image({"b": b"2"}, platform=native_platform())
INDEX = build_index([IMAGE, build_image({"a": b"1"}, platform="linux/s390x")])
ONE, TWO, BOTH = Digest(IMAGE.digest), Digest(OTHER.digest), Digest(INDEX.digest)
# Nothing listens there: whoever asks it finds out.
NOWHERE = "localhost:1/acme/worker"


@pytest.fixture
def there(sandbox: RunningSandbox) -> Uploader:
    """A repository with IMAGE as `1`, and INDEX as `2`."""
    uploader = Uploader(sandbox.host, "source/worker", sandbox.credentials)
    uploader.put_image("1", IMAGE)
    uploader.put_image("2", INDEX)
    return uploader


@asynccontextmanager
async def sources_of(uploader: Uploader) -> AsyncIterator[Offer]:
    """An engine that has looked at nothing yet, signed in at the uploader's registry."""
    async with open_client({uploader.host: uploader.creds}) as client:
        yield RegistryEngine(client, Sources(client), BlobMap(client, []))


@asynccontextmanager
async def by_docker(uploader: Uploader) -> AsyncIterator[Offer]:
    async with open_client({uploader.host: uploader.creds}) as client:
        yield DockerEngine(client, Sources(client))


def named(uploader: Uploader, tag: str) -> RegistrySource:
    return RegistrySource(Repository(uploader.host, uploader.repository).tagged(tag))


def nowhere(tag: str) -> RegistrySource:
    source = parse_source(f"{NOWHERE}:{tag}")
    assert isinstance(source, RegistrySource)
    return source


def daemons(name: str) -> DaemonSource:
    source = parse_source(f"docker-daemon:{name}")
    assert isinstance(source, DaemonSource)
    return source


def listing(uploader: Uploader, *tags: Any) -> Manifest:
    image = {"name": "worker", "source": f"{uploader.host}/{uploader.repository}", "tags": tags}
    return Manifest.model_validate({"version": 1, "images": [image]})


def lock(digests: dict[SourceName, Digest]) -> Lock:
    return Lock(NAME, digests)


async def test_sources_are_looked_up_by_digest(there: Uploader) -> None:
    async with sources_of(there) as offer:
        found = await look_up([named(there, "1"), named(there, "2"), named(there, "1")], offer)
    assert found == {named(there, "1"): ONE, named(there, "2"): BOTH}


async def test_what_was_looked_up_is_what_a_lock_file_keeps(there: Uploader) -> None:
    manifest = listing(there, "1", "2")
    async with sources_of(there) as offer:
        digests = {name: Digest(str(found)) for name, found in (await look_up(needed(manifest), offer)).items()}
        read = read_lock(lock_text(Lock(NAME, digests)).encode(), NAME)
        checked = await check(read, manifest, offer)
    assert checked.is_current
    assert checked.is_complete
    assert [one.finding for one in checked.sources] == [Same(ONE), Same(BOTH)]


async def test_what_cannot_be_locked_is_told_beside_what_can(there: Uploader) -> None:
    chart = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":'
    chart += b'"application/vnd.cncf.helm.config.v1+json","digest":"%s","size":2},"layers":[]}' % sha256(b"{}").encode()
    there.put_blob(sha256(b"{}"), b"{}")
    there.put_manifest("chart", chart, "application/vnd.oci.image.manifest.v1+json")
    names = [named(there, tag) for tag in ("1", "missing", "chart")]
    async with sources_of(there) as offer:
        good, missing, unsupported, unreachable = (await look_up([*names, nowhere("1")], offer)).values()
    assert good == ONE
    assert isinstance(missing, NotFound)
    assert isinstance(unsupported, UnsupportedImage)
    assert isinstance(unreachable, RegistryUnreachable)


async def test_a_tag_that_moved_is_told_with_what_it_was_and_is(there: Uploader) -> None:
    there.put_image("1", OTHER)
    entry = {"tag": "1.0", "source": str(named(there, "1"))}
    async with sources_of(there) as offer:
        checked = await check(lock({named(there, "1"): ONE}), listing(there, "1", entry), offer)
    labels = ("worker:1", "worker:1.0")
    assert checked == LockCheck((CheckedSource(named(there, "1"), labels, Moved(ONE, TWO)),), ())
    assert checked.is_complete
    assert not checked.is_current


async def test_a_tag_that_is_gone_is_told_with_why(there: Uploader) -> None:
    async with sources_of(there) as offer:
        checked = await check(lock({named(there, "3"): ONE}), listing(there, "3"), offer)
    (gone,) = checked.sources
    assert isinstance(gone.finding, NotRead)
    assert gone.finding.old == ONE
    assert isinstance(gone.finding.error, NotFound)
    assert not checked.is_current


async def test_a_source_that_is_not_in_the_lock_is_told_unasked(there: Uploader, sandbox: RunningSandbox) -> None:
    before = len(sandbox.answered)
    async with sources_of(there) as offer:
        checked = await check(lock({}), listing(there, "1"), offer)
    assert checked == LockCheck((CheckedSource(named(there, "1"), ("worker:1",), NotLocked()),), ())
    assert not checked.is_complete
    assert len(sandbox.answered) == before


async def test_an_entry_that_nothing_needs_is_told_unasked(there: Uploader) -> None:
    async with sources_of(there) as offer:
        checked = await check(lock({named(there, "1"): ONE, nowhere("1"): TWO}), listing(there, "1"), offer)
    assert checked == LockCheck(
        (CheckedSource(named(there, "1"), ("worker:1",), Same(ONE)),), superfluous=(nowhere("1"),)
    )
    assert not checked.is_complete
    assert checked.is_current  # after `retire`, say: nothing has moved


async def test_a_locked_source_stays_what_it_was_when_its_tag_moves(there: Uploader) -> None:
    there.put_image("1", OTHER)
    async with sources_of(there) as inner:
        offer = LockedOffer(inner, lock({named(there, "1"): ONE}), ask_sources=True, own=frozenset())
        resolved = await offer.identify(Recipe(named(there, "1")))
        assert resolved == Resolved(pinned(named(there, "1"), ONE), ONE)
        content = await offer.content(resolved.recipe)
    assert content is not None
    assert content.blobs is not None
    assert {blob.digest for blob in content.blobs} == set(IMAGE.blobs)


async def test_what_the_lock_lacks_is_asked_for(there: Uploader) -> None:
    async with sources_of(there) as inner:
        offer = LockedOffer(inner, lock({}), ask_sources=True, own=frozenset())
        assert (await offer.identify(Recipe(named(there, "1")))).digest == ONE
        with pytest.raises(NotFound):
            await offer.identify(Recipe(pinned(named(there, "1"), sha256(b"gone"))))


async def test_a_locked_image_that_was_cleaned_away_is_noticed_where_sources_are_asked(there: Uploader) -> None:
    async with sources_of(there) as inner:
        gone = lock({named(there, "1"): sha256(b"gone")})
        offer = LockedOffer(inner, gone, ask_sources=True, own=frozenset())
        resolved = await offer.identify(Recipe(named(there, "1")))
        with pytest.raises(NotFound):
            await offer.content(resolved.recipe)


async def test_no_source_is_asked_where_none_may_be(there: Uploader, sandbox: RunningSandbox) -> None:
    """Neither what the lock has, nor what the manifest pins, nor a daemon's image."""
    before = len(sandbox.answered)
    locked, fixed, byid = named(there, "1"), pinned(named(there, "9"), TWO), DaemonSource(TWO)
    async with sources_of(there) as inner:
        offer = LockedOffer(inner, lock({locked: ONE, daemons("worker:dev"): TWO}), ask_sources=False, own=frozenset())
        assert await offer.identify(Recipe(locked)) == Resolved(pinned(locked, ONE), ONE)
        assert await offer.identify(Recipe(fixed)) == Resolved(fixed, TWO)
        assert await offer.identify(Recipe(daemons("worker:dev"))) == Resolved(daemons("worker:dev"), None, TWO)
        assert await offer.identify(Recipe(byid)) == Resolved(byid, None, TWO)
        for name in (locked, pinned(locked, ONE), fixed, daemons("worker:dev"), byid):
            assert await offer.content(Recipe(name)) is None
    assert len(sandbox.answered) == before


async def test_the_targets_own_repositories_are_asked_for_what_they_have_by_digest(there: Uploader) -> None:
    own = frozenset({Repository(there.host, there.repository)})
    kept = RegistrySource(Repository(there.host, there.repository).at(ONE))
    gone = RegistrySource(Repository(there.host, there.repository).at(sha256(b"gone")))
    async with sources_of(there) as inner:
        offer = LockedOffer(inner, lock({}), ask_sources=False, own=own)
        assert await offer.identify(Recipe(kept)) == Resolved(kept, ONE)
        content = await offer.content(Recipe(kept))
        with pytest.raises(NotFound):
            await offer.identify(Recipe(gone))
    assert content is not None
    assert content.total == sum(map(len, IMAGE.blobs.values()))


@pytest.mark.parametrize("name", [nowhere("1"), daemons("worker:dev")], ids=str)
async def test_what_the_lock_lacks_is_refused_where_no_source_may_be_asked(there: Uploader, name: SourceName) -> None:
    async with sources_of(there) as inner:
        offer = LockedOffer(inner, lock({}), ask_sources=False, own=frozenset({nowhere("1").reference.repository}))
        with pytest.raises(InvalidInput, match=r"replicated-images\.lock\.yaml does not have it$") as caught:
            await offer.identify(Recipe(name))
    assert caught.value.hint == "run `replsync lock`"


async def test_a_daemons_image_is_locked_by_its_image_id(daemon: DockerDaemon, there: Uploader, namespace: str) -> None:
    image = build_image({"name": namespace.encode()}, platform=native_platform(), media="docker")
    name = daemons(f"{namespace}/worker:dev")
    load_into(daemon, image, name.image)
    async with sources_of(there) as offer:
        found = await look_up([name, daemons(f"{namespace}/missing:dev")], offer)
    daemon.cli("image", "rm", "--force", name.image)
    assert found[name] == image.config_digest
    assert isinstance(found[daemons(f"{namespace}/missing:dev")], DockerError)


async def test_a_lock_is_the_same_whoever_pushes(daemon: DockerDaemon, there: Uploader) -> None:
    names = [named(there, "1"), named(there, "2")]
    async with sources_of(there) as copying, by_docker(there) as pushing:
        assert await look_up(names, pushing) == await look_up(names, copying) == {names[0]: ONE, names[1]: BOTH}


async def test_a_daemon_is_to_push_the_locked_image_when_its_tag_moves(daemon: DockerDaemon, there: Uploader) -> None:
    there.put_image("2", OTHER)
    async with by_docker(there) as inner:
        offer = LockedOffer(inner, lock({named(there, "2"): BOTH}), ask_sources=True, own=frozenset())
        assert offer.daemon_pushes
        resolved = await offer.identify(Recipe(named(there, "2")))
        assert await offer.content(resolved.recipe) is not None
    assert (resolved.whole, resolved.config) == (BOTH, IMAGE.config_digest)


async def test_what_a_daemon_would_push_is_not_known_unasked(there: Uploader) -> None:
    async with by_docker(there) as inner:
        offer = LockedOffer(inner, lock({nowhere("1"): ONE}), ask_sources=False, own=frozenset())
        with pytest.raises(UsageError, match=r"only the source can say$"):
            await offer.identify(Recipe(nowhere("1")))
