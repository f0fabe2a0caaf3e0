"""Each kind of registry in turn, for what must hold at all of them."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.servers.registry import Credentials


@dataclass(frozen=True)
class AnyRegistry:
    """A registry that speaks plain http. `kind` is the name of its fixture; `credentials` None lets everybody in."""

    kind: str
    host: str
    credentials: Credentials | None


StartAnyRegistry = Callable[[], AnyRegistry]

KINDS = ("docker_registry", "distribution", "olareg", "crane_registry", "sandbox")


@pytest.fixture(params=KINDS)
def registry_kind(request: pytest.FixtureRequest) -> str:
    """Makes a test that asks for it, or for one of the fixtures below, one for each kind of registry."""
    kind: str = request.param
    return kind


@pytest.fixture
def any_registry(request: pytest.FixtureRequest, registry_kind: str) -> AnyRegistry:
    """A registry of each kind. Some are there for all tests, so keep to the names of `namespace`."""
    server = request.getfixturevalue(registry_kind)
    return AnyRegistry(registry_kind, server.host, server.credentials)


@pytest.fixture
def start_any_registry(request: pytest.FixtureRequest, registry_kind: str) -> StartAnyRegistry:
    """Starts fresh registries of the kind in turn, which end with the test."""
    start_one = request.getfixturevalue(f"start_{registry_kind}")

    def start() -> AnyRegistry:
        server = start_one()
        return AnyRegistry(registry_kind, server.host, server.credentials)

    return start
