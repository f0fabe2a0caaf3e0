"""How a run is shown while it goes: a display at a terminal, plain lines elsewhere. All on stderr."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from replsync.apply.executor import Watcher
from replsync.plan.action import Action
from replsync.plan.document import Plan
from replsync.plan.report import Outcome
from replsync.render.text import outcome_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextmanager
def watching(plan: Plan, quiet: bool, no_color: bool) -> Iterator[Watcher]:
    """Show the progress of carrying out `plan`."""
    if quiet:
        yield Silent()
    elif sys.stderr.isatty():
        with _display(no_color) as progress:
            yield Display(progress, plan)
    else:
        yield Lines()


class Silent:
    """Shows nothing."""

    def begun(self, action: Action) -> None:
        """Show nothing."""

    def sent(self, action: Action, size: int) -> None:
        """Show nothing."""

    def ended(self, outcome: Outcome) -> None:
        """Show nothing."""


class Lines(Silent):
    """A line for each action that has ended: what a log wants."""

    def ended(self, outcome: Outcome) -> None:
        """Print the line."""
        print(outcome_line(outcome), file=sys.stderr, flush=True)


class Display:
    """A bar for all the bytes, one for each action that sends many, and a line for each that has ended."""

    def __init__(self, progress: "Progress", plan: Plan) -> None:
        self._progress = progress
        self._count = len(plan.writes)
        self._ended = 0
        self._upload = sum(action.bytes.upload for action in plan.writes)
        self._all = progress.add_task(self._title(), total=self._upload or None)
        self._tasks: dict[Action, TaskID] = {}

    def begun(self, action: Action) -> None:
        """Add a bar."""
        self._tasks[action] = self._progress.add_task(f"  {action.label}", total=action.bytes.upload or None)

    def sent(self, action: Action, size: int) -> None:
        """Move the bars."""
        self._progress.advance(self._tasks[action], size)
        self._progress.advance(self._all, size)

    def ended(self, outcome: Outcome) -> None:
        """Take the action's bar away, and print its line above."""
        self._ended += 1
        self._progress.remove_task(self._tasks.pop(outcome.action))
        self._progress.update(self._all, description=self._title())
        self._progress.console.print(outcome_line(outcome), markup=False, highlight=False)

    def _title(self) -> str:
        return f"{self._ended}/{self._count} tags"


def _display(no_color: bool) -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, no_color=no_color or None),  # None: rich asks $NO_COLOR and $TERM
        transient=True,
    )
