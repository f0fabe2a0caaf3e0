"""Actions: what a plan would do to one tag, and why."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from replsync.oci.digest import Digest
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


WRITING = (Kind.CREATE, Kind.UPDATE, Kind.RESTORE, Kind.TOMBSTONE)


@dataclass(frozen=True)
class State:
    """A tag before or after an action. `digest` is None where a Docker daemon will choose it."""

    kind: Literal["image", "tombstone"]
    digest: Digest | None
    config: Digest | None = None


@dataclass(frozen=True)
class Origin:
    """Where the image comes from, and the digest that the source had when the plan was made."""

    name: SourceName
    digest: Digest | None


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
    For a tombstone `reason` is what the tombstone will say, and `epitaph` all of it.
    """

    kind: Kind
    image: str
    reference: Reference
    before: State | None
    after: State | None
    reason: str
    source: Origin | None = None
    bytes: ByteCount = ByteCount()
    epitaph: Epitaph | None = None

    @property
    def tag(self) -> str:
        """The tag alone."""
        return self.reference.tag or ""

    @property
    def label(self) -> str:
        """`image:tag`, as people speak of it."""
        return f"{self.image}:{self.tag}"
