"""What the matrix can't show cell by cell: time limits, faults that meet, and the command line as a process."""

import random
from pathlib import Path

import pytest

from tests.end_to_end.in_process import Ended
from tests.faults.driving import check_honest
from tests.faults.fault import Ceiling, Fault, What
from tests.faults.kinds import Kind, Position
from tests.faults.rig import Prepare, Rig, check_quiet
from tests.faults.scenario import LARGE, State
from tests.faults.table import CELLS, Cell, Side
from tests.servers.command import RunReplsync
from tests.servers.skopeo import Skopeo

CEILING = Ceiling(seconds=0.6, rate=900_000)
"""The large layer takes twice as long as a request may."""


def check_all_right(rig: Rig, ended: Ended) -> None:
    assert ended.code == 0, ended.output
    check_honest(ended, rig.states())
    check_quiet(rig, ended)
    assert set(rig.states().values()) == {State.RIGHT}


def cell_of(name: str) -> Cell:
    return next(cell for cell in CELLS if cell.id == name)


@pytest.mark.parametrize("side", Side)
def test_a_layer_that_takes_longer_than_any_request_may_gets_through(prepare: Prepare, side: Side) -> None:
    rig = prepare(side, ceiling=CEILING)
    assert LARGE / CEILING.rate > 2 * CEILING.seconds
    check_all_right(rig, rig.apply())


SEQUENCES = [
    pytest.param(
        Side.SOURCE,
        (Fault(What.TRUNCATED, Kind.GET_LARGE, Position.MIDDLE), Fault(What.S416, Kind.GET_LARGE, skip=1)),
        id="a-range-refused-after-a-truncation",
    ),
    pytest.param(
        Side.TARGET,
        (
            Fault(What.RESET, Kind.PATCH, Position.AFTER),
            Fault(What.LOST, Kind.PATCH, Position.MIDDLE, skip=1),
            Fault(What.S524, Kind.PUT_END, Position.AFTER),
        ),
        id="each-part-of-an-upload",
    ),
    pytest.param(
        Side.TARGET,
        (
            Fault(What.MOUNT_405, Kind.PATCH, times=None),
            Fault(What.RESET, Kind.PUT_BLOB, Position.MIDDLE, times=2),
            Fault(What.S524, Kind.PUT_BLOB, Position.AFTER, skip=2),
        ),
        id="no-chunks-and-a-bad-line",
    ),
    pytest.param(
        Side.TARGET,
        (
            Fault(What.S524, Kind.PUT_TAG, Position.AFTER),
            Fault(What.S502, Kind.HEAD_MANIFEST, times=2, skip=3),
            Fault(What.RESET, Kind.GET_MANIFEST, Position.MIDDLE, times=2, skip=4),
        ),
        id="a-tag-and-its-read-back",
    ),
]


@pytest.mark.parametrize(("side", "faults"), SEQUENCES)
def test_faults_that_follow_each_other_are_survived(prepare: Prepare, side: Side, faults: tuple[Fault, ...]) -> None:
    rig = prepare(side, *faults)
    check_all_right(rig, rig.apply())
    assert all(rig.proxy.rules.hits(fault) for fault in faults), rig.proxy.counts


@pytest.mark.parametrize("seed", range(12))
def test_a_bad_day_is_survived(prepare: Prepare, seed: int) -> None:
    chance = random.Random(seed)
    side = chance.choice(list(Side))
    passing = [cell for cell in CELLS if cell.side is side and cell.must_succeed and cell.fault.times is not None]
    kinds = {cell.fault.kind for cell in passing if cell.fault.what is not What.LYING_ABSENT}
    # One for each kind of request, so that no request has to be tried more often than it may be.
    chosen = [chance.choice([cell for cell in passing if cell.fault.kind is kind]) for kind in sorted(kinds)]
    rig = prepare(side, *(cell.fault for cell in chosen), tokens=True)
    ended = rig.apply()
    assert any(rig.proxy.rules.hits(cell.fault) for cell in chosen)
    check_all_right(rig, ended)


@pytest.mark.parametrize(
    "cell",
    [
        cell_of("target-524-PUT-blob-after-once"),
        cell_of("target-reset-PUT-tag-after-once"),
        cell_of("target-401-PUT-manifest-first-once"),
        cell_of("target-mount-405-POST-mount-first-always"),
        cell_of("source-truncated-GET-large-blob-middle-once"),
    ],
    ids=lambda cell: cell.id,
)
def test_the_command_line_survives_what_it_must(
    prepare: Prepare, cell: Cell, run_replsync: RunReplsync, skopeo: Skopeo, tmp_path: Path
) -> None:
    rig = prepare(cell.side, cell.fault, tokens=cell.wants_tokens)
    done = run_replsync("apply", "--auto-approve", cwd=rig.folder, env=rig.env)
    assert rig.proxy.rules.hits(cell.fault)
    check_all_right(rig, Ended(done.returncode, done.stdout + done.stderr))
    for number, tag in enumerate(rig.states()):
        reference = f"docker://{rig.target.host}/{rig.target.name(tag)}"
        skopeo.copy(reference, f"dir:{tmp_path}/copy{number}", "--all", source_creds=rig.target.creds)


@pytest.mark.parametrize(
    "name",
    ["target-500-PUT-blob-first-always", "target-401-POST-first-always", "source-reset-GET-large-blob-first-always"],
)
def test_the_command_line_says_what_failed(prepare: Prepare, name: str, run_replsync: RunReplsync) -> None:
    cell = cell_of(name)
    rig = prepare(cell.side, cell.fault, tokens=cell.wants_tokens)
    done = run_replsync("apply", "--auto-approve", cwd=rig.folder, env=rig.env)
    ended = Ended(done.returncode, done.stdout + done.stderr)
    assert done.returncode in (4, 6), ended
    check_honest(ended, rig.states())
    check_quiet(rig, ended)
