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
    """Return how to use the sandbox. Scripts read the first line for the host and its port, which stay as they are."""
    host, password = sandbox.host, options.password
    image = f"{host}/{APP}/worker:1.0"
    refusals = "".join(f"  {line}\n" for line in options.refusals)
    return (
        f"The sandbox serves {host}; it keeps images {options.kept}. Ctrl-C ends it.\n"
        "\n"
        f"  look at it       http://{host}/\n"
        f"  sign in          any user name, with the password {password}\n"
        f"  in the manifest  registry: {host}\n"
        f"  replsync         export REPLICATED_API_TOKEN={password}\n"
        f"            or     echo {password} | replsync login {host} --username any --password-stdin\n"
        f"  docker           echo {password} | docker login {host} --username any --password-stdin\n"
        f"                   docker tag IMAGE {image}\n"
        f"                   docker push {image}\n"
        f"  skopeo           skopeo copy --dest-tls-verify=false --dest-creds any:{password} \\\n"
        f"                     docker://IMAGE docker://{image}\n"
        "\n" + "".join(_seeded(sandbox, options)) + "It deletes nothing, lists no repositories, and wants a sign-in, "
        "as the real one does." + (f" And it refuses\n{refusals}" if refusals else "")
    ).rstrip()


def _seeded(sandbox: Sandbox, options: SandboxOptions) -> Iterator[str]:
    if sandbox.is_seeded:
        yield f"An example application is in it, {APP}: images, a retired tag, and a Helm chart. Take it up with\n"
        yield f"  replsync import --registry {sandbox.host} --app {APP} {' '.join(IMAGES)}\n"
        yield f"  docker run --rm {sandbox.host}/{APP}/worker:1.10\n\n"
    elif options.seed:
        yield f"No example application was added: there are images in {options.data} already.\n\n"


def _log(answered: Answered) -> None:
    line = f"{answered.status} {answered.method} {answered.path} {answered.received} bytes"
    print(clean(line), file=sys.stderr, flush=True)
