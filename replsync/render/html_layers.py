"""Bars of layers for a page, in which the layers that tags share look the same, and a table of those. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from replsync.oci.digest import Digest
from replsync.oci.image_manifest import Descriptor
from replsync.oci.reference import Reference, Repository
from replsync.plan.action import Action

_MOST_BARS = 240
"""Of a page: more are neither read nor quickly drawn."""
_MOST_SHARED = 100
_HUES = 10
_LEAST = 0.4
"""Per cent of the longest bar: layers that are smaller, one behind another, are drawn as one."""
_LETTER = 2.0
"""Per cent of the longest bar: room for a letter."""


@dataclass(frozen=True)
class Shared:
    """A layer that several tags have. `letter` is empty, and `hue` 0, where there are more of them than letters."""

    number: int
    digest: Digest
    size: int
    tags: int
    images: int
    letter: str
    hue: int


@dataclass(frozen=True)
class Piece:
    """A part of a bar, `x` and `width` in per cent: one layer, or several small ones.

    `shared` is None where no other tag has it, and where they are small ones.
    """

    x: float
    width: float
    size: int
    layers: tuple[Descriptor, ...]
    shared: Shared | None

    @property
    def middle(self) -> float:
        """Where its letter goes, in per cent."""
        return self.x + self.width / 2

    @property
    def has_letter(self) -> bool:
        """Whether there is a letter, and room for it."""
        return bool(self.shared and self.shared.letter and self.width >= _LETTER)


@dataclass(frozen=True)
class Bar:
    """The layers of a tag: `size` of all, and `own` of those that no other tag has, in bytes."""

    action: Action
    pieces: tuple[Piece, ...]
    layers: int
    size: int
    own: int


@dataclass(frozen=True)
class Shelf:
    """An image: its tags' bars, and what all its tags are together, in bytes, each layer once in `unique`."""

    repository: Repository
    bars: tuple[Bar, ...]
    tags: int
    total: int
    unique: int


@dataclass(frozen=True)
class Chart:
    """All that is drawn, in bytes.

    `left_out` are tags that are counted and not drawn, `unknown` those of which the layers aren't known.
    """

    shelves: tuple[Shelf, ...]
    shared: tuple[Shared, ...]
    more_shared: int
    tags: int
    total: int
    unique: int
    left_out: int
    unknown: int


def chart_of(
    groups: Mapping[Repository, Sequence[Action]], layers: Mapping[Reference, Sequence[Descriptor]], images: int
) -> Chart:
    """Draw what is known; of `images` tags in all there are layers to know.

    Tags that are to be written go before others where not all can be drawn, and newer ones before older ones.
    """
    known = [action for actions in groups.values() for action in actions if action.reference in layers]
    holders = Counter(layer.digest for action in known for layer in layers[action.reference])
    sizes = {layer.digest: layer.size for action in known for layer in layers[action.reference]}
    shared = _shared(known, layers, holders, sizes)
    by_digest = {one.digest: one for one in shared}
    drawn = _drawn(groups, known)
    longest = max((_size(layers[action.reference]) for action in known), default=0)
    shelves = []
    for repository, actions in groups.items():
        own = [action for action in actions if action.reference in layers]
        unique = {layer.digest: layer.size for action in own for layer in layers[action.reference]}
        bars = tuple(
            _bar(action, layers[action.reference], holders, by_digest, longest)
            for action in own
            if action.reference in drawn
        )
        total = sum(_size(layers[action.reference]) for action in own)
        if own:
            shelves.append(Shelf(repository, bars, len(own), total, sum(unique.values())))
    return Chart(
        tuple(shelves),
        shared[:_MOST_SHARED],
        max(0, len(shared) - _MOST_SHARED),
        len(known),
        sum(shelf.total for shelf in shelves),
        sum(sizes.values()),
        len(known) - len(drawn),
        images - len(known),
    )


def _size(layers: Sequence[Descriptor]) -> int:
    return sum(layer.size for layer in layers)


def _shared(
    known: Sequence[Action],
    layers: Mapping[Reference, Sequence[Descriptor]],
    holders: Mapping[Digest, int],
    sizes: Mapping[Digest, int],
) -> tuple[Shared, ...]:
    """The layers of several tags; first those by which most bytes are saved."""
    images: dict[Digest, set[Repository]] = {}
    for action in known:
        for layer in layers[action.reference]:
            images.setdefault(layer.digest, set()).add(action.reference.repository)
    several = [digest for digest, count in holders.items() if count > 1]
    several.sort(key=lambda digest: (-sizes[digest] * (holders[digest] - 1), digest))
    return tuple(
        Shared(
            number,
            digest,
            sizes[digest],
            holders[digest],
            len(images[digest]),
            ascii_uppercase[number] if number < len(ascii_uppercase) else "",
            number % _HUES + 1 if number < len(ascii_uppercase) else 0,
        )
        for number, digest in enumerate(several)
    )


def _drawn(groups: Mapping[Repository, Sequence[Action]], known: Sequence[Action]) -> set[Reference]:
    """Those that are written, and then the newest of each image, in turn."""
    places = {action.reference: place for actions in groups.values() for place, action in enumerate(actions)}
    ranked = sorted(known, key=lambda action: (action.write is None, places[action.reference]))
    return {action.reference for action in ranked[:_MOST_BARS]}


def _bar(
    action: Action,
    layers: Sequence[Descriptor],
    holders: Mapping[Digest, int],
    by_digest: Mapping[Digest, Shared],
    longest: int,
) -> Bar:
    pieces: list[Piece] = []
    small: list[Descriptor] = []
    at = 0

    def add(parts: Sequence[Descriptor], shared: Shared | None) -> None:
        nonlocal at
        size = _size(parts)
        pieces.append(Piece(100 * at / longest, 100 * size / longest, size, tuple(parts), shared))
        at += size

    for layer in layers:
        if 100 * layer.size < _LEAST * longest or not longest:
            small.append(layer)
            continue
        if small and longest:
            add(small, None)
            small = []
        add([layer], by_digest.get(layer.digest))
    if small and longest:
        add(small, None)
    own = sum(layer.size for layer in layers if holders[layer.digest] == 1)
    return Bar(action, tuple(pieces), len(layers), _size(layers), own)
