"""How much a layer may take once it is unpacked, or while it is split: all in bytes."""

from collections.abc import Sequence

from replsync.oci.image_manifest import Descriptor

_MIB = 1024 * 1024
_SOUND_SIZE = 64 * 1024 * _MIB
_SOUND_RATIO = 100


def unpacked_bound(size: int) -> int:
    """The most that a layer of `size` bytes may have unpacked: what has more is made to do harm."""
    return max(_SOUND_SIZE, size * _SOUND_RATIO)


def headers_bound(size: int) -> int:
    """The most that headers, kept in a temporary file, may take of a layer of `size` bytes."""
    return 64 * _MIB + size // 16


def parts_bound(layer: Descriptor) -> int:
    """The most that the parts of a layer may have together.

    A strong gzip is a twentieth smaller than what is written here, seldom more;
    zstd at its strongest half as large.
    """
    return (4 if "zstd" in layer.media_type else 2) * layer.size + _MIB


def temporary_disk(layers: Sequence[Descriptor]) -> int:
    """The most that splitting these layers takes in the temporary folder: each of them for a while, and all parts."""
    return max((layer.size + headers_bound(layer.size) for layer in layers), default=0) + sum(map(parts_bound, layers))


def exported_disk(size: int) -> int:
    """The most that is needed where an image of `size` bytes has to be exported first, and then is split."""
    return size + size + headers_bound(size) + 2 * size + _MIB
