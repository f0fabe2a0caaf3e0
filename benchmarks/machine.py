"""The machine and the programs that figures belong to."""

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.peers.peer import Peer
from benchmarks.peers.replsync import Replsync
from benchmarks.peers.version import first_line
from benchmarks.servers import CHECKOUT, RegistryKind


def machine() -> Mapping[str, str]:
    """What it is: processor, cores, memory, system, Python."""
    return {
        "processor": _value("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "system": _release(),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }


def versions(kind: RegistryKind, peers: Iterable[Peer]) -> Mapping[str, str]:
    """The version of each program that takes part."""
    registry = first_line(kind.program, *kind.version)
    found = {kind.title: (registry or "").split()[-1] if registry else None, "wrk": first_line("wrk", "--version")}
    found["wrk"] = " ".join((found["wrk"] or "").split()[1:2]) or None
    found |= {peer.name: peer.version() for peer in (Replsync(), *peers)}
    found["replsync"] = f"{found['replsync']}{_commit()}"
    return {name: version for name, version in found.items() if version}


def _commit() -> str:
    git = ("git", "-C", str(CHECKOUT))
    try:
        commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        changes = subprocess.run([*git, "status", "--porcelain", "replsync"], capture_output=True, text=True)
    except OSError:
        return ""
    if commit.returncode:
        return ""
    return f", commit {commit.stdout.strip()}{' with changes' if changes.stdout else ''}"


def _value(file: str, name: str) -> str | None:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return None
    found = (line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name)
    return next(found, None)


def _memory() -> str:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{total / 2**30:.0f} GiB"


def _release() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()
