"""crane, and the registry in it (go-containerregistry's), on a free loopback port."""

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.images import build_image
from tests.servers.process import built, running
from tests.servers.registry import RegistryServer, StartOpenRegistry, answers

_SERVING = re.compile(r"serving on port ([0-9]+)")


@dataclass(frozen=True)
class Crane:
    """The program; references are `HOST/REPOSITORY:TAG` in a loopback registry that wants no sign-in."""

    program: str
    config_dir: Path

    def append(self, files: Mapping[str, bytes], target: str, *options: str) -> None:
        """Push an image with one layer more, which holds `files`; `--base REFERENCE` says on what."""
        (layer,) = build_image(files).layers
        with tempfile.NamedTemporaryFile(suffix=".tar.gz") as file:
            file.write(layer)
            file.flush()
            self.run("append", "--new_layer", file.name, "--new_tag", target, *options)

    def mutate(self, source: str, target: str, *options: str) -> None:
        """Push `source` anew as `target` with its config or annotations changed by `options`."""
        self.run("mutate", source, "--tag", target, *options)

    def run(self, *args: str) -> str:
        """What `crane ARGS` prints; an exit code other than 0 fails the test with what crane said."""
        # The machine's own sign-ins don't take part.
        env = os.environ | {"DOCKER_CONFIG": str(self.config_dir)}
        done = subprocess.run([self.program, *args], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            pytest.fail(f"crane {args[0]} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout


@pytest.fixture(scope="session")
def crane(tmp_path_factory: pytest.TempPathFactory) -> Crane:
    """Makes images in its own way: go-containerregistry's."""
    return Crane(built("crane"), tmp_path_factory.mktemp("crane-config"))


@pytest.fixture
def start_crane_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartOpenRegistry]:
    """For a second one, which ends with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(_serve(tmp_path_factory.mktemp("crane")))


@pytest.fixture
def crane_registry(start_crane_registry: StartOpenRegistry) -> RegistryServer:
    """A fresh, empty registry: tests couldn't keep apart, as it shows each blob in every repository."""
    return start_crane_registry()


@contextlib.contextmanager
def _serve(folder: Path) -> Iterator[RegistryServer]:
    log, blobs = folder / "log", folder / "blobs"
    blobs.mkdir()
    command = [built("crane"), "registry", "serve", "--address", "127.0.0.1:0", "--disk", str(blobs)]

    def host() -> str | None:
        serving = _SERVING.search(log.read_text())
        return f"127.0.0.1:{serving[1]}" if serving and answers(f"127.0.0.1:{serving[1]}") else None

    with running(command, log, host) as found:
        yield RegistryServer(found)
