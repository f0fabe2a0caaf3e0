"""What a tag is, and what a source offers: the two things that a plan compares.

Unknown is not absent: whatever could not be read is `Unreadable`, and nothing
is ever written over it.
"""

from dataclasses import dataclass, field

from replsync.oci.digest import Digest
from replsync.oci.recipe import AS_IT_IS, Recipe, Transforms
from replsync.oci.source_name import SourceName
from replsync.oci.tombstone import Epitaph


@dataclass(frozen=True)
class Present:
    """The tag is an image. `config` is None for an index, and where it was not needed.

    `made_from` is what its labels say, where they were read.
    """

    digest: Digest
    media_type: str
    config: Digest | None = None
    made_from: str | None = None


@dataclass(frozen=True)
class Tombstone:
    """The tag is a tombstone. `replaced` is the image it replaced, if that can still be read by digest."""

    digest: Digest
    config: Digest
    epitaph: Epitaph
    replaced: Present | None = None


@dataclass(frozen=True)
class Artifact:
    """The tag is a Helm chart or something else that is no image; `kind` is its media type."""

    digest: Digest
    kind: str


@dataclass(frozen=True)
class Absent:
    """The registry says that there is no such tag."""


@dataclass(frozen=True)
class Unreadable:
    """Nobody knows what the tag is; `why` names the failure, and `next_move` says what to do about it, if anything."""

    why: str
    next_move: str = field(default="", compare=False)


TagState = Present | Tombstone | Artifact | Absent | Unreadable


@dataclass(frozen=True)
class Resolved:
    """What would be pushed.

    `digest` is None wherever a Docker daemon is on the way: it may write the
    image manifest anew, and only `config` (the image ID) stays the same.
    `whole` is then the digest of what the source has, perhaps an index of which
    the daemon would push one image, or something that `transforms` take away: a
    tag that holds just that needs no push. `made_from` is known of an image that
    is made before it is pushed (see `made_from.py`), whose digests are not.
    `notes` say what a reviewer should know of it.
    """

    source: SourceName
    digest: Digest | None
    config: Digest | None = None
    whole: Digest | None = None
    transforms: Transforms = AS_IT_IS
    made_from: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def recipe(self) -> Recipe:
        """The source, as it is now, and what is changed."""
        return Recipe(self.source, self.transforms)


@dataclass(frozen=True)
class Unavailable:
    """The source is missing, can't be read, or is of a kind that is never pushed: `why`, and what to do about it."""

    why: str
    next_move: str = field(default="", compare=False)


@dataclass(frozen=True)
class AnyImage:
    """The file names neither source nor digest: the tag is to exist, whatever it holds."""


Wanted = Resolved | Unavailable | AnyImage
