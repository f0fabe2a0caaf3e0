"""Asks sources for their tags, so that each `select` can choose of them."""

from collections.abc import Iterable, Mapping

from replsync.errors import PermissionDenied, RegistryError, ReplsyncError, SignInError
from replsync.manifest.choice import Choice
from replsync.manifest.model import Image
from replsync.oci.reference import Repository
from replsync.oci.source_name import RegistrySource
from replsync.registry.client import RegistryClient
from replsync.registry.together import together

_BY_NAME = "list the tags by name, if this registry lists none, or not to you"


async def choices(images: Iterable[Image], client: RegistryClient) -> dict[str, Choice | ReplsyncError]:
    """Return what the selector of each of these images chooses now, by the image's name, or why that can't be said."""

    async def one(image: Image) -> Choice | ReplsyncError:
        try:
            return await _choice(image, client)
        except ReplsyncError as error:
            return error

    images = list(images)
    return dict(zip([image.name for image in images], await together(map(one, images)), strict=True))


def settled(found: Mapping[str, Choice | ReplsyncError]) -> tuple[Choice, ...]:
    """Return the choices. Raises ReplsyncError where one can't be said, with all of those."""
    errors = [one for one in found.values() if isinstance(one, ReplsyncError)]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        kind = SignInError if all(isinstance(error, SignInError) for error in errors) else ReplsyncError
        said = "".join(f"\n  {error.in_full}" for error in errors)
        raise kind(f"select tags: {len(errors)} of {len(found)} selections can't be made:{said}", hint=_BY_NAME)
    return tuple(one for one in found.values() if isinstance(one, Choice))


async def _choice(image: Image, client: RegistryClient) -> Choice:
    select, source = image.select, image.source
    if select is None or not isinstance(source, RegistrySource):
        raise AssertionError("an image that selects tags has a repository as its source")
    from replsync.manifest.selecting import selected  # here: few manifests select tags

    repository = source.reference.repository
    found = selected(select, await _tags(image, repository, client))
    choice = Choice(image.name, select, found.chosen, found)
    choice.check()
    return choice


async def _tags(image: Image, repository: Repository, client: RegistryClient) -> tuple[str, ...]:
    """Raises ReplsyncError where the list can't be read to its end, or is empty: so does one look that isn't there."""
    what = f"select tags for {image.name}"
    try:
        tags = await client.tags(repository)
    except PermissionDenied as error:
        raise PermissionDenied(f"{what}: {error.message}", hint=error.hint or _BY_NAME, host=error.host) from error
    except RegistryError as error:
        message, hint = f"{what}: {error.message}", error.hint or _BY_NAME
        raise type(error)(message, hint=hint, status=error.status, codes=error.codes) from error
    if not tags:
        raise RegistryError(
            f"{what}: {repository} has no tags at all",
            hint="check its name; a registry may say so, too, to those who may not read it: sign in there",
        )
    return tags
