"""Programs that copy images, each by its own command: replsync, and the peers that are found on this machine."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.faults.scenario import WANTED, Site, manifest, source_tag
from tests.servers.command import clean_environment

_CHECKOUT = Path(__file__).parents[2]
_BUILT = _CHECKOUT / "build" / "bin"  # by scripts/build-go-programs
_PINS = _CHECKOUT / "tests" / "servers" / "go" / "go.mod"


@dataclass(frozen=True)
class Job:
    """What is to be copied: `source` and `target` are hosts as the program is to reach them."""

    source: str
    source_site: Site
    target: str
    target_site: Site
    folder: Path

    @property
    def copies(self) -> list[tuple[str, str]]:
        """References at the source and at the target."""
        found = []
        for tag in WANTED:
            upstream = f"{self.source}/{self.source_site.name('upstream')}:{source_tag(tag)}"
            found.append((upstream, f"{self.target}/{self.target_site.name(tag)}"))
        return found


class Commands(Protocol):
    """The command lines that do a job, to be run one after the other, whatever becomes of them."""

    def __call__(self, path: str, job: Job) -> list[list[str]]: ...


def _replsync(path: str, job: Job) -> list[list[str]]:
    text = manifest(job.target, job.source, job.target_site.prefix, job.source_site.prefix, retires=False)
    (job.folder / "replicated-images.yaml").write_text(text)
    return [[path, "-m", "replsync", "apply", "--auto-approve", "--quiet", "--timeout", "5"]]


def _crane(path: str, job: Job) -> list[list[str]]:
    return [[path, "copy", "--insecure", *pair] for pair in job.copies]


def _skopeo(path: str, job: Job) -> list[list[str]]:
    options = ["--all", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false", "--retry-times=3"]
    return [[path, "--insecure-policy", "copy", *options, *(f"docker://{one}" for one in pair)] for pair in job.copies]


def _regctl(path: str, job: Job) -> list[list[str]]:
    hosts = [f"--host=reg={host},tls=disabled" for host in sorted({job.source, job.target})]
    return [[path, "image", "copy", *hosts, *pair] for pair in job.copies]


@dataclass(frozen=True)
class Program:
    """A program at `path`. `module` is where it comes from in Go, empty where it doesn't."""

    name: str
    path: str
    commands: Commands
    version: tuple[str, ...]
    module: str = ""

    def said_version(self) -> str:
        """Its version: as pinned, or as it says itself."""
        pinned = re.search(rf"{re.escape(self.module)} (v\S+)", _PINS.read_text())
        if self.module and pinned and Path(self.path).is_relative_to(_BUILT):
            return pinned[1]
        done = subprocess.run([self.path, *self.version], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        words = (done.stdout + done.stderr).partition("\n")[0].split()
        return words[-1] if words else "?"


def find_programs() -> list[Program]:
    """replsync, and those of crane, skopeo and regctl that are in build/bin or on PATH."""
    places = os.pathsep.join((str(_BUILT), os.environ.get("PATH", os.defpath)))
    found = [Program("replsync", sys.executable, _replsync, ("-m", "replsync", "--version"))]
    for name, commands, version, module in (
        ("crane", _crane, ("version",), "github.com/google/go-containerregistry"),
        ("skopeo", _skopeo, ("--version",), ""),
        ("regctl", _regctl, ("version", "--format", "{{.VCSTag}}"), "github.com/regclient/regclient"),
    ):
        if path := shutil.which(name, path=places):
            found.append(Program(name, path, commands, version, module))
    return found


@dataclass(frozen=True)
class Ran:
    """How a job ended: the exit code of each command, None where it was stopped; all that was said."""

    codes: Sequence[int | None]
    output: str


def run(program: Program, job: Job, env: Mapping[str, str], seconds: float) -> Ran:
    """Do the job. A command that takes longer than `seconds` is stopped."""
    codes: list[int | None] = []
    said: list[str] = []
    for command in program.commands(program.path, job):
        process = subprocess.Popen(
            command,
            cwd=job.folder,
            env=clean_environment(job.folder, env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=seconds)
            codes.append(process.returncode)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            codes.append(None)
        said.append(output.decode(errors="replace"))
    return Ran(codes, "".join(said))
