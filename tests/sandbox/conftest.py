"""Clients of a fresh sandbox."""

from collections.abc import AsyncIterator

import pytest

from tests.sandbox.client import Client, open_client
from tests.servers.sandbox import RunningSandbox

_SCOPE = "repository:myapp/worker:pull,push+repository:myapp/other:pull,push"


@pytest.fixture
async def anonymous(sandbox: RunningSandbox) -> AsyncIterator[Client]:
    """A client without a token."""
    async with open_client(sandbox.host) as client:
        yield client


@pytest.fixture
async def client(sandbox: RunningSandbox) -> AsyncIterator[Client]:
    """A client that may pull from and push to `myapp/worker` and `myapp/other`."""
    async with open_client(sandbox.host, _SCOPE) as client:
        yield client
