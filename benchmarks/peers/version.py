"""Versions of programs."""

import os
import subprocess

from benchmarks.servers import find, search_path

_PATIENCE = 30  # seconds


def first_line(program: str, *args: str, after: str = "") -> str | None:
    """What the first line of `program ARGS` that has `after` says behind it; None where it isn't there."""
    path = find(program)
    if path is None:
        return None
    env = {"PATH": search_path(), "HOME": os.devnull}
    done = subprocess.run([path, *args], env=env, capture_output=True, text=True, timeout=_PATIENCE)
    for line in (done.stdout + done.stderr).splitlines():
        if after in line:
            return line.partition(after)[2].strip() if after else line.strip()
    return "version unknown"
