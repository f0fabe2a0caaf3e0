"""The registry's part of the API: image manifests, tags, blobs and uploads (distribution-spec 1.1)."""

import asyncio
import hashlib
import os
import re
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BufferedWriter
from pathlib import Path
from urllib.parse import urlencode

from aiohttp import web

from replsync.errors import UnsupportedImage
from replsync.oci.digest import Digest, digest_of, parse_digest, sha256
from replsync.oci.image_manifest import Document, ImageManifest, parse_document
from replsync.oci.reference import is_path, is_tag
from replsync.sandbox.answers import Refusal
from replsync.sandbox.limits import Limits, body, refuse_attestations
from replsync.sandbox.referrers import Referrers, subject_of
from replsync.sandbox.sign_in import SignIn
from replsync.sandbox.store import Store, StoredManifest

_REPOSITORY = "/v2/{name:.+}"
_CONTENT_RANGE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
_COUNT = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, eq=False)
class Upload:
    """A blob on its way in. `state` has to come back in the URL, so that a client that drops queries is found out."""

    repository: str
    path: Path
    session: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def size(self) -> int:
        """Bytes received so far."""
        return self.path.stat().st_size

    def open(self) -> BufferedWriter:
        """Open the file to add to it."""
        return self.path.open("ab")

    def cut(self, size: int) -> None:
        """Drop what is behind the first `size` bytes."""
        os.truncate(self.path, size)

    def drop(self) -> None:
        """Remove the file."""
        self.path.unlink()

    def digest(self, like: Digest) -> Digest:
        """Read the file and return its digest, by the algorithm of `like`."""
        with self.path.open("rb") as file:
            algorithm = like.partition(":")[0]
            return Digest(f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}")

    def headers(self) -> dict[str, str]:
        """Where to go on, and from which byte; an empty upload says `0-0`, as distribution does."""
        query = urlencode({"_state": self.state})
        return {
            "Location": f"/v2/{self.repository}/blobs/uploads/{self.session}?{query}",
            "Range": f"0-{max(self.size - 1, 0)}",
            "Docker-Upload-UUID": self.session,
        }


class Registry:
    """The request handlers, on top of a store."""

    def __init__(self, store: Store, sign_in: SignIn, limits: Limits) -> None:
        self._store = store
        self._sign_in = sign_in
        self._limits = limits
        self._uploads: dict[str, Upload] = {}

    def routes(self) -> list[web.RouteDef]:
        """All routes but the token server's. A GET answers HEAD too."""
        manifest, blob = f"{_REPOSITORY}/manifests/{{reference}}", f"{_REPOSITORY}/blobs/{{digest}}"
        uploads, upload = f"{_REPOSITORY}/blobs/uploads/", f"{_REPOSITORY}/blobs/uploads/{{session}}"
        referrers = [] if self._limits.no_referrers else Referrers(self._store).routes()
        return [
            *referrers,
            web.get("/v2/", self._version),
            web.get(f"{_REPOSITORY}/tags/list", self._tags),
            web.get(manifest, self._get_manifest),
            web.put(manifest, self._put_manifest),
            web.delete(manifest, self._refuse_deletion),
            web.post(uploads, self._start_upload),
            web.get(upload, self._upload_status),
            web.patch(upload, self._continue_upload),
            web.put(upload, self._finish_upload),
            web.delete(upload, self._cancel_upload),
            web.get(blob, self._get_blob),
            web.delete(blob, self._refuse_deletion),
        ]

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _refuse_deletion(self, _: web.Request) -> web.Response:
        raise Refusal(405, "UNSUPPORTED", "this registry deletes nothing")

    async def _tags(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if not self._store.has_repository(name):
            raise Refusal(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": name})
        last, n = request.query.get("last", ""), request.query.get("n")
        if n is None:
            return web.json_response({"name": name, "tags": self._store.tags(name, last, -1)})
        if not _COUNT.fullmatch(n):
            raise Refusal(400, "PAGINATION_NUMBER_INVALID", "n is not a number", {"n": n[:20]})
        found = self._store.tags(name, last, int(n) + 1)
        page = found[: int(n)]
        headers = {}
        if page and len(found) > len(page):
            query = urlencode({"n": n, "last": page[-1]})
            headers["Link"] = f'</v2/{name}/tags/list?{query}>; rel="next"'
        return web.json_response({"name": name, "tags": page}, headers=headers)

    async def _get_manifest(self, request: web.Request) -> web.Response:
        name, reference = request.match_info["name"], _reference(request)
        found = self._store.manifest(name, reference)
        if not found or not _accepts(request, found.media_type):
            stored_as = f"stored as {found.media_type}, which is not accepted" if found else None
            detail = {"name": name, "reference": reference, "reason": stored_as}
            raise Refusal(404, "MANIFEST_UNKNOWN", "manifest unknown", detail)
        headers = {"Content-Type": found.media_type, "Docker-Content-Digest": found.digest}
        return web.Response(body=found.raw, headers=headers)

    async def _put_manifest(self, request: web.Request) -> web.Response:
        name, reference = request.match_info["name"], _reference(request)
        try:
            raw = await request.read()
            document = parse_document(raw, request.headers.get("Content-Type", ""))
        except web.HTTPRequestEntityTooLarge as error:
            raise Refusal(413, "MANIFEST_INVALID", "manifest is over 4 MiB") from error
        except UnsupportedImage as error:
            raise Refusal(400, "MANIFEST_INVALID", "manifest invalid", error.message) from error
        by_digest = ":" in reference
        digest = digest_of(raw, parse_digest(reference)) if by_digest else sha256(raw)
        if by_digest and digest != reference:
            raise _digest_mismatch(reference, digest)
        if self._limits.refuse_attestations:
            refuse_attestations(document)
        missing = self._missing(name, document)
        if missing:
            raise Refusal(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", *missing)
        subject = self._subject(raw)
        stored = StoredManifest(digest, document.media_type, raw)
        self._store.keep_manifest(name, stored, None if by_digest else reference, subject)
        created = _created(f"/v2/{name}/manifests/{digest}", digest)
        if subject:
            # So the client knows that it need not keep a list of referrers itself ("Pushing Manifests with Subject").
            created.headers["OCI-Subject"] = subject
        return created

    def _subject(self, raw: bytes) -> Digest | None:
        if self._limits.no_referrers:
            return None
        try:
            return subject_of(raw)
        except ValueError as error:
            raise Refusal(400, "MANIFEST_INVALID", "manifest invalid", str(error)) from error

    def _missing(self, name: str, document: Document) -> list[dict[str, str]]:
        if isinstance(document, ImageManifest):
            # Foreign layers are kept elsewhere (image-spec, descriptor.md, `urls`).
            absent = [one for one in document.blobs if not one.has_urls and not self._store.blob(name, one.digest)]
        else:
            absent = [one for one in document.manifests if not self._store.manifest(name, one.digest)]
        return [{"digest": one.digest} for one in absent]

    async def _get_blob(self, request: web.Request) -> web.StreamResponse:
        digest = _digest(request.match_info["digest"])
        path = self._store.blob(request.match_info["name"], digest)
        if not path:
            raise Refusal(404, "BLOB_UNKNOWN", "blob unknown to registry", {"digest": digest})
        if request.method == "GET":
            _check_range(request, path)
        return web.FileResponse(
            path, headers={"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
        )

    async def _start_upload(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        mounted, digest = request.query.get("mount"), request.query.get("digest")
        if mounted is not None and self._mount(request, name, _digest(mounted)):
            return _created(f"/v2/{name}/blobs/{mounted}", mounted)
        if digest is not None and mounted is None:
            return await self._upload_at_once(request, name, _digest(digest))
        upload = Upload(name, self._store.new_upload())
        self._uploads[upload.session] = upload
        return web.Response(status=202, headers=upload.headers())

    def _mount(self, request: web.Request, name: str, digest: Digest) -> bool:
        source = request.query.get("from", "")
        allowed = is_path(source) and self._sign_in.may_pull(request, source)
        return allowed and self._store.mount_blob(name, digest, source)

    async def _upload_at_once(self, request: web.Request, name: str, digest: Digest) -> web.Response:
        upload = Upload(name, self._store.new_upload())
        try:
            await self._receive(request, upload)
        except BaseException:
            upload.drop()
            raise
        return await self._keep(upload, digest)

    async def _upload_status(self, request: web.Request) -> web.Response:
        async with self._upload(request) as upload:
            return web.Response(status=204, headers=upload.headers())

    async def _continue_upload(self, request: web.Request) -> web.Response:
        async with self._upload(request) as upload:
            await self._receive(request, upload)
            return web.Response(status=202, headers=upload.headers())

    async def _finish_upload(self, request: web.Request) -> web.Response:
        digest = _digest(request.query.get("digest", ""))
        async with self._upload(request) as upload:
            await self._receive(request, upload)
            del self._uploads[upload.session]
            return await self._keep(upload, digest)

    async def _cancel_upload(self, request: web.Request) -> web.Response:
        async with self._upload(request) as upload:
            del self._uploads[upload.session]
            upload.drop()
            return web.Response(status=204)

    async def _receive(self, request: web.Request, upload: Upload) -> None:
        """Add the request's body to `upload`. What came in before it was cut off stays."""
        offset, length = upload.size, None
        if "Content-Range" in request.headers:
            found = _CONTENT_RANGE.fullmatch(request.headers["Content-Range"])
            if not found:
                raise Refusal(400, "BLOB_UPLOAD_INVALID", "Content-Range is not FIRST-LAST")
            first, last = int(found[1]), int(found[2])
            if first != offset:
                # distribution-spec, "Pushing a blob in chunks": chunks go in order.
                raise Refusal(416, "RANGE_INVALID", f"the next byte is {offset}", headers=upload.headers())
            length = last - first + 1
        with upload.open() as file:
            async for piece in body(request, self._limits):
                file.write(piece)
        if length is not None and upload.size != offset + length:
            received = upload.size - offset
            upload.cut(offset)
            raise Refusal(400, "SIZE_INVALID", f"Content-Range names {length} bytes, the body has {received}")

    async def _keep(self, upload: Upload, digest: Digest) -> web.Response:
        try:
            actual = await asyncio.to_thread(upload.digest, digest)
        except BaseException:
            upload.drop()
            raise
        if actual != digest:
            upload.drop()
            raise _digest_mismatch(digest, actual)
        self._store.keep_blob(upload.repository, digest, upload.path)
        return _created(f"/v2/{upload.repository}/blobs/{digest}", digest)

    @asynccontextmanager
    async def _upload(self, request: web.Request) -> AsyncIterator[Upload]:
        """The session of this request, for this request alone."""
        session = request.match_info["session"]
        upload = self._uploads.get(session)
        if upload and upload.repository == request.match_info["name"]:
            if request.query.get("_state") != upload.state:
                raise Refusal(404, "BLOB_UPLOAD_INVALID", "the URL lacks the query that came with it")
            async with upload.lock:
                if session in self._uploads:
                    yield upload
                    return
        raise Refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")


def _reference(request: web.Request) -> str:
    text = request.match_info["reference"]
    if ":" in text:
        return _digest(text)
    if not is_tag(text):
        raise Refusal(400, "TAG_INVALID", "invalid tag", {"tag": text[:150]})
    return text


def _digest(text: str) -> Digest:
    try:
        return parse_digest(text)
    except ValueError as error:
        raise Refusal(400, "DIGEST_INVALID", str(error)) from error


def _digest_mismatch(stated: str, actual: str) -> Refusal:
    detail = {"stated": stated, "actual": actual}
    return Refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content", detail)


def _created(location: str, digest: str) -> web.Response:
    return web.Response(status=201, headers={"Location": location, "Docker-Content-Digest": digest})


def _accepts(request: web.Request, media_type: str) -> bool:
    headers = request.headers.getall("Accept", [])
    accepted = {one.partition(";")[0].strip() for header in headers for one in header.split(",")}
    return not headers or not accepted.isdisjoint({media_type, "application/*", "*/*"})


def _check_range(request: web.Request, path: Path) -> None:
    """Raise a Refusal (416) for a Range that is not one range, or is outside the blob (RFC 9110, 14.2)."""
    size = path.stat().st_size
    try:
        start = request.http_range.start
    except ValueError:
        start = size
    if start is not None and max(start, 0) >= size:
        headers = {"Content-Range": f"bytes */{size}"}
        raise Refusal(416, "RANGE_INVALID", "the blob has no such range", {"size": size}, headers=headers)
