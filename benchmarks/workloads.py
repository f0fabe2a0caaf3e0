"""What is measured, and what of it is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.content import Shape

_KB, _MB, _GB = 10**3, 10**6, 10**9


@dataclass(frozen=True)
class Targets:
    """What is asked for. Ratios are to the best peer's median; `memory` is in bytes; None: not asked for."""

    wall: float | None = None
    cpu: float | None = None
    memory: int = 120 * _MB
    unique_bytes: bool = False


@dataclass(frozen=True)
class Workload:
    """Images that are to be moved from one registry to a fresh one, or are there already (`in_place`).

    `delay` is in seconds, each way, before both registries.
    """

    key: str
    title: str
    shape: Shape
    targets: Targets
    in_place: bool = False
    delay: float = 0.0
    tls: bool = False


_HALF = Targets(wall=0.5)
_HALF_UNIQUE = Targets(wall=0.5, unique_bytes=True)
_STREAM = Targets(wall=1.0, cpu=1.5)

HEADS = "g"
STARTING = "i"


def copies(scale: float) -> Mapping[str, Workload]:
    """The workloads that move images, by key. `scale` below 1 makes them smaller, for a trial of the benchmark."""

    def size(whole: int) -> int:
        return max(1000, int(whole * scale))

    def number(whole: int) -> int:
        return max(2, round(whole * scale))

    many = Shape(number(50), 20 if scale == 1 else number(20), (4 * _KB,), own_layer=1 * _KB)
    shared = Shape(number(10), 10 if scale == 1 else number(10), (size(8 * _MB),) * 5, own_layer=size(64 * _KB))
    one, six = Shape(1, 1, (size(2 * _GB),)), Shape(1, 1, (size(100 * _MB),) * 6)
    nothing = f"nothing to do, {many.images:,} tags in {many.repositories} repositories"
    cold = (
        f"{shared.images} images in {shared.repositories} repositories sharing 5 base layers of "
        f"{_spoken(shared.base[0])}, each with a layer of {_spoken(shared.own_layer or 0)} and a config of its own"
    )
    delay = 0.03 if scale == 1 else 0.005  # seconds
    late = f"the same with {1000 * delay:.0f} ms of latency each way"
    return {
        workload.key: workload
        for workload in (
            Workload("a", nothing, many, _HALF, in_place=True),
            Workload("b", late, many, _HALF, in_place=True, delay=delay),
            Workload("c", cold, shared, _HALF_UNIQUE),
            Workload("d", late, shared, _HALF_UNIQUE, delay=delay),
            Workload("e", f"one layer of {_spoken(one.base[0])}", one, _STREAM),
            Workload("f", f"one image of 6 layers of {_spoken(six.base[0])}", six, _STREAM),
            Workload("h", f"over TLS: one image of 6 layers of {_spoken(six.base[0])}", six, _STREAM, tls=True),
        )
    }


def heads_shape(scale: float) -> Shape:
    """The tags of the plan that is measured by HEADs for each second."""
    return Shape(max(2, round(100 * scale)), 100 if scale == 1 else max(2, round(100 * scale)), (4 * _KB,))


def _spoken(size: int) -> str:
    for unit, name in ((_GB, "GB"), (_MB, "MB"), (_KB, "kB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} B"
