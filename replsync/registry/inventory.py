"""What the tags of the target are now."""

from dataclasses import replace

from replsync.errors import NotFound, RegistryError, UnsupportedImage
from replsync.oci.digest import sha256
from replsync.oci.image_manifest import (
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    INDEX_TYPES,
    MANIFEST_TYPES,
    Document,
    ImageManifest,
)
from replsync.oci.made_from import MAX_CONFIG, read_made_from
from replsync.oci.reference import Reference
from replsync.oci.tag_state import Absent, Artifact, Present, TagState, Tombstone, Unreadable
from replsync.oci.tombstone import may_be_tombstone, read_epitaph
from replsync.registry.client import RegistryClient
from replsync.registry.together import together
from replsync.registry.trees import Fetched

_DOCUMENTS = (*MANIFEST_TYPES, *INDEX_TYPES)
_LAYERS = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")


async def read_tag(client: RegistryClient, reference: Reference, *, made: bool = False) -> TagState:
    """Say what a tag is, tombstones and artifacts told apart from images.

    `made`: what an image was made from is read, too, which takes another request.
    A failure makes it Unreadable, save for SignInError, which is raised: it
    would be the same for every tag.
    """
    try:
        fetched = await client.fetch(reference)
    except NotFound:
        return Absent()
    except RegistryError as error:
        return Unreadable(error.message, error.hint or "")
    try:
        return await _state(client, reference, fetched, made)
    except RegistryError as error:  # a missing config too: the tag itself is there
        return Unreadable(error.message, error.hint or "")


async def _state(client: RegistryClient, reference: Reference, fetched: Fetched, made: bool) -> TagState:
    try:
        document = fetched.parse()
    except UnsupportedImage as error:
        if fetched.media_type in (DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED):
            return Present(fetched.digest, fetched.media_type)  # never copied, but it may be retired
        return Unreadable(error.message, error.hint or "")
    if not document.is_image:
        kind = document.config.media_type if isinstance(document, ImageManifest) else document.artifact_type
        return Artifact(fetched.digest, kind or fetched.media_type)
    if foreign := _foreign_content(document):
        return Artifact(fetched.digest, foreign)
    if isinstance(document, ImageManifest) and may_be_tombstone(document):
        config = await client.read_small_blob(reference.repository, document.config)
        if epitaph := read_epitaph(config):
            replaced = await _still_there(client, reference.repository.at(epitaph.replaces), made)
            return Tombstone(fetched.digest, sha256(config), epitaph, replaced)
    return await _present(client, reference, fetched, document, made)


async def _present(
    client: RegistryClient, reference: Reference, fetched: Fetched, document: Document, made: bool
) -> Present:
    made_from = await _made_from(client, reference, document) if made else None
    config = document.config.digest if isinstance(document, ImageManifest) else None
    return Present(fetched.digest, fetched.media_type, config, made_from)


async def _made_from(client: RegistryClient, reference: Reference, document: Document) -> str | None:
    """What the labels of an image say; for an index, what those of its first image say that say something."""
    if isinstance(document, ImageManifest):
        if not document.is_image or document.config.size > MAX_CONFIG:
            return None
        return read_made_from(await client.read_small_blob(reference.repository, document.config))
    for entry in document.manifests:
        if entry.media_type in MANIFEST_TYPES and not entry.is_attestation:
            try:
                child = (await client.fetch(reference.repository.at(entry.digest))).parse()
            except UnsupportedImage:
                continue
            if made_from := await _made_from(client, reference, child):
                return made_from
    return None


async def is_whole(client: RegistryClient, reference: Reference) -> bool:
    """Whether an image can still be read by digest, with all that is below it: a registry may have cleaned up.

    Raises RegistryError where the registry doesn't say.
    """
    try:
        tree = await client.tree(reference)
    except UnsupportedImage:
        return False
    except RegistryError as error:
        if error.status == 404:
            return False
        raise
    return all(await together(client.has_blob(reference.repository, blob.digest) for blob in tree.blobs))


async def restorable(state: TagState, reference: Reference, client: RegistryClient) -> TagState:
    """Return `state`, a tombstone's without what it replaced where that is no longer whole."""
    if not isinstance(state, Tombstone) or state.replaced is None:
        return state
    try:
        whole = await is_whole(client, reference.repository.at(state.replaced.digest))
    except RegistryError as error:
        return Unreadable(error.message, error.hint or "")
    return state if whole else replace(state, replaced=None)


def _foreign_content(document: Document) -> str | None:
    """The media type of what is in it, where none of that is an image's: so with signatures and build caches."""
    inner = document.layers if isinstance(document, ImageManifest) else document.manifests
    types = [one.media_type for one in inner]
    own = _LAYERS if isinstance(document, ImageManifest) else _DOCUMENTS
    return types[0] if types and not any(one.startswith(own) for one in types) else None


async def _still_there(client: RegistryClient, reference: Reference, made: bool) -> Present | None:
    """The image that a tombstone replaced, if it can still be read by digest."""
    try:
        fetched = await client.fetch(reference)
        document = fetched.parse()
    except UnsupportedImage:
        return None
    except RegistryError as error:
        if error.status == 404:  # by digest, where a registry has no reason to name a code
            return None
        raise
    return await _present(client, reference, fetched, document, made)
