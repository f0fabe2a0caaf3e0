"""Uploads in chunks are where registries differ most: the cells about them, at the other kinds of registry."""

import pytest

from tests.faults.driving import check_honest
from tests.faults.fault import What
from tests.faults.kinds import Kind, Position
from tests.faults.rig import Prepare, check_quiet
from tests.faults.scenario import State
from tests.faults.table import CELLS, Cell, Side
from tests.servers.any_registry import AnyRegistry

UPLOADS = [
    pytest.param(registry, cell, id=f"{registry}-{cell.id}")
    for registry in ("distribution", "olareg", "crane_registry")
    for cell in CELLS
    if cell.side is Side.TARGET
    and cell.must_succeed
    and cell.fault.kind in (Kind.PATCH, Kind.PUT_END)
    and cell.fault.position is not Position.LAST
    and cell.fault.what
    in (What.RESET, What.S524, What.LOST, What.S416, What.CORRUPT, What.RANGE_SHORT, What.RANGE_LONG)
]


@pytest.mark.timeout(30)
@pytest.mark.parametrize(("registry_kind", "cell"), UPLOADS, indirect=["registry_kind"])
def test_an_upload_in_chunks_is_survived(prepare: Prepare, any_registry: AnyRegistry, cell: Cell) -> None:
    rig = prepare(cell.side, cell.fault, target=any_registry.host)
    ended = rig.apply()
    assert rig.proxy.rules.hits(cell.fault), rig.proxy.counts
    check_honest(ended, rig.states())
    check_quiet(rig, ended)
    assert ended.code == 0, ended.output
    assert set(rig.states().values()) == {State.RIGHT}
