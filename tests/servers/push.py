"""Upload images with the standard library's HTTP client, so that replsync's own never vouches for itself."""

import base64
import http.client
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.servers.images import BuiltImage, BuiltIndex
from tests.servers.registry import Credentials

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Answer:
    """A registry's answer; `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Uploader:
    """A client of one repository: it signs in when it's asked to, by Basic or by token."""

    host: str
    repository: str
    creds: Credentials | None = None
    _authorization: str | None = field(default=None, repr=False)

    def put_image(self, reference: str, image: BuiltImage | BuiltIndex) -> str:
        """Push `image` with all that it refers to, `reference` being its tag or digest; returns its digest."""
        match image:
            case BuiltImage():
                for digest, blob in image.blobs.items():
                    self.put_blob(digest, blob)
            case BuiltIndex():
                for child in image.images:
                    self.put_image(child.digest, child)
        self.put_manifest(reference, image.manifest, image.media_type)
        return image.digest

    def put_blob(self, digest: str, blob: bytes) -> None:
        """Push a blob in one piece."""
        place = self._expect(202, "POST", f"/v2/{self.repository}/blobs/uploads/").headers["location"]
        parts = urllib.parse.urlsplit(urllib.parse.urljoin(f"http://{self.host}", place))
        query = "&".join(filter(None, (parts.query, f"digest={urllib.parse.quote(digest)}")))
        self._expect(201, "PUT", f"{parts.path}?{query}", blob, {"Content-Type": "application/octet-stream"})

    def put_manifest(self, reference: str, manifest: bytes, media_type: str) -> None:
        """Push an image manifest or an index as it is, under a tag or its digest."""
        path = f"/v2/{self.repository}/manifests/{reference}"
        self._expect(201, "PUT", path, manifest, {"Content-Type": media_type})

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Any request, with the sign-in that the registry asks for."""
        answer = self._send(method, path, body, headers or {})
        if answer.status != 401:
            return answer
        self._sign_in(answer.headers.get("www-authenticate", ""))
        return self._send(method, path, body, headers or {})

    def _expect(
        self, status: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        answer = self.request(method, path, body, headers)
        assert answer.status == status, f"{method} {path} on {self.host}: {answer.status} {answer.body!r}"
        return answer

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        signed = {"Authorization": self._authorization} if self._authorization else {}
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, body, {**headers, **signed})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def _sign_in(self, challenge: str) -> None:
        basic = "Basic " + base64.b64encode(":".join(self.creds).encode()).decode() if self.creds else None
        if challenge.lower().startswith("basic"):
            self._authorization = basic
            return
        # A token by the registry's own rules: docs/spec/auth/token.md of distribution.
        parameters = dict(_PARAMETER.findall(challenge))
        query = {
            "service": parameters.get("service", ""),
            "scope": f"repository:{self.repository}:pull,push",
        }
        request = urllib.request.Request(f"{parameters['realm']}?{urllib.parse.urlencode(query)}")
        if basic:
            request.add_header("Authorization", basic)
        with urllib.request.urlopen(request, timeout=60) as response:
            body = json.load(response)
        self._authorization = f"Bearer {body.get('token') or body['access_token']}"


def push(host: str, repository: str, tag: str, image: BuiltImage | BuiltIndex, creds: Credentials | None = None) -> str:
    """Push `image` to `HOST/REPOSITORY:TAG`; returns its digest."""
    return Uploader(host, repository, creds).put_image(tag, image)
