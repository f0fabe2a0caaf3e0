import json
from pathlib import Path

import pytest

from benchmarks import splitting


def test_memory_stays_small_and_the_disk_under_what_was_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A layer of 400 MB, many times what may be held in memory."""
    splitting.main(["--size", "4e8", "--limit", "60000000", "--work", str(tmp_path)])
    told = json.loads(capsys.readouterr().out)
    assert told["unpacked"] > 4e8
    assert len(told["parts"]) > 1
    assert max(told["parts"]) <= 60_000_000
    assert told["memory, peak"] < 80_000_000
    assert told["temporary disk, peak"] < told["temporary disk, said before"]
    assert list(tmp_path.iterdir()) == []
