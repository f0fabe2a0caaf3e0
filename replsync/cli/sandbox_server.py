"""`replsync sandbox`."""

import asyncio
import sys
from collections.abc import Iterator

from replsync.manifest.byte_size import size_text
from replsync.render.harmless import clean
from replsync.sandbox.server import Answered, Sandbox, SandboxOptions, serve_until_stopped

HOST = "127.0.0.1"


def run(options: SandboxOptions, verbose: bool) -> None:
    """Serve until Ctrl-C."""

    def ready(sandbox: Sandbox) -> None:
        print(summary(sandbox, options), flush=True)

    asyncio.run(serve_until_stopped(options, ready, _log if verbose else None))


def summary(sandbox: Sandbox, options: SandboxOptions) -> str:
    """Return how to use the sandbox."""
    limits = "".join(f"  {line}\n" for line in _limits(options))
    kept = f"in {options.data}" if options.data else "until it ends"
    return (
        f"The sandbox serves {sandbox.host}; it keeps images {kept}. Ctrl-C ends it.\n"
        f"  in the manifest:  registry: {sandbox.host}\n"
        f"  for replsync:     export REPLICATED_API_TOKEN={options.password}\n"
        f"  for docker:       docker login {sandbox.host} -u any -p {options.password}\n"
        "It deletes nothing, lists no repositories, and wants a sign-in, as the real one does."
        + (f" And it refuses\n{limits}" if limits else "")
    ).rstrip()


def _limits(options: SandboxOptions) -> Iterator[str]:
    limits = options.limits
    if limits.refuse_attestations:
        yield "attestations, with 400"
    landing = ", and yet carries them out" if limits.cut_off_lands else ""
    if limits.cut_off_size:
        yield f"upload requests of more than {size_text(limits.cut_off_size)}, with 524{landing}"
    if limits.cut_off_seconds:
        yield f"requests that take longer than {limits.cut_off_seconds:g} s, with 524{landing}"
    if limits.requests_per_second:
        yield f"more than {limits.requests_per_second} requests a second, with 429"
    if options.pull_only_passwords:
        yield "pushes of whoever signs in with a pull-only password, with 403"


def _log(answered: Answered) -> None:
    line = f"{answered.status} {answered.method} {answered.path} {answered.received} bytes"
    print(clean(line), file=sys.stderr, flush=True)
