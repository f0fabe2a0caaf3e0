"""How a run is shown while it goes: a display at a terminal, plain lines elsewhere. All on stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from replsync.apply.executor import Watcher
from replsync.plan.action import Action
from replsync.plan.document import Plan
from replsync.plan.report import Outcome
from replsync.render.report_text import outcome_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


_REFRESH = 0.1
"""Seconds between two frames."""
_NARROW = 80
"""Columns below which the rate and the time left are given up, to keep the names and the bytes."""


@contextmanager
def watching(plan: Plan, outcomes: list[Outcome], quiet: bool, no_color: bool) -> Iterator[Watcher]:
    """Show the progress of carrying out `plan`, and collect its `outcomes`, so that an interruption leaves them."""
    if quiet:
        yield Quiet(outcomes)
    elif sys.stderr.isatty():
        console = _console(no_color)
        with _display(console) as progress:
            yield Display(progress, plan, outcomes, console.width)
    else:
        yield Lines(plan, outcomes)


@contextmanager
def asking(no_color: bool) -> Iterator[None]:
    """Show, at a terminal, that the registries are being asked."""
    console = _console(no_color) if sys.stderr.isatty() else None
    if console and not console.no_color and not console.is_dumb_terminal:
        with console.status("asking the registries ...", spinner="line"):
            yield
    else:
        yield


class Quiet:
    """Shows nothing. Like all of them it collects the outcomes."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        self._outcomes = outcomes

    def begun(self, action: Action) -> None:
        """Show nothing."""

    def sent(self, action: Action, size: int) -> None:
        """Show nothing."""

    def ended(self, outcome: Outcome) -> None:
        """Keep the outcome."""
        self._outcomes.append(outcome)


class Lines(Quiet):
    """A line for each action that has ended: what a log wants."""

    def __init__(self, plan: Plan, outcomes: list[Outcome]) -> None:
        super().__init__(outcomes)
        self._name = plan.name_of

    def ended(self, outcome: Outcome) -> None:
        """Print the line."""
        super().ended(outcome)
        with suppress(BrokenPipeError):  # a log that nobody reads any more is no reason to stop
            print(outcome_line(outcome, self._name), file=sys.stderr, flush=True)


class Display(Quiet):
    """A bar for all the bytes, one for each action that is sending, and a line for each that has ended."""

    def __init__(self, progress: "Progress", plan: Plan, outcomes: list[Outcome], width: int) -> None:
        super().__init__(outcomes)
        self._name = plan.name_of
        self._progress = progress
        self._width = width
        self._count = len(plan.writes)
        self._upload = plan.upload
        self._all = progress.add_task(self._title(), total=self._upload or None)
        self._tasks: dict[Action, TaskID] = {}
        self._shown_at = 0.0
        self._show()

    def sent(self, action: Action, size: int) -> None:
        """Move the bars."""
        if action not in self._tasks:  # tags that wait have no bar: there may be hundreds
            name = shortened(self._name(action), self._width // 3)
            self._tasks[action] = self._progress.add_task(
                f"  {name}", total=(action.bytes and action.bytes.upload) or None
            )
        self._progress.advance(self._tasks[action], size)
        self._at_least(self._tasks[action])
        self._progress.advance(self._all, size)
        self._at_least(self._all)
        if time.monotonic() - self._shown_at > _REFRESH:
            self._show()

    def _at_least(self, task: "TaskID") -> None:
        """More may be sent than was planned: what another tag was to send, and failed to, comes with this one."""
        bar = self._progress.tasks[self._progress.task_ids.index(task)]
        if bar.total is not None and bar.completed > bar.total:
            self._progress.update(task, total=bar.completed)

    def ended(self, outcome: Outcome) -> None:
        """Take the action's bar away, and print its line above."""
        super().ended(outcome)
        if outcome.action in self._tasks:
            self._progress.remove_task(self._tasks.pop(outcome.action))
        self._progress.update(self._all, description=self._title())
        # Not wrapped: in the middle of a registry's words a line would begin.
        self._progress.console.print(outcome_line(outcome, self._name), markup=False, highlight=False, soft_wrap=True)
        self._show()

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        self._progress.refresh()

    def _title(self) -> str:
        return f"{len(self._outcomes)}/{self._count} tags"


def shortened(name: str, width: int) -> str:
    """Return `name` in at most `width` columns; its end, with the tag, is kept."""
    return name if len(name) <= width else f"...{name[3 - width :]}" if width > 3 else name[:width]


def _console(no_color: bool) -> "Console":
    from rich.console import Console

    return Console(stderr=True, no_color=no_color or None)  # None: rich asks $NO_COLOR and $TERM


def _display(console: "Console") -> "Progress":
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False), BarColumn(bar_width=None)]
    columns.append(DownloadColumn())
    if console.width >= _NARROW:
        columns += [TransferSpeedColumn(), TimeRemainingColumn()]
    # Frames are drawn by `Display` alone: with rich's own thread lines got lost between them.
    return Progress(*columns, console=console, transient=True, auto_refresh=False, expand=True)
