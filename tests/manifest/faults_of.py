"""What the tests of faults share."""

import pytest

from replsync.manifest.faults import Fault, InvalidManifest
from replsync.manifest.read import read_manifest

NAME = "replicated-images.yaml"


def faults_of(data: bytes | str) -> tuple[Fault, ...]:
    """Return what is wrong with the manifest `data`."""
    with pytest.raises(InvalidManifest) as caught:
        read_manifest(data.encode() if isinstance(data, str) else data, NAME)
    return caught.value.faults


def assert_fault(data: bytes | str, line: int, column: int, words: str, proposal: str | None) -> None:
    """Check that `data` has one fault, there, with `words` in its message and `proposal` in its proposal."""
    faults = faults_of(data)
    assert len(faults) == 1, faults
    fault = faults[0]
    assert (fault.line, fault.column) == (line, column), fault
    assert words in fault.message
    if proposal is None:
        assert fault.proposal is None
    else:
        assert fault.proposal is not None
        assert proposal in fault.proposal
