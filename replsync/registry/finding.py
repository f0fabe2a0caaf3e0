"""What an examination finds: a line for each thing that was looked at."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a finding comes to."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """One line about `about`: a registry's host, or nothing for this machine. `hint` is the next move."""

    about: str
    check: str
    verdict: Verdict
    said: str
    hint: str | None = None
    is_sign_in: bool = False
