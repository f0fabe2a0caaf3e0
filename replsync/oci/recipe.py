"""What is to be pushed: a source, and what is changed on its image on the way.

The changes are made to image manifests alone, so that what would be pushed is
known before anything is sent.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from replsync.errors import UnsupportedImage
from replsync.oci.image_manifest import Descriptor, Document, ImageIndex, ImageManifest, parse_document
from replsync.oci.platform import Platform, listed
from replsync.oci.source_name import SourceName

Attestations = Literal["keep", "strip", "reject"]


@dataclass(frozen=True)
class Transforms:
    """What is changed on an image; the default changes nothing.

    `attestations` are taken away (`strip`), or make the image one that is not
    pushed (`reject`). Of an index only the `platforms` stay, all where none is
    named. Layers of more than `split_over` bytes are split;
    those of more than `refuse_over` keep an image whose layers only its export tells from being pushed.
    """

    attestations: Attestations = "keep"
    platforms: tuple[Platform, ...] = ()
    split_over: int | None = None
    refuse_over: int | None = None

    @property
    def without_limit(self) -> "Transforms":
        """These, whatever the size of layers is."""
        return replace(self, split_over=None, refuse_over=None)

    @property
    def limits(self) -> "Transforms":
        """What of these is about the size of layers."""
        return Transforms(split_over=self.split_over, refuse_over=self.refuse_over)

    @property
    def is_limited(self) -> bool:
        """Whether the size of layers matters."""
        return self.split_over is not None or self.refuse_over is not None


AS_IT_IS = Transforms()


@dataclass(frozen=True)
class Recipe:
    """A source, and what is changed on its image."""

    source: SourceName
    transforms: Transforms = AS_IT_IS


@dataclass(frozen=True)
class Selection:
    """What stays of an index: the index, or the one entry that is left of it. `notes` say what does not stay."""

    kept: ImageIndex | Descriptor
    notes: tuple[str, ...] = ()


def is_doubtful(entry: Descriptor) -> bool:
    """Whether only its image manifest tells if an entry of an index is an attestation: tools lose the annotation."""
    return not entry.is_attestation and entry.platform is not None and entry.platform.is_unknown


def select(index: ImageIndex, attestations: Sequence[Descriptor], transforms: Transforms) -> Selection:
    """Return what stays of `index`, of which the entries `attestations` are attestations.

    What stays is as it was to the byte; an index left with one image becomes
    that image. Raises UnsupportedImage where attestations are rejected, or a platform isn't there.
    """
    there = [entry for entry in index.manifests if entry not in attestations]
    notes = []
    if attestations and transforms.attestations == "reject":
        count = f"{len(attestations)} attestation{'' if len(attestations) == 1 else 's'}"
        raise UnsupportedImage(
            f"the image has {count} (provenance or SBOM), and policy.attestations is `reject`",
            hint="set policy.attestations: strip, or build it with --provenance=false --sbom=false",
        )
    kept = list(index.manifests)
    if attestations and transforms.attestations == "strip":
        kept = there
        notes.append(f"{len(attestations)} attestation{' is' if len(attestations) == 1 else 's are'} stripped")
    if transforms.platforms:
        chosen = list(_of_platforms(there, transforms.platforms))
        left_out = [entry.platform for entry in there if entry not in chosen and entry.platform]
        kept = [entry for entry in kept if entry in chosen]
        if left_out:
            notes.append(f"only {listed(transforms.platforms)}; {listed(left_out)} left out")
    if len(kept) == len(index.manifests):
        return Selection(index)
    if not kept:
        raise UnsupportedImage("the index holds attestations, and no image", hint="name another source")
    if len(kept) == 1:
        return Selection(kept[0], tuple(notes))
    raw = _without(index.raw, [entry in kept for entry in index.manifests])
    rewritten = parse_document(raw, index.media_type)
    if not isinstance(rewritten, ImageIndex) or rewritten.manifests != tuple(kept):
        raise AssertionError("nothing but entries was taken away")
    return Selection(rewritten, tuple(notes))


def refuse_attestation(root: Document) -> None:
    """Raise UnsupportedImage where `root`, which is named as an image, is an attestation."""
    if isinstance(root, ImageManifest) and root.is_attestation:
        raise UnsupportedImage(
            "it is no image but an attestation (in-toto), which says how another image was made",
            hint="name the image that it belongs to",
        )


def refuse_other_platforms(own: Platform | None, platforms: Sequence[Platform]) -> None:
    """Raise UnsupportedImage where an image by itself, for the platform `own`, isn't for just these platforms."""
    if own is None and platforms:
        raise UnsupportedImage("its config names no platform", hint="leave out `platforms`")
    missing = [platform for platform in platforms if own and not platform.matches(own)]
    if own and missing:
        raise _lacking(missing, [own])


def platform_of(config: bytes) -> Platform | None:
    """Return the platform that an image's `config` names (image-spec, config.md); None where it names none."""
    try:
        said = json.loads(config)
        os, architecture, variant = said["os"], said["architecture"], said.get("variant")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(os, str) or not isinstance(architecture, str) or not os or not architecture:
        return None
    if not f"{os}{architecture}{variant}".isprintable():
        return None
    return Platform(os, architecture, variant if isinstance(variant, str) and variant else None)


def _of_platforms(entries: Sequence[Descriptor], platforms: Sequence[Platform]) -> Iterator[Descriptor]:
    """The entries of these platforms; several of one, such as Windows has for its versions, all stay."""
    unnamed = sum(entry.platform is None for entry in entries)
    if unnamed:
        said = f"{unnamed} of its {len(entries)} images name no platform"
        raise UnsupportedImage(f"platforms can't be chosen: {said}", hint="leave out `platforms`")
    offered = [entry.platform for entry in entries if entry.platform]
    missing = [wanted for wanted in platforms if not any(wanted.matches(one) for one in offered)]
    if missing:
        raise _lacking(missing, offered)
    for entry in entries:
        if entry.platform and any(wanted.matches(entry.platform) for wanted in platforms):
            yield entry


def _lacking(missing: Sequence[Platform], offered: Sequence[Platform]) -> UnsupportedImage:
    return UnsupportedImage(
        f"it has no image for {listed(missing)}; it has {listed(offered)}", hint="change `platforms` in the manifest"
    )


def _without(raw: bytes, keep: Sequence[bool]) -> bytes:
    """Cut the entries that are not kept out of an index's `manifests`: all else stays as it was to the byte."""
    try:
        text = raw.decode()
        entries = list(_entries(text))
    except (ValueError, IndexError) as error:  # JSON has other encodings, too
        raise UnsupportedImage("the index is not JSON in UTF-8, so that nothing can be taken out of it") from error
    if len(entries) != len(keep):
        raise AssertionError("the entries were read before")
    kept = [text[start:end] for (start, end), stays in zip(entries, keep, strict=True) if stays]
    separator = text[entries[0][1] : entries[1][0]]
    rewritten = text[: entries[0][0]] + separator.join(kept) + text[entries[-1][1] :]
    return rewritten.encode()


def _entries(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each entry of `manifests` begins and ends in the JSON of an index."""
    position = _member(text, "manifests") + 1  # behind the bracket
    while True:
        start = _skip(text, position)
        _, end = _DECODER.raw_decode(text, start)
        yield start, end
        position = _skip(text, end)
        if text[position] == "]":
            return
        position += 1  # a comma


def _member(text: str, name: str) -> int:
    """Return where the value of a member of the JSON object `text` begins."""
    position = _skip(text, 0) + 1
    while True:
        key, end = _DECODER.raw_decode(text, _skip(text, position))
        start = _skip(text, _skip(text, end) + 1)
        if key == name:
            return start
        _, end = _DECODER.raw_decode(text, start)
        position = _skip(text, end) + 1


_DECODER = json.JSONDecoder()


def _skip(text: str, position: int) -> int:
    """White space as JSON has it (RFC 8259, 2)."""
    while text[position] in " \t\n\r":
        position += 1
    return position
