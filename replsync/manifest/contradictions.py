"""Rules between entries: what one of them says may not contradict, or repeat, another.

They are read from the model and, before there is one, from the bare values of
the file, so that such a fault is reported beside all the others. What is
missing or of another type is none of their business.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from replsync.manifest.byte_size import parse_size
from replsync.manifest.faults import shown
from replsync.oci.platform import Platform, parse_platform
from replsync.oci.reference import Reference
from replsync.oci.source_name import DaemonSource, LayoutSource, RegistrySource, SavedSource, SourceName, parse_source

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Contradiction:
    """`path` is the place to blame; `first` the entry that it contradicts, where there is one."""

    path: Path
    message: str
    proposal: str
    first: Path | None = None


def contradictions(manifest: object) -> list[Contradiction]:
    """Return everything between entries of `manifest` that contradicts, or repeats, something else."""
    found = repeated_images(manifest)
    for index, image in enumerate(_items(manifest, "images")):
        found += image_contradictions(image, ("images", index))
    found += policy_contradictions(_get(manifest, "policy"), ("policy",))
    return found + transfer_contradictions(_get(manifest, "transfer"), ("transfer",))


def repeated_images(manifest: object) -> list[Contradiction]:
    """Return the images that are listed more than once."""
    seen: dict[str, Path] = {}
    found = []
    for index, image in enumerate(_items(manifest, "images")):
        name = _get(image, "name")
        path = ("images", index, "name")
        if not isinstance(name, str):
            continue
        if name in seen:
            message = f"the image {shown(name)} is listed twice"
            found.append(Contradiction(path, message, "merge the two entries", seen[name]))
        seen.setdefault(name, path)
    return found


def image_contradictions(image: object, at: Path = ()) -> list[Contradiction]:
    """Return the contradictions inside the entry `image`, which stands at the path `at`."""
    return [
        *_says_nothing(image, at),
        *_repeated_tags(image, at),
        *_unfit_digests(image, at),
        *_unfit_builds(image, at),
        *_repeated_platforms(image, at),
        *_unfit_selector(image, at),
    ]


def policy_contradictions(policy: object, at: Path = ()) -> list[Contradiction]:
    """Return the contradictions inside `policy`, which stands at the path `at`."""
    if _get(policy, "oversize_layers") != "split" or _get(policy, "max_layer_size") is not None:
        return []
    message = "`oversize_layers: split` needs a `max_layer_size`"
    return [Contradiction((*at, "oversize_layers"), message, "add `max_layer_size: 1.9GB`")]


def transfer_contradictions(transfer: object, at: Path = ()) -> list[Contradiction]:
    """Return the contradictions inside `transfer`, which stands at the path `at`."""
    smallest, largest = (_bytes(_get(transfer, key)) for key in ("min_chunk_size", "max_chunk_size"))
    if smallest is None or largest is None or smallest <= largest:
        return []
    message = "`min_chunk_size` is more than `max_chunk_size`"
    return [Contradiction((*at, "min_chunk_size"), message, "give it the same size, or less")]


def _says_nothing(image: object, at: Path) -> Iterator[Contradiction]:
    name = _get(image, "name")
    said = set(image) if isinstance(image, dict) else {"source", "build", "tags", "retired"}
    if isinstance(name, str) and not any(_get(image, key) for key in said - {"name", "mutable"}):
        yield Contradiction(
            at, f"the image {shown(name)} has no tags, no retired tags and no source", "add some, or remove the entry"
        )


def _repeated_tags(image: object, at: Path) -> Iterator[Contradiction]:
    seen: dict[str, Path] = {}
    for kind in ("tags", "retired"):
        for index, entry in enumerate(_items(image, kind)):
            tag = _get(entry, "tag")
            if not isinstance(tag, str):
                continue
            path = (*at, kind, index, "tag")
            first = seen.setdefault(tag, path)
            if first is path:
                continue
            if first[-3] == kind:
                message = f"the tag {shown(tag)} is {'listed' if kind == 'tags' else 'retired'} twice"
                yield Contradiction(path, message, "remove one of them", first)
            else:
                message = f"the tag {shown(tag)} is both listed and retired"
                yield Contradiction(path, message, "remove it from `tags` or from `retired`", first)


def _unfit_digests(image: object, at: Path) -> Iterator[Contradiction]:
    for index, entry in enumerate(_items(image, "tags")):
        digest = _get(entry, "digest")
        if not isinstance(digest, str):
            continue
        path = (*at, "tags", index, "digest")
        own = _get(entry, "source")
        if _get(entry, "build") is not None or (own is None and _get(image, "build") is not None):
            message = "a digest pins an image in a registry, but this tag is built"
            yield Contradiction(path, message, "remove the digest, or give the tag a source in a registry")
            continue
        match _parsed(_get(image, "source") if own is None else own):
            case DaemonSource() | SavedSource() as source:
                where = "the Docker daemon" if isinstance(source, DaemonSource) else "an archive of `docker save`"
                yield Contradiction(
                    path,
                    f"a digest pins an image in a registry, but the source of this tag is {where}"
                    + (", which it takes from the image" if own is None else ""),
                    "remove the digest, or give the tag a source in a registry",
                )
            case RegistrySource(Reference(digest=str() as pinned)) | LayoutSource(digest=str() as pinned) if (
                pinned != digest
            ):
                yield Contradiction(
                    path, "the digest is not the one that the source of this tag names", "remove one of them"
                )


def _unfit_builds(image: object, at: Path) -> Iterator[Contradiction]:
    chosen = _platforms(image)
    tags = [(tag, (*at, "tags", index)) for index, tag in enumerate(_items(image, "tags"))]
    for entry, path in [(image, at), *tags]:
        build = _get(entry, "build")
        if build is None:
            continue
        if _get(entry, "source") is not None:
            yield Contradiction(
                (*path, "build"), "it has both a `source` and a `build`", "remove one of them", (*path, "source")
            )
        built = _platforms(build)
        for platform in chosen if built else []:
            if not any(platform.matches(one) for one in built):
                yield Contradiction(
                    (*path, "build", "platforms"),
                    f"the image's `platforms` has {platform}, for which it is not built",
                    f"add {platform}, or leave out the build's own `platforms`",
                    (*at, "platforms"),
                )


def _repeated_platforms(image: object, at: Path) -> Iterator[Contradiction]:
    tags = [(tag, (*at, "tags", index)) for index, tag in enumerate(_items(image, "tags"))]
    builds = [(_get(entry, "build"), (*path, "build")) for entry, path in [(image, at), *tags]]
    for entry, path in [(image, at), *builds]:
        seen: dict[Platform, Path] = {}
        for index, one in enumerate(_items(entry, "platforms")):
            place = (*path, "platforms", index)
            for platform in _platforms({"platforms": [one]}):
                if (first := seen.setdefault(platform, place)) != place:
                    message = f"the platform {shown(str(platform))} is listed twice"
                    yield Contradiction(place, message, "remove one of them", first)


def _platforms(entry: object) -> list[Platform]:
    found = []
    for one in _items(entry, "platforms"):
        try:
            found.append(one if isinstance(one, Platform) else parse_platform(str(one)))
        except ValueError:
            continue
    return found


def _unfit_selector(image: object, at: Path) -> Iterator[Contradiction]:
    select = _get(image, "select")
    if not isinstance(select, dict | BaseModel):
        return
    path = (*at, "select")
    said = set(select) if isinstance(select, dict) else {"semver", "regex", "newest"}  # a slip may be meant for one
    if not any(_get(select, key) for key in said - {"exclude", "max"}):
        yield Contradiction(path, "`select` doesn't say what it chooses", "add `semver`, `regex` or `newest`")
    if _get(select, "newest") and _get(select, "max"):
        yield Contradiction((*path, "max"), "`newest` is a bound by itself, so `max` means nothing", "remove it")
    source = _get(image, "source")
    if source is None:
        message = "`select` chooses tags of the image's source, and this image has none"
        yield Contradiction(path, message, "add `source: ghcr.io/acme/worker`, for example")
    elif not isinstance(_parsed(source), RegistrySource | None):
        message = "`select` chooses tags of a repository in a registry, and the image's source is none"
        yield Contradiction(path, message, "list the tags by name, or give the image such a source")


def _parsed(source: object) -> SourceName | None:
    if isinstance(source, str):
        try:
            return parse_source(source)
        except ValueError:
            return None
    return source if isinstance(source, SourceName) else None


def _bytes(size: object) -> int | None:
    if isinstance(size, str):
        try:
            return parse_size(size)
        except ValueError:
            return None
    return size if isinstance(size, int) else None


def _items(entry: object, key: str) -> list[object]:
    items = _get(entry, key)
    return list(items) if isinstance(items, list | tuple) else []


def _get(entry: object, key: str) -> object:
    match entry:
        case dict():
            return entry.get(key)
        case BaseModel():
            return getattr(entry, key, None)
        case str() if key == "tag":
            return entry
        case _:
            return None
