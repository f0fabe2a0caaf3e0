"""A scriptable server, a client without credentials, and the way to the tests' daemon."""

import pytest

from tests.registry.conftest import client, scripted, start_scripted
from tests.servers.docker import DockerDaemon

__all__ = ["client", "scripted", "start_scripted"]


@pytest.fixture
def daemon(dockerd: DockerDaemon, monkeypatch: pytest.MonkeyPatch) -> DockerDaemon:
    """The tests' daemon, as the one that the environment names."""
    for name, value in dockerd.env().items():
        monkeypatch.setenv(name, value)
    return dockerd
