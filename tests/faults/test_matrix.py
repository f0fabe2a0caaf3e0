"""Every fault, with every kind of request, at every position: each tag is right, or untouched and reported."""

import pytest

from tests.faults.driving import check_honest
from tests.faults.kinds import Kind
from tests.faults.rig import Prepare, check_quiet
from tests.faults.scenario import State
from tests.faults.table import CELLS, Cell, Side

LIMIT = 20
"""Seconds that a cell may take; on a machine with nothing else to do most take half of one."""

MOST_REQUESTS = 600
"""More than any cell may take: without a fault there are a good hundred."""


@pytest.mark.parametrize("tokens", [False, True], ids=["open", "tokens"])
@pytest.mark.parametrize("side", Side)
def test_without_faults_just_the_requests_of_the_table_come_up(prepare: Prepare, side: Side, tokens: bool) -> None:
    rig = prepare(side, tokens=tokens)
    ended = rig.apply()
    assert ended.code == 0, ended.output
    assert set(rig.states().values()) == {State.RIGHT}
    check_honest(ended, rig.states())
    wanted = {one.fault.kind for one in CELLS if one.side is side and (tokens or one.fault.kind is not Kind.TOKEN)}
    assert rig.proxy.counts.keys() - {Kind.OTHER} == wanted


@pytest.mark.timeout(LIMIT)
@pytest.mark.parametrize("cell", [pytest.param(cell, id=cell.id) for cell in CELLS])
def test_a_tag_is_right_or_untouched_and_reported(prepare: Prepare, cell: Cell) -> None:
    rig = prepare(cell.side, cell.fault, tokens=cell.wants_tokens)
    ended = rig.apply()
    states = rig.states()
    assert rig.proxy.rules.hits(cell.fault), f"never injected: {rig.proxy.counts}\n{ended.output}"
    check_honest(ended, states)
    check_quiet(rig, ended)
    assert not rig.proxy.elsewhere.leaks
    assert len(rig.proxy.seen) < MOST_REQUESTS
    if cell.must_succeed:
        assert ended.code == 0, ended.output
        assert set(states.values()) == {State.RIGHT}
