"""replsync itself."""

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.content import Image
from benchmarks.measuring import Command
from benchmarks.peers.peer import Form, Job, Peer


class Replsync(Peer):
    """The checkout's, as a process of the interpreter that runs the benchmark."""

    name = "replsync"

    def version(self) -> str | None:
        """Its version."""
        from replsync import __version__

        return __version__

    def forms(self, job: Job) -> list[Form]:
        """`apply`, after the manifest was written: as it is, and with much parallelism, as the peers are tried, too."""
        write_manifest(job, lambda image: f"{job.source}/{image.repository}")
        forms = (("--auto-approve",), ("--auto-approve", "--parallelism", "128"))
        return [Form(f"replsync apply {' '.join(args)}", replsync(job, "apply", *args)) for args in forms]


class ReplsyncPlan(Replsync):
    """replsync, where it only looks whether there is anything to do."""

    name = "replsync plan"

    def forms(self, job: Job) -> list[Form]:
        """`plan`, which ends with 2 where there are changes."""
        write_manifest(job, lambda image: f"{job.source}/{image.repository}")
        return [Form("replsync plan --detailed-exitcode", replsync(job, "plan", "--detailed-exitcode"))]


def replsync(job: Job, *args: str, good: tuple[int, ...] = (0,)) -> Command:
    """The command line that users type."""
    script = Path(sys.executable).with_name("replsync")
    start = (script,) if script.exists() else (sys.executable, "-m", "replsync")
    return job.command(*start, *args, good=good)


def write_manifest(job: Job, source: Callable[[Image], str]) -> None:
    """Write the manifest of the job; `source` names the repository that an image comes from."""
    app = job.images[0].repository.partition("/")[0]
    lines = ["version: 1", f"app: {app}", f"registry: {job.target}", "images:"]
    last = None
    for image in job.images:
        if image.repository != last:
            last = image.repository
            lines += [f"  - name: {last.partition('/')[2]}", f"    source: {source(image)}", "    tags:"]
        lines.append(f"      - {image.tag}")
    (job.folder / "replicated-images.yaml").write_text("\n".join(lines) + "\n")
