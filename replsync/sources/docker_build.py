"""Building an image, by buildx where Docker has it, by the classic builder elsewhere.

python-on-whales finds the command and asks for the builder. It is not what runs
the build: that has to be stopped when the run is, heard while it goes, and
named by its ID alone, without a tag.
"""

import csv
import io
import os
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from replsync.errors import DockerError, InvalidInput, UnsupportedImage
from replsync.oci.build_source import BuildSource
from replsync.oci.digest import Digest
from replsync.oci.made_from import BUILD_INPUTS
from replsync.registry.blotting import blotted
from replsync.sources.build_inputs import context_of, dockerfile_of, own_ignore_file
from replsync.sources.docker_daemon import Stop, shown
from replsync.sources.temporary import temporary_folder

if TYPE_CHECKING:
    from python_on_whales import DockerClient

Say = Callable[[str], None]
"""Told each line that a builder says."""

Builder = Literal["classic", "daemon", "apart"]
"""The daemon's classic builder, BuildKit in the daemon, or a BuildKit that keeps what it builds to itself."""

_BUILDX = "install Docker's buildx plugin (the package docker-buildx or docker-buildx-plugin)"
_LINES, _CHARACTERS = 12, 1200
_MAX_SECRET = 1024 * 1024


@dataclass(frozen=True)
class Order:
    """What is to be built; `inputs` becomes a label."""

    build: BuildSource
    inputs: Digest

    def secret_files(self) -> Iterator[tuple[str, Path]]:
        """Yield the id and the file of each secret. Raises InvalidInput where there is no such file."""
        for identifier, path in self.build.secrets:
            file = Path(path)
            if not file.is_file():
                raise InvalidInput(
                    f"build {self.build}: the secret {identifier} has no file {file}",
                    hint="put it there, or change `secrets` in the manifest",
                )
            yield identifier, file


def choose_builder(client: "DockerClient", order: Order) -> Builder:
    """Return what builds this. Raises DockerError, and UnsupportedImage where what there is can't build it."""
    build = order.build
    list(order.secret_files())
    builder = _builder(client)
    if builder == "classic":
        own = own_ignore_file(dockerfile_of(build, context_of(build)))
        for is_wanted, what in (
            (build.secrets, "secrets"),
            (build.platforms, "platforms"),
            (own.is_file(), f"an ignore file of one Dockerfile, {own.name}"),
        ):
            if is_wanted:
                raise UnsupportedImage(
                    f"build {build}: Docker's classic builder, the only one here, knows no {what}", hint=_BUILDX
                )
    if builder == "daemon" and len(build.platforms) > 1:
        raise UnsupportedImage(
            f"build {build}: the builder in the Docker daemon builds for one platform at a time",
            hint="make a builder that builds for several: docker buildx create --use",
        )
    return builder


def _builder(client: "DockerClient") -> Builder:
    from python_on_whales.exceptions import DockerException

    builder: Builder = "classic"
    if os.environ.get("DOCKER_BUILDKIT") != "0":  # as `docker build` has it
        with suppress(DockerException):
            client.buildx.version()
            builder = "daemon"
    if builder == "daemon" and client.buildx.inspect().driver != "docker":
        return "apart"
    client.version()  # where there is no daemon, that is what is to be said
    return builder


def build_in_daemon(client: "DockerClient", order: Order, builder: Builder, stop: Stop, say: Say) -> str:
    """Build into the Docker daemon, and return the image's ID. No tag is made. Raises DockerError."""
    with temporary_folder(f"build {order.build}") as folder:
        file = folder / "id"
        if builder == "classic":
            _run([*_docker(client), "build", *_common(order), "--iidfile", str(file)], order, stop, say)
        else:
            _run([*_buildx(client), *_common(order), "--load", "--iidfile", str(file)], order, stop, say)
        return file.read_text().strip()


def build_archive(client: "DockerClient", order: Order, archive: Path, stop: Stop, say: Say) -> None:
    """Build into an OCI layout in an archive, for any number of platforms. Raises DockerError."""
    output = f"type=oci,{_in_csv(f'dest={archive}')}"
    _run([*_buildx(client), *_common(order), "--output", output], order, stop, say)


def _docker(client: "DockerClient") -> list[str]:
    return [*map(str, client.client_config.docker_cmd)]


def _buildx(client: "DockerClient") -> list[str]:
    # Attestations are refused by the registry, and would make an index of an image.
    return [*_docker(client), "buildx", "build", "--provenance=false", "--sbom=false", "--progress=plain"]


def _common(order: Order) -> Iterator[str]:
    build = order.build
    context = context_of(build)
    yield from ("--file", str(dockerfile_of(build, context)), "--label", f"{BUILD_INPUTS}={order.inputs}")
    if build.target is not None:
        yield from ("--target", build.target)
    for name, value in build.args:
        yield from ("--build-arg", f"{name}={value}")
    for identifier, file in order.secret_files():
        yield from ("--secret", f"{_in_csv(f'id={identifier}')},{_in_csv(f'src={file}')}")
    if build.platforms:
        yield from ("--platform", ",".join(map(str, build.platforms)))


def _in_csv(field: str) -> str:
    """A field as buildx reads it: commas and quotes in it are not its end."""
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow([field])
    return written.getvalue()


def _run(command: list[str], order: Order, stop: Stop, say: Say) -> None:
    build = order.build
    secrets = [*_secret_texts(order)]
    environment = os.environ if "buildx" in command else os.environ | {"DOCKER_BUILDKIT": "0"}
    context = str(context_of(build).resolve())  # begins with `/`: no option, and no address
    last: deque[str] = deque(maxlen=_LINES)
    with subprocess.Popen(
        [*command, context],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        encoding="utf-8",
        errors="replace",
    ) as process:
        stop.watch(process)
        if process.stdout is None:
            raise AssertionError("it was asked for")
        try:
            for line in process.stdout:
                said = blotted(line.rstrip(), secrets)
                say(said)
                if said.strip():
                    last.append(said)
        except BaseException:
            process.kill()
            raise
    if stop.is_set():
        raise DockerError(f"build {build}: interrupted")
    if process.returncode != 0:
        words = shown(" ".join(last), _CHARACTERS) or f"nothing, and ended with {process.returncode}"
        raise DockerError(f"build {build}: docker said: {words}", hint=_hint(words))


def _hint(words: str) -> str:
    if "Cannot connect to the Docker daemon" in words:
        return "start Docker, or point DOCKER_HOST at it"
    if "the --mount option requires BuildKit" in words or "unknown flag: --mount" in words.lower():
        return _BUILDX
    return "apply -v shows all that the builder says"


def _secret_texts(order: Order) -> Iterator[str]:
    """What a build that prints its secrets may say: each line of them."""
    for _, file in order.secret_files():
        try:
            with file.open("rb") as opened:
                data = opened.read(_MAX_SECRET)
        except OSError as error:
            raise InvalidInput(f"build {order.build}: read the secret {file}: {error.strerror or error}") from error
        for line in data.decode(errors="replace").splitlines():
            if line.strip():
                yield line.strip()
