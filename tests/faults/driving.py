"""replsync at the scenario: its own command line in this process, with less patience than users have."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from replsync.cli import workspace
from replsync.registry.chunk_size import ChunkBounds
from replsync.registry.client import Settings
from replsync.registry.persistence import Persistence
from replsync.registry.transport import TimeLimits
from tests.end_to_end.in_process import Ended, call
from tests.faults.scenario import State, Tag
from tests.servers.registry import Credentials

PASSWORD = "correct-horse-battery-staple"
"""What no output may hold. The sandbox takes it with any user name."""

ATTEMPTS = 4
_PERSISTENCE = Persistence(attempts=ATTEMPTS, first_wait=0.02, patience=20)
_LIMITS = TimeLimits(connect=2, idle=1, answer=1.5, retry_after=0.2, least_rate=20_000)
_CHUNKS = ChunkBounds(smallest=100_000, largest=400_000, seconds=0.5)
_FOREIGN = ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "REPLICATED_API_TOKEN", "REPLICATED_APP", "SOURCE_DATE_EPOCH")

_FAILED = re.compile(r"((?:^ *! [\w.-]+:[\w.-]+ \w+$\n)+) +(.+)$", re.MULTILINE)
"""Tags that failed alike, a line for each, and then why."""
_NAME = re.compile(r"! (\S+) \w+$", re.MULTILINE)
_OPERATION = re.compile(
    r"(look up|read back|read|push|mount|write|list the tags of|ask|reach|sign in to|source:) ?\S", re.ASCII
)
_NOTED = re.compile(r"^Note: retired, but not in the registry: (.*)\.$", re.MULTILINE)
_NEVER_STARTED = (1, 4, 7)
"""Exit codes with which a run may end before it writes anything."""


def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what the command line waits for; everything else is wired as it always is."""

    def settings(**given: Any) -> Settings:
        return Settings(**{**given, "persistence": _PERSISTENCE, "chunks": _CHUNKS})

    monkeypatch.setattr(workspace, "TimeLimits", _limited)
    monkeypatch.setattr(workspace, "Settings", settings)


def _limited(**_: Any) -> TimeLimits:
    return _LIMITS


def environment(folder: Path, hosts: Mapping[str, Credentials]) -> dict[str, str]:
    """The variables of a user whose home is `folder`, and who is signed in to `hosts`."""
    auths = {host: {"auth": base64.b64encode(":".join(pair).encode()).decode()} for host, pair in hosts.items()}
    (folder / "config.json").write_text(json.dumps({"auths": auths}))
    return {"HOME": str(folder), "DOCKER_CONFIG": str(folder)}


def apply(folder: Path, env: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Ended:
    """Run `replsync apply` on the manifest in `folder`."""
    for name in _FOREIGN:
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    impatience(monkeypatch)
    return call(folder, "apply", "--auto-approve", "--quiet", "--no-color", "--timeout", "1")


@dataclass(frozen=True)
class Failures:
    """The tags that a report calls failed, with what it says of each."""

    said: Mapping[Tag, str]

    @classmethod
    def read(cls, output: str) -> "Failures":
        """Read a report."""
        return cls({tag: why for names, why in _FAILED.findall(output) for tag in _NAME.findall(names)})


def check_honest(ended: Ended, states: Mapping[Tag, State]) -> None:
    """Fail where a tag is wrong, or isn't what the report says."""
    assert "Traceback" not in ended.output
    assert ended.code in (0, 1, 4, 6, 7), ended
    assert State.WRONG not in states.values(), f"{states}\n{ended.output}"
    missing = {tag for tag, state in states.items() if state is not State.RIGHT}
    failures = Failures.read(ended.output).said
    noted = {tag for said in _NOTED.findall(ended.output) for tag in said.split(", ")}  # as a registry that lies has it
    missing -= noted
    if ended.code == 0:
        assert not missing, f"it ended with 0, but {missing} are not there\n{ended.output}"
        assert not failures, ended.output
    elif "Apply: " in ended.output:
        assert missing <= failures.keys(), f"{missing} are not there, and the report doesn't say so\n{ended.output}"
        unclear = {tag: said for tag, said in failures.items() if not _OPERATION.match(said)}
        assert not unclear, unclear
        assert ended.code in (4, 6), ended
    else:
        assert ended.code in _NEVER_STARTED, ended
        assert set(states.values()) == {State.UNTOUCHED}, f"{states}\n{ended.output}"
        assert _OPERATION.search(ended.output), ended.output
