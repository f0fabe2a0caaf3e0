"""The tags of a page in order, and its matrix of images and tags. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from semver import Version

from replsync.manifest.versions import version_of
from replsync.oci.reference import Repository
from replsync.plan.action import Action

_MOST_CELLS = 20_000
"""Of a matrix, empty ones too: more are slow to draw, and nobody reads them."""
_NARROW = 12
"""Columns that leave room beside them."""


def newest_first(tags: Iterable[str]) -> list[str]:
    """Return what is no version, such as `latest`, by its name, and behind it the versions, the newest first."""
    names: list[str] = []
    versions: list[tuple[Version, str]] = []
    for tag in sorted(tags):
        version = version_of(tag)
        if version:
            versions.append((version, tag))
        else:
            names.append(tag)
    return [*names, *(tag for _, tag in sorted(versions, reverse=True))]


def by_repository(actions: Iterable[Action]) -> dict[Repository, list[Action]]:
    """Return the actions of each repository, sorted by that, and each one's by `newest_first`."""
    found: dict[Repository, dict[str, Action]] = {}
    for action in actions:
        found.setdefault(action.reference.repository, {})[action.tag] = action
    return {
        repository: [found[repository][tag] for tag in newest_first(found[repository])] for repository in sorted(found)
    }


@dataclass(frozen=True)
class Line:
    """One image in the matrix: a cell for each column, None where it has no such tag; `alone` has its other tags."""

    repository: Repository
    cells: tuple[Action | None, ...]
    alone: tuple[Action, ...]


@dataclass(frozen=True)
class Matrix:
    """Images by tags: `columns` are tags that several images have, so that a column says something."""

    columns: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def is_narrow(self) -> bool:
        """Whether there is room beside the columns for the tags that one image has alone."""
        return 0 < len(self.columns) <= _NARROW


def matrix_of(groups: Mapping[Repository, Sequence[Action]]) -> Matrix:
    """Lay the tags out. Where too many cells would come of it, columns are tags that more images share."""
    shared = Counter(action.tag for actions in groups.values() for action in actions)
    fewest = 2
    while len(groups) * sum(count >= fewest for count in shared.values()) > _MOST_CELLS:
        fewest += 1
    columns = newest_first(tag for tag, count in shared.items() if count >= fewest)
    lines = []
    for repository, actions in groups.items():
        by_tag = {action.tag: action for action in actions}
        alone = tuple(action for action in actions if shared[action.tag] < fewest)
        lines.append(Line(repository, tuple(by_tag.get(tag) for tag in columns), alone))
    return Matrix(tuple(columns), tuple(lines))
