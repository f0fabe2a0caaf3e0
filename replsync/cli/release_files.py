"""Finding and reading the files of a release by the patterns that the manifest names."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from replsync.errors import InvalidInput
from replsync.manifest.faults import shown
from replsync.plan.release_references import MAX_SIZE, ReleaseFile


def release_files(patterns: Sequence[str], folder: Path) -> tuple[ReleaseFile, ...]:
    """Read the regular files that the patterns match, each once, sorted by name.

    A pattern is relative to `folder` and may begin with `..`; `*`, `?` and
    `[…]` match within a name, `**` any number of folders, hidden and linked ones too, and
    at the end everything below. A file is named as the pattern would name it:
    relative to `folder`, with `/`. Of a file larger than 8 MiB one byte more
    than that is read. Raises InvalidInput for a pattern that matches no file,
    and for what can't be read.
    """
    paths: dict[str, Path] = {}
    for pattern in patterns:
        parts = _parts(pattern)
        try:
            found = {path for path in _matching(folder, parts, set()) if path.is_file()}
        except (OSError, ValueError) as error:
            raise _unreadable(pattern, error) from error
        if not found:
            raise InvalidInput(
                f"read the releases: no file matches {shown(pattern)}",
                hint="patterns start at the manifest's folder; `**` stands for any number of folders",
            )
        paths |= {path.relative_to(folder).as_posix(): path for path in found}
    return tuple(_read(name, paths[name]) for name in sorted(paths))


def _parts(pattern: str) -> tuple[str, ...]:
    """Return the parts of a pattern. Raises InvalidInput where it doesn't stay beside the manifest."""
    path = PurePosixPath(pattern)
    if path.is_absolute() or Path(pattern).is_absolute():
        raise InvalidInput(
            f"read the releases: the pattern {shown(pattern)} is absolute",
            hint="write it relative to the manifest's folder, so that it holds on other machines too",
        )
    parts = path.parts
    ups = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    if ".." in parts[ups:]:
        raise InvalidInput(
            f"read the releases: the pattern {shown(pattern)} has a `..` behind another part",
            hint="only the beginning may lead upward, as in ../kots/*.yaml",
        )
    if parts and parts[-1] == "**":
        parts = (*parts, "*")
    # Two in a row match what one does, and would be tried in every combination.
    return tuple(part for number, part in enumerate(parts) if part != "**" or parts[number - 1 : number] != ("**",))


def _matching(base: Path, parts: tuple[str, ...], seen: set[tuple[Path, tuple[str, ...]]]) -> Iterator[Path]:
    """Yield what matches below `base`. Unlike pathlib's glob it raises OSError for a folder that can't be listed.

    Links are followed. `seen` are the folders that a `**` has been in, so that each is looked at once however
    many ways lead there.
    """
    if not parts:
        yield base
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        for folder in _folders(base, parts, seen):
            yield from _matching(folder, rest, seen)
    elif any(sign in part for sign in "*?["):
        for child in _listed(base):
            if fnmatchcase(child.name, part):
                yield from _matching(child, rest, seen)
    else:
        yield from _matching(base / part, rest, seen)


def _folders(base: Path, parts: tuple[str, ...], seen: set[tuple[Path, tuple[str, ...]]]) -> Iterator[Path]:
    """Yield `base` and all folders below it that aren't in `seen`; links last, so that files have their own names."""
    todo, links = [base], list[Path]()
    while todo or links:
        folder = todo.pop() if todo else links.pop()
        place = (folder.resolve(), parts)
        if place in seen:
            continue
        seen.add(place)
        yield folder
        for child in _listed(folder):
            if child.is_dir():
                (links if child.is_symlink() else todo).append(child)


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _read(name: str, path: Path) -> ReleaseFile:
    try:
        name.encode()  # it goes into the plan document
        with path.open("rb") as file:
            return ReleaseFile(name, file.read(MAX_SIZE + 1))
    except UnicodeEncodeError as error:
        raise InvalidInput(f"read the release's file {name!a}: its name is not UTF-8", hint="rename it") from error
    except OSError as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: OSError | ValueError) -> InvalidInput:
    why = error.strerror if isinstance(error, OSError) else str(error)
    return InvalidInput(
        f"read the releases: {shown(name)}: {why}",
        hint="a release that can't be read may name any image, so that nothing is planned without it",
    )
