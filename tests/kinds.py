"""Kinds of tests, told from the fixtures that a test asks for, so that nobody has to mark them."""

from collections import Counter
from collections.abc import Iterator

import pytest

SERVERS = {
    "docker_registry": ("docker_registry", "start_docker_registry"),
    "distribution": ("distribution", "start_distribution"),
    "olareg": ("olareg", "start_olareg"),
    "crane": ("crane", "crane_registry", "start_crane_registry"),
    "dockerd": ("dockerd",),
    "buildx": ("buildx", "buildx_apart"),
    "skopeo": ("skopeo",),
    "chromium": ("browser",),
    "package_index": ("installed",),
}
"""Markers of tests that need a server program installed, and the fixtures that start or call it."""

_SANDBOX = ("sandbox", "start_sandbox")
_COMMAND = ("run_replsync",)
_EACH_KIND = "registry_kind"  # its value in a test is the name of the fixture that the test gets
_NO_SERVER = "no server"
_KIND = "kind"


def mark(item: pytest.Item) -> None:
    """Set the markers of SERVERS on a test, and note its kinds for the count."""
    for marker, fixtures in SERVERS.items():
        if _asks_for(item, fixtures):
            item.add_marker(marker)
    item.user_properties.extend((_KIND, kind) for kind in _kinds(item))


def _kinds(item: pytest.Item) -> Iterator[str]:
    servers = [marker.replace("_", "-") for marker, fixtures in SERVERS.items() if _asks_for(item, fixtures)]
    if _asks_for(item, _SANDBOX):
        servers.append("sandbox")
    yield from servers or [_NO_SERVER]
    if _asks_for(item, _COMMAND):
        yield "command line"
    if item.get_closest_marker("hypothesis"):
        yield "properties"


def _asks_for(item: pytest.Item, fixtures: tuple[str, ...]) -> bool:
    asked = {*getattr(item, "fixturenames", ())}
    if callspec := getattr(item, "callspec", None):
        asked.add(callspec.params.get(_EACH_KIND))
    return not asked.isdisjoint(fixtures)


class KindCounter:
    """A pytest plugin that counts the tests that ran, by kind, and prints it at the end."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self._counts.update(str(kind) for name, kind in report.user_properties if name == _KIND)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._counts:
            counts = ", ".join(f"{kind} {self._counts[kind]}" for kind in sorted(self._counts))
            terminalreporter.write_line(f"tests by kind: {counts} (a test may count in more than one)")
