"""What a request is for, and where in it a fault can be."""

import re
from collections.abc import Collection
from enum import StrEnum

from tests.faults.wire import Request

_TOKEN = re.compile(r"/v2/token(\?|$)")
_PATH = re.compile(r"/v2/(?P<repository>.+)/(?P<room>manifests|blobs|tags)/(?P<rest>[^?]+)")


class Kind(StrEnum):
    """A kind of request."""

    TOKEN = "token"
    TAGS = "tags"
    HEAD_MANIFEST = "HEAD-manifest"
    HEAD_BLOB = "HEAD-blob"
    GET_MANIFEST = "GET-manifest"
    GET_BLOB = "GET-blob"
    GET_LARGE = "GET-large-blob"
    MOUNT = "POST-mount"
    POST = "POST"
    PATCH = "PATCH"
    PUT_BLOB = "PUT-blob"
    PUT_END = "PUT-end"
    """The end of an upload in chunks."""
    PUT_MANIFEST = "PUT-manifest"
    PUT_TAG = "PUT-tag"
    OTHER = "other"
    """The API's version, and an upload's status or end."""


_HEADS = (Kind.HEAD_MANIFEST, Kind.HEAD_BLOB)
WITH_CONTENT = (Kind.TOKEN, Kind.TAGS, Kind.GET_MANIFEST, Kind.GET_BLOB, Kind.GET_LARGE)
"""What is answered with a body that matters."""
READING = (*_HEADS, *WITH_CONTENT)
WITH_BODY = (Kind.PATCH, Kind.PUT_BLOB, Kind.PUT_MANIFEST, Kind.PUT_TAG)
"""What the client sends a body with; in all others a position is one of the answer."""


class Position(StrEnum):
    """Where in a request's body, or else in its answer, a fault is."""

    FIRST = "first"
    MIDDLE = "middle"
    LAST = "last"
    AFTER = "after"
    """The registry got the whole request and did it; the client doesn't hear so."""


def kind_of(request: Request) -> Kind:
    """Classify a request to a registry."""
    if _TOKEN.match(request.path):
        return Kind.TOKEN
    found = _PATH.match(request.path)
    if not found:
        return Kind.OTHER
    method, rest = request.method, found["rest"]
    match found["room"]:
        case "tags":
            return Kind.TAGS
        case "manifests":
            put = Kind.PUT_MANIFEST if ":" in rest else Kind.PUT_TAG
            table = {"HEAD": Kind.HEAD_MANIFEST, "GET": Kind.GET_MANIFEST, "PUT": put}
        case _ if rest.startswith("uploads/"):
            post = Kind.MOUNT if "mount=" in request.path else Kind.POST
            table = {"POST": post, "PATCH": Kind.PATCH, "PUT": Kind.PUT_BLOB}
        case _:
            table = {"HEAD": Kind.HEAD_BLOB, "GET": Kind.GET_BLOB}
    return table.get(method, Kind.OTHER)


def repository_of(path: str) -> str:
    """The repository that a path is about; empty where it is about none."""
    found = _PATH.match(path)
    return found["repository"] if found else ""


class Classifier:
    """Tells kinds apart that need more than a look: `large` are digests of blobs that go in chunks."""

    def __init__(self, large: Collection[str]) -> None:
        self._large = large
        self._in_chunks: set[str] = set()

    def kind_of(self, request: Request) -> Kind:
        """Classify a request, which comes after those that were classified before."""
        kind = kind_of(request)
        path = request.path.partition("?")[0]
        match kind:
            case Kind.PATCH:
                self._in_chunks.add(path)
            case Kind.PUT_BLOB if path in self._in_chunks:
                return Kind.PUT_END
            case Kind.GET_BLOB if path.rpartition("/")[2] in self._large:
                return Kind.GET_LARGE
        return kind
