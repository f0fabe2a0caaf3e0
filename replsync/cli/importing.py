"""`replsync import`: a manifest from what a registry has."""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from replsync.cli import log
from replsync.cli.files import read_whole, write_whole
from replsync.cli.manifest_file import application, target_of
from replsync.cli.options import Connection, Shown
from replsync.cli.progress import asking
from replsync.cli.running import run
from replsync.cli.schemas import write_schema_beside
from replsync.cli.workspace import TOKEN, settings_of, token_credential
from replsync.errors import (
    ChangedMeanwhile,
    InvalidInput,
    NotFound,
    PartialFailure,
    RegistryError,
    SignInError,
    UsageError,
)
from replsync.manifest.adopting import Adopted, new_manifest, with_adopted
from replsync.manifest.model import DEFAULT_REGISTRY, Image, Transfer
from replsync.manifest.read import ManifestFile, read_manifest
from replsync.manifest.source_text import MAX_SIZE
from replsync.oci.reference import is_host, is_loopback, is_path
from replsync.plan.planner import Target
from replsync.registry.client import RegistryClient
from replsync.registry.credentials import CredentialStore
from replsync.registry.together import together
from replsync.registry.transport import TimeLimits, Transport
from replsync.registry.vendor_api import ORIGIN, api_origin, image_names
from replsync.render.harmless import clean
from replsync.survey.adopting import CHART, Found, look_around

STDOUT = Path("-")
_STILL_UNLISTED = "what was left out is unlisted there: look at it first where policy.unlisted says tombstone"
_NAMED = 10
_NO_LIST = (400, 403, 404, 405)
"""What registries answer that have no list of repositories, or keep it to themselves."""


@dataclass(frozen=True)
class Wish:
    """What the command line says: `registry` and `app` are None where it doesn't; no `images`, all that there are."""

    file: Path
    registry: str | None
    app: str | None
    images: tuple[str, ...]
    mutable: tuple[str, ...]


def import_tags(wish: Wish, connection: Connection, no_color: bool) -> None:
    """Write a manifest of what the registry has, or add to one what it lacks, and say what was done."""
    old = _old(wish.file)
    file = read_manifest(old, str(wish.file)) if old is not None else None
    target = _target(wish, file)
    names = tuple(dict.fromkeys(_name(one, target) for one in wish.images))
    images = {image.name: image for image in file.manifest.images} if file else {}
    transfer = file.manifest.transfer if file else Transfer()
    if known := [name for name in images if wish.mutable and (name in names or not names)]:
        log.say("note", f"note: --mutable is for new images, and not for {_some(known)}")
    found = run(_look(wish, target, names, images, connection, transfer, Shown(no_color=no_color)))
    adopted = [one for some in found if (one := some.adopted)]
    said = sys.stderr if wish.file == STDOUT else sys.stdout
    print(f"{target.registry}/{target.app}", file=said)
    if pinned := [name for one in found if (image := images.get(one.name)) for name in _pinned(one, image)]:
        log.say(
            "note",
            f"note: pinned although `mutable` names it: {_some(pinned)}; where a tag is to follow its source, "
            "take its digest away",
        )
    for line in _lines(found):
        print(clean(line), file=said)
    _write(wish, target, old, adopted, is_all=not any(one.unfit or one.unreadable for one in found))
    unread = sum(len(one.unreadable) for one in found)
    if unread:
        raise PartialFailure(
            f"import: {_count(unread, 'tag')} can't be read and {'is' if unread == 1 else 'are'} not in the manifest",
            hint="run the same command again: it adds what is missing",
        )


def _old(path: Path) -> bytes | None:
    if path == STDOUT or not path.exists():
        return None
    return read_whole(path, "the manifest", MAX_SIZE, "name another file with --file")


def _target(wish: Wish, file: ManifestFile | None) -> Target:
    """Where the images live: by the command line, or the manifest, which may not contradict each other."""
    if wish.registry is not None and not is_host(wish.registry):
        raise UsageError(
            f"import: {wish.registry!r} is no registry", hint=f"write HOST or HOST:PORT, such as {DEFAULT_REGISTRY}"
        )
    if file is not None:
        manifest = file.manifest if file.manifest.app else file.manifest.model_copy(update={"app": wish.app})
        target = target_of(manifest, Path.cwd(), os.environ)
        for option, given, there in (("registry", wish.registry, target.registry), ("app", wish.app, target.app)):
            if given not in (None, there):
                raise UsageError(
                    f"import: {file.name} is for the {option} {there}, not {given}",
                    hint=f"name another file with --file, or change `{option}` in this one",
                )
        return target
    lack, hint = "no --app is given", "say --app YOUR-APPLICATION-SLUG, or set REPLICATED_APP"
    return Target(wish.registry or DEFAULT_REGISTRY, application(wish.app, Path.cwd(), os.environ, lack, hint))


def _name(given: str, target: Target) -> str:
    name = given.removeprefix(f"{target.registry}/").removeprefix(f"{target.app}/")
    if is_path(name):
        return name
    bare = name.partition("@")[0].rpartition(":")[0]
    raise UsageError(
        f"import: {given!r} is not the name of an image",
        hint=f"all its tags are taken: write {bare}" if is_path(bare) else "write it as in its address: worker",
    )


async def _look(
    wish: Wish,
    target: Target,
    names: tuple[str, ...],
    images: dict[str, Image],
    connection: Connection,
    transfer: Transfer,
    shown: Shown,
) -> list[Found]:
    tokens = token_credential(target.registry, os.environ)
    async with Transport(TimeLimits(idle=connection.timeout)) as transport:
        credentials = CredentialStore(os.environ, Path.home(), tokens)
        client = RegistryClient(transport, credentials, settings_of(connection, [transfer]))
        async with asking(client, shown):
            await client.ping(target.registry)
            wanted = names or _fit(await _every_name(target, client, transport))
            found = await together(
                look_around(client, target.repository(name), name, images.get(name), wish.mutable) for name in wanted
            )
    if names and (missing := [f"{target.repository(one.name)}" for one in found if not one.count]):
        raise NotFound(
            f"import: the registry has no tags of {_some(missing)}; nothing was written",
            hint="check the name; it is what stands between the application and the tag",
        )
    return found


async def _every_name(target: Target, client: RegistryClient, transport: Transport) -> tuple[str, ...]:
    """The images that the Vendor API names, else those of the registry's own list, which Replicated's doesn't have."""
    token = os.environ.get(TOKEN)
    if token and (os.environ.get(ORIGIN) or not is_loopback(target.registry)):
        return await image_names(transport, api_origin(os.environ), token, target.app)
    try:
        paths = await client.repositories(target.registry, target.app)
    except (RegistryError, SignInError) as error:
        if isinstance(error, RegistryError) and error.status not in _NO_LIST:
            raise
        api = "" if token else f"; or set {TOKEN}, with which Replicated's Vendor API is asked"
        raise UsageError(
            f"import: {target.registry} doesn't say which images there are",
            hint=f"name them: replsync import --app {target.app} worker api{api}",
        ) from error
    return tuple(path.removeprefix(f"{target.app}/") for path in paths)


def _pinned(found: Found, image: Image) -> Iterable[str]:
    return (f"{found.name}:{tag.tag}" for tag in found.tags if tag.digest and image.is_mutable(tag.tag))


def _fit(names: Sequence[str]) -> tuple[str, ...]:
    """Those that are names of images: what another program says is looked at first."""
    if unfit := [name for name in names if not is_path(name)]:
        log.say("note", f"note: left out what is listed and is no image's name: {_some(unfit)}")
    return tuple(name for name in names if is_path(name))


def _write(wish: Wish, target: Target, old: bytes | None, adopted: Sequence[Adopted], *, is_all: bool) -> None:
    path = wish.file
    if not adopted:
        if old is None:
            raise InvalidInput(
                f"import: there is nothing below {target.registry}/{target.app} that a manifest lists; "
                "nothing was written",
                hint="check --registry, --app and the images' names",
            )
        print(f"{clean(str(path))}: nothing to add, it is as it was")
        return
    new = with_adopted(old, str(path), adopted) if old is not None else _checked(target, adopted, str(path))
    if path == STDOUT:
        print(new.decode(), end="")
        return
    if _old(path) != old:
        raise ChangedMeanwhile(
            f"write the manifest {path}: it was changed meanwhile; nothing was written", hint="run the command again"
        )
    write_whole(path, new, "the manifest")
    tags, retired = (
        sum(len(one) for one in some) for some in zip(*((a.tags, a.retired) for a in adopted), strict=True)
    )
    verb = "wrote" if old is None else "added to"
    print(f"{verb} {clean(str(path))}: {_count(tags, 'tag')}, {retired} retired, in {_count(len(adopted), 'image')}")
    if old is None:
        write_schema_beside(path)
    option = "" if path == Path("replicated-images.yaml") else f" -f {clean(str(path))}"
    shows = "shows no changes; then commit the file, and give images a `source`" if is_all else _STILL_UNLISTED
    print(f"next: replsync plan{option}    # {shows}")


def _checked(target: Target, adopted: Sequence[Adopted], name: str) -> bytes:
    """A new manifest, read again before anybody trusts it. Raises InvalidInput where it would be too large."""
    data = new_manifest(target.registry, target.app, adopted).encode()
    if len(data) > MAX_SIZE:
        raise InvalidInput(
            f"import: the manifest would have {len(data)} bytes, and {MAX_SIZE} are read",
            hint="name fewer images, and let each manifest have its own --file",
        )
    read_manifest(data, name)
    return data


def _lines(found: Sequence[Found]) -> Iterable[str]:
    width = max(len(one.name) for one in found) if found else 0
    for one in found:
        parts = [_count(len(one.tags), "tag"), f"{len(one.retired)} retired"]
        if one.known:
            parts.append(f"{one.known} listed already")
        left = len(one.artifacts) + len(one.unfit) + len(one.unreadable)
        yield f"  {one.name:<{width}}  {', '.join(parts)}" + (f"; {left} left out" if left else "")
    charts = [f"{one.name}:{tag}" for one in found for tag, kind in one.artifacts.items() if kind == CHART]
    others = [f"{one.name}:{tag}" for one in found for tag, kind in one.artifacts.items() if kind != CHART]
    if charts:
        yield f"left out {_count(len(charts), 'Helm chart')}, which replsync never touches: {_some(charts)}"
    if others:
        yield f"left out {_count(len(others), 'artifact')} that {_is(others)} no image: {_some(others)}"
    for what in ("unfit", "unreadable"):
        for one in found:
            for tag, why in list(getattr(one, what).items())[:_NAMED]:
                yield f"{'left out' if what == 'unfit' else 'not read:'} {one.name}:{tag}: {why}"
            more = len(getattr(one, what)) - _NAMED
            if more > 0:
                yield f"  and {more} more of {one.name}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
