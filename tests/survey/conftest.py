"""The way to the tests' daemon."""

from tests.sources.conftest import daemon

__all__ = ["daemon"]
