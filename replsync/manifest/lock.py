"""The lock file `replicated-images.lock.yaml`: every source of a manifest, and the digest that it resolved to.

It holds what a tag was at its source when somebody looked: for a registry's
image the digest of its image manifest or index, for a daemon's the image ID. An
image in an OCI layout is as a registry's, one in an archive of `docker save` as a daemon's.
For a build it is the digest of all that goes into it. A source that the
manifest pins by digest needs no entry.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import assert_never

from replsync.errors import ReplsyncError, UsageError
from replsync.manifest.faults import shown
from replsync.manifest.labels import is_chosen
from replsync.manifest.model import Image, Manifest
from replsync.manifest.select import chosen_by
from replsync.oci.build_source import BuildSource
from replsync.oci.digest import Digest
from replsync.oci.recipe import Recipe
from replsync.oci.reference import Reference
from replsync.oci.source_name import (
    DaemonSource,
    LayoutSource,
    RegistrySource,
    SavedSource,
    SourceName,
    located,
    written,
)


@dataclass(frozen=True)
class LockedTags:
    """The tags that a `select` chose; `by` says which selector that was, of which source (`chosen_by`)."""

    by: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Lock:
    """A lock file that was read: its name, and the digest of each source, which names a tag and no digest.

    `selected` has what each image's `select` chose, by the image's name;
    `pushed` what becomes of an image on its way (`lock_pushed`): by the text of
    the transforms and its digest, the digest that is pushed or what that image is made from.
    """

    name: str
    digests: Mapping[SourceName, Digest]
    selected: Mapping[str, LockedTags] = field(default_factory=dict)
    pushed: Mapping[str, Mapping[Digest, str]] = field(default_factory=dict)

    def located(self, folder: str) -> "Lock":
        """Return it with paths that start from where that of `folder`, the manifest's, does. Raises InvalidInput."""
        return replace(self, digests={located(source, folder): digest for source, digest in self.digests.items()})


@dataclass(frozen=True)
class Renewal:
    """What a lock file keeps, and what has to be looked up for it, with the `image:tag` labels that it stands for."""

    kept: Mapping[SourceName, Digest]
    sought: Mapping[SourceName, tuple[str, ...]]


@dataclass(frozen=True)
class Same:
    """The source is what the lock says."""

    digest: Digest


@dataclass(frozen=True)
class Moved:
    """The source is another image by now."""

    old: Digest
    new: Digest


@dataclass(frozen=True)
class NotRead:
    """The lock has the source, but it is gone or can't be read: a NotFound says that a registry has it no more."""

    old: Digest
    error: ReplsyncError


@dataclass(frozen=True)
class NotLocked:
    """The manifest needs it, and the lock doesn't have it."""


Finding = Same | Moved | NotRead | NotLocked


@dataclass(frozen=True)
class CheckedSource:
    """A source that the manifest needs, the `image:tag` labels that it stands for, and what became of it."""

    source: SourceName
    labels: tuple[str, ...]
    finding: Finding


@dataclass(frozen=True)
class SameTags:
    """The selector chooses what the lock says."""


@dataclass(frozen=True)
class OtherTags:
    """The selector chooses other tags by now, since its source has others; both sorted."""

    added: tuple[str, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True)
class TagsNotRead:
    """What the selector chooses by now can't be said."""

    error: ReplsyncError


SelectionFinding = SameTags | OtherTags | TagsNotRead | NotLocked


@dataclass(frozen=True)
class CheckedSelection:
    """An image that selects tags, and what became of what the lock says.

    It is NotLocked, too, where the lock has what another selector chose.
    """

    image: str
    finding: SelectionFinding


@dataclass(frozen=True)
class LockCheck:
    """A lock beside its manifest and its sources, all sorted by source; nothing needs what is `superfluous`.

    `selections` are sorted by image; no image of the manifest selects what is
    `unselected`. Of the images that `unsaid` stand for the lock doesn't say what is pushed.
    """

    sources: tuple[CheckedSource, ...]
    superfluous: tuple[SourceName, ...]
    selections: tuple[CheckedSelection, ...] = ()
    unselected: tuple[str, ...] = ()
    unsaid: tuple[Recipe, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the lock fits the manifest, wherever the sources have moved."""
        findings = [*(one.finding for one in self.sources), *(one.finding for one in self.selections)]
        return not (self.superfluous or self.unselected or self.unsaid) and not any(
            isinstance(one, NotLocked) for one in findings
        )

    @property
    def is_current(self) -> bool:
        """Whether every source that the manifest needs is what the lock says, and every selector chooses the same."""
        return (
            all(isinstance(one.finding, Same) for one in self.sources)
            and all(isinstance(one.finding, SameTags) for one in self.selections)
            and not self.unsaid
        )


def lock_path(manifest_path: str) -> str:
    """Return the path of the lock file: it lies beside its manifest."""
    for suffix in (".yaml", ".yml"):
        if manifest_path.endswith(suffix):
            return f"{manifest_path.removesuffix(suffix)}.lock{suffix}"
    return f"{manifest_path}.lock.yaml"


def needed(manifest: Manifest) -> dict[SourceName, tuple[str, ...]]:
    """Return every source that has to be looked up, sorted, with the labels `image:tag` that it stands for.

    Neither sources that are pinned by digest nor tags without a source are among them.
    """
    labels: dict[SourceName, list[str]] = {}
    for image in manifest.images:
        for tag in image.tags:
            source = image.source_of(tag)
            if source is not None and not is_pinned(source):
                labels.setdefault(source, []).append(f"{image.name}:{tag.tag}")
    return {source: tuple(sorted(labels[source])) for source in sorted(labels, key=written)}


def missing(lock: Lock, manifest: Manifest) -> dict[SourceName, tuple[str, ...]]:
    """Return what is needed and not in the lock, in the form of `needed`."""
    return {source: labels for source, labels in needed(manifest).items() if source not in lock.digests}


def locked_tags(lock: Lock | None, image: Image) -> tuple[str, ...] | None:
    """Return what the lock has for the image's selector; None where it has nothing, or that of another selector."""
    locked = lock.selected.get(image.name) if lock else None
    return locked.tags if locked and locked.by == chosen_by(image.select, image.source) else None


def superfluous(lock: Lock, manifest: Manifest) -> tuple[SourceName, ...]:
    """Return the lock's sources that nothing in the manifest needs, sorted."""
    return tuple(sorted(lock.digests.keys() - needed(manifest).keys(), key=written))


def renewed(lock: Lock | None, manifest: Manifest, upgrade: Sequence[str]) -> Renewal:
    """Return what `replsync lock` keeps and what it looks up.

    `upgrade` are patterns, as `is_chosen` reads them, of what is looked up
    although the lock has it. Tags that share a source share its entry, so that
    they move together. Raises UsageError for a pattern that matches nothing.
    """
    sources = needed(manifest)
    every = [label for labels in sources.values() for label in labels]
    for pattern in upgrade:
        if not any(is_chosen(label, pattern) for label in every) and not any(
            chooses_anew(image, (pattern,)) for image in manifest.images
        ):
            raise UsageError(
                f"upgrade {shown(pattern)}: it matches no tag with a source to look up",
                hint="name IMAGE or IMAGE:TAG as in the manifest, perhaps with *, ? or […]: 'worker:1.*'",
            )
    locked = lock.digests if lock else {}
    kept = {
        source: locked[source]
        for source, labels in sources.items()
        if source in locked and not any(is_chosen(label, pattern) for label in labels for pattern in upgrade)
    }
    return Renewal(kept, {source: labels for source, labels in sources.items() if source not in kept})


def chooses_anew(image: Image, upgrade: Sequence[str]) -> bool:
    """Whether one of the patterns `upgrade` stands for the image as a whole, and the image selects tags."""
    return image.select is not None and any(
        fnmatchcase(image.name, name) and tag in ("", "*") for name, _, tag in (one.partition(":") for one in upgrade)
    )


def compared(
    lock: Lock,
    manifest: Manifest,
    found: Mapping[SourceName, Digest | ReplsyncError],
    chosen: Mapping[str, Iterable[str] | ReplsyncError] = MappingProxyType({}),
) -> LockCheck:
    """Compare the lock with what its sources are now.

    `manifest` has the selected tags; `found` has each source that it needs and
    the lock has, `chosen` what the selector of each image chooses now, or why that can't be said.
    """
    checked = tuple(
        CheckedSource(
            source, labels, _finding(lock.digests[source], found[source]) if source in lock.digests else NotLocked()
        )
        for source, labels in needed(manifest).items()
    )
    selecting = sorted((image for image in manifest.images if image.select), key=lambda image: image.name)
    selections = [(image.name, _chosen(locked_tags(lock, image), chosen[image.name])) for image in selecting]
    return LockCheck(
        checked,
        superfluous(lock, manifest),
        tuple(CheckedSelection(*one) for one in selections),
        tuple(sorted(lock.selected.keys() - {image.name for image in selecting})),
    )


def _chosen(locked: tuple[str, ...] | None, found: Iterable[str] | ReplsyncError) -> SelectionFinding:
    if locked is None:
        return NotLocked()
    if isinstance(found, ReplsyncError):
        return TagsNotRead(found)
    old, new = set(locked), set(found)
    return SameTags() if old == new else OtherTags(tuple(sorted(new - old)), tuple(sorted(old - new)))


def is_pinned(source: SourceName) -> bool:
    """Whether the source names what it is by digest or image ID, so that nothing is to be looked up."""
    match source:
        case RegistrySource(reference):
            return reference.digest is not None
        case DaemonSource(name):
            return not isinstance(name, Reference)
        case LayoutSource():
            return source.digest is not None
        case SavedSource() | BuildSource():
            return False
        case _:
            assert_never(source)


def _finding(old: Digest, found: Digest | ReplsyncError) -> Finding:
    match found:
        case ReplsyncError():
            return NotRead(old, found)
        case _ if found == old:
            return Same(old)
        case _:
            return Moved(old, found)
