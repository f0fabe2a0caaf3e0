"""Looks up the sources for a lock file, and offers to a plan what the lock file says."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import assert_never

from replsync.errors import (
    InvalidInput,
    NotFound,
    RegistryError,
    ReplsyncError,
    SignInError,
    UnsupportedImage,
    UsageError,
)
from replsync.manifest.lock import Lock, LockCheck, Renewal, compared, needed
from replsync.manifest.lock_pushed import is_usual, said_of, to_be_said, transforms_text, unsaid
from replsync.manifest.model import Manifest
from replsync.oci.build_source import BuildSource
from replsync.oci.digest import Digest
from replsync.oci.made_from import build_of, inputs_of, split_of
from replsync.oci.recipe import AS_IT_IS, Recipe, Transforms
from replsync.oci.reference import Reference, Repository
from replsync.oci.source_name import (
    DaemonSource,
    LayoutSource,
    RegistrySource,
    SavedSource,
    SourceName,
    located,
    pinned,
)
from replsync.oci.tag_state import Resolved
from replsync.registry.together import together
from replsync.sources.image_source import Content
from replsync.survey.gathering import Offer


class LockedOffer:
    """Offers what the lock says, and what `offer` says of all else.

    Without `ask_sources` no source is contacted: a digest is taken as it is,
    what it holds stays unknown, and only the repositories `own`, which are the
    target's, are still asked for what they have by digest.
    """

    def __init__(self, offer: Offer, lock: Lock, *, ask_sources: bool, own: frozenset[Repository]) -> None:
        self._offer = offer
        self._lock = lock
        self._ask_sources = ask_sources
        self._own = own

    @property
    def daemon_pushes(self) -> bool:
        """As `offer` has it."""
        return self._offer.daemon_pushes

    async def identify(self, recipe: Recipe, held: Digest | None = None) -> Resolved:
        """Say what would be pushed, by the lock where it has this source.

        Raises InvalidInput where it can't be said without asking, UsageError
        where a daemon would have to ask.
        """
        name, transforms = recipe.source, recipe.transforms
        locked = self._lock.digests.get(name)
        match name:
            case RegistrySource():
                exactly = pinned(name, locked) if locked else name
                return await self._registry_image(exactly, locked, transforms, held)
            case LayoutSource():
                return await self._layout_image(pinned(name, locked) if locked else name, locked, transforms, held)
            case DaemonSource() | SavedSource() if locked:
                if transforms.platforms and self._may_ask(name):
                    await self._offer.identify(recipe, held)  # raises where it is for another platform
                return self._limited(Resolved(name, None, locked), transforms)
            case DaemonSource() | SavedSource() if self._ask_sources:
                return await self._offer.identify(recipe, held)
            case DaemonSource(str() as image_id):
                return self._limited(Resolved(name, None, image_id), transforms)
            case DaemonSource() | SavedSource():
                raise self._unknown(name)
            case BuildSource():
                return await self._build(recipe, name, locked, held)
            case _:
                assert_never(name)

    async def content(self, recipe: Recipe) -> Content | None:
        """Say what a push would move; None where that would mean to ask a source, and none may be asked."""
        if not self._may_ask(recipe.source):
            return None
        if isinstance(recipe.source, SavedSource):
            await self._refuse_another(recipe)
        try:
            return await self._offer.content(recipe)
        except RegistryError as error:
            if error.status != 404 or not self._is_locked(recipe.source):
                raise
            raise self._gone(error) from error

    async def _layout_image(
        self, name: LayoutSource, locked: Digest | None, transforms: Transforms, held: Digest | None
    ) -> Resolved:
        """No registry is asked for a file, so that it is read; and need not be there where its image is in place."""
        if name.digest is None and not self._ask_sources:
            raise self._unknown(name)
        if name.digest is not None and name.digest == held and not transforms.platforms and not self.daemon_pushes:
            return Resolved(name, held)
        try:
            return await self._offer.identify(Recipe(name, transforms), held)
        except UnsupportedImage as error:
            if not locked or error.hint:
                raise
            raise UnsupportedImage(error.message, hint=self._upgrade) from error

    @property
    def _upgrade(self) -> str:
        return f"{self._lock.name} has this digest: to take what the source is now, replsync lock --upgrade IMAGE:TAG"

    def _gone(self, error: RegistryError) -> RegistryError:
        kind = NotFound if isinstance(error, NotFound) else RegistryError
        return kind(error.message, hint=self._upgrade, status=error.status, codes=error.codes)

    async def _registry_image(
        self, name: RegistrySource, locked: Digest | None, transforms: Transforms, held: Digest | None
    ) -> Resolved:
        if locked and not self.daemon_pushes:
            is_whole = held == locked and not transforms.platforms
            if transforms == AS_IT_IS or is_whole:
                return Resolved(name, locked, transforms=transforms)
            if not self._ask_sources:
                return self._as_said(name, transforms)
        if self._may_ask(name):
            try:
                return await self._offer.identify(Recipe(name, transforms), held)
            except RegistryError as error:
                if not locked or not (isinstance(error, NotFound) or error.status == 404):
                    raise
                raise self._gone(error) from error
        if self.daemon_pushes:
            raise UsageError(
                f"look up {name}: which of its images the daemon would push, only the source can say",
                hint="use --engine registry, or let the sources be asked",
            )
        return self._as_said(name, transforms)

    def _as_said(self, name: RegistrySource, transforms: Transforms) -> Resolved:
        """What would be pushed, by what the lock says of changes to this digest."""
        digest = name.reference.digest
        if digest is None:
            raise self._unknown(name)
        said = said_of(self._lock, digest, transforms)
        if said is None:
            raise InvalidInput(
                f"look up {name}: {self._lock.name} does not say what is pushed of it with "
                f"{transforms_text(transforms)}",
                hint="run `replsync lock`",
            )
        if said == digest:
            return Resolved(name, digest, transforms=transforms)
        notes = (f"it is changed as {self._lock.name} says: {transforms_text(transforms)}",)
        if " " in said:  # no digest, but what it is made from
            return Resolved(name, None, transforms=transforms, notes=notes, made_from=said)
        whole = None if transforms.platforms else digest
        return Resolved(name, Digest(said), whole=whole, transforms=transforms, notes=notes)

    def _limited(self, resolved: Resolved, transforms: Transforms) -> Resolved:
        """An image whose layers only its export will tell: it will be this, or what is made from it by splitting.

        A daemon that pushes splits nothing.
        """
        limit, known = transforms.split_over, resolved.config
        if self.daemon_pushes or known is None:
            return resolved
        return replace(
            resolved, transforms=transforms.limits, made_from=None if limit is None else split_of(known, limit)
        )

    async def _build(self, recipe: Recipe, name: BuildSource, locked: Digest | None, held: Digest | None) -> Resolved:
        if not self._ask_sources:
            if locked is None:
                raise self._unknown(name)
            return Resolved(name, None, transforms=recipe.transforms.limits, made_from=build_of(locked))
        found = await self._offer.identify(recipe, held)
        if locked is not None and found.made_from != build_of(locked):
            raise InvalidInput(
                f"build {name}: what goes into it is not what {self._lock.name} has",
                hint="to build what is there now, replsync lock --upgrade IMAGE:TAG",
            )
        return found

    def _may_ask(self, name: SourceName) -> bool:
        match name:
            case _ if self._ask_sources:
                return True
            case RegistrySource(Reference(repository=repository, digest=str())):
                return repository in self._own
            case LayoutSource() | SavedSource():
                return True
            case _:
                return False

    async def _refuse_another(self, recipe: Recipe) -> None:
        locked = self._lock.digests.get(recipe.source)
        found = (await self._offer.identify(recipe)).config
        if locked not in (None, found):
            raise InvalidInput(
                f"look up {recipe.source}: it is another image, {found}, than {locked}, which is locked",
                hint=self._upgrade,
            )

    def _is_locked(self, name: SourceName) -> bool:
        match name:
            case RegistrySource(Reference(digest=str() as digest) as reference):
                return self._lock.digests.get(RegistrySource(replace(reference, digest=None))) == digest
            case _:
                return False

    def _unknown(self, name: SourceName) -> InvalidInput:
        return InvalidInput(f"look up {name}: {self._lock.name} does not have it", hint="run `replsync lock`")


async def look_up(
    sources: Iterable[SourceName], offer: Offer, folder: str = ""
) -> dict[SourceName, Digest | ReplsyncError]:
    """Say what each source is now: its digest, for a daemon's image its image ID, or why it can't be locked.

    Paths of sources start from `folder`, the manifest's.

    What it is made of is read too, so that what is never pushed is not locked either.
    """

    async def one(source: SourceName) -> Digest | ReplsyncError:
        try:
            resolved = await offer.identify(Recipe(located(source, folder)))
            if not isinstance(source, BuildSource):  # what is going to be built need not be buildable here
                await offer.content(resolved.recipe)
        except ReplsyncError as error:
            return error
        # Where a daemon pushes, `config` is one platform's: the lock is the same whoever pushes.
        found = resolved.digest or resolved.whole or resolved.config
        if found is None and resolved.made_from is not None:
            found = inputs_of(resolved.made_from)
        if found is None:
            raise AssertionError("what was identified has a digest, or an image ID")
        return found

    names = list(dict.fromkeys(sources))
    return dict(zip(names, await together(map(one, names)), strict=True))


async def check(
    lock: Lock,
    manifest: Manifest,
    offer: Offer,
    folder: str = "",
    chosen: Mapping[str, Iterable[str] | ReplsyncError] = MappingProxyType({}),
) -> LockCheck:
    """Look up each source that the lock has and the manifest, in `folder`, needs, and compare; see `compared`."""
    found = await look_up((source for source in needed(manifest) if source in lock.digests), offer, folder)
    return replace(compared(lock, manifest, found, chosen), unsaid=unsaid(lock, manifest))


async def what_is_pushed(
    old: Lock | None, renewal: Renewal, manifest: Manifest, digests: Mapping[SourceName, Digest], offer: Offer
) -> dict[str, dict[Digest, str]]:
    """Say what becomes of each image that the manifest changes on its way, in the form of a lock file.

    `digests` are those of the sources now. What `old` says of those that are
    kept is taken from there. Raises ReplsyncError where it can't be said; a
    source that the manifest pins may be gone.
    """
    found: dict[str, dict[Digest, str]] = {}
    kept = set(renewal.kept.values())
    looked_up = set(digests.values())

    async def one(changes: str, digest: Digest, recipe: Recipe) -> None:
        said = said_of(old, digest, recipe.transforms) if old else None
        if said is None or (said == digest and digest not in kept):
            try:
                resolved = await offer.identify(recipe)
            except (RegistryError, SignInError):
                if digest in looked_up:
                    raise
                return
            said = resolved.digest or resolved.made_from
        if said is not None and (said != digest or not is_usual(recipe.transforms)):
            found.setdefault(changes, {})[digest] = said

    await together(one(*key, recipe) for key, recipe in to_be_said(manifest, digests).items())
    return found
