"""What became of a plan."""

from dataclasses import dataclass

from replsync.errors import ReplsyncError
from replsync.oci.digest import Digest
from replsync.plan.action import Action
from replsync.plan.document import Plan


@dataclass(frozen=True)
class Done:
    """The tag is what the plan wanted it to be; `digest` is what it points at now.

    `is_written` unless it was so already: an earlier run got that far.
    """

    action: Action
    digest: Digest
    is_written: bool = True


@dataclass(frozen=True)
class Failed:
    """The action did not succeed. The tag is as it was, unless the error says otherwise.

    `is_written` where the tag is as planned all the same, and only the journal doesn't have it.
    """

    action: Action
    error: ReplsyncError
    is_written: bool = False


Outcome = Done | Failed


@dataclass(frozen=True)
class Report:
    """What became of a plan: its outcomes in the plan's order; fewer than it has writes where a run was interrupted.

    `journals` are the files that tell what was written, `undo` the commands that take it back. `reviewed` is the
    digest of the document that was looked at, where `plan` is only a part of that.
    """

    plan: Plan
    outcomes: tuple[Outcome, ...]
    journals: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    reviewed: Digest | None = None

    @property
    def failures(self) -> tuple[Failed, ...]:
        """The actions that did not succeed."""
        return tuple(outcome for outcome in self.outcomes if isinstance(outcome, Failed))

    @property
    def left(self) -> tuple[Action, ...]:
        """The writing actions that were not finished, because the run was interrupted."""
        ended = {outcome.action.reference for outcome in self.outcomes}
        return tuple(action for action in self.plan.writes if action.reference not in ended)
