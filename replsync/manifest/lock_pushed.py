"""What a lock file says of images that are changed on their way: what becomes of a digest by given transforms.

That is a fact about the digest, which no later change upstream makes untrue.
With it a plan knows what would be pushed without asking the source.
"""

from collections.abc import Mapping

from replsync.manifest.lock import Lock
from replsync.manifest.model import Manifest
from replsync.oci.digest import Digest
from replsync.oci.recipe import AS_IT_IS, Recipe, Transforms
from replsync.oci.source_name import RegistrySource, SourceName, pinned

USUAL = Transforms("strip")
"""Of these only what they change is said: most images have nothing that is stripped, and no lock file is to be long."""


def transforms_text(transforms: Transforms) -> str:
    """Return the transforms in words that are the same for the same change, and for no other."""
    said = [f"attestations {transforms.attestations}"]
    if transforms.platforms:
        said.append(f"platforms {' '.join(sorted(set(map(str, transforms.platforms))))}")
    if transforms.split_over is not None:
        said.append(f"layers split over {transforms.split_over}")
    return ", ".join(said)


def said_of(lock: Lock, digest: Digest, transforms: Transforms) -> str | None:
    """Return what would be pushed for the image with this digest; None where the lock doesn't say."""
    if transforms == AS_IT_IS:
        return digest
    said = lock.pushed.get(transforms_text(transforms), {}).get(digest)
    return digest if said is None and transforms == USUAL else said


def to_be_said(manifest: Manifest, digests: Mapping[SourceName, Digest]) -> dict[tuple[str, Digest], Recipe]:
    """Return each change that the manifest makes to an image in a registry.

    `digests` are those of the sources that the manifest doesn't pin, as far as they are known.
    """
    found: dict[tuple[str, Digest], Recipe] = {}
    for image in manifest.images:
        transforms = manifest.transforms_of(image)
        for tag in image.tags:
            source = image.source_of(tag)
            if not isinstance(source, RegistrySource):
                continue
            digest = source.reference.digest or digests.get(source)
            if digest and transforms != AS_IT_IS:
                found[transforms_text(transforms), digest] = Recipe(pinned(source, digest), transforms)
    return found


def unsaid(lock: Lock, manifest: Manifest) -> tuple[Recipe, ...]:
    """Return the changes of which the lock, which has their sources, doesn't say what they make; sorted by source.

    What the manifest pins is left out: its source may be gone, and the tag in its place.
    """
    recipes = to_be_said(manifest, lock.digests).items()
    locked = set(lock.digests.values())
    lacking = [
        recipe
        for (_, digest), recipe in recipes
        if digest in locked and said_of(lock, digest, recipe.transforms) is None
    ]
    return tuple(sorted(lacking, key=lambda recipe: (str(recipe.source), transforms_text(recipe.transforms))))
