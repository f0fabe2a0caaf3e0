"""The matrix: every fault with every kind of request at every position, and what a client owes its user then."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.faults.fault import Fault, What
from tests.faults.kinds import READING, WITH_BODY, WITH_CONTENT, Kind, Position

KINDS = tuple(kind for kind in Kind if kind is not Kind.OTHER)


class Side(StrEnum):
    """Which registry the proxy stands in front of."""

    TARGET = "target"
    SOURCE = "source"


@dataclass(frozen=True)
class Cell:
    """One run. Where it `must_succeed` the fault passes, or there is another way; elsewhere a clean failure will do."""

    side: Side
    fault: Fault
    must_succeed: bool

    @property
    def id(self) -> str:
        """A name to call it by."""
        times = {None: "always", 1: "once"}.get(self.fault.times, f"{self.fault.times}-times")
        return f"{self.side}-{self.fault.what}-{self.fault.kind}-{self.fault.position}-{times}"

    @property
    def wants_tokens(self) -> bool:
        """Whether the registry behind the proxy has to be one that signs in by token."""
        return self.fault.kind is Kind.TOKEN or self.fault.what in (What.UNAUTHORIZED, What.ELSEWHERE)


_AT_SOURCE = (Kind.TOKEN, Kind.HEAD_MANIFEST, Kind.GET_MANIFEST, Kind.GET_BLOB, Kind.GET_LARGE)
_BLOBS = (Kind.GET_BLOB, Kind.GET_LARGE)
_UPLOADING = (Kind.PATCH, Kind.PUT_BLOB, Kind.PUT_END)
_BUSY = (What.BUSY_SECONDS, What.BUSY_DATE, What.BUSY_ABSURD)
_BURSTS = (What.S500, What.S502, What.S503)
_GATEWAY = (What.S504, What.S524)
_MOUNTS = (What.MOUNT_202, What.MOUNT_400, What.MOUNT_403, What.MOUNT_405)
_RANGES = (What.RANGE_SHORT, What.RANGE_LONG)
_FAILED_HALFWAY = (What.RESET, What.TRUNCATED)
_FOREVER = (*_MOUNTS, *_RANGES, What.LOOP, What.ELSEWHERE)
_ALSO_FOREVER = (What.RESET, What.UNAUTHORIZED, What.BUSY_ABSURD, What.S500, What.S524, What.S416, What.LOST)

_ONLY: dict[What, tuple[Kind, ...]] = {
    What.CORRUPT: (*WITH_CONTENT, *WITH_BODY),
    What.UNNOTICED: (Kind.GET_MANIFEST, Kind.PUT_MANIFEST, Kind.PUT_TAG),
    What.S416: (*_BLOBS, *_UPLOADING),
    What.LOST: _UPLOADING,
    What.LYING_DIGEST: (Kind.HEAD_MANIFEST,),
    What.LYING_THERE: (Kind.HEAD_MANIFEST, Kind.HEAD_BLOB),
    What.LYING_ABSENT: (Kind.HEAD_MANIFEST, Kind.HEAD_BLOB),
    **dict.fromkeys(_MOUNTS, (Kind.MOUNT,)),
    **dict.fromkeys(_RANGES, (Kind.PATCH,)),
    What.ELSEWHERE: tuple(kind for kind in KINDS if kind is not Kind.MOUNT),
}
_WHY_ONLY = {
    What.CORRUPT: "it has no body",
    What.UNNOTICED: "no other request moves an image manifest",
    What.S416: "it names no range",
    What.LOST: "it belongs to no session",
    What.LYING_DIGEST: "it is no HEAD of an image manifest",
    What.LYING_THERE: "it is no HEAD",
    What.LYING_ABSENT: "it is no HEAD",
    **dict.fromkeys(_MOUNTS, "it is no mount"),
    **dict.fromkeys(_RANGES, "no Range comes back"),
    What.ELSEWHERE: "a mount that is done leads nowhere",
}


def impossible(side: Side, what: What, kind: Kind, position: Position) -> str | None:
    """Why there can't be such a cell, or why it would be another one once more; None where it can be."""
    if side is Side.SOURCE and kind not in _AT_SOURCE:
        return "this is never asked of a source"
    if side is Side.TARGET and kind is Kind.GET_LARGE:
        return "only a source's layers are read"
    if what in _ONLY and kind not in _ONLY[what]:
        return _WHY_ONLY[what]
    if side is Side.SOURCE and what is What.LYING_THERE:
        return "all that is asked for is there"
    return _misplaced(what, kind, position)


def _misplaced(what: What, kind: Kind, position: Position) -> str | None:
    first, middle, last, after = Position
    if position is after and kind in READING:
        return "reading commits nothing: it would be the same as at the first byte"
    if what in _FAILED_HALFWAY:
        return None
    if what is What.CORRUPT:
        return "no byte is left" if position is after else None
    if what is What.SLOW:
        if position is middle and kind not in WITH_CONTENT:
            return "slow is slow: as at the first byte"
        if position is last:
            return "one late byte is none that comes now and then"
        return (
            "its answer is dripped at the first byte already" if position is after and kind not in WITH_BODY else None
        )
    if what is What.UNAUTHORIZED:
        if position is middle and kind not in WITH_BODY:
            return "no status comes in the middle of an answer"
        return "as in the middle" if position is last else None
    if what in _GATEWAY:
        before = last if kind in WITH_BODY else first  # a gateway takes in the whole body
        return None if position in (before, after) else "a gateway fails before the registry has done it, or after"
    if what is What.LOST:
        if position is middle and kind not in WITH_BODY:
            return "as at the first byte"
        if position is after and kind is Kind.PATCH:
            return "a session that has taken a chunk is there"
        return "as in the middle" if position is last else None
    return None if position is first else "it is refused before anything is done"


def _must_succeed(side: Side, fault: Fault) -> bool:
    what, kind = fault.what, fault.kind
    is_passing = fault.times is not None
    match what:
        case What.RESET | What.TRUNCATED | What.SLOW | What.S500 | What.S502 | What.S503 | What.S504:
            return is_passing
        case What.S524:
            # What has landed is found there, whatever was answered.
            landed = fault.position is Position.AFTER and kind in (Kind.PUT_BLOB, Kind.PUT_END, Kind.PUT_TAG)
            return is_passing or landed
        case What.BUSY_SECONDS | What.BUSY_DATE | What.BUSY_ABSURD:
            return is_passing
        case What.UNAUTHORIZED:
            return is_passing and kind is not Kind.TOKEN  # a token server that refuses is right
        case What.CORRUPT:
            return kind in (*_BLOBS, *_UPLOADING)  # image manifests that change on the way are not to be trusted
        case What.UNNOTICED:
            return kind is Kind.PUT_TAG  # the answer names what was stored instead
        case What.S416:
            return kind is Kind.PATCH  # where chunks are refused a blob goes in one request
        case What.LOST:
            return is_passing or fault.position is Position.AFTER
        case What.LYING_ABSENT:
            return kind is Kind.HEAD_BLOB
        case What.MOUNT_202 | What.MOUNT_400 | What.MOUNT_403 | What.MOUNT_405:
            return True
        case What.RANGE_SHORT | What.RANGE_LONG:
            return True
        case What.ELSEWHERE:
            # The specification lets registries redirect what is read, and open sessions anywhere.
            return kind in (*READING, Kind.POST) and kind is not Kind.TOKEN
        case _:
            return False


def _all() -> Iterator[Cell]:
    for side in Side:
        for what in What:
            for kind in KINDS:
                for position in Position:
                    if impossible(side, what, kind, position) is None:
                        yield from _cells(side, what, kind, position)


def _cells(side: Side, what: What, kind: Kind, position: Position) -> Iterator[Cell]:
    times: list[int | None] = [None] if what in _FOREVER else [2] if what in _BURSTS else [1]
    is_worst = position is Position.FIRST or what in _GATEWAY or (what is What.LOST and position is Position.AFTER)
    if what in _ALSO_FOREVER and is_worst:
        times.append(None)
    for often in times:
        fault = Fault(what, kind, position, often)
        yield Cell(side, fault, _must_succeed(side, fault))


CELLS = tuple(_all())
"""The whole matrix."""
