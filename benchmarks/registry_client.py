"""A small client of registries: it builds what is moved, and reads back what came of it, without replsync's code."""

import hashlib
import http.client
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.failing import BenchmarkError

ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
_PATIENCE = 120  # seconds without an answer
_PIECE = 1 << 20  # bytes


@dataclass(frozen=True)
class Answer:
    """A registry's answer; `headers` by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class RegistryClient:
    """Of one registry, by TLS where `authority` is a file with its CA. Each thread has a connection of its own."""

    host: str
    authority: Path | None = None
    _local: threading.local = field(default_factory=threading.local, repr=False)
    _connections: list[http.client.HTTPConnection] = field(default_factory=list, repr=False)

    def put_pieces(self, repository: str, pieces: Iterator[bytes], digest: Callable[[], str]) -> None:
        """Push a blob as it comes; `digest` is asked for once the pieces have ended."""
        place = self._expect(202, "POST", f"/v2/{repository}/blobs/uploads/").headers["location"]
        kind = {"Content-Type": "application/octet-stream"}
        place = self._expect(202, "PATCH", self._path(place), pieces, kind).headers["location"]
        self._expect(201, "PUT", self._path(place, digest=digest()), b"", kind)

    def put_blob(self, repository: str, blob: bytes) -> None:
        """Push a small blob."""
        place = self._expect(202, "POST", f"/v2/{repository}/blobs/uploads/").headers["location"]
        kind = {"Content-Type": "application/octet-stream"}
        self._expect(201, "PUT", self._path(place, digest=f"sha256:{hashlib.sha256(blob).hexdigest()}"), blob, kind)

    def mount(self, repository: str, digest: str, origin: str) -> None:
        """Make a blob of the repository `origin` one of `repository`, too."""
        query = urllib.parse.urlencode({"mount": digest, "from": origin})
        self._expect(201, "POST", f"/v2/{repository}/blobs/uploads/?{query}")

    def put_manifest(self, repository: str, tag: str, manifest: bytes, media_type: str) -> None:
        """Push an image manifest."""
        self._expect(201, "PUT", f"/v2/{repository}/manifests/{tag}", manifest, {"Content-Type": media_type})

    def manifest(self, repository: str, tag: str) -> bytes | None:
        """An image manifest or index, byte for byte; None where there is none."""
        answer = self.request("GET", f"/v2/{repository}/manifests/{tag}", None, {"Accept": ACCEPT})
        return answer.body if answer.status == 200 else None

    def blob_size(self, repository: str, digest: str) -> int | None:
        """The length of a blob in bytes; None where there is none."""
        answer = self.request("HEAD", f"/v2/{repository}/blobs/{digest}")
        return int(answer.headers["content-length"]) if answer.status == 200 else None

    def blob_pieces(self, repository: str, digest: str) -> Iterator[bytes]:
        """A blob, piece by piece."""
        connection = self._connect()
        try:
            connection.request("GET", f"/v2/{repository}/blobs/{digest}")
            answer = connection.getresponse()
            if answer.status != 200:
                raise BenchmarkError(f"read back {repository}@{digest} on {self.host}: {answer.status}")
            while piece := answer.read(_PIECE):
                yield piece
        finally:
            connection.close()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Any request. Raises OSError or HTTPException where no answer comes."""
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            self._connections.append(connection)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        except (OSError, http.client.HTTPException):
            connection.close()  # the next request connects anew
            raise

    def close(self) -> None:
        """Close the connections; a request connects anew."""
        for connection in self._connections:
            connection.close()

    def _expect(
        self,
        status: int,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        answer = self.request(method, path, body, headers)
        if answer.status != status:
            raise BenchmarkError(f"{method} {path} on {self.host}: {answer.status} {answer.body[:500]!r}")
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        if self.authority is None:
            return http.client.HTTPConnection(self.host, timeout=_PATIENCE)
        context = ssl.create_default_context(cafile=str(self.authority))
        return http.client.HTTPSConnection(self.host, timeout=_PATIENCE, context=context)

    def _path(self, location: str, **more: str) -> str:
        parts = urllib.parse.urlsplit(location)
        query = "&".join(filter(None, (parts.query, urllib.parse.urlencode(more))))
        return f"{parts.path}?{query}" if query else parts.path
