"""A client for registries: image manifests, blobs and tags, byte for byte.

Source of the rules: OCI distribution-spec 1.1, and distribution's HTTP API V2
where the spec is silent.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from replsync.errors import (
    ChangedMeanwhile,
    NotFound,
    RegistryError,
    RegistryUnreachable,
    SignInError,
)
from replsync.oci.digest import Digest, digest_of, parse_digest
from replsync.oci.image_manifest import (
    ACCEPT,
    DOCKER_SCHEMA1_SIGNED,
    MAX_SIZE,
    Descriptor,
)
from replsync.oci.image_tree import ImageTree
from replsync.oci.reference import Reference, Repository
from replsync.registry.blob_reading import read_blob
from replsync.registry.blob_upload import BlobBytes, upload_blob
from replsync.registry.catalog import list_repositories
from replsync.registry.chunk_size import ChunkBounds
from replsync.registry.credentials import CredentialStore
from replsync.registry.persistence import Persistence, persistently
from replsync.registry.session import Session, pull, push
from replsync.registry.tag_list import list_tags
from replsync.registry.transport import Transport
from replsync.registry.trees import Fetched, read_tree
from replsync.registry.trying import Tried, try_upload
from replsync.registry.watching import Waiting

_REMEMBERED = 32 * 1024 * 1024
"""Bytes of image manifests that are remembered in a run."""


@dataclass(frozen=True)
class Settings:
    """How to talk to registries.

    Of each host: the most requests at once, and of those the most that move a
    large blob. For each request: its tries. For uploads: the bounds of a chunk.
    `plain_http` are the hosts without TLS.
    """

    parallelism: int = 32
    transfers: int = 4  # more make neither disk nor network faster, and a firewall nervous
    persistence: Persistence = field(default_factory=Persistence)
    chunks: ChunkBounds = field(default_factory=ChunkBounds)
    plain_http: frozenset[str] = frozenset()


class _StoredOther(RegistryError):
    """The registry took other bytes than were sent: those of `digest`, where it says that."""

    def __init__(self, message: str, digest: Digest | None) -> None:
        super().__init__(message, hint="a proxy on the way, or the registry, changes what is sent: don't trust it")
        self.digest = digest


class RegistryClient:
    """Every registry of a run behind one object: hosts share a pool, each has its own session and limits."""

    def __init__(self, transport: Transport, credentials: CredentialStore, settings: Settings | None = None) -> None:
        self._transport = transport
        self._credentials = credentials
        self._settings = settings or Settings()
        self._sessions: dict[str, Session] = {}
        self._tagless: set[Repository] = set()
        self._read: OrderedDict[Reference, Fetched] = OrderedDict()  # by digest, the last used at the end
        self._read_bytes = 0

    def _session(self, host: str) -> Session:
        if host not in self._sessions:
            self._sessions[host] = Session(
                host,
                self._transport,
                self._credentials,
                parallelism=self._settings.parallelism,
                transfers=self._settings.transfers,
                persistence=self._settings.persistence,
                chunks=self._settings.chunks,
                plain_http=host in self._settings.plain_http,
            )
        return self._sessions[host]

    @contextmanager
    def watched(self, waiting: Waiting) -> Iterator[None]:
        """Tell `waiting` of everything that is waited for until the block ends."""
        before, self._transport.waiting = self._transport.waiting, waiting
        try:
            yield
        finally:
            self._transport.waiting = before

    async def ping(self, host: str) -> None:
        """See that a registry is there, signed in or not (distribution-spec, end-1).

        Raises RegistryError where it isn't, with the reason.
        """
        operation = f"reach the registry {host}"
        answer = await self._session(host).call(operation, "GET", "/v2/", (), ok=(200, 401, 403, 404))
        if answer.status == 404:
            raise RegistryError(
                f"{operation}: it answers, but not as a registry does (404 for /v2/)",
                hint="check `registry` in the manifest",
            )

    async def sign_in(self, host: str) -> bool:
        """Sign in to a registry, as far as it asks for that; False where it asks for nothing.

        Raises SignInError where it refuses, RegistryError where it isn't there.
        """
        session = self._session(host)
        await session.call(f"sign in to {host}", "GET", "/v2/", (), ok=(200,))
        return session.asked_to_sign_in

    async def head(self, reference: Reference) -> Descriptor | None:
        """Say what a tag or digest points at now; None where the registry says that there is none.

        Where the answer names no digest, or not the one that was asked for, the
        image manifest is read and hashed: raises RegistryError if that is not it.
        """
        if known := self._known(reference):
            return Descriptor(known.media_type, known.digest, len(known.raw))
        return await self._head(reference, in_turn=False)

    async def _head(self, reference: Reference, *, in_turn: bool) -> Descriptor | None:
        repository = reference.repository
        answer = await self._session(repository.host).call(
            f"look up {reference}",
            "HEAD",
            _manifest_path(reference),
            (pull(repository.path),),
            ok=(200, 404),
            headers={"Accept": ACCEPT},
            once=in_turn,
            in_turn=in_turn,
        )
        if answer.status == 404:
            return None
        digest = _stated_digest(answer.headers.get("Docker-Content-Digest", ""))
        if digest is None or (reference.digest and digest != reference.digest):
            try:
                fetched = await self._fetch(reference, in_turn=in_turn)
            except NotFound:
                return None
            return Descriptor(fetched.media_type, fetched.digest, len(fetched.raw))
        size = answer.headers.get("Content-Length", "0")
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        return Descriptor(media_type, digest, int(size) if size.isdecimal() else 0)

    async def fetch(self, reference: Reference) -> Fetched:
        """Read the image manifest or index of a tag or digest, its digest checked.

        Raises NotFound only where the registry says so; RegistryError where the
        bytes are not those of the digest.
        """
        return self._known(reference) or await self._fetch(reference, in_turn=False)

    def _known(self, reference: Reference) -> Fetched | None:
        """What was read in this run by the digest that is asked for; a tag is asked for anew each time."""
        if reference.digest is None:
            return None
        exactly = reference.repository.at(reference.digest)
        if exactly in self._read:
            self._read.move_to_end(exactly)
        return self._read.get(exactly)

    def _remember(self, repository: Repository, fetched: Fetched) -> None:
        """Keep what was read, by digest: that never changes."""
        exactly = repository.at(fetched.digest)
        if exactly not in self._read:
            self._read[exactly] = fetched
            self._read_bytes += len(fetched.raw)
        while self._read_bytes > _REMEMBERED:
            self._read_bytes -= len(self._read.popitem(last=False)[1].raw)

    async def _fetch(self, reference: Reference, *, in_turn: bool) -> Fetched:
        repository = reference.repository
        operation = f"read {reference}"
        answer = await self._session(repository.host).call(
            operation,
            "GET",
            _manifest_path(reference),
            (pull(repository.path),),
            ok=(200,),
            headers={"Accept": ACCEPT},
            limit=MAX_SIZE,
            once=in_turn,
            in_turn=in_turn,
        )
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        header = answer.headers.get("Docker-Content-Digest", "")
        expected = reference.digest or _stated_digest(header)
        if header and expected is None:
            raise RegistryError(f"{operation}: the registry names a digest that is none")
        actual = digest_of(answer.body, expected or Digest("sha256:"))
        if media_type == DOCKER_SCHEMA1_SIGNED:
            return Fetched(answer.body, media_type, expected or actual)  # its digest leaves the signatures out
        if expected is not None and actual != expected:
            raise RegistryError(
                f"{operation}: the content is {actual}, not {expected}",
                hint="the registry, or a proxy on the way, changes what it serves: don't trust it",
            )
        fetched = Fetched(answer.body, media_type, actual)
        self._remember(repository, fetched)
        return fetched

    async def tree(self, reference: Reference) -> ImageTree:
        """Read an image and, where it is an index, every image manifest below it; see `read_tree`."""
        return await read_tree(self.fetch, reference)

    async def put(self, reference: Reference, raw: bytes, media_type: str) -> None:
        """Write the bytes of an image manifest or index by digest.

        Raises RegistryError where the registry took something else than these bytes.
        """
        await self._put(reference, raw, media_type, in_turn=False)

    async def put_tag(self, reference: Reference, raw: bytes, media_type: str, before: Digest | None) -> None:
        """Write the bytes to a tag that points at `before`; None: to one that isn't there.

        No registry has a compare-and-swap, so the tag is looked at right before
        each try, with nothing between the two requests. Raises ChangedMeanwhile,
        and leaves the tag alone, where it points elsewhere.
        """
        session = self._session(reference.repository.host)
        tried = False
        damaged: set[Digest | None] = set()

        async def attempt() -> None:
            nonlocal tried
            found = await self._head(reference, in_turn=True)
            now = found.digest if found else None
            if now is not None and now == digest_of(raw, now):
                return  # an earlier try arrived, whatever was answered
            if now != before and now not in damaged:
                raise _changed(reference, tried)
            tried = True
            try:
                await self._put(reference, raw, media_type, in_turn=True)
            except _StoredOther as error:
                if error.digest in damaged:
                    raise
                damaged.add(error.digest)  # what was damaged on the way is ours, and not to be left there
                raise RegistryError(error.message, hint=error.hint, status=503) from error

        async with session.turn():
            await persistently(session.persistence, attempt, waiting=session.waits)

    async def refuse_changed(self, reference: Reference, before: Digest | None) -> None:
        """Raise ChangedMeanwhile where a tag doesn't point at `before`; for who can't write it with `put_tag`."""
        found = await self.head(reference)
        if (found.digest if found else None) != before:
            raise _changed(reference, tried=False)

    async def _put(self, reference: Reference, raw: bytes, media_type: str, *, in_turn: bool) -> None:
        repository = reference.repository
        operation = f"push {reference}"
        answer = await self._session(repository.host).call(
            operation,
            "PUT",
            _manifest_path(reference),
            (push(repository.path),),
            ok=(200, 201, 202),
            headers={"Content-Type": media_type},
            data=raw,
            once=in_turn,
            in_turn=in_turn,
        )
        header = answer.headers.get("Docker-Content-Digest", "")
        stated = _stated_digest(header)
        if header and (stated is None or digest_of(raw, stated) != stated):
            said = f"the registry says that it stored other bytes than were sent ({stated or 'of no digest'})"
            raise _StoredOther(f"{operation}: {said}", stated)

    async def has_blob(self, repository: Repository, digest: Digest) -> bool:
        """Whether `repository` has the blob."""
        answer = await self._session(repository.host).call(
            f"look up {digest} in {repository}",
            "HEAD",
            _blob_path(repository, digest),
            (pull(repository.path),),
            ok=(200, 404),
        )
        return answer.status == 200

    def read_blob(self, repository: Repository, blob: Descriptor, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Stream a blob from byte `start` on; see `blob_reading.read_blob`."""
        return read_blob(self._session(repository.host), repository, blob, start)

    async def read_small_blob(self, repository: Repository, blob: Descriptor) -> bytes:
        """Return a whole blob, such as an image's config. Raises as `read_blob` does."""
        async with aclosing(self.read_blob(repository, blob)) as parts:
            return b"".join([part async for part in parts])

    async def mount(self, repository: Repository, digest: Digest, source: Repository) -> bool:
        """Take a blob over from another repository of the same registry; False where it doesn't do that.

        (distribution-spec, end-11.) The session that a registry opens instead is left to expire.
        """
        try:
            answer = await self._session(repository.host).call(
                f"mount {digest} into {repository}",
                "POST",
                f"/v2/{repository.path}/blobs/uploads/?{urlencode({'mount': digest, 'from': source.path})}",
                (push(repository.path), pull(source.path)),
                ok=(201, 202),
                headers={"Content-Length": "0"},
            )
        except RegistryUnreachable:
            raise
        except (RegistryError, SignInError):
            return False  # some registries fail outright instead of answering 202; what is wrong, sending it will tell
        return answer.status == 201

    async def upload(
        self, repository: Repository, blob: Descriptor, content: BlobBytes, sent: Callable[[int], None] = lambda _: None
    ) -> None:
        """Send a blob. Raises RegistryError, or whatever `content` raises; see `blob_upload.upload_blob`."""
        await upload_blob(self._session(repository.host), repository, blob, content, sent)

    @asynccontextmanager
    async def transfer(self, source: str | None, target: str, wanted_by: Callable[[], int]) -> AsyncIterator[None]:
        """Have a place for a large blob among the downloads of `source`, if there is one, and the uploads of `target`.

        Always in this order, and each is of its own: so nobody waits for
        somebody who waits for him, and a slow source holds no place at the target. See `Places.one`.
        """
        download = self._session(source).downloads.one(wanted_by) if source else nullcontext()
        async with download, self._session(target).uploads.one(wanted_by):
            yield

    async def try_upload(self, repository: Repository) -> Tried:
        """Find out whether the registry takes pushes to `repository`; see `trying.try_upload`."""
        return await try_upload(self._session(repository.host), repository)

    async def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return every tag of a repository, sorted; none where the registry doesn't know it.

        Raises RegistryError where the list can't be read to its end.
        """
        tags = await list_tags(self._session(repository.host), repository)
        if not tags:
            self._tagless.add(repository)
        return tags

    async def repositories(self, host: str, below: str) -> tuple[str, ...]:
        """Return the repositories below a path, where the registry lists them; see `catalog.list_repositories`."""
        return await list_repositories(self._session(host), below)

    def is_tagless(self, repository: Repository) -> bool:
        """Whether `tags` found none in this run, so that blobs are hardly there either. False where nobody asked."""
        return repository in self._tagless


def _changed(reference: Reference, tried: bool) -> RegistryError | ChangedMeanwhile:
    hint = "somebody else pushed to it; run plan again and look at it"
    if tried:
        said = "a first try to write it failed, and by now it holds something else; it was left as it is"
        return RegistryError(f"write {reference}: {said}", hint=hint)
    return ChangedMeanwhile(
        f"write {reference}: the tag changed while its image was on the way; it was left alone", hint=hint
    )


def _stated_digest(header: str) -> Digest | None:
    try:
        return parse_digest(header)
    except ValueError:
        return None


def _manifest_path(reference: Reference) -> str:
    return f"/v2/{reference.repository.path}/manifests/{quote(reference.selector, safe=':')}"


def _blob_path(repository: Repository, digest: Digest) -> str:
    return f"/v2/{repository.path}/blobs/{digest}"
