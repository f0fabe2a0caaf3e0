"""Start the sandbox and stop it."""

import asyncio
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from jinja2.filters import do_filesizeformat

from replsync.errors import MachineError, UsageError
from replsync.oci.image_manifest import MAX_SIZE
from replsync.oci.reference import is_loopback
from replsync.sandbox.answers import Answered, Observe, Refusal
from replsync.sandbox.contents import MAX_REPOSITORIES, contents
from replsync.sandbox.limits import NO_LIMITS, Limits, cutting_off, sparing
from replsync.sandbox.page import About, Recent, render, serving
from replsync.sandbox.registry import Registry
from replsync.sandbox.seed import seed
from replsync.sandbox.sign_in import SignIn, Tokens
from replsync.sandbox.store import open_store

_PATIENCE = 1.0  # seconds that requests under way have left when the sandbox stops
_LAST_PORT = 65535
_READ_AHEAD = 2**20  # bytes for each request; with aiohttp's 64 KiB a large layer takes twice the time


@dataclass(frozen=True)
class SandboxOptions:
    """How to run a sandbox.

    `data` is the folder that keeps the contents; None is a temporary one that
    goes away with the sandbox. Port 0 is any free one. A token holds for
    `token_seconds`. Whoever signs in with one of `pull_only_passwords` may pull
    and nothing else, as with a customer's licence; with `push_withdrawn` so may
    everybody. With `seed` an empty one is filled with the example application.
    """

    password: str = field(default="sandbox", repr=False)
    more_passwords: tuple[str, ...] = field(default=(), repr=False)
    data: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    token_seconds: float = 300
    pull_only_passwords: tuple[str, ...] = field(default=(), repr=False)
    push_withdrawn: bool = False
    limits: Limits = NO_LIMITS
    seed: bool = False

    @property
    def kept(self) -> str:
        """Where, or how long, images are kept, for a sentence."""
        return f"in {self.data}" if self.data else "until it ends"

    @property
    def refusals(self) -> tuple[str, ...]:
        """What is refused beyond what always is, for people: each goes behind "it refuses"."""
        return tuple(_refusals(self))


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox; `host` is host:port, as written in references. `is_seeded`: the examples are in it, as new."""

    host: str
    is_seeded: bool


@asynccontextmanager
async def serve(options: SandboxOptions, observe: Observe | None = None) -> AsyncIterator[Sandbox]:
    """Run a sandbox until the block ends; `observe` gets a record just before each answer is sent.

    Raises UsageError for a host that is not loopback or no port, and MachineError where
    the port or the data folder can't be used.
    """
    with _listen(options.host, options.port) as listener, open_store(options.data) as store:
        sign_in = SignIn(_tokens(options))
        limits = options.limits
        host = f"{_bracketed(options.host)}:{listener.getsockname()[1]}"
        is_seeded = options.seed and seed(store)
        recent = Recent()

        def page() -> str:
            repositories = store.repositories()
            held = [contents(store, one) for one in repositories[:MAX_REPOSITORIES]]
            return render(About(host, options.kept, options.refusals), held, len(repositories), recent)

        app = web.Application(
            middlewares=[
                *(_observing(recent, observe), cutting_off(limits), _explain_refusal),
                *(serving(page), sparing(limits), sign_in.gate),
            ],
            client_max_size=MAX_SIZE,
        )
        app.on_response_prepare.append(_name_the_api)
        app.add_routes([*sign_in.routes(), *Registry(store, sign_in, limits).routes()])
        runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,  # content is stored as it was sent
            read_bufsize=_READ_AHEAD,
            shutdown_timeout=_PATIENCE,
        )
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            yield Sandbox(host, is_seeded)
        finally:
            await runner.cleanup()


async def serve_until_stopped(
    options: SandboxOptions, ready: Callable[[Sandbox], None], observe: Observe | None = None
) -> None:
    """Run a sandbox until Ctrl-C or SIGTERM; `ready` is called once, when it listens. Raises as `serve` does."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    async with serve(options, observe) as sandbox:
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, stop.set)
        try:
            ready(sandbox)
            await stop.wait()
        finally:
            # A second Ctrl-C while requests under way are waited for ends the process at once.
            for number in signals:
                loop.remove_signal_handler(number)


def _tokens(options: SandboxOptions) -> Tokens:
    passwords = (options.password, *options.more_passwords)
    if options.push_withdrawn:
        return Tokens((), options.token_seconds, (*passwords, *options.pull_only_passwords))
    return Tokens(passwords, options.token_seconds, options.pull_only_passwords)


def _listen(host: str, port: int) -> socket.socket:
    if not is_loopback(_bracketed(host)):
        raise UsageError(
            f"sandbox: {host} is not a loopback address, and the sandbox's password is no secret",
            hint="leave the host at 127.0.0.1, and forward a port to it (ssh -R) where others need it",
        )
    if not 0 <= port <= _LAST_PORT:
        raise UsageError(f"sandbox: {port} is not a port", hint=f"choose one up to {_LAST_PORT}, or 0 for any free one")
    address = host.strip("[]")
    try:
        return socket.create_server(
            (address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=128
        )
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while ")[0]  # the address follows; it is named before
        raise MachineError(
            f"sandbox: cannot listen on {_bracketed(host)}:{port}: {reason}",
            hint="choose another port, or 0 for any free one",
        ) from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


async def _name_the_api(_: web.Request, response: web.StreamResponse) -> None:
    if response.content_type == "text/html":  # a proxy's answer, or the page for people
        return
    # distribution-spec, "Legacy Docker support HTTP headers": old clients look for it.
    response.headers["Docker-Distribution-API-Version"] = "registry/2.0"


@web.middleware
async def _explain_refusal(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as error:
        refusal = error
    except web.HTTPException as error:  # aiohttp's own: no such path, no such method, a body over the limit
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        refusal = Refusal(error.status, "UNSUPPORTED", error.reason, headers=allow)
    except ConnectionError:
        # Nobody hears this answer, but whoever observes sees it; nginx and distribution have the number.
        refusal = Refusal(499, "UNKNOWN", "the client went away")
    except (OSError, sqlite3.Error) as error:
        refusal = Refusal(500, "UNKNOWN", f"the sandbox cannot use its folder: {error}")
    return web.json_response(refusal.body, status=refusal.status, headers=refusal.headers)


def _observing(recent: Recent, observe: Observe | None) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        path = request.rel_url.raw_path
        answered = Answered(request.method, path, response.status, request.content.total_bytes)
        recent.add(answered, datetime.now())
        if observe:
            observe(answered)
        return response

    return middleware


def _refusals(options: SandboxOptions) -> Iterator[str]:
    limits = options.limits
    if limits.refuse_attestations:
        yield "attestations, with 400"
    landing = ", and yet carries them out" if limits.cut_off_lands else ""
    if limits.cut_off_size:
        yield f"upload requests of more than {do_filesizeformat(limits.cut_off_size)}, with 524{landing}"
    if limits.cut_off_seconds:
        yield f"requests that take longer than {limits.cut_off_seconds:g} s, with 524{landing}"
    if limits.requests_per_second:
        yield f"more than {limits.requests_per_second} requests a second, with 429"
    if limits.no_referrers:
        yield "to list what refers to an image, with 404"
    if options.push_withdrawn:
        yield "every push, with 403"
    elif options.pull_only_passwords:
        yield "pushes of whoever signs in with a pull-only password, with 403"
    if options.token_seconds != SandboxOptions.token_seconds:
        yield f"tokens that are older than {options.token_seconds:g} s, with 401"
