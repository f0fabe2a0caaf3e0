"""A scriptable server, and a client without credentials."""

from collections.abc import AsyncIterator

import pytest

from replsync.registry.client import RegistryClient
from tests.registry.clients import open_client
from tests.registry.docker_files import install
from tests.registry.scripted import scripted, start_scripted

__all__ = ["install", "scripted", "start_scripted"]


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    """A client that knows no credentials and tries again at once."""
    async with open_client() as opened:
        yield opened
