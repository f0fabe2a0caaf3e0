"""`replsync sandbox`."""

import asyncio
import sys
from pathlib import Path

from replsync.render.harmless import clean
from replsync.sandbox.server import Answered, Sandbox, SandboxOptions, serve_until_stopped

HOST = "127.0.0.1"


def run(port: int, data: Path | None, verbose: bool) -> None:
    """Serve until Ctrl-C."""
    options = SandboxOptions(data=data, host=HOST, port=port)

    def ready(sandbox: Sandbox) -> None:
        print(summary(sandbox, options), flush=True)

    asyncio.run(serve_until_stopped(options, ready, _log if verbose else None))


def summary(sandbox: Sandbox, options: SandboxOptions) -> str:
    """Return how to use the sandbox."""
    kept = f"in {options.data}" if options.data else "until it ends"
    return (
        f"The sandbox serves {sandbox.host}; it keeps images {kept}. Ctrl-C ends it.\n"
        f"  in the manifest:  registry: {sandbox.host}\n"
        f"  for replsync:     export REPLICATED_API_TOKEN={options.password}\n"
        f"  for docker:       docker login {sandbox.host} -u any -p {options.password}\n"
        "It deletes nothing, lists no repositories, and wants a sign-in, as the real one does."
    )


def _log(answered: Answered) -> None:
    line = f"{answered.status} {answered.method} {answered.path} {answered.received} bytes"
    print(clean(line), file=sys.stderr, flush=True)
