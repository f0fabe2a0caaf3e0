"""All that goes into a build, as one digest: what has it in common need not be built again.

What counts: the files that are sent (names, contents, whether they can be
executed, where links point), the Dockerfile, the stage, the arguments, the
platforms, and the ids of secrets. What doesn't: times, owners, and where the
context lies; replsync's own files in it; and what a secret is, since the digest is published with the
image, and a short secret could be guessed from it. An image that `FROM` names
by its tag is not seen either.
"""

import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from replsync.errors import InvalidInput
from replsync.oci.build_source import BuildSource
from replsync.oci.digest import Digest
from replsync.sources.ignored_files import Ignored, Matched, patterns_in

_PART = 1024 * 1024
_MAX_IGNORE_FILE = 1024 * 1024
_IGNORE = ".dockerignore"
_LEFT_ALONE = (stat.S_IFSOCK,)
"""Docker sends no sockets."""
_MANIFEST = re.compile(r"replicated-images[^/]*\.ya?ml")
_LOOKED_AT = 64 * 1024
_LOCK, _PLAN_START, _PLAN_END = b"# Written by `replsync lock`", b'{"actions":[', b'"format":"replsync.plan/'


def context_of(build: BuildSource) -> Path:
    """Return the build's context. Raises InvalidInput where it is no folder."""
    context = Path(build.context)
    if not context.is_dir():
        what = "is no folder" if context.exists() else "does not exist"
        raise InvalidInput(
            f"build {build}: its context {context} {what}", hint="a context is a path from the manifest's folder"
        )
    return context


def dockerfile_of(build: BuildSource, context: Path) -> Path:
    """Return the build's Dockerfile. Raises InvalidInput where there is none in the context."""
    file = context / build.dockerfile
    if not file.is_file():
        raise InvalidInput(
            f"build {build}: there is no Dockerfile {file}", hint="`dockerfile` is a path from the context"
        )
    if not file.resolve().is_relative_to(context.resolve()):
        raise InvalidInput(
            f"build {build}: the Dockerfile {file} is a link out of its context", hint="move the file itself there"
        )
    return file


def own_ignore_file(dockerfile: Path) -> Path:
    """The ignore file of one Dockerfile, which goes before the context's. The classic builder knows none."""
    return dockerfile.with_name(f"{dockerfile.name}{_IGNORE}")


def inputs_digest(build: BuildSource, stopped: Callable[[], bool] = lambda: False) -> Digest:
    """Return the digest of the build's inputs; every file that is sent is read. `stopped` is asked between parts.

    Raises InvalidInput where something of it is missing or can't be read.
    """
    try:
        context = context_of(build)
        dockerfile = dockerfile_of(build, context)
        hasher = _Hasher()
        hasher.add("replsync build", "1")
        hasher.add("dockerfile", _content(dockerfile, stopped))
        if build.target is not None:
            hasher.add("target", build.target)
        for name, value in build.args:
            hasher.add("arg", name, value)
        for identifier, _ in build.secrets:
            hasher.add("secret", identifier)
        for platform in sorted(map(str, build.platforms)):
            hasher.add("platform", platform)
        for path, found in sorted(sent_files(context, _ignored(build, context, dockerfile))):
            if not _is_own(context, path):
                hasher.add("file", path, *_described(context / path, found, stopped))
    except OSError as error:
        raise InvalidInput(
            f"build {build}: {error.filename}: {error.strerror or error}", hint="mend its context"
        ) from error
    return hasher.digest


def _is_own(context: Path, path: str) -> bool:
    """Whether a file is replsync's: a manifest, its lock file, a journal, a saved plan.

    They change whenever a plan is made or carried out; a build of a folder that
    has them would never be the same. They are sent all the same, unless the ignore file names them.
    """
    if ".replsync" in path.split("/") or _MANIFEST.fullmatch(posixpath.basename(path)):
        return True
    if not path.endswith((".yaml", ".yml", ".json")):
        return False
    file = context / path
    if file.is_symlink() or not file.is_file():
        return False
    with file.open("rb") as opened:
        start = opened.read(_LOOKED_AT)
        opened.seek(max(0, opened.seek(0, os.SEEK_END) - _LOOKED_AT))
        end = opened.read(_LOOKED_AT)
    return start.startswith(_LOCK) or (start.startswith(_PLAN_START) and _PLAN_END in end)


def sent_files(context: Path, ignored: Ignored) -> Iterator[tuple[str, os.stat_result]]:
    """Yield each file, folder and link of the context that is not left out, by its path in it. Raises OSError."""
    yield from _below(context, "", None, ignored)


def _below(
    folder: Path, prefix: str, matched: Matched | None, ignored: Ignored
) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        path = f"{prefix}{entry.name}"
        is_left_out, own = ignored.ignores(path, matched)
        about = entry.stat(follow_symlinks=False)
        if not is_left_out and stat.S_IFMT(about.st_mode) not in _LEFT_ALONE:
            yield path, about
        if stat.S_ISDIR(about.st_mode) and (not is_left_out or ignored.may_be_needed(path)):
            yield from _below(Path(entry.path), f"{path}/", own, ignored)


def _ignored(build: BuildSource, context: Path, dockerfile: Path) -> Ignored:
    own = own_ignore_file(dockerfile)
    file = own if own.is_file() else context / _IGNORE
    if not file.is_file():
        return Ignored(())
    with file.open("rb") as opened:
        data = opened.read(_MAX_IGNORE_FILE + 1)
    try:
        if len(data) > _MAX_IGNORE_FILE:
            raise ValueError(f"it has more than {_MAX_IGNORE_FILE} bytes")
        return Ignored(patterns_in(data.decode(errors="surrogateescape")))
    except ValueError as error:
        raise InvalidInput(f"build {build}: {file}: {error}", hint="mend it; see Docker's reference") from error


def _described(file: Path, about: os.stat_result, stopped: Callable[[], bool]) -> tuple[str, ...]:
    mode = about.st_mode
    if stat.S_ISDIR(mode):
        return ("folder",)
    if stat.S_ISLNK(mode):
        return ("link", str(file.readlink()))
    if stat.S_ISREG(mode):
        return ("executable" if mode & stat.S_IXUSR else "file", _content(file, stopped))
    return ("special", oct(stat.S_IFMT(mode)), str(about.st_rdev))


def _content(file: Path, stopped: Callable[[], bool]) -> str:
    hasher = hashlib.sha256()
    with file.open("rb") as opened:
        while part := opened.read(_PART):
            if stopped():
                raise InterruptedError(None, "interrupted", str(file))
            hasher.update(part)
    return hasher.hexdigest()


class _Hasher:
    """sha256 over texts, none of which can be taken for another: each has its length in front."""

    def __init__(self) -> None:
        self._hasher = hashlib.sha256()

    def add(self, *texts: str) -> None:
        """Add one record."""
        encoded = [os.fsencode(text) for text in texts]
        self._hasher.update(f"{len(encoded)};".encode())
        for text in encoded:
            self._hasher.update(b"%d:%b" % (len(text), text))

    @property
    def digest(self) -> Digest:
        """The digest of all that was added."""
        return Digest(f"sha256:{self._hasher.hexdigest()}")
