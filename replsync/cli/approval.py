"""Asking whether a plan is to be carried out."""

import asyncio
import sys

from replsync.cli import log
from replsync.errors import NotApproved


async def approved() -> None:
    """Ask. The question goes to stderr, as all but data does. Raises NotApproved for any answer but yes."""
    if log.is_json():
        log.say("question", "Type yes to carry this out")
    else:
        print("\nType yes to carry this out: ", end="", file=sys.stderr, flush=True)
    loop = asyncio.get_running_loop()
    typed = asyncio.Event()
    loop.add_reader(sys.stdin, typed.set)  # a blocking read would swallow Ctrl-C
    try:
        await typed.wait()
    except asyncio.CancelledError:
        if not log.is_json():
            print(file=sys.stderr)  # behind the question
        log.say("note", "nothing was written")
        raise
    finally:
        loop.remove_reader(sys.stdin)
    if sys.stdin.readline().strip() != "yes":
        raise NotApproved("not approved; nothing was written", hint="only the word yes approves")
