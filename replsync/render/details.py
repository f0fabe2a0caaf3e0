"""What a page tells of a plan's tags beyond the plan itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from replsync.oci.image_manifest import Descriptor
from replsync.oci.reference import Reference
from replsync.render.history import Recorded


@dataclass(frozen=True)
class Details:
    """`layers` of what each tag is to hold when the plan is done, None where the registry wasn't asked for any.

    A tag that is missing there is one of which they aren't known. `history` has
    what the journals have of each tag, the oldest first.
    """

    layers: Mapping[Reference, tuple[Descriptor, ...]] | None = None
    history: Mapping[Reference, tuple[Recorded, ...]] = field(default_factory=dict)


NO_DETAILS = Details()
