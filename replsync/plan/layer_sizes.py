"""What keeps a plan from sending a layer that is too large, and what names those that are nearly so. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from replsync.manifest.byte_size import size_text
from replsync.oci.build_source import BuildSource
from replsync.oci.digest import short
from replsync.oci.image_manifest import Descriptor
from replsync.oci.layer_bounds import exported_disk, temporary_disk
from replsync.plan.action import Action, ByteCount, Copy, stopped

CUT_OFF = 1_900_000_000
"""Bytes from which a layer is named where there is no limit: below it no request was seen to be cut off."""

_SEEN = "Replicated's registry was seen to cut off requests near 2 GB with 524"
_PLATFORM = re.compile(r"[A-Za-z0-9._/-]{1,60}")  # what an image says of itself may be anything


@dataclass(frozen=True)
class Load:
    """An action, and what of its image is sent.

    `sent` are the blobs that the action sends itself, `awaited` those that it
    needs and an earlier action sends. Of an image whose blobs exist only once
    it is exported there is but its size, `unpacked`, in bytes. `split` are the layers that are split first.
    """

    action: Action
    sent: tuple[Descriptor, ...] = ()
    awaited: tuple[Descriptor, ...] = ()
    unpacked: int = 0
    split: tuple[Descriptor, ...] = ()


def limited(loads: Iterable[Load], limit: int | None, *, by_daemon: bool = False) -> tuple[Action, ...]:
    """Return the actions, blocked where a layer that is to be sent has more than `limit` bytes.

    With no limit an action has a note instead, where a layer is so large that a
    registry may cut it off. A note also tells where layers can't be measured.
    `by_daemon`: a Docker daemon pushes.
    """
    return tuple(_limited(load, limit, by_daemon) for load in loads)


def unmeasured(loads: Iterable[Load], limit: int | None) -> tuple[str, ...]:
    """Return a warning where there is a limit, and actions whose sources were not asked."""
    if limit is None:
        return ()
    writes = [load.action.write for load in loads if load.action.bytes is None]
    copies = [write for write in writes if isinstance(write, Copy) and not write.transforms.is_limited]
    built = sum(isinstance(copy.source, BuildSource) for copy in copies)
    return tuple(
        f"policy.max_layer_size is not checked for {count} tag{'' if count == 1 else 's'}: {why}"
        for count, why in (
            (len(copies) - built, "how large layers are, only their sources can say; plan without --locked"),
            (built, "how large layers are is known only once they are built"),
        )
        if count
    )


def _limited(load: Load, limit: int | None, by_daemon: bool) -> Action:
    write = load.action.write
    if isinstance(write, Copy) and write.transforms.split_over is not None:
        return _split(load, write.transforms.split_over)
    if limit is None:
        large = _layers(load.sent, CUT_OFF)
        if large:
            return _noted(load.action, f"{_named(large)}: {_SEEN}{_how_sent(by_daemon)}")
        if load.unpacked >= CUT_OFF:
            return _noted(load.action, f"{_unpacked(load)}; {_SEEN}{_how_sent(by_daemon)}")
        return load.action
    large = _layers((*load.sent, *load.awaited), limit + 1)
    if large:
        return _blocked(load.action, large, limit, by_daemon)
    if load.unpacked > limit:
        return _noted(
            load.action,
            f"{_unpacked(load)}; it fails before anything of it is sent if one is larger than policy.max_layer_size, "
            f"{_beside(limit, (load.unpacked,))}",
        )
    return load.action


def _split(load: Load, limit: int) -> Action:
    at_most = f"layers of at most {size_text(limit)}"
    if load.split:
        are = "is" if len(load.split) == 1 else "are"
        named, disk = f"{_named(load.split, limit)} {are} split into {at_most}", temporary_disk(load.split)
    elif load.unpacked > limit:
        named, disk = f"{_unpacked(load)}; large ones are split into {at_most}", exported_disk(load.unpacked)
    else:
        return load.action
    return _noted(load.action, f"{named}, which takes up to {size_text(disk)} of temporary disk")


def _blocked(action: Action, large: Sequence[Descriptor], limit: int, by_daemon: bool) -> Action:
    split = "" if by_daemon else "set policy.oversize_layers: split, "
    allowed = _beside(limit, [layer.size for layer in large])
    one = len(large) == 1
    why = f"{_named(large, limit)} {'is' if one else 'are'} larger than policy.max_layer_size, {allowed}"
    next_move = f"{split}make {'the layer' if one else 'them'} smaller, or raise policy.max_layer_size"
    return replace(stopped(action, why, next_move), bytes=ByteCount())


def _noted(action: Action, note: str) -> Action:
    return replace(action, notes=(*action.notes, note))


def _layers(blobs: Iterable[Descriptor], least: int) -> list[Descriptor]:
    return [blob for blob in blobs if blob.size >= least and not blob.is_config]


def _named(layers: Sequence[Descriptor], limit: int | None = None) -> str:
    """All of them, since each has to be dealt with; with the platform where the image has several."""
    names = []
    for layer in layers:
        size = size_text(layer.size) if limit is None else _beside(layer.size, (limit,))
        platform = str(layer.platform or "")
        platform = f", {platform}" if _PLATFORM.fullmatch(platform) else ""
        names.append(f"{short(layer.digest)} ({size}{platform})")
    return f"layer {names[0]}" if len(names) == 1 else f"layers {', '.join(names[:-1])} and {names[-1]}"


def _beside(size: int, others: Iterable[int]) -> str:
    """The size for people; to the byte where it would else look like one that it is compared with."""
    text = size_text(size)
    return f"{size} B" if text in map(size_text, others) else text


def _unpacked(load: Load) -> str:
    return f"the image has {size_text(load.unpacked)} unpacked, and its layers are known only once it is exported"


def _how_sent(by_daemon: bool) -> str:
    if by_daemon:
        return ", and docker sends a layer in one; --engine registry sends it in chunks"
    return "; replsync sends large layers in chunks"
