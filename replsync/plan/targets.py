"""The part of a plan that `--target` chooses. Pure."""

from collections.abc import Iterable, Sequence

from replsync.errors import UsageError
from replsync.manifest.labels import is_among, is_chosen
from replsync.plan.action import Action


def chosen(actions: Sequence[Action], patterns: Iterable[str]) -> tuple[Action, ...]:
    """Return the actions whose `image:tag` one of `patterns` stands for; all where there is none.

    Raises UsageError where a pattern stands for no action.
    """
    patterns = tuple(patterns)
    for pattern in patterns:
        if not any(is_chosen(action.label, pattern) for action in actions):
            raise UsageError(
                f"choose a part of the plan: no tag matches --target {pattern!r}",
                hint="a pattern is IMAGE:TAG or IMAGE, with the wildcards *, ? and […]",
            )
    return tuple(action for action in actions if is_among(action.label, patterns))
