"""Finding and reading what the user wrote: the manifest, and the application's slug."""

import os
from collections.abc import Mapping
from pathlib import Path

from replsync.cli.files import read_whole
from replsync.errors import InvalidInput, UsageError
from replsync.manifest.model import Manifest
from replsync.manifest.read import ManifestFile, read_manifest
from replsync.manifest.source_text import MAX_SIZE
from replsync.oci.reference import Reference, is_path, is_tag
from replsync.plan.planner import Target

HINT = "name it with -f, or write one: replsync init"
_CLI_FILES = (".replicated", ".replicated.yaml")


def read(path: Path) -> ManifestFile:
    """Read a manifest from disk. Raises InvalidInput with every fault, or where there is no such file."""
    data = read_whole(path, "the manifest", MAX_SIZE, HINT)
    return read_manifest(data, str(path))


def tag_of(name: str, file: ManifestFile) -> tuple[Reference, str]:
    """Return the tag of this name, `IMAGE:TAG` or in full, and the image's name. Raises UsageError, InvalidInput."""
    target = target_of(file.manifest, Path.cwd(), os.environ)
    hosts = (target.registry, *file.manifest.registry_aliases)
    start = next((f"{host}/{target.app}/" for host in hosts if name.startswith(f"{host}/{target.app}/")), "")
    image, colon, tag = name.removeprefix(start).rpartition(":")
    if not colon or not is_path(image) or not is_tag(tag):
        raise UsageError(f"{name!r} is not the name of a tag", hint="write it as IMAGE:TAG, such as worker:1.9.3")
    return target.repository(image).tagged(tag), image


def target_of(manifest: Manifest, folder: Path, env: Mapping[str, str]) -> Target:
    """Return where the manifest's images live.

    The application is the manifest's `app`, else `$REPLICATED_APP`, else the
    `appSlug` of the vendor CLI's file, looked for from `folder` upward. Raises InvalidInput where none says.
    """
    return Target(manifest.registry, application(manifest.app, folder, env))


def application(
    named: str | None,
    folder: Path,
    env: Mapping[str, str],
    lack: str = "the manifest names no `app`",
    hint: str = "add `app: YOUR-APPLICATION-SLUG`, or set REPLICATED_APP",
) -> str:
    """Return the slug that is `named`, else the one found as `target_of` says.

    Raises InvalidInput where none says, with `lack` and `hint`, or where it is none.
    """
    app = named or env.get("REPLICATED_APP") or _slug_of_cli(folder)
    if not app:
        raise InvalidInput(f"find the application: {lack}", hint=hint)
    if not is_path(app) or "/" in app:
        raise InvalidInput(
            f"find the application: {app[:100]!r} is not an application's slug",
            hint="a slug is lower-case letters, digits and -, as in the address of the application's pages",
        )
    return app


def _slug_of_cli(folder: Path) -> str | None:
    for parent in (folder, *folder.parents):
        for name in _CLI_FILES:
            path = parent / name
            if path.is_file():
                return _app_slug(path)
    return None


def _app_slug(path: Path) -> str | None:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe", pure=True).load(path.read_bytes())
    except (YAMLError, OSError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"find the application: {path} can't be read as YAML", hint="mend it, or add `app` to the manifest"
        ) from error
    slug = content.get("appSlug") if isinstance(content, dict) else None
    return str(slug) if slug else None
