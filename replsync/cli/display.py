"""What moves at a terminal while a run goes. Heavy to import: only what has a terminal does."""

import time
from collections.abc import Iterable

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.text import Text

from replsync.cli.course import Course, time_text
from replsync.manifest.byte_size import size_text
from replsync.plan.action import Action
from replsync.plan.document import Plan
from replsync.plan.report import Outcome
from replsync.render.report_text import outcome_line

REFRESH = 0.1
"""Seconds between two frames."""
_NARROW = 80
"""Columns below which the rate and the time left are given up, to keep the names and the bytes."""
_BARS = 8
"""Tags that have a bar at once: there may be hundreds, and a terminal has few lines."""


class Questions(Course):
    """How far planning is, on one line that goes when it is done."""

    def __init__(self, console: Console) -> None:
        super().__init__(None, [])
        self.status = console.status("asking the registries ...", spinner="line")

    def tick(self) -> None:
        """Show what is known now."""
        self.status.update(Text(self.line, no_wrap=True, overflow="ellipsis"))


class Display(Course):
    """A bar for all the bytes, one for each of the first tags that are sending, and a line for each that has ended."""

    def __init__(self, plan: Plan, outcomes: list[Outcome], console: Console) -> None:
        super().__init__(plan, outcomes)
        self._name = plan.name_of
        self._width = console.width
        self._bars = max(1, min(_BARS, console.height - 6))
        self._tasks: dict[Action, TaskID] = {}
        self._shown_at = 0.0
        self.progress = _Shown(self, console)
        self.all = self.progress.add_task(self._title(), total=self.total or None)

    def sent(self, action: Action, size: int) -> None:
        """Move the bars."""
        super().sent(action, size)
        if action not in self._tasks:
            name = shortened(self._name(action), self._width // 3)
            total = (action.bytes and action.bytes.upload) or None
            is_seen = len(self._tasks) < self._bars
            self._tasks[action] = self.progress.add_task(f"  {name}", total=total, visible=is_seen)
        for task in (self._tasks[action], self.all):
            self.progress.advance(task, size)
            bar = self.progress.tasks[self.progress.task_ids.index(task)]
            if bar.total is not None and bar.completed > bar.total:  # see `Course.total`
                self.progress.update(task, total=bar.completed)
        if time.monotonic() - self._shown_at > REFRESH:
            self.tick()

    def ended(self, outcome: Outcome) -> None:
        """Take the action's bar away, and print its line above."""
        super().ended(outcome)
        if outcome.action in self._tasks:
            self.progress.remove_task(self._tasks.pop(outcome.action))
            for task in list(self._tasks.values())[: self._bars]:
                self.progress.update(task, visible=True)
        self.progress.update(self.all, description=self._title())
        # Not wrapped: in the middle of a registry's words a line would begin.
        self.progress.console.print(outcome_line(outcome, self._name), markup=False, highlight=False, soft_wrap=True)
        self.tick()

    def tick(self) -> None:
        """Draw a frame."""
        self._shown_at = time.monotonic()
        self.progress.refresh()

    @property
    def below(self) -> list[str]:
        """What stands below the bars: those that have none for want of room, and what is waited for."""
        hidden = len(self._tasks) - self._bars
        return [*([f"{hidden:,} more are on their way"] if hidden > 0 else []), *self.waited_for]

    def _title(self) -> str:
        return f"{len(self.outcomes):,}/{self.count:,} tags"


class _Bytes(DownloadColumn):
    """Nothing where no byte is to be sent: tombstones are made of hardly any."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total or task.completed else Text()


class _Pace(ProgressColumn):
    """The rate of all together and the time left: of one tag they jump about, since layers come in bursts."""

    def __init__(self, display: Display) -> None:
        super().__init__()
        self._display = display

    def render(self, task: Task) -> Text:
        """Nothing for a single tag."""
        if task.id != self._display.all or not self._display.sent_bytes:
            return Text()
        left = self._display.seconds_left
        rate = f"{size_text(int(self._display.rate))}/s"
        return Text(rate if left is None else f"{rate}, {time_text(left)}", style="cyan")


class _Shown(Progress):
    """The bars, and what is to be said below them."""

    def __init__(self, display: Display, console: Console) -> None:
        self._display = display
        columns: list[ProgressColumn] = [
            SpinnerColumn("line"),
            TextColumn("{task.description}", markup=False),
            # Not in rich's own colours, which are the red of something wrong.
            BarColumn(bar_width=None, complete_style="cyan", finished_style="cyan"),
            _Bytes(),
        ]
        if console.width >= _NARROW:
            columns.append(_Pace(display))
        # Frames are drawn by `Display` alone: with rich's own thread lines got lost between them.
        super().__init__(*columns, console=console, transient=True, auto_refresh=False, expand=True)

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bars, and a line for each thing that waits."""
        yield from super().get_renderables()
        for line in self._display.below:
            yield Text(f"  {line}", no_wrap=True, overflow="ellipsis")


def shortened(name: str, width: int) -> str:
    """Return `name` in at most `width` columns; its end, with the tag, is kept."""
    return name if len(name) <= width else f"...{name[3 - width :]}" if width > 3 else name[:width]
