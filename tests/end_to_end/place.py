"""An application at a registry, whichever that is, and what its tags are."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.end_to_end.held import Grave, Reader
from tests.end_to_end.workplace import Done, Workplace
from tests.servers.images import BuiltImage, BuiltIndex
from tests.servers.push import push
from tests.servers.registry import Credentials


@dataclass
class Place:
    """A registry, whoever may sign in, and a folder with the manifest of an application there."""

    host: str
    creds: Credentials | None
    workplace: Workplace

    @property
    def app(self) -> str:
        return self.workplace.app

    def push(self, image: str, tag: str, content: BuiltImage | BuiltIndex) -> None:
        push(self.host, f"{self.app}/{image}", tag, content, self.creds)

    def reader(self, image: str) -> Reader:
        return Reader(self.host, f"{self.app}/{image}", self.creds)

    def tags(self, *images: str) -> dict[str, str]:
        """Every tag's digest by `image:tag`, as somebody else reads it."""
        found: dict[str, str] = {}
        for image in images or ("worker",):
            found |= {f"{image}:{tag}": digest for tag, digest in self.reader(image).digests().items()}
        return found

    def grave(self, name: str) -> Grave | None:
        """What the tombstone at `image:tag` says."""
        image, _, tag = name.rpartition(":")
        reader = self.reader(image)
        return reader.grave(reader.manifest(tag))

    def source(self, name: str) -> str:
        """A tag upstream, which has all the images."""
        return f"{self.host}/{self.app}/upstream:{name}"

    def write(self, **worker: Any) -> None:
        self.workplace.write(self.host, {"name": "worker", **worker})

    def journals(self) -> list[Path]:
        return sorted((self.workplace.folder / ".replsync" / "journal").glob("*.jsonl"))

    def journal_of(self, run: Callable[[], Done]) -> Path:
        """The journal that `run` leaves; it must end with 0."""
        known = set(self.journals())
        done = run()
        assert done.returncode == 0, done.stdout + done.stderr
        (made,) = set(self.journals()) - known
        return made

    def apply(self, *args: str) -> Path:
        return self.journal_of(lambda: self.workplace.run("apply", "--auto-approve", *args))

    def roll_back(self, journal: Path, *options: str) -> Done:
        return self.workplace.run("rollback", journal, "--auto-approve", *options)
