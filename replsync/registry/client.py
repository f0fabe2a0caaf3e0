"""A client for registries: image manifests, blobs and tags, byte for byte.

Source of the rules: OCI distribution-spec 1.1, and distribution's HTTP API V2
where the spec is silent.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from replsync.errors import (
    ChangedMeanwhile,
    NotFound,
    RegistryError,
    RegistryUnreachable,
    SignInError,
    UnsupportedImage,
)
from replsync.oci.digest import Digest, digest_of, hasher_of, parse_digest
from replsync.oci.image_manifest import (
    ACCEPT,
    DOCKER_SCHEMA1_SIGNED,
    MAX_SIZE,
    Descriptor,
    Document,
    ImageIndex,
    parse_document,
    refuse_uncopyable,
)
from replsync.oci.image_tree import ImageTree
from replsync.oci.reference import Reference, Repository
from replsync.registry.address import host_of, join, origin
from replsync.registry.blob_upload import upload_blob
from replsync.registry.credentials import CredentialStore
from replsync.registry.refusal import named
from replsync.registry.session import Persistence, Session, pull, push, retrying
from replsync.registry.tag_pages import add_tags, next_page
from replsync.registry.together import together
from replsync.registry.transport import Body, Transport

MAX_PAGES = 10_000
_PAGE = 1000
_MAX_PAGE_BYTES = 8 * 1024 * 1024
_MAX_DEPTH = 4
_MAX_DOCUMENTS = 1000
MAX_TREE = 64 * 1024 * 1024
"""Bytes of all the image manifests below an index, which are held in memory."""
_PART = 256 * 1024


@dataclass(frozen=True)
class Settings:
    """How to talk to registries: requests at once for each host, tries for each request, hosts without TLS."""

    parallelism: int = 16
    persistence: Persistence = field(default_factory=Persistence)
    plain_http: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Fetched:
    """The bytes of an image manifest or index as the registry has them, not looked into; `digest` is theirs."""

    raw: bytes
    media_type: str
    digest: Digest

    def parse(self) -> Document:
        """Read the bytes. Raises UnsupportedImage."""
        return parse_document(self.raw, self.media_type)


class RegistryClient:
    """Every registry of a run behind one object: hosts share a pool, each has its own session and limits."""

    def __init__(self, transport: Transport, credentials: CredentialStore, settings: Settings | None = None) -> None:
        self._transport = transport
        self._credentials = credentials
        self._settings = settings or Settings()
        self._sessions: dict[str, Session] = {}

    def _session(self, host: str) -> Session:
        if host not in self._sessions:
            self._sessions[host] = Session(
                host,
                self._transport,
                self._credentials,
                parallelism=self._settings.parallelism,
                persistence=self._settings.persistence,
                plain_http=host in self._settings.plain_http,
            )
        return self._sessions[host]

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

    async def head(self, reference: Reference) -> Descriptor | None:
        """Say what a tag or digest points at now; None where the registry says that there is none.

        Where the answer names no digest, or not the one that was asked for, the
        image manifest is read and hashed: raises RegistryError if that is not it.
        """
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
        return await self._fetch(reference, in_turn=False)

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
        return Fetched(answer.body, media_type, actual)

    async def tree(self, reference: Reference) -> ImageTree:
        """Read an image and, where it is an index, every image manifest below it.

        Raises UnsupportedImage where any of them is of a kind that is never
        copied, NotFound and RegistryError as `fetch` does.
        """
        root = await self._document(reference)
        below: dict[Digest, Document] = {}
        level = [root]
        held = 0

        async def child(digest: Digest) -> Document:
            nonlocal held
            document = await self._document(reference.repository.at(digest))
            held += len(document.raw)
            if held > MAX_TREE:
                raise UnsupportedImage(f"{reference}: an index of image manifests of more than {MAX_TREE} bytes")
            return document

        for _ in range(_MAX_DEPTH + 1):
            children = {child.digest for index in level if isinstance(index, ImageIndex) for child in index.manifests}
            new = sorted(children - below.keys())
            if len(below) + len(new) > _MAX_DOCUMENTS:
                raise UnsupportedImage(f"{reference}: an index of more than {_MAX_DOCUMENTS} image manifests")
            read = await together(map(child, new))
            below.update(zip(new, read, strict=True))
            if not children:
                return ImageTree(root, below)
            level = [below[digest] for digest in sorted(children)]
        raise UnsupportedImage(f"{reference}: indexes within indexes, more than {_MAX_DEPTH} deep")

    async def _document(self, reference: Reference) -> Document:
        try:
            document = (await self.fetch(reference)).parse()
            refuse_uncopyable(document)
        except UnsupportedImage as error:
            raise UnsupportedImage(f"{reference}: {error.message}", hint=error.hint) from error
        return document

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

        async def attempt() -> None:
            nonlocal tried
            found = await self._head(reference, in_turn=True)
            now = found.digest if found else None
            if now is not None and now == digest_of(raw, now):
                return  # an earlier try arrived, whatever was answered
            if now != before:
                raise _changed(reference, tried)
            tried = True
            await self._put(reference, raw, media_type, in_turn=True)

        async with session.turn():
            await retrying(session.persistence)(attempt)

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
            raise RegistryError(f"{operation}: the registry says that it stored other bytes than were sent")

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

    async def read_blob(self, repository: Repository, blob: Descriptor) -> AsyncGenerator[bytes, None]:
        """Stream a blob. Size and digest are checked on the way: raises RegistryError at the end if they differ.

        Nothing is tried again: only the reader knows what it has used already.
        """
        operation = f"read {blob.digest} of {repository}"
        hasher = hasher_of(blob.digest)
        size = 0
        session = self._session(repository.host)
        async with session.stream(operation, _blob_path(repository, blob.digest), (pull(repository.path),)) as response:
            async for part in response.content.iter_chunked(_PART):
                size += len(part)
                if size > blob.size:
                    break
                hasher.update(part)
                yield part
        if size != blob.size or hasher.hexdigest() != blob.digest.partition(":")[2]:
            raise RegistryError(
                f"{operation}: what the registry sent is not the blob (of {blob.size} bytes) that was asked for",
                hint="the registry, or a proxy on the way, is broken: try again, then report it to its operator",
            )

    async def read_small_blob(self, repository: Repository, blob: Descriptor) -> bytes:
        """Return a whole blob, such as an image's config. Raises as `read_blob` does."""

        async def attempt() -> bytes:
            async with aclosing(self.read_blob(repository, blob)) as parts:
                return b"".join([part async for part in parts])

        return await retrying(self._settings.persistence)(attempt)

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

    async def upload(self, repository: Repository, blob: Descriptor, body: Body) -> None:
        """Send a blob. Raises RegistryError, or whatever `body` raises."""
        await upload_blob(self._session(repository.host), repository, blob, body)

    async def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return every tag of a repository, sorted; none where the registry doesn't know it.

        Raises RegistryError where the list can't be read to its end.
        """
        operation = f"list the tags of {repository}"
        session = self._session(repository.host)
        url = f"{session.base}/v2/{repository.path}/tags/list?n={_PAGE}"
        found: set[str] = set()
        seen: set[str] = set()
        while len(seen) < MAX_PAGES:
            seen.add(url)
            try:
                answer = await session.call(
                    operation, "GET", url, (pull(repository.path),), ok=(200,), limit=_MAX_PAGE_BYTES
                )
            except NotFound:
                if len(seen) > 1:
                    raise  # it was there a page ago: the list is cut short
                return ()
            add_tags(found, operation, answer.body)
            link = next_page(answer.headers.getall("Link", []))
            if link is None:
                return tuple(sorted(found))
            try:
                url = join(url, link)
            except RegistryError as error:
                raise named(operation, error) from error
            if origin(url) != origin(session.base):
                raise RegistryError(f"{operation}: the next page is on another host, {host_of(url)}")
            if url in seen:
                raise RegistryError(f"{operation}: the pages go in a circle")
        raise RegistryError(f"{operation}: more than {MAX_PAGES} pages")


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
