"""How a run is shown while it goes: a display at a terminal, lines of text or of JSON elsewhere. All on stderr."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from replsync.cli import log
from replsync.cli.course import Course
from replsync.cli.options import Shown
from replsync.plan.action import Action
from replsync.plan.document import Plan
from replsync.plan.report import Done, Failed, Outcome
from replsync.registry.client import RegistryClient
from replsync.registry.watching import Asked
from replsync.render.report_text import outcome_line

if TYPE_CHECKING:
    from rich.console import Console

_EVERY = 10.0
"""Seconds between two lines that say how far a run is."""


@asynccontextmanager
async def watching(plan: Plan, outcomes: list[Outcome], client: RegistryClient, shown: Shown) -> AsyncIterator[Course]:
    """Show the progress of carrying out `plan`, and collect its `outcomes`, so that an interruption leaves them."""
    console = _console(shown)
    course: Course
    display: AbstractContextManager[object] = nullcontext()
    every = _EVERY
    if console:
        from replsync.cli.display import REFRESH, Display

        course = Display(plan, outcomes, console)
        display, every = course.progress, REFRESH
    else:
        course = _unseen(plan, outcomes, shown)
    with client.watched(course.waiting), display:
        async with _ticking(course, every):
            yield course


@asynccontextmanager
async def asking(client: RegistryClient, shown: Shown) -> AsyncIterator[Asked]:
    """Show that the registries are being asked, and how far that is: whoever asks tells what this gives."""
    console = _console(shown)
    course: Course
    display: AbstractContextManager[object] = nullcontext()
    every = _EVERY
    if console and not console.no_color:  # whoever wants no colours wants no escape sequences in front of a plan
        from replsync.cli.display import REFRESH, Questions

        course = Questions(console)
        display, every = course.status, REFRESH
    else:
        course = _unseen(None, [], shown)
    with client.watched(course.waiting), display:
        async with _ticking(course, every):
            yield course.asked


def _unseen(plan: Plan | None, outcomes: list[Outcome], shown: Shown) -> Course:
    if shown.quiet:
        return Course(plan, outcomes)
    return Json(plan, outcomes) if log.is_json() else Lines(plan, outcomes)


def _console(shown: Shown) -> "Console | None":
    """The terminal that stderr is, if it is to have a display."""
    if shown.quiet or log.is_json() or not sys.stderr.isatty():
        return None
    from rich.console import Console

    console = Console(stderr=True, no_color=shown.no_color or None)  # None: rich asks $NO_COLOR and $TERM
    return None if console.is_dumb_terminal else console


@asynccontextmanager
async def _ticking(course: Course, every: float) -> AsyncIterator[None]:
    """Let the course know every so many seconds that time passes, also while all else waits."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(every)
            course.tick()

    task = asyncio.create_task(tick())
    try:
        yield
    finally:
        task.cancel()


class Lines(Course):
    """A line for each action that has ended, and now and then one that says how far all of it is: what a log wants."""

    def ended(self, outcome: Outcome) -> None:
        """Print the line."""
        super().ended(outcome)
        failed = isinstance(outcome, Failed)
        if self.plan:
            log.say("failed" if failed else "done", outcome_line(outcome, self.plan.name_of))

    def tick(self) -> None:
        """Say how far it is."""
        log.say("progress", f"  {self.line}")


class Json(Course):
    """An event for whatever happens, for programs."""

    def begun(self, action: Action) -> None:
        """Tell it."""
        log.tell("begun", **_of(action))

    def ended(self, outcome: Outcome) -> None:
        """Tell it."""
        super().ended(outcome)
        of = _of(outcome.action)
        match outcome:
            case Done():
                log.tell("done", **of, digest=outcome.digest, is_written=outcome.is_written)
            case Failed():
                error = outcome.error
                log.tell("failed", level="error", **of, message=error.message, next=error.hint)

    def waiting(self, host: str, seconds: float, why: str) -> None:
        """Tell it, once for all that wait."""
        is_news = not self.is_waited_for(host)
        super().waiting(host, seconds, why)
        if is_news:
            log.tell("wait", level="warning", host=host, seconds=round(seconds, 1), why=why)

    def tick(self) -> None:
        """Tell how far it is."""
        if self.plan is None:
            log.tell("progress", message=self.line, asked=self.answered)
            return
        log.tell(
            "progress",
            message=self.line,
            tags_done=len(self.outcomes),
            tags=self.count,
            bytes_sent=self.sent_bytes,
            bytes=self.total,
            bytes_per_second=int(self.rate),
            seconds_left=None if self.seconds_left is None else round(self.seconds_left),
            waits=self.waited_for,
        )


def _of(action: Action) -> dict[str, Any]:
    return {"tag": str(action.reference), "kind": str(action.kind)}
