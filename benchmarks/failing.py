"""What the benchmark raises on purpose."""


class BenchmarkError(Exception):
    """The benchmark itself can't go on; a peer that fails is a figure that doesn't count instead."""
