"""One cell of the matrix made ready to run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from tests.end_to_end.in_process import Ended
from tests.faults.driving import PASSWORD, apply
from tests.faults.fault import Ceiling, Fault
from tests.faults.proxy import FaultProxy
from tests.faults.scenario import Reader, Site, State, Tag
from tests.faults.table import Side
from tests.servers.registry import Credentials

USER = Credentials("ci", PASSWORD)


@dataclass(frozen=True)
class Rig:
    """Two registries, a proxy in front of one of them, and a manifest that names the proxy in that one's place."""

    source: Site
    target: Site
    proxy: FaultProxy
    folder: Path
    env: dict[str, str]
    monkeypatch: pytest.MonkeyPatch = field(repr=False)

    def apply(self) -> Ended:
        """Run replsync."""
        return apply(self.folder, self.env, self.monkeypatch)

    def states(self) -> dict[Tag, State]:
        """What has become of the tags."""
        return Reader(self.target).states()


class Prepare(Protocol):
    """Prepares a run with these faults.

    `tokens`: the registry behind the proxy signs in by token. `target` is the
    host of another target than usual, which lets everybody in.
    """

    def __call__(
        self,
        side: Side,
        *faults: Fault,
        tokens: bool = False,
        ceiling: Ceiling | None = None,
        target: str | None = None,
    ) -> Rig: ...


def check_quiet(rig: Rig, ended: Ended) -> None:
    """Fail where a credential, a token or the state in an upload's URL shows, on a stream or in a file."""
    journals = [path.read_text() for path in (rig.folder / ".replsync").rglob("*.jsonl")]
    secrets = {*rig.proxy.secrets, PASSWORD, "_state="} - {""}
    for text in (ended.output, *journals):
        assert not {secret for secret in secrets if secret in text}, text
