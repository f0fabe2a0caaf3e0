"""A scriptable server."""

from tests.registry.scripted import scripted, start_scripted

__all__ = ["scripted", "start_scripted"]
