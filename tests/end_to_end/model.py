"""What an application's registry should hold, as a user would reason about it: a model that knows no planner."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

TAKEN_BACK = "taken back: the tag did not exist before"


@dataclass(frozen=True)
class Image:
    """The tag is the image of this letter."""

    letter: str


@dataclass(frozen=True)
class Tomb:
    """The tag is a tombstone of the image of this letter."""

    letter: str
    reason: str


Held = Image | Tomb | None
Name = tuple[str, str]
"""An image and a tag."""


@dataclass(frozen=True)
class From:
    """Listed with the upstream tag that is this letter."""

    letter: str


@dataclass(frozen=True)
class Moving:
    """Listed with the upstream tag that moves."""


@dataclass(frozen=True)
class Whatever:
    """Listed without a source: it is to exist."""


@dataclass(frozen=True)
class Pinned:
    """Listed by its digest, as `restore` writes it."""

    letter: str


@dataclass(frozen=True)
class Retired:
    """Below `retired`."""

    reason: str


Entry = From | Moving | Whatever | Pinned | Retired


@dataclass(frozen=True)
class Step:
    """What a plan says of one tag; `after` is None where it is blocked, or where there is nothing."""

    before: Held
    after: Held
    is_blocked: bool = False


Steps = dict[Name, Step]


@dataclass
class Model:
    """The registry, what the manifest says, and the upstream tag that moves."""

    mutable: frozenset[str]
    held: dict[Name, Held] = field(default_factory=dict)
    listed: dict[Name, Entry] = field(default_factory=dict)
    upstream: str = "a"

    def steps(self, names: Iterable[Name] | None = None) -> Steps:
        """What a plan for these tags would do; by default all that the manifest names."""
        return {name: self._step(name) for name in (self.listed if names is None else names)}

    def _step(self, name: Name) -> Step:
        now = self.held.get(name)
        match self.listed[name], now:
            case Retired(_), None:
                return Step(now, None)
            case Retired(reason), Image(letter) | Tomb(letter):
                return Step(now, Tomb(letter, reason))
            case Whatever(), Image() | Tomb():
                return Step(now, Image(now.letter))
            case Whatever(), None:
                return Step(now, None, is_blocked=True)
            case From(letter) | Pinned(letter), _:
                return self._copied(name, letter)
            case _:
                return self._copied(name, self.upstream)

    def _copied(self, name: Name, letter: str) -> Step:
        """An image that is there is only replaced by another one where its tag may move."""
        now = self.held.get(name)
        if isinstance(now, Image) and now.letter != letter and name[1] not in self.mutable:
            return Step(now, None, is_blocked=True)
        return Step(now, Image(letter))

    def way_back(self, written: Mapping[Name, Step]) -> Steps:
        """What a rollback of a journal with these changes would do."""
        return {name: _taken_back(step, self.held.get(name)) for name, step in written.items()}

    def still_fits(self, steps: Steps) -> bool:
        """Whether a saved plan may be carried out: each tag is as it was, or as the plan makes it."""
        return all(self.held.get(name) in (step.before, step.after) for name, step in steps.items())

    def carry_out(self, steps: Steps) -> Steps:
        """Do it; returns what was written."""
        written = {name: step for name, step in steps.items() if self.held.get(name) != step.after}
        self.held.update({name: step.after for name, step in written.items()})
        return written


def blocked(steps: Steps) -> bool:
    """Whether the plan must not be applied."""
    return any(step.is_blocked for step in steps.values())


def _taken_back(step: Step, now: Held) -> Step:
    tomb = Tomb(step.after.letter, TAKEN_BACK) if step.before is None and step.after else None
    if now == step.before or (tomb and now == tomb):
        return Step(now, now)
    if now != step.after:
        return Step(now, None, is_blocked=True)
    return Step(now, tomb or step.before)
