"""What a contender is."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.content import Image, digest_of
from benchmarks.measuring import Command
from benchmarks.servers import search_path


@dataclass(frozen=True)
class Job:
    """Make `images` of the registry `source` be in `target`, under the same names. `folder` is the contender's own.

    Registries are HOST:PORT, and speak http unless there is an `authority`, the file of their CA.
    """

    source: str
    target: str
    images: tuple[Image, ...]
    folder: Path
    authority: Path | None = None

    @property
    def repositories(self) -> dict[str, list[str]]:
        """The tags of each repository."""
        found: dict[str, list[str]] = {}
        for image in self.images:
            found.setdefault(image.repository, []).append(image.tag)
        return found

    def pairs(self) -> list[tuple[str, str]]:
        """Every image's name at the source and at the target."""
        return [
            (f"{self.source}/{image.repository}:{image.tag}", f"{self.target}/{image.repository}:{image.tag}")
            for image in self.images
        ]

    def command(self, *argv: str | Path, env: Mapping[str, str] | None = None, good: tuple[int, ...] = (0,)) -> Command:
        """A command line in the contender's folder, for a user without any other configuration."""
        return Command(tuple(map(str, argv)), self.folder, {**clean_environment(self), **(env or {})}, good)


def clean_environment(job: Job) -> dict[str, str]:
    """The environment of a user without configuration. Go and Python both read SSL_CERT_FILE."""
    trust = {"SSL_CERT_FILE": str(job.authority)} if job.authority else {}
    return {"PATH": search_path(), "HOME": str(job.folder), "LANG": "C.UTF-8", **trust}


@dataclass(frozen=True)
class Form:
    """One way to have a program do a job."""

    name: str
    command: Command


@dataclass(frozen=True)
class Ready:
    """The processes that work for a client beside it, and the variables that lead to them."""

    pids: tuple[int, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


class Peer(ABC):
    """A contender. `exact` tells whether images arrive byte for byte."""

    name: str
    exact = True

    @abstractmethod
    def version(self) -> str | None:
        """Its version; None where it isn't there."""

    @abstractmethod
    def forms(self, job: Job) -> list[Form]:
        """The ways to do the job, what is expected to be quickest first; writes the files that they need."""

    def cannot(self, in_place: bool) -> str | None:  # noqa: ARG002 - for those that override it
        """Why it can't do a job, or None; `in_place` tells that there is nothing to do."""
        return None

    def servant(self, job: Job, data: Path) -> contextlib.AbstractContextManager[Ready]:  # noqa: ARG002 - as above
        """What has to be there before the job starts, fresh; its data go to the folder `data`."""
        return contextlib.nullcontext(Ready())


def in_parallel(job: Job, at_once: int, items: Iterable[tuple[str, ...]], *argv: str) -> Command:
    """`argv` with each of `items` appended, `at_once` of them at a time, by xargs."""
    each = list(items)
    todo = job.folder / f"todo-{digest_of(repr((each, argv)).encode()).removeprefix('sha256:')[:12]}"
    todo.write_text("".join(f"{word}\n" for words in each for word in words))
    width = str(len(each[0]))
    return job.command("xargs", "-a", todo, "-n", width, "-P", str(at_once), *argv)
