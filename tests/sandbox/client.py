"""A client that sends exactly what a test says and nothing of its own accord."""

import hashlib
import io
import json
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import ClientSession, encode_basic_auth
from yarl import URL

from tests.servers.images import BuiltImage, BuiltIndex

PASSWORD = "sandbox"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"

Body = bytes | AsyncIterable[bytes] | Mapping[str, str] | None


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Answer:
    """An answer with its body; header names in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the first error."""
        error = self.json()["errors"][0]
        assert error.keys() == {"code", "message", "detail"}
        return str(error["code"])


@dataclass(frozen=True)
class Client:
    """Requests to one registry, with a token or without."""

    host: str
    http: ClientSession = field(repr=False)
    token: str | None = None

    async def ask(self, method: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send one request; `path` goes out as it is, escapes and all."""
        # aiohttp warns of large bodies that are not files.
        data = io.BytesIO(body) if isinstance(body, bytes) else body
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        url = URL(f"http://{self.host}{path}", encoded=True)
        async with self.http.request(
            method, url, data=data, headers=sent | dict(headers or {}), allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def token_answer(self, query: str, username: str = "me", password: str = PASSWORD) -> Answer:
        """Ask the token server."""
        authorization = encode_basic_auth(username, password, "utf-8")
        return await self.ask("GET", f"/v2/token?{query}", headers={"Authorization": authorization})

    async def signed_in(self, scope: str) -> "Client":
        """This client with a token for `scope`."""
        answer = await replace(self, token=None).token_answer(f"scope={scope}")
        assert answer.status == 200, answer.body
        return replace(self, token=answer.json()["token"])

    async def start_upload(self, name: str) -> str:
        """Open an upload; returns its location."""
        answer = await self.ask("POST", f"/v2/{name}/blobs/uploads/")
        assert answer.status == 202, answer.body
        return answer.headers["Location"]

    async def push_blob(self, name: str, content: bytes) -> str:
        """Push a blob; returns its digest."""
        digest = sha256(content)
        location = await self.start_upload(name)
        answer = await self.ask("PUT", f"{location}&digest={digest}", content)
        assert answer.status == 201, answer.body
        return digest

    async def put_manifest(self, name: str, reference: str, manifest: bytes, media_type: str) -> Answer:
        """Push an image manifest and nothing that it refers to."""
        return await self.ask("PUT", f"/v2/{name}/manifests/{reference}", manifest, {"Content-Type": media_type})

    async def push(self, name: str, reference: str, image: BuiltImage | BuiltIndex) -> str:
        """Push an image with all that it refers to; returns its digest."""
        match image:
            case BuiltImage():
                for blob in image.blobs.values():
                    await self.push_blob(name, blob)
            case BuiltIndex():
                for child in image.images:
                    await self.push(name, child.digest, child)
        answer = await self.put_manifest(name, reference, image.manifest, image.media_type)
        assert answer.status == 201, answer.body
        return image.digest


@asynccontextmanager
async def open_client(host: str, scope: str | None = None) -> AsyncIterator[Client]:
    """A client of the registry at `host`, signed in for `scope`."""
    async with ClientSession(skip_auto_headers=("Accept", "Content-Type")) as http:
        client = Client(host, http)
        yield await client.signed_in(scope) if scope else client
