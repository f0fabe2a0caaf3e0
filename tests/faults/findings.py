"""Cells in which replsync doesn't do yet what the table asks for: each is to be mended, and then struck out here.

A cell that passes while it is listed fails the test.
"""

import pytest

from tests.faults.table import Cell

_SLOW_HEAD = "a stream's head that comes in drips has no time limit: only its body has a least rate"
_SLOW_ANSWER = "an answer to an upload that comes in drips has no time limit: each byte starts it anew"
_ALWAYS_416 = "a registry that answers every chunk with 416 isn't given the blob in one request"

FINDINGS = {
    "target-slow-GET-blob-first-once": _SLOW_HEAD,
    "source-slow-GET-blob-first-once": _SLOW_HEAD,
    "source-slow-GET-large-blob-first-once": _SLOW_HEAD,
    "target-slow-PATCH-after-once": _SLOW_ANSWER,
    "target-slow-PUT-blob-after-once": _SLOW_ANSWER,
    "target-slow-PUT-end-first-once": _SLOW_ANSWER,
    "target-416-PATCH-first-always": _ALWAYS_416,
}
"""By the cell's name: what is wrong."""

AT_OTHERS = {("crane_registry", "target-range-short-PATCH-first-always"): _ALWAYS_416}
"""By the kind of registry and the cell's name."""

RANGE_REFUSED = "a read that goes on from the middle, and is refused with 416, doesn't begin anew"


def marks_of(cell: Cell, registry: str = "") -> list[pytest.MarkDecorator]:
    """An expected failure for a cell with a finding, at the usual registry or at another kind."""
    reason = AT_OTHERS.get((registry, cell.id)) if registry else FINDINGS.get(cell.id)
    return [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
