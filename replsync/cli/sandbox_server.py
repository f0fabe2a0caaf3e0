"""`replsync sandbox`."""

import asyncio
import sys
from collections.abc import Iterator

from replsync.render.harmless import clean
from replsync.sandbox.answers import Answered
from replsync.sandbox.seed import APP, IMAGES
from replsync.sandbox.server import Sandbox, SandboxOptions, serve_until_stopped

HOST = "127.0.0.1"


def run(options: SandboxOptions, verbose: bool) -> None:
    """Serve until Ctrl-C."""

    def ready(sandbox: Sandbox) -> None:
        print(summary(sandbox, options), flush=True)

    asyncio.run(serve_until_stopped(options, ready, _log if verbose else None))


def summary(sandbox: Sandbox, options: SandboxOptions) -> str:
    """Return how to use the sandbox. Scripts read host and port from the first line, up to the semicolon."""
    host, password = sandbox.host, options.password
    image = f"{host}/{APP}/worker:1.0"
    refusals = "".join(f"\n  {line}" for line in options.refusals)
    lines = (
        f"The sandbox serves {host}; it keeps images {options.kept}.",
        f"See what is in it at http://{host}/. Ctrl-C ends it.",
        f"Sign in with any user name, and the password {password}.",
        "",
        f"replsync, with `registry: {host}` in the manifest; one of",
        f"  export REPLICATED_API_TOKEN={password}",
        f"  echo {password} | replsync login {host} --username any --password-stdin",
        "docker",
        f"  echo {password} | docker login {host} --username any --password-stdin",
        f"  docker tag IMAGE {image}",
        f"  docker push {image}",
        "skopeo",
        f"  skopeo copy --dest-tls-verify=false --dest-creds any:{password} \\",
        f"    docker://IMAGE docker://{image}",
        "",
        *_seeded(sandbox, options),
        "It deletes nothing, lists no repositories, and wants a sign-in, as the real one does."
        + (f" And it refuses{refusals}" if refusals else ""),
    )
    return "\n".join(lines)


def _seeded(sandbox: Sandbox, options: SandboxOptions) -> Iterator[str]:
    if sandbox.is_seeded:
        yield f"It has an example application, {APP}: images, a retired tag, and a Helm chart."
        yield f"  replsync import --registry {sandbox.host} --app {APP} {' '.join(IMAGES)}"
        yield f"  docker run --rm {sandbox.host}/{APP}/worker:1.10"
        yield ""
    elif options.seed:
        yield f"No example application was added: there are images in {options.data} already."
        yield ""


def _log(answered: Answered) -> None:
    line = f"{answered.status} {answered.method} {answered.path} {answered.received} bytes"
    print(clean(line), file=sys.stderr, flush=True)
