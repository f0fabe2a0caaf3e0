"""Images in a real Docker daemon; where it has to misbehave, a `docker` before it on PATH does it."""

import asyncio
import functools
import gzip
import json
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from replsync.errors import DockerError, NoRoom, UnsupportedImage
from replsync.oci.digest import Digest, sha256
from replsync.oci.image_manifest import DOCKER_MANIFEST, ImageManifest
from replsync.oci.recipe import Recipe
from replsync.oci.reference import Repository, parse_reference
from replsync.oci.source_name import DaemonSource
from replsync.oci.tag_state import Resolved
from replsync.registry.client import RegistryClient
from replsync.sources.by_name import Sources
from replsync.sources.daemon_image import DaemonImage
from replsync.sources.docker_daemon import in_daemon
from tests.servers.docker import DockerDaemon
from tests.servers.hello import native_platform
from tests.servers.images import BuiltImage, build_image, load_into
from tests.servers.registry import RegistryServer
from tests.servers.skopeo import Skopeo

BASE = build_image({"base": b"0" * 10_000}, platform=native_platform(), media="docker")
Wrap = Callable[[str], Path]
"""Put a `docker` first on PATH that does this when it is asked to save, and is the real one for all else."""


@pytest.fixture
def image(namespace: str) -> BuiltImage:
    """An image of two layers that no other test has."""
    return build_image({"name": namespace.encode()}, platform=native_platform(), media="docker", base=BASE)


@pytest.fixture
def name(namespace: str) -> str:
    return f"{namespace}/worker:dev"


@pytest.fixture
def loaded(daemon: DockerDaemon, image: BuiltImage, name: str) -> Iterator[DaemonSource]:
    """The image in the daemon, by its name."""
    load_into(daemon, image, name)
    yield DaemonSource(parse_reference(name))
    daemon.cli("image", "rm", "--force", name, check=False)


@pytest.fixture
def wrap(daemon: DockerDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wrap:
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")

    def make(script: str) -> Path:
        path = programs / "docker"
        path.write_text(
            f'#!/bin/sh\necho "$*" >> {tmp_path}/log\ncase "$*" in\n{script}\nesac\nexec {daemon.program} "$@"\n'
        )
        path.chmod(0o755)
        return tmp_path / "log"

    return make


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


async def exported(source: DaemonImage) -> tuple[ImageManifest, list[bytes]]:
    """The image manifest, and the blobs in its order."""
    async with source.open() as image:
        assert isinstance(image.tree.root, ImageManifest)
        blobs = [b"".join([part async for part in image.read(blob)]) for blob in image.tree.root.blobs]
        return image.tree.root, blobs


async def test_an_image_is_known_by_its_id(loaded: DaemonSource, image: BuiltImage) -> None:
    assert await DaemonImage(loaded).identify() == Resolved(loaded, None, Digest(image.config_digest))


async def test_an_image_can_be_named_by_its_id(loaded: DaemonSource, image: BuiltImage) -> None:
    by_id = DaemonSource(Digest(image.config_digest))
    assert await DaemonImage(by_id).identify() == Resolved(by_id, None, Digest(image.config_digest))
    assert await DaemonImage(by_id).identifier() == image.config_digest


async def test_the_size_of_an_image_is_that_of_its_files(loaded: DaemonSource) -> None:
    content = await DaemonImage(loaded).content()
    assert content.total >= 10_000
    assert content.blobs is None


async def test_an_export_holds_config_and_layers(loaded: DaemonSource, image: BuiltImage) -> None:
    root, blobs = await exported(DaemonImage(loaded))
    assert root.media_type == DOCKER_MANIFEST
    assert root.config.digest == image.config_digest
    assert [gzip.decompress(blob) for blob in blobs[:-1]] == [gzip.decompress(layer) for layer in image.layers]
    assert blobs[-1] == image.config
    assert [(blob.digest, blob.size) for blob in root.blobs] == [(sha256(data), len(data)) for data in blobs]


async def test_two_exports_are_the_same(loaded: DaemonSource) -> None:
    assert await exported(DaemonImage(loaded)) == await exported(DaemonImage(loaded))


async def test_a_blob_can_be_read_twice(loaded: DaemonSource) -> None:
    async with DaemonImage(loaded).open() as image:
        blob = image.tree.blobs[0]
        one, two = [b"".join([part async for part in image.read(blob)]) for _ in range(2)]
    assert one == two


async def test_an_export_leaves_no_files_behind(loaded: DaemonSource, temporary: Path) -> None:
    async with DaemonImage(loaded).open():
        assert len(list(temporary.iterdir())) == 1  # noqa: ASYNC240 - a test may block
    assert list(temporary.iterdir()) == []  # noqa: ASYNC240 - a test may block


async def test_an_export_can_be_pushed_and_is_the_same_image(
    loaded: DaemonSource, image: BuiltImage, docker_registry: RegistryServer, client: RegistryClient, skopeo: Skopeo
) -> None:
    target = Repository(docker_registry.host, f"{str(loaded.image).partition('/')[0]}/pushed").tagged("1")
    async with DaemonImage(loaded).open() as opened:
        for blob in opened.tree.blobs:
            await client.upload(target.repository, blob, functools.partial(opened.read, blob))
        await client.put(target, opened.tree.root.raw, opened.tree.root.media_type)
    assert skopeo.config(str(target)) == image.config


async def test_a_tag_that_moves_does_not_change_what_was_looked_at(
    loaded: DaemonSource, image: BuiltImage, daemon: DockerDaemon, name: str
) -> None:
    source = DaemonImage(loaded)
    await source.identify()
    load_into(daemon, build_image({"other": b"2"}, platform=native_platform(), media="docker"), name)
    root, _ = await exported(source)
    assert root.config.digest == image.config_digest
    assert (await source.identify()).config == image.config_digest


async def test_an_image_that_goes_after_it_was_looked_at_is_an_error_in_dockers_words(
    loaded: DaemonSource, daemon: DockerDaemon, name: str
) -> None:
    source = DaemonImage(loaded)
    identifier = await source.identifier()
    daemon.cli("image", "rm", "--force", name)
    with pytest.raises(DockerError, match=f"^export {identifier} from the Docker daemon: .*[Nn]o such"):
        await exported(source)


async def test_an_image_is_looked_up_once_by_many_at_once(loaded: DaemonSource, wrap: Wrap, image: BuiltImage) -> None:
    log = wrap("")
    source = DaemonImage(loaded)
    found = await asyncio.gather(source.identify(), source.identify(), source.content(), source.identifier())
    assert found[0] == found[1] == Resolved(loaded, None, Digest(image.config_digest))
    assert log.read_text().count("image inspect") == 1


async def test_a_missing_image_is_an_error_with_a_next_move(daemon: DockerDaemon, namespace: str) -> None:
    missing = DaemonSource(parse_reference(f"{namespace}/missing:1"))
    with pytest.raises(DockerError, match=f"^look up {missing}: the Docker daemon has no such image$") as caught:
        await DaemonImage(missing).identify()
    assert caught.value.hint == "build or pull it; see `docker images`"


async def test_a_daemon_that_does_not_run_is_an_error_with_a_next_move(
    loaded: DaemonSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(DockerError, match=f"^look up {loaded}: docker said: .*[Cc]annot connect") as caught:
        await DaemonImage(loaded).identify()
    assert caught.value.hint == "start Docker, or point DOCKER_HOST at it"


async def test_a_daemon_that_stops_after_the_look_up_is_an_error_in_dockers_words(
    loaded: DaemonSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = DaemonImage(loaded)
    await source.identify()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(DockerError, match=r"^export sha256:.* from the Docker daemon: .*[Cc]annot connect"):
        await exported(source)


async def test_no_docker_command_is_an_error_with_a_next_move(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    source = DaemonSource(parse_reference("worker:dev"))
    with pytest.raises(DockerError, match=f"^look up {source}: the `docker` command is not installed$") as caught:
        await DaemonImage(source).identify()
    assert caught.value.hint == "install Docker's command line"


async def test_an_export_that_breaks_off_is_an_error_in_dockers_words(loaded: DaemonSource, wrap: Wrap) -> None:
    wrap('"image save"*) head -c 1000 /dev/zero; echo "disk on fire" >&2; exit 1;;')
    with pytest.raises(DockerError, match=r"from the Docker daemon: disk on fire$"):
        await exported(DaemonImage(loaded))


async def test_an_export_that_fails_at_its_very_end_is_an_error(loaded: DaemonSource, wrap: Wrap) -> None:
    wrap('"image save"*) PATH="${PATH#*:}" docker "$@"; echo "disk on fire" >&2; exit 1;;')
    with pytest.raises(DockerError, match=r"from the Docker daemon: disk on fire$"):
        await exported(DaemonImage(loaded))


@pytest.mark.parametrize("script", ["echo nonsense", "head -c 100000 /dev/urandom", "true", "cat /dev/zero"])
async def test_an_export_that_is_no_archive_names_the_image(loaded: DaemonSource, wrap: Wrap, script: str) -> None:
    wrap(f'"image save"*) exec {script};;')
    with pytest.raises(UnsupportedImage, match=f"^export {loaded}: the exported archive is not what"):
        await exported(DaemonImage(loaded))


async def test_words_beside_the_archive_do_not_block_it(loaded: DaemonSource, wrap: Wrap, image: BuiltImage) -> None:
    wrap('"image save"*) head -c 1000000 /dev/zero >&2;;')
    root, _ = await exported(DaemonImage(loaded))
    assert root.config.digest == image.config_digest


async def test_a_command_that_gives_nothing_ends_with_the_task_that_waits_for_it(
    loaded: DaemonSource, wrap: Wrap, tmp_path: Path, temporary: Path
) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    wrap(f'"image save"*) echo $$ > {started}; exec sleep 1000;;')
    exporting = asyncio.create_task(exported(DaemonImage(loaded)))
    pid = int(await asyncio.to_thread(started.read_text))
    exporting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exporting
    await asyncio.get_running_loop().shutdown_default_executor()  # would wait for a thread that still waits
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert list(temporary.iterdir()) == []  # noqa: ASYNC240 - a test may block


async def test_a_refusal_to_the_daemon_is_told_with_a_next_move(loaded: DaemonSource, wrap: Wrap) -> None:
    wrap('"image pull"*) echo "pull access denied for x, may require docker login" >&2; exit 1;;')
    with pytest.raises(DockerError, match=r"^pull it: docker said: pull access denied") as caught:
        await in_daemon("pull it", lambda docker: docker.image.pull("x/y:1", quiet=True))
    assert caught.value.hint == "sign the daemon's client in with `docker login`"


async def test_with_the_containerd_store_the_config_is_taken_from_an_export(
    loaded: DaemonSource, wrap: Wrap, image: BuiltImage, daemon: DockerDaemon, tmp_path: Path
) -> None:
    info = json.loads(daemon.cli("info", "--format", "{{json .}}").stdout)
    info["DriverStatus"] = [["driver-type", "io.containerd.snapshotter.v1"]]
    (tmp_path / "info.json").write_text(json.dumps(info))
    log = wrap(f"*info*) exec cat {tmp_path}/info.json;;")
    assert (await DaemonImage(loaded).identify()).config == image.config_digest
    assert "image save" in log.read_text()


async def test_no_temporary_folder_is_an_error_with_a_next_move(
    loaded: DaemonSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(NoRoom, match=f"^export {loaded} in a temporary folder: No such file") as caught:
        await exported(DaemonImage(loaded))
    assert caught.value.hint
    assert "TMPDIR" in caught.value.hint


async def test_no_room_for_a_layer_is_an_error_with_a_next_move(
    daemon: DockerDaemon, namespace: str, temporary: Path
) -> None:
    noise = os.urandom(100_000)
    load_into(daemon, build_image({"noise": noise}, media="docker"), f"{namespace}/noise:1")
    source = DaemonImage(DaemonSource(parse_reference(f"{namespace}/noise:1")))
    await source.identify()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # as near as one gets to a full disk
    try:
        with pytest.raises(NoRoom, match="in a temporary folder: File too large"):
            await exported(source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(temporary.iterdir()) == []  # noqa: ASYNC240 - a test may block


async def test_sources_of_one_name_are_one_source(client: RegistryClient) -> None:
    sources = Sources(client)
    named = DaemonSource(parse_reference("worker:dev"))
    assert sources.of(Recipe(named)) is sources.of(Recipe(named)) is sources.daemon(named)
    assert sources.of(Recipe(named)) is not sources.of(Recipe(DaemonSource(parse_reference("worker:prod"))))
