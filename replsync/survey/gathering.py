"""Asks the target and the sources for all that a plan depends on. It decides nothing.

Each tag of the manifest costs one HEAD at the target and one at its source;
only where those differ is more read. A tag that isn't in the target's list costs
nothing there, and its source's image manifest is read at once.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import Protocol

from replsync.errors import PermissionDenied, RegistryError, ReplsyncError
from replsync.manifest.labels import concern, is_among
from replsync.manifest.model import Image, Manifest, Tag
from replsync.oci.digest import Digest
from replsync.oci.image_manifest import DOCKER_MANIFEST, Descriptor
from replsync.oci.made_from import serves
from replsync.oci.recipe import Recipe
from replsync.oci.reference import Reference, Repository, is_referrers_tag
from replsync.oci.source_name import RegistrySource, located, spoken
from replsync.oci.tag_state import (
    Absent,
    AnyImage,
    Present,
    Resolved,
    TagState,
    Tombstone,
    Unavailable,
    Unreadable,
    Wanted,
)
from replsync.oci.tombstone import MAX_TOMBSTONE
from replsync.plan.planner import Situation, Target
from replsync.registry.client import RegistryClient
from replsync.registry.inventory import read_tag, restorable
from replsync.registry.together import together
from replsync.registry.watching import Asked, counted, nobody
from replsync.sources.image_source import Content

_NO_LIST = "if this registry lists no tags, or not to you, set policy.unlisted: ignore"


class Offer(Protocol):
    """What would be pushed for a source. It depends on who pushes, so that the engine answers."""

    @property
    def daemon_pushes(self) -> bool:
        """Whether a Docker daemon writes the image manifests, so that their digests aren't known before."""
        ...

    async def identify(self, recipe: Recipe, held: Digest | None = None) -> Resolved:
        """Say what would be pushed; see `ImageSource.identify`."""
        ...

    async def content(self, recipe: Recipe) -> Content | None:
        """Say what a push would move; None where the source is not to be asked.

        Raises UnsupportedImage for what is never copied.
        """
        ...


async def gather(
    manifest: Manifest,
    target: Target,
    client: RegistryClient,
    offer: Offer,
    patterns: Sequence[str] = (),
    folder: str = "",
    asked: Asked = nobody,
) -> Situation:
    """Read the target's tags and the sources' digests; with `patterns`, only of the tags that they stand for.

    `folder` is the manifest's, from which the paths of its sources start; `asked` is told of `tags`.
    Raises RegistryError where the target is no registry or can't list its tags,
    SignInError where it refuses us. A single tag or source that can't be read
    is no error here: it becomes a blocked action.
    """
    await client.ping(target.registry)
    inventory: dict[Reference, TagState] = {}
    wanted: dict[Reference, Wanted] = {}

    async def listed(image: Image, tag: Tag, there: Collection[str] | None) -> None:
        reference = target.repository(image.name).tagged(tag.tag)
        found = await _head(client, reference, there)
        recipe = _recipe(manifest, image, tag, folder)
        inventory[reference], wanted[reference] = await _listed(tag, recipe, reference, found, client, offer)

    async def retired(reference: Reference) -> None:
        found = await _head(client, reference, None)  # a list may be cut, and this tag is meant to be gone
        inventory[reference] = await read_tag(client, reference) if isinstance(found, Descriptor) else found

    async def unlisted(reference: Reference) -> None:
        inventory[reference] = await read_tag(client, reference)

    async def of(image: Image) -> None:
        repository = target.repository(image.name)
        there = None if manifest.policy.unlisted == "ignore" else frozenset(await _tags(repository, client))
        tags = [tag for tag in image.tags if is_among(f"{image.name}:{tag.tag}", patterns)]
        entries = [entry for entry in image.retired if is_among(f"{image.name}:{entry.tag}", patterns)]
        await counted(
            "tags",
            asked,
            chain(
                (listed(image, tag, there) for tag in tags),
                (retired(repository.tagged(entry.tag)) for entry in entries),
                (unlisted(repository.tagged(tag)) for tag in _others(image, there or (), patterns)),
            ),
        )

    await together(of(image) for image in manifest.images if concern(patterns, image.name))
    return Situation(target, inventory, wanted, offer.daemon_pushes, tuple(patterns))


def _others(image: Image, there: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The tags of an image that the manifest doesn't name."""
    named = {tag.tag for tag in image.tags} | {entry.tag for entry in image.retired}
    return [
        tag
        for tag in sorted(there)
        if tag not in named and not is_referrers_tag(tag) and is_among(f"{image.name}:{tag}", patterns)
    ]


async def _tags(repository: Repository, client: RegistryClient) -> tuple[str, ...]:
    try:
        return await client.tags(repository)
    except PermissionDenied as error:
        raise PermissionDenied(error.message, hint=_NO_LIST, host=error.host) from error
    except RegistryError as error:
        hint = error.hint or _NO_LIST
        raise RegistryError(error.message, hint=hint, status=error.status, codes=error.codes) from error


async def _head(
    client: RegistryClient, reference: Reference, there: Collection[str] | None
) -> Descriptor | Absent | Unreadable:
    """What a tag points at; not asked for where the registry's list, if it was read, doesn't have the tag."""
    if there is not None and reference.tag not in there:
        return Absent()
    try:
        return await client.head(reference) or Absent()
    except RegistryError as error:
        return Unreadable(error.message, error.hint or "")


def _recipe(manifest: Manifest, image: Image, tag: Tag, folder: str) -> Recipe | None:
    source = image.source_of(tag)
    return Recipe(located(source, folder), manifest.transforms_of(image, source)) if source else None


async def _listed(
    tag: Tag,
    recipe: Recipe | None,
    reference: Reference,
    found: Descriptor | Absent | Unreadable,
    client: RegistryClient,
    offer: Offer,
) -> tuple[TagState, Wanted]:
    if not isinstance(found, Descriptor):
        return found, await _pushable(await _wanted(tag, recipe, reference, found, offer), client, offer)
    # What a tombstone replaced is looked at first: it decides whether a source is needed.
    state = await _state(client, reference) if _is_tiny(found) else None
    wanted = await _wanted(tag, recipe, reference, state or found, offer)
    if isinstance(state, Present) and isinstance(wanted, Resolved) and wanted.digest == state.digest:
        return state, wanted
    made_from = wanted.made_from if isinstance(wanted, Resolved) else None
    made = made_from is not None
    if state is None or made:
        if isinstance(wanted, Resolved) and wanted.digest == found.digest:
            return Present(found.digest, found.media_type), wanted
        state = await _state(client, reference, made=made)
        match state:
            # Nothing is going to be made, so that nothing that makes it need be there.
            case Present(made_from=there) | Tombstone(replaced=Present(made_from=there)):
                if made_from is not None and serves(made_from, there):
                    return state, wanted
    return state, await _pushable(wanted, client, offer)


async def _state(client: RegistryClient, reference: Reference, *, made: bool = False) -> TagState:
    return await restorable(await read_tag(client, reference, made=made), reference, client)


def _is_tiny(found: Descriptor) -> bool:
    """Whether it may be a tombstone, which even the same digest at the source doesn't make an image.

    Its image manifest has one layer and no more: 420 bytes as replsync writes it, 530 as Docker does.
    """
    return found.media_type == DOCKER_MANIFEST and found.size <= 640


async def _wanted(
    tag: Tag,
    recipe: Recipe | None,
    reference: Reference,
    found: Descriptor | TagState,
    offer: Offer,
) -> Wanted:
    if tag.digest is not None:
        own = RegistrySource(reference.repository.at(tag.digest))
        # In place, or to be put back: no source is needed, so none is asked.
        match found:
            case Descriptor(digest=digest) | Present(digest=digest) if digest == tag.digest:
                return Resolved(recipe.source if recipe else own, tag.digest)
            case Tombstone(replaced=Present(digest)) if digest == tag.digest:
                return Resolved(own, tag.digest)
        if recipe is None:
            return await _adopted(own, offer)
    if recipe is None:
        return AnyImage()
    try:
        return await offer.identify(recipe, found.digest if isinstance(found, Descriptor | Present) else None)
    except ReplsyncError as error:
        return Unavailable(f"source: {error.message}", error.hint or "")


async def _adopted(name: RegistrySource, offer: Offer) -> Wanted:
    """What the registry had, by digest: readable as long as it wasn't cleaned away."""
    try:
        return await offer.identify(Recipe(name))
    except ReplsyncError as error:
        return Unavailable(f"adopted without a source, and {error.message}", "add a source")


async def _pushable(wanted: Wanted, client: RegistryClient, offer: Offer) -> Wanted:
    """Return `wanted`, or Unavailable: what is going to be pushed must be of a kind that can be, and no tombstone."""
    if not isinstance(wanted, Resolved):
        return wanted
    try:
        content = await offer.content(wanted.recipe)
        if content is None:
            return wanted
        exact = wanted.digest or wanted.whole
        if content.repository and exact and content.total <= MAX_TOMBSTONE:
            state = await read_tag(client, content.repository.at(exact))
            if isinstance(state, Tombstone):
                source = spoken(wanted.source)
                return Unavailable(
                    f"source: {source} was retired: {state.epitaph.reason}",
                    "name another source, or list the tag below `exclude` where `select` chose it",
                )
    except ReplsyncError as error:
        return Unavailable(f"source: {error.message}", error.hint or "")
    return wanted
