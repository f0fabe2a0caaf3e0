"""What a registry has of an image, sorted into what a manifest can list and what it can't."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import assert_never

from pydantic import ValidationError

from replsync.manifest.adopting import Adopted
from replsync.manifest.edit import NewTag
from replsync.manifest.model import Image, Retired
from replsync.manifest.selecting import fits
from replsync.oci.digest import Digest
from replsync.oci.image_manifest import INDEX_TYPES
from replsync.oci.reference import Repository, is_referrers_tag, tag_order
from replsync.oci.source_name import DaemonSource, SavedSource
from replsync.oci.tag_state import Absent, Artifact, Present, TagState, Tombstone, Unreadable
from replsync.registry.client import RegistryClient
from replsync.registry.inventory import read_tag
from replsync.registry.together import together

CHART = "application/vnd.cncf.helm.config.v1+json"


@dataclass
class Found:
    """What there is of one image: what is adopted, and what is not.

    `known` counts the tags that the manifest names or its `select` is for; `artifacts` has media types by tag,
    `unreadable` the failures, `unfit` why a tag of a known kind can't be listed.
    """

    name: str
    count: int = 0
    known: int = 0
    tags: list[NewTag] = field(default_factory=list)
    retired: list[tuple[str, str]] = field(default_factory=list)
    mutable: tuple[str, ...] = ()
    artifacts: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    unfit: dict[str, str] = field(default_factory=dict)

    @property
    def adopted(self) -> Adopted | None:
        """What a manifest is to list; None where that is nothing."""
        if not self.tags and not self.retired:
            return None
        return Adopted(self.name, tuple(self.tags), tuple(self.retired), self.mutable)


async def look_around(
    client: RegistryClient, repository: Repository, name: str, image: Image | None, mutable: Sequence[str]
) -> Found:
    """Read every tag of `repository` that `image`, the manifest's entry if it has one, doesn't name.

    Raises RegistryError where the tags can't be listed, and SignInError; a single tag that can't be read is in the
    result. `mutable` are patterns of tags that may move, for an image that is new.
    """
    there = await client.tags(repository)
    named = _named(image)
    missing = [tag for tag in there if tag not in named and not (image and image.select and fits(image.select, tag))]
    found = Found(name, len(there), len(there) - len(missing))
    for tag in (tag for tag in missing if is_referrers_tag(tag)):
        found.artifacts[tag] = "signatures and the like"
    wanted = sorted((tag for tag in missing if tag not in found.artifacts), key=tag_order)
    states = await together(read_tag(client, repository.tagged(tag)) for tag in wanted)
    moving = [] if image else [one for one in mutable if any(fnmatchcase(tag, one) for tag in wanted)]
    for tag, state in zip(wanted, states, strict=True):
        _sort(found, repository, tag, state, image, moving)
    found.mutable = tuple(one for one in moving if any(fnmatchcase(tag.tag, one) for tag in found.tags))
    return found


def _named(image: Image | None) -> Collection[str]:
    return {tag.tag for tag in image.tags} | {entry.tag for entry in image.retired} if image else ()


def _sort(
    found: Found, repository: Repository, tag: str, state: TagState, image: Image | None, moving: Sequence[str]
) -> None:
    match state:
        case Present(digest, media_type):
            if any(fnmatchcase(tag, pattern) for pattern in moving):
                found.tags.append(NewTag(tag))  # it is to exist, whatever it holds by then
            elif not digest.startswith("sha256:"):
                found.unfit[tag] = "its digest is none of sha256, which alone can pin it"
            elif _is_of_no_registry(image):
                _from_here(found, tag, repository, digest, media_type, image)
            else:
                found.tags.append(NewTag(tag, digest))
        case Tombstone(epitaph=epitaph):
            try:
                Retired(tag=tag, reason=epitaph.reason)
            except ValidationError:
                found.unfit[tag] = "it is a tombstone whose reason is no line of 1 to 500 printable characters"
            else:
                found.retired.append((tag, epitaph.reason))
        case Artifact(_, kind):
            found.artifacts[tag] = kind
        case Unreadable(why):
            found.unreadable[tag] = why
        case Absent():
            found.count -= 1  # gone since it was listed
        case _:
            assert_never(state)


def _is_of_no_registry(image: Image | None) -> bool:
    """Whether a digest can't pin its tags, since they are built, or come from a daemon or its archives."""
    return image is not None and (image.build is not None or isinstance(image.source, DaemonSource | SavedSource))


def _from_here(
    found: Found, tag: str, repository: Repository, digest: Digest, media_type: str, image: Image | None
) -> None:
    """Such a tag gets this registry as its source; of what a push would change that wouldn't be the same image."""
    if media_type in INDEX_TYPES or (image and image.platforms):
        found.unfit[tag] = "no digest can pin it, since its image is built, or comes from a daemon or an archive"
    else:
        found.tags.append(NewTag(tag, source=str(repository.at(digest))))
