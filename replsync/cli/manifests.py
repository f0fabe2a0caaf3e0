"""The manifests of a run: from what `-f` names to what was read, or to everything that is wrong with all of them."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from replsync.cli.manifest_file import read, tag_of, target_of
from replsync.errors import InvalidInput, SeveralInvalid, UsageError
from replsync.manifest.read import ManifestFile
from replsync.oci.reference import Reference
from replsync.plan.claims import Claims, Member, contradictions
from replsync.plan.planner import Target

T = TypeVar("T")
R = TypeVar("R")

_SUFFIXES = (".yaml", ".yml")
_NAMED = 10


def manifest_paths(given: Iterable[Path]) -> tuple[Path, ...]:
    """Return the paths of the manifests, in the order given, each file once.

    A folder stands for every YAML file right in it, sorted by name, but for
    lock files and hidden ones. Raises InvalidInput where it has none, or can't be listed.
    """
    found: dict[str, Path] = {}
    for path in given:
        for one in _of_folder(path) if path.is_dir() else [path]:
            found.setdefault(os.path.realpath(one), one)
    return tuple(found.values())


def _of_folder(folder: Path) -> list[Path]:
    # Every YAML file, whatever its name: one that were passed over for its name would seem to be applied.
    try:
        found = sorted(path for path in folder.iterdir() if _is_manifest(path))
    except OSError as error:
        raise InvalidInput(
            f"read the manifests of {folder}: {error.strerror}", hint="name the manifests one by one with -f"
        ) from error
    if not found:
        raise InvalidInput(
            f"read the manifests of {folder}: the folder has no YAML file in it",
            hint="name a folder that has, or the manifests one by one; folders in it are not looked into",
        )
    return found


def _is_manifest(path: Path) -> bool:
    name = path.name.lower()
    is_lock = Path(name).stem.endswith(".lock")
    return name.endswith(_SUFFIXES) and not name.startswith(".") and not is_lock and not path.is_dir()


def of_each(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return what `work` makes of each item. Raises InvalidInput with what is wrong with all of them."""
    done, errors = tried(work, items)
    refuse(errors)
    return done


def read_all(given: Sequence[Path], *, app_later: bool = False) -> tuple[Member, ...]:
    """Read the manifests that `given` names, and find out where their images live.

    Raises InvalidInput with all that is wrong with any of them, what contradicts others among it. With `app_later`
    it is no fault that no application is named: whichever it will be, it is the same for all of these.
    """
    files, errors = tried(read, manifest_paths(given))
    if not app_later:
        errors += tried(_target, files)[1]
    members = tuple(Member(file, _target_for_now(file)) for file in files)
    refuse([*errors, *contradictions(members)])
    return members


def members_of(files: Iterable[ManifestFile]) -> tuple[Member, ...]:
    """Return the members of a run. Raises InvalidInput where one names no application, or two contradict each other."""
    members = tuple(of_each(lambda file: Member(file, _target(file)), files))
    refuse(contradictions(members))
    return members


def _target(file: ManifestFile) -> Target:
    try:
        return target_of(file.manifest, Path.cwd(), os.environ)
    except InvalidInput as error:
        raise InvalidInput(f"{error.message} ({file.name})", hint=error.hint) from error


def _target_for_now(file: ManifestFile) -> Target:
    try:
        return _target(file)
    except InvalidInput:
        return Target(file.manifest.registry, "")


def member_with(name: str, members: Sequence[Member]) -> Member:
    """Return the one manifest that a tag of this name, `IMAGE:TAG` or in full, belongs to.

    Raises UsageError where it may be a tag of several, or where none of several has such an image.
    """
    if len(members) == 1:
        return members[0]
    claims = Claims.of(members)
    found = [
        (member, tag)
        for member in members
        if (tag := _reference(name, member)) and tag.repository in member.repositories
    ]
    naming = [member for member, tag in found if claims.names(tag, member)]
    if len(naming) == 1:
        return naming[0]
    owners = {id(owner): owner for _, tag in found if (owner := claims.owner(tag))}
    if len(owners) == 1:
        return next(iter(owners.values()))
    if not found:
        raise UsageError(
            f"{name!r} is not a tag of an image that one of the {len(members)} manifests has",
            hint="write it as IMAGE:TAG or REGISTRY/APP/IMAGE:TAG, or name its manifest with -f",
        )
    places = [f"{tag} ({member.file.name})" for member, tag in found]
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    raise UsageError(
        f"{name!r} may be {', '.join(places[:_NAMED])}{more}",
        hint="name it in full, REGISTRY/APP/IMAGE:TAG, or its manifest with -f",
    )


def _reference(name: str, member: Member) -> Reference | None:
    try:
        return tag_of(name, member.file)[0]
    except UsageError:
        return None


def tried(work: Callable[[T], R], items: Iterable[T]) -> tuple[list[R], list[InvalidInput]]:
    """Return what `work` makes of each item, and what is wrong with those that it can't take."""
    done: list[R] = []
    errors: list[InvalidInput] = []
    for item in items:
        try:
            done.append(work(item))
        except SeveralInvalid as error:
            errors += error.errors
        except InvalidInput as error:
            errors.append(error)
    return done, errors


def refuse(errors: Sequence[InvalidInput]) -> None:
    """Raise InvalidInput where there are any, with all of them."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SeveralInvalid(errors)
