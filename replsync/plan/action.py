"""Actions: what a plan would do to one tag, and why."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from replsync.oci.digest import Digest
from replsync.oci.recipe import AS_IT_IS, Recipe, Transforms
from replsync.oci.reference import Reference
from replsync.oci.source_name import SourceName
from replsync.oci.tombstone import Epitaph


class Kind(StrEnum):
    """What happens to a tag; in the order of a plan's summary."""

    CREATE = "create"
    UPDATE = "update"
    RESTORE = "restore"
    TOMBSTONE = "tombstone"
    UNCHANGED = "unchanged"
    BLOCKED = "blocked"
    UNLISTED = "unlisted"


UNREAD_MOVE = "try again later; `replsync doctor` tells what stands in between"
"""For a tag that couldn't be read, where the failure has no next move of its own."""

WRITING = (Kind.CREATE, Kind.UPDATE, Kind.RESTORE, Kind.TOMBSTONE)


@dataclass(frozen=True)
class State:
    """A tag before or after an action.

    `digest` is None where a Docker daemon will choose it, or the image is made
    before it is pushed: only of such a one, after an action, `made_from` is known (see `made_from.py`). Where
    there is a digest or a config as well, any of them tells that it is this: whether it must be made isn't known yet.
    """

    kind: Literal["image", "tombstone"]
    digest: Digest | None
    config: Digest | None = None
    made_from: str | None = None


@dataclass(frozen=True)
class Copy:
    """Make the tag what the source is, with `transforms`.

    A registry's source names the digest that it had when the plan was made. A
    daemon's can't: `digest` is then the image ID that it had, which is to be
    compared before anything is pushed. Of a build it is the digest of its inputs.
    """

    source: SourceName
    digest: Digest
    transforms: Transforms = AS_IT_IS

    @property
    def recipe(self) -> Recipe:
        """What is to be pushed."""
        return Recipe(self.source, self.transforms)


@dataclass(frozen=True)
class Bury:
    """Make the tag a tombstone that says this."""

    epitaph: Epitaph


Write = Copy | Bury


@dataclass(frozen=True)
class ByteCount:
    """Bytes of blobs: of the image in all, to send, and to mount from another repository."""

    total: int = 0
    upload: int = 0
    mount: int = 0


@dataclass(frozen=True)
class Action:
    """One tag's row of a plan.

    `image` is the name in the manifest, `reference` the full name of the tag.
    `write` is None where nothing is written. For a tombstone that is made anew
    `reason` is what it will say; that of a blocked action ends with its
    `next_move`, what to do about it, if there is one. `notes` are what a reviewer
    should know besides. `bytes` is None where the source was not asked.
    """

    kind: Kind
    image: str
    reference: Reference
    before: State | None
    after: State | None
    reason: str
    write: Write | None = None
    bytes: ByteCount | None = ByteCount()
    notes: tuple[str, ...] = ()
    next_move: str = ""

    @property
    def tag(self) -> str:
        """The tag alone."""
        return self.reference.tag or ""

    @property
    def label(self) -> str:
        """`image:tag`, as people speak of it."""
        return f"{self.image}:{self.tag}"

    @property
    def why(self) -> str:
        """The reason without the next move."""
        return self.reason.removesuffix(f"; {self.next_move}") if self.next_move else self.reason


def blocked(image: str, reference: Reference, before: State | None, why: str, next_move: str = "") -> Action:
    """Return the action of a tag that forbids its plan from being applied."""
    reason = f"{why}; {next_move}" if next_move else why
    return Action(Kind.BLOCKED, image, reference, before, None, reason, next_move=next_move)


def stopped(action: Action, why: str, next_move: str) -> Action:
    """Return `action` blocked."""
    found = blocked(action.image, action.reference, action.before, why, next_move)
    return replace(found, bytes=action.bytes, notes=action.notes)
