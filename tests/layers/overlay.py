"""Unpacking layers one over the other in memory, as image-spec's layer.md says, by tarfile alone."""

import io
import posixpath
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass

MADE_UP = ("directory that no member names",)


@dataclass(eq=False)
class Inode:
    """A file, a directory, or something else: all that a layer says of it."""

    said: tuple[object, ...]
    is_directory: bool = False


Tree = dict[str, Inode]


def unpacked(layers: Iterable[bytes]) -> dict[str, tuple[object, ...]]:
    """What each path is in the end; hard links name each other."""
    tree: Tree = {}
    for layer in layers:
        apply(tree, layer)
    names: dict[int, list[str]] = {}
    for path in sorted(tree):
        names.setdefault(id(tree[path]), []).append(path)
    return {path: (*tree[path].said, tuple(names[id(tree[path])])) for path in sorted(tree)}


def apply(lower: Tree, layer: bytes) -> None:
    upper: Tree = {}
    with tarfile.open(fileobj=io.BytesIO(layer), mode="r:") as archive:
        for member in archive:
            path = posixpath.normpath("/" + member.name).strip("/")
            folder, _, name = path.rpartition("/")
            if name == ".wh..wh..opq":
                make_up(upper, path)
                remove_below(lower, folder)
            elif name.startswith(".wh."):
                make_up(upper, path)
                remove(lower, f"{folder}/{name[4:]}".strip("/"))
            else:
                make_up(upper, path)
                place(upper, path, member, archive)
    for path, inode in upper.items():
        there = lower.get(path)
        if there and not (there.is_directory and inode.is_directory):
            remove(lower, path)
        lower[path] = inode


def place(upper: Tree, path: str, member: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
    if member.islnk():
        linked = upper[posixpath.normpath("/" + member.linkname).strip("/")]
        linked.said = (*attributes(member, linked.said[0]), *linked.said[len(attributes(member, "")) :])
        upper[path] = linked
        return
    there = upper.get(path)
    if there and not member.isdir():
        remove(upper, path)
    file = archive.extractfile(member) if member.isreg() else None
    content = file.read() if file else b""
    special = (member.linkname, member.devmajor, member.devminor, content)
    upper[path] = Inode((*attributes(member, member.type), *special), member.isdir())


def attributes(member: tarfile.TarInfo, kind: object) -> tuple[object, ...]:
    extended = tuple(sorted((key, value) for key, value in member.pax_headers.items() if "xattr" in key))
    return kind, member.mode, member.uid, member.gid, member.uname, member.gname, float(member.mtime), extended


def make_up(upper: Tree, path: str) -> None:
    while path:
        path = path.rpartition("/")[0]
        upper.setdefault(path, Inode(MADE_UP, is_directory=True))


def remove(tree: Tree, path: str) -> None:
    tree.pop(path, None)
    remove_below(tree, path)


def remove_below(tree: Tree, path: str) -> None:
    for other in [other for other in tree if other != path and (not path or other.startswith(f"{path}/"))]:
        del tree[other]
