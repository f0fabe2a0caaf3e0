"""Fixtures for all tests: servers, programs that read them back, and names to keep tests apart."""

import itertools

import pytest
from hypothesis import HealthCheck, settings

from tests.kinds import KindCounter, mark
from tests.servers.any_registry import any_registry, registry_kind, start_any_registry
from tests.servers.browser import browser
from tests.servers.builders import buildkitd, buildx, buildx_apart
from tests.servers.command import run_replsync
from tests.servers.crane import crane, crane_registry, start_crane_registry
from tests.servers.docker import dockerd
from tests.servers.olareg import olareg, start_olareg
from tests.servers.registry import distribution, docker_registry, start_distribution, start_docker_registry
from tests.servers.sandbox import sandbox, start_sandbox
from tests.servers.skopeo import skopeo

__all__ = [
    "any_registry",
    "browser",
    "buildkitd",
    "buildx",
    "buildx_apart",
    "crane",
    "crane_registry",
    "distribution",
    "docker_registry",
    "dockerd",
    "olareg",
    "registry_kind",
    "run_replsync",
    "sandbox",
    "skopeo",
    "start_any_registry",
    "start_crane_registry",
    "start_distribution",
    "start_docker_registry",
    "start_olareg",
    "start_sandbox",
]

# How long examples take says more of the machine's load than of the code; a test has its timeout.
settings.register_profile("replsync", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("replsync")

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(KindCounter())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        mark(item)


@pytest.fixture
def namespace() -> str:
    """The first part of a repository's name that no other test of the run has: `f"{namespace}/worker"`."""
    return f"test{next(_numbers)}"
