"""How large one request of a chunked upload is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ChunkBounds:
    """Bounds in bytes of one request of a chunked upload, and how many seconds one should take."""

    smallest: int = 1_000_000
    largest: int = 1_000_000_000
    seconds: float = 5.0
