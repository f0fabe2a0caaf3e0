"""What Replicated's registry, or the proxy in front of it, was seen to refuse: each limit is off unless asked for.

Where it isn't known what exactly the real one refuses, all that may be meant is
refused here: what passes a rehearsal is to pass there.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from replsync.oci.image_manifest import Document, ImageManifest
from replsync.oci.platform import Platform
from replsync.sandbox.answers import Refusal

_IN_TOTO = "application/vnd.in-toto+json"
_UNKNOWN = Platform("unknown", "unknown")
# Cloudflare's number for an origin that took too long, and no registry's: so there is no JSON in the answer either.
_CUT_OFF = 524
_PAGE = "<!DOCTYPE html><html><head><title>524: A timeout occurred</title></head><body>error code: 524</body></html>"


@dataclass(frozen=True)
class Limits:
    """`cut_off_size` is in bytes of one request's body, of uploads alone; `cut_off_seconds` counts until an answer.

    A request over either is answered 524, and its connection closed. What came
    in up to there stays with the upload, unless `cut_off_lands`: then the
    registry behind the proxy gets all of it, so that it has its effect although
    the answer is 524. With `no_referrers` there is no Referrers API.
    """

    refuse_attestations: bool = False
    cut_off_size: int | None = None
    cut_off_seconds: float | None = None
    cut_off_lands: bool = False
    requests_per_second: int | None = None
    no_referrers: bool = False

    def are_over(self, size: int, seconds: float) -> bool:
        """Whether a request of `size` bytes that took `seconds` is one to cut off."""
        too_large = self.cut_off_size is not None and size > self.cut_off_size
        return too_large or (self.cut_off_seconds is not None and seconds > self.cut_off_seconds)


NO_LIMITS = Limits()
REPLICATED = Limits(refuse_attestations=True, cut_off_size=2_000_000_000, no_referrers=True)
"""What is known of Replicated's own: attestations are answered 400, requests near 2 GB 524, and no Referrers API."""


class CutOff(Exception):
    """Ends a request in the middle of its body."""


async def body(request: web.Request, limits: Limits) -> AsyncIterator[bytes]:
    """The pieces of the request's body; raises CutOff once as much came in as the limit allows, if more is to come."""
    left = math.inf if limits.cut_off_size is None or limits.cut_off_lands else limits.cut_off_size
    async for piece in request.content.iter_any():
        if len(piece) > left:
            yield piece[: int(left)]
            raise CutOff
        left -= len(piece)
        yield piece


def refuse_attestations(document: Document) -> None:
    """Raise a Refusal (400) for what BuildKit's provenance and SBOMs push.

    That is an in-toto statement as a layer, and an index with an entry that is
    annotated as an attestation or is for the platform unknown/unknown.
    """
    if isinstance(document, ImageManifest):
        found = any(layer.media_type == _IN_TOTO for layer in document.layers)
    else:
        found = any(one.is_attestation or one.platform == _UNKNOWN for one in document.manifests)
    if found:
        raise Refusal(400, "MANIFEST_INVALID", "manifest invalid", "attestations are not supported")


def cutting_off(limits: Limits) -> Middleware:
    """The proxy: it answers 524 in place of the registry."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.monotonic()
        patience = asyncio.timeout(None if limits.cut_off_lands else limits.cut_off_seconds)
        try:
            async with patience:
                response = await handler(request)
        except CutOff:
            return _cut_off()
        except TimeoutError:
            if not patience.expired():
                raise
            return _cut_off()
        over = limits.cut_off_lands and limits.are_over(request.content.total_bytes, time.monotonic() - started)
        return _cut_off() if over else response

    return middleware


def _cut_off() -> web.Response:
    response = web.Response(status=_CUT_OFF, reason="A Timeout Occurred", text=_PAGE, content_type="text/html")
    response.force_close()
    return response


class Rate:
    """So many requests in each second, and a second's worth at once (a token bucket). Times are seconds."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._left = float(per_second)
        self._seen = 0.0

    def wait(self, now: float) -> float:
        """0 where a request may pass at `now`, which is then counted; else how long until one may."""
        self._left = min(self._per_second, self._left + (now - self._seen) * self._per_second)
        self._seen = now
        if self._left < 1:
            return (1 - self._left) / self._per_second
        self._left -= 1
        return 0


def sparing(limits: Limits) -> Middleware:
    """Requests over the rate are answered 429, with the time to wait in whole seconds (RFC 9110, 10.2.3)."""
    rate = None if limits.requests_per_second is None else Rate(limits.requests_per_second)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if rate and (seconds := rate.wait(time.monotonic())):
            headers = {"Retry-After": str(math.ceil(seconds))}
            raise Refusal(429, "TOOMANYREQUESTS", f"more than {limits.requests_per_second} a second", headers=headers)
        return await handler(request)

    return middleware
