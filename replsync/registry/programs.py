"""Running a program to its end, or to the end of one's patience."""

import asyncio
from asyncio.subprocess import Process, SubprocessStreamProtocol
from collections.abc import Mapping, Sequence

_LIMIT = 64 * 1024


async def output_of(
    command: Sequence[str], given: bytes, env: Mapping[str, str], *, errors: int = asyncio.subprocess.DEVNULL
) -> tuple[int, bytes]:
    """Run `command` with `given` on stdin; return its exit code and what it said.

    A caller that gives up waiting kills it. Raises OSError where it can't be run.
    """
    # As create_subprocess_exec does it, which hides the transport: without that, the wait for a program that was
    # killed is one for whatever it started, too, for as long as that holds its pipes.
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        lambda: SubprocessStreamProtocol(_LIMIT, loop),
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=errors,
        env=dict(env),
    )
    process = Process(transport, protocol, loop)
    try:
        output, _ = await process.communicate(given)
        return process.returncode or 0, output
    finally:
        transport.close()  # kills it where it still runs
        await process.wait()
