"""The page at `/`: what the sandbox holds, what it was asked last, and which limits are on. It changes nothing.

It takes no sign-in, since the sandbox serves this machine alone. A page of
some other site could have its own name resolve to this machine, and then read
this one (DNS rebinding): so a request has to name this machine as its host.
"""

import base64
import hashlib
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from replsync.oci.reference import is_host, is_loopback
from replsync.sandbox.answers import Answered, Refusal
from replsync.sandbox.contents import Contents

PATH = "/"
MAX_REQUESTS = 30

_FOLDER = Path(__file__).parent
_STYLE = (_FOLDER / "page.css").read_text(encoding="utf-8")
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# No script, nothing from elsewhere, and of styles only ours, so that even what got past the escaping could do nothing.
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_LONG_HEX = re.compile(r"(\b[0-9a-f]{12})[0-9a-f]{52,}")
_MOODS = {2: "good", 3: "good", 4: "odd", 5: "bad"}


class Recent:
    """The last MAX_REQUESTS requests with their time of day, latest first; those for the page don't count."""

    def __init__(self) -> None:
        self.asked = deque[tuple[str, Answered]](maxlen=MAX_REQUESTS)
        self.count = 0
        """How many there were in all."""

    def add(self, answered: Answered, at: datetime) -> None:
        """Note a request that was answered at `at`."""
        if answered.path != PATH:
            self.asked.appendleft((f"{at:%H:%M:%S}", answered))
            self.count += 1


@dataclass(frozen=True)
class About:
    """What the page says of the sandbox itself: its host and port, how long it keeps images, and what it refuses."""

    host: str
    kept: str
    refusals: Sequence[str]


def render(about: About, held: Sequence[Contents], repositories: int, recent: Recent) -> str:
    """Return the page, with everything that comes from outside escaped.

    `held` may be less than all `repositories`, and the page then says so.
    """
    template = _environment().get_template("page.html.jinja")
    return template.render(about=about, held=held, repositories=repositories, recent=recent, style=_STYLE, moods=_MOODS)


def serving(page: Callable[[], str]) -> Middleware:
    """Answer with what `page` returns, before anybody is asked to sign in."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != PATH or request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            return await handler(request)
        if not (is_host(request.host) and is_loopback(request.host)):
            raise Refusal(403, "DENIED", "this page is for this machine alone: open it as 127.0.0.1 or localhost")
        # What was pushed may hold halves of surrogate pairs, which are no text.
        body = page().encode("utf-8", "replace")
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=_HEADERS)

    return middleware


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shorter"] = _shorter
    return environment


def _shorter(path: str) -> str:
    """The path of a request with twelve digits of each digest, as Docker shows them."""
    return _LONG_HEX.sub(r"\1…", path)
