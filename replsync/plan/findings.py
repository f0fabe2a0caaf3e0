"""Where in a manifest somebody should look, and why: what a CI shows beside the lines of a change. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from replsync.manifest.faults import InvalidManifest
from replsync.oci.reference import Reference
from replsync.plan.action import Action, Kind
from replsync.plan.claims import Claims, Member
from replsync.plan.document import Plan
from replsync.plan.report import Report


@dataclass(frozen=True)
class Place:
    """A place in a file; `line` and `column` count from 1. `path` is as the file was named."""

    path: str
    line: int
    column: int


@dataclass(frozen=True)
class Finding:
    """Something about a place in a manifest. `check` says of what kind, `subject` of which tag, if of one.

    `message` is one sentence; what it quotes is foreign.
    """

    level: Literal["error", "warning"]
    check: Literal["invalid", "blocked", "tombstone", "failed"]
    place: Place
    subject: str
    message: str


def fault_findings(errors: Iterable[InvalidManifest]) -> tuple[Finding, ...]:
    """Return a finding for each fault of the files."""
    return tuple(
        Finding(
            "error",
            "invalid",
            Place(error.name, fault.line, fault.column),
            "",
            fault.message + (f"; {' '.join(fault.proposal.split())}" if fault.proposal else ""),
        )
        for error in errors
        for fault in error.faults
    )


def plan_findings(plan: Plan, members: Sequence[Member]) -> tuple[Finding, ...]:
    """Return what a reviewer is to look at: an error for each blocked tag, then a warning for each tombstone.

    `members` are the plan's manifests, as they were written.
    """
    places = _Places(members)
    retired = [action for action in plan.actions if action.kind is Kind.TOMBSTONE]
    return (
        *(Finding("error", "blocked", places.of(one), plan.name_of(one), one.reason) for one in plan.blocked),
        *(Finding("warning", "tombstone", places.of(one), plan.name_of(one), one.reason) for one in retired),
    )


def report_findings(report: Report, members: Sequence[Member]) -> tuple[Finding, ...]:
    """Return an error for each tag that failed."""
    places = _Places(members)
    return tuple(
        Finding(
            "error",
            "failed",
            places.of(failure.action),
            report.plan.name_of(failure.action),
            failure.error.in_full,
        )
        for failure in report.failures
    )


class _Places:
    """Where the manifests speak of a tag."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._claims = Claims.of(members)
        self._entries: dict[int, dict[Reference, tuple[str | int, ...]]] = {}

    def of(self, action: Action) -> Place:
        """Return the place of the tag's entry; else that of its image, else that of the first manifest's start."""
        member = self._claims.owner(action.reference) or self._members[0]
        path = self._entries_of(member).get(action.reference) or self._image(member, action)
        line, column = member.file.positions.of(path)
        return Place(member.file.name, line, column)

    def _entries_of(self, member: Member) -> dict[Reference, tuple[str | int, ...]]:
        found = self._entries.get(id(member))
        if found is None:
            found = self._entries[id(member)] = {}
            for number, image in enumerate(member.file.manifest.images):
                repository = member.target.repository(image.name)
                tags = {"tags": [one.tag for one in image.tags], "retired": [one.tag for one in image.retired]}
                for key, listed in tags.items():
                    for place, tag in enumerate(listed):
                        found.setdefault(repository.tagged(tag), ("images", number, key, place))
        return found

    def _image(self, member: Member, action: Action) -> tuple[str | int, ...]:
        """A tag that is selected, or that nobody lists."""
        for number, image in enumerate(member.file.manifest.images):
            if member.target.repository(image.name) == action.reference.repository:
                return ("images", number, "select" if image.select else "name")
        return ()
