"""Reading `replicated-images.yaml`: from bytes to a Manifest, or to everything that is wrong with it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from replsync.manifest.contradictions import contradictions
from replsync.manifest.faults import Fault, InvalidManifest
from replsync.manifest.model import Manifest
from replsync.manifest.source_text import Position, SourceText, decode
from replsync.manifest.wording import complaint
from replsync.manifest.yaml_tree import ListPlaces, MappingPlaces, Places, Tree, Value, read_tree
from replsync.oci.digest import Digest, sha256

_START = """start with
version: 1
app: myapp
images:
  - name: worker
    source: ghcr.io/acme/worker
    tags:
      - 1.10"""


@dataclass(frozen=True)
class Positions:
    """Where the parts of a manifest stand in its file."""

    root: Places

    def of(self, path: Sequence[str | int]) -> Position:
        """Return where the value at `path` starts, such as `("images", 0, "tags", 3)`.

        Where the file has nothing there, it is the innermost list or mapping
        around it. What was reached through an alias stands where its anchor is.
        """
        places = self._follow(path)[0]
        return places if isinstance(places, Position) else places.start

    def of_key(self, path: Sequence[str | int]) -> Position:
        """Return where the key at the end of `path` stands; for an item of a list, the item."""
        if path:
            places, steps = self._follow(path[:-1])
            if steps == len(path) - 1 and isinstance(places, MappingPlaces) and path[-1] in places.keys:
                return places.keys[str(path[-1])]
        return self.of(path)

    def known(self, path: Sequence[str | int]) -> tuple[str | int, ...]:
        """Return the part of `path` that the file has."""
        return tuple(path[: self._follow(path)[1]])

    def _follow(self, path: Sequence[str | int]) -> tuple[Places, int]:
        places = self.root
        for steps, step in enumerate(path):
            inner = _inside(places, step)
            if inner is None:
                return places, steps
            places = inner
        return places, len(path)


@dataclass(frozen=True)
class ManifestFile:
    """A manifest that was read: the file's name, the digest of its bytes, what it says and where."""

    name: str
    sha256: Digest
    manifest: Manifest
    positions: Positions


def read_manifest(data: bytes, name: str) -> ManifestFile:
    """Return the manifest in `data`, the content of the file `name`.

    Raises InvalidManifest with everything that is wrong, sorted by position.
    """
    source = decode(data, name)
    tree = read_tree(source)
    if tree is None:
        raise InvalidManifest(name, [Fault(1, 1, f"the file {_lack(source)}", _START)])
    if another := _another_document(tree.value):
        raise InvalidManifest(name, [source.fault(Position(1, 1), *another)])
    positions = Positions(tree.places)
    try:
        manifest = Manifest.model_validate(tree.value)
    except ValidationError as error:
        raise InvalidManifest(name, _faults(source, tree, positions, error)) from error
    if tree.faults:
        raise InvalidManifest(name, tree.faults)
    return ManifestFile(name, sha256(data), manifest, positions)


def _faults(source: SourceText, tree: Tree, positions: Positions, error: ValidationError) -> list[Fault]:
    faults = list(tree.faults)
    for conflict in contradictions(tree.value):
        message = conflict.message
        if conflict.first is not None:
            first = positions.of(conflict.first)
            message += f", first in line {first.line}, column {first.column}"
        faults.append(source.fault(positions.of(conflict.path), message, conflict.proposal))
    for detail in error.errors(include_url=False):
        if detail["type"] == "contradiction":
            continue  # it is among those above, which have their places
        said = complaint(detail, positions.known(detail["loc"]))
        position = positions.of_key(said.path) if said.about_key else positions.of(said.path)
        fault = source.fault(position, said.message, said.proposal)
        if detail["type"] == "newer_version":
            # What else seems wrong may be right in that version.
            return [fault]
        faults.append(fault)
    return faults


def _another_document(value: Value) -> tuple[str, str] | None:
    """What a file is that replsync wrote itself, and what to do with it; None for what may be meant as a manifest."""
    if not isinstance(value, dict) or "images" in value:
        return None
    if str(value.get("format")).startswith("replsync.plan/"):
        return (
            "this is a saved plan, not a manifest",
            "show it with `replsync show FILE`, or carry it out with `replsync apply FILE`, without -f",
        )
    if isinstance(value.get("sources"), dict):
        return "this is a lock file, not a manifest", "name the manifest: its lock file, beside it, is found by itself"
    return None


def _lack(source: SourceText) -> str:
    lines = [line.strip() for line in source.lines if line.strip()]
    if not lines:
        return "is empty"
    return "holds only comments" if all(line.startswith("#") for line in lines) else "says nothing"


def _inside(places: Places, step: str | int) -> Places | None:
    match places, step:
        case ListPlaces(items=items), int() if 0 <= step < len(items):
            return items[step]
        case MappingPlaces(values=values), str():
            return values.get(step)
        case _:
            return None
