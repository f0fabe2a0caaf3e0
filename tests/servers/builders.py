"""BuildKit as users have it: buildx with the daemon's own, and with one that keeps to itself what it builds."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.servers.docker import DockerDaemon, unmount_below
from tests.servers.process import built, leave_out, program, running

_BUILDER = "apart"


@pytest.fixture(scope="session")
def buildx(dockerd: DockerDaemon, tmp_path_factory: pytest.TempPathFactory) -> DockerDaemon:
    """The tests' daemon, to a `docker` that has the buildx plugin: BuildKit runs in the daemon."""
    return _with_plugin(dockerd, tmp_path_factory.mktemp("buildx"))


@pytest.fixture(scope="session")
def buildkitd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a BuildKit daemon of the tests' own."""
    server = built("buildkitd")
    program("runc", "runc")
    if os.geteuid():
        leave_out("buildkitd starts as root only")
    folder = tmp_path_factory.mktemp("buildkitd")
    address = f"unix://{folder}/sock"
    config = folder / "buildkitd.toml"
    # No network of its own, and no containerd: the tests leave the machine's as they are.
    config.write_text(
        f'root = "{folder}/root"\n[grpc]\naddress = ["{address}"]\n'
        '[worker.oci]\nenabled = true\nsnapshotter = "native"\nnetworkMode = "host"\n'
        "[worker.containerd]\nenabled = false\n"
    )
    try:
        with running([server, "--config", str(config)], folder / "log", lambda: (folder / "sock").exists() or None):
            yield address
    finally:
        unmount_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def buildx_apart(dockerd: DockerDaemon, buildkitd: str, tmp_path_factory: pytest.TempPathFactory) -> DockerDaemon:
    """The tests' daemon, to a `docker` whose buildx has its BuildKit elsewhere, as in a container of its own."""
    daemon = _with_plugin(dockerd, tmp_path_factory.mktemp("buildx-apart"))
    daemon.cli("buildx", "create", "--name", _BUILDER, "--driver", "remote", "--use", buildkitd)
    return daemon


def _with_plugin(daemon: DockerDaemon, folder: Path) -> DockerDaemon:
    plugins = folder / "cli-plugins"
    plugins.mkdir()
    (plugins / "docker-buildx").symlink_to(built("buildx"))
    (folder / "config.json").write_text(json.dumps({}))
    return replace(daemon, config_dir=folder)
