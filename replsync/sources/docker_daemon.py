"""The local Docker daemon, through python-on-whales, which runs the `docker` command.

Its functions block, and importing it takes a quarter of a second: it is
imported where it is used, and called in threads.
"""

import asyncio
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, TypeVar

from replsync.errors import DockerError, UnsupportedImage

if TYPE_CHECKING:
    from python_on_whales import DockerClient

T = TypeVar("T")
_SHOWN = 400
_PART = 256 * 1024


class Stop:
    """Ends the command that one thread waits for, from another: a task that is cancelled leaves its thread behind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[Any] | None = None
        self._is_set = False

    def is_set(self) -> bool:
        """Whether it was told to end."""
        return self._is_set

    def set(self) -> None:
        """End the command, now or when it starts."""
        with self._lock:
            self._is_set = True
            if self._process:
                self._process.kill()

    def watch(self, process: subprocess.Popen[Any]) -> None:
        """Name the command."""
        with self._lock:
            self._process = process
            if self._is_set:
                process.kill()


async def in_daemon(operation: str, work: Callable[["DockerClient"], T]) -> T:
    """Run `work` with a client in a thread. Raises DockerError that begins with `operation`."""
    return await asyncio.to_thread(translated, operation, work)


def translated(operation: str, work: Callable[["DockerClient"], T]) -> T:
    """Run `work` in this thread, python-on-whales' errors made ours."""
    if not shutil.which("docker"):
        raise DockerError(f"{operation}: the `docker` command is not installed", hint="install Docker's command line")
    from python_on_whales import DockerClient
    from python_on_whales.exceptions import DockerException, NoSuchImage

    try:
        return work(DockerClient())
    except NoSuchImage as error:
        raise DockerError(
            f"{operation}: the Docker daemon has no such image", hint="build or pull it; see `docker images`"
        ) from error
    except DockerException as error:
        said = shown(error.stderr or "")
        hint = None
        if "Cannot connect to the Docker daemon" in said or "docker.sock" in said:
            hint = "start Docker, or point DOCKER_HOST at it"
        elif "denied" in said or "unauthorized" in said or "authentication" in said:
            hint = "sign the daemon's client in with `docker login`"
        raise DockerError(f"{operation}: docker said: {said}", hint=hint) from error
    except (ValueError, LookupError, TypeError) as error:
        raise DockerError(
            f"{operation}: the `docker` command's answer can't be read", hint="see what `docker info` says"
        ) from error


def shown(said: str, most: int = _SHOWN) -> str:
    """Return the end of docker's own words in one line; queries and users of URLs are cut, since they may be secret."""
    named = re.sub(r"(?i)(https?://)[^\s/@\"']*@", r"\1...@", " ".join(said.split()))
    return re.sub(r"(?i)(https?://[^\s?\"']*)\?[^\s\"']*", r"\1?...", named)[-most:]


def uses_containerd_store(client: "DockerClient") -> bool:
    """Whether the daemon keeps images in containerd, where an image's ID is not the digest of its config."""
    status = client.info().driver_status or []
    return any("io.containerd.snapshotter" in str(entry) for entry in status)


@contextmanager
def exported(client: "DockerClient", image: str, stop: Stop) -> Iterator[IO[bytes]]:
    """Run `docker save` for one image and hand out its output.

    Not through `client.image.save`, which hands a binary stream out by lines:
    a layer without line breaks would be held in memory whole. Raises
    DockerError where the command fails.
    """
    command = [*map(str, client.client_config.docker_cmd), "image", "save", image]
    # Its words go to a file, since nobody reads them while the image is read.
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said) as process:
        stop.watch(process)
        if process.stdout is None:
            raise AssertionError("it was asked for")
        try:
            yield process.stdout
        except UnsupportedImage:
            if not process.stdout.read(1):  # it broke off: then what it said tells more
                _check(process, said, image)
            process.kill()
            raise
        except BaseException:
            process.kill()
            raise
        while process.stdout.read(_PART):  # what a reader left behind, so that the command can end
            pass
        _check(process, said, image)


def _check(process: subprocess.Popen[bytes], said: IO[bytes], image: str) -> None:
    if process.wait() != 0:
        said.seek(0)
        words = shown(said.read().decode(errors="replace"))
        raise DockerError(f"export {image} from the Docker daemon: {words}")
