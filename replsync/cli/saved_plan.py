"""Plans in files: writing them, reading them, and whether they still fit what they were made from."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from replsync.cli import log
from replsync.cli.files import read_whole, write_whole
from replsync.cli.lock_file import lock_digest
from replsync.cli.manifest_file import read, target_of
from replsync.cli.manifests import members_of
from replsync.cli.workspace import mentions_of
from replsync.errors import InvalidInput, StalePlan
from replsync.manifest.read import ManifestFile
from replsync.oci.build_source import BuildSource
from replsync.oci.source_name import located
from replsync.plan.action import Copy, Kind
from replsync.plan.claims import Claims, Member
from replsync.plan.document import Plan, PlannedManifest, plan_json
from replsync.plan.document_reading import MAX_SIZE, read_plan
from replsync.plan.guarding import protected
from replsync.render.harmless import clean

_AGAIN = "make the plan again, and look at it: replsync plan --out FILE"


def save(plan: Plan, path: Path) -> None:
    """Write the plan document to `path`, and say what can be done with it. Raises ReplsyncError."""
    write_whole(path, plan_json(plan).encode(), "the plan")
    if not path.is_file():
        return
    name = shlex.quote(str(path))
    use = "it has blocked tags, and can't be applied" if plan.blocked else f"carry it out: replsync apply {name}"
    log.say("saved", f"Saved: {path}. Look at it again: replsync show {name}; {use}", path=str(path))


def read_saved(path: Path) -> Plan:
    """Read a plan that was saved. Raises InvalidInput where it is none, StalePlan where it was changed."""
    data = read_whole(path, "the plan", MAX_SIZE, "name a file that `replsync plan --out FILE` wrote")
    return read_plan(data, str(path))


def check_still_valid(plan: Plan) -> tuple[Member, ...]:
    """Return the manifests.

    Raises StalePlan where one, its lock file or a release isn't what the plan was made from, InvalidInput where they
    contradict each other.
    """
    members = members_of([_unchanged(planned) for planned in plan.manifests])
    _check_builds(plan, members)
    _check_releases(plan, members)
    return members


def _unchanged(planned: PlannedManifest) -> ManifestFile:
    path = clean(planned.path)
    try:
        file = read(Path(planned.path))
    except InvalidInput as error:
        raise StalePlan(
            f"apply the plan: its manifest {path} can't be read any more: {error.message}",
            hint="run it in the folder where the plan was made, or make the plan again",
        ) from error
    if file.sha256 != planned.sha256:
        raise StalePlan(f"apply the plan: the manifest {path} has changed since it was made", hint=_AGAIN)
    try:
        lock = lock_digest(planned.path)
    except InvalidInput as error:
        raise StalePlan(
            f"apply the plan: the lock file of {path} can't be read any more", hint=error.hint or _AGAIN
        ) from error
    if lock != planned.lock:
        raise StalePlan(f"apply the plan: the lock file of {path} has changed since it was made", hint=_AGAIN)
    target = target_of(file.manifest, Path.cwd(), os.environ)
    if (target.registry, target.app) != (planned.registry, planned.app):
        raise StalePlan(
            f"apply the plan: it is for the application {clean(planned.registry)}/{clean(planned.app)}, "
            f"and {path} stands for {target.registry}/{target.app} here",
            hint="set REPLICATED_APP as it was when the plan was made, or make the plan again",
        )
    return file


def _check_builds(plan: Plan, members: Sequence[Member]) -> None:
    """What is built may read any file: only what a manifest says is."""
    said = {
        located(source, member.folder)
        for member in members
        for image in member.file.manifest.images
        for tag in image.tags
        if isinstance(source := image.source_of(tag), BuildSource)
    }
    for action in plan.writes:
        source = action.write.source if isinstance(action.write, Copy) else None
        if isinstance(source, BuildSource) and source not in said:
            raise StalePlan(f"apply the plan: no manifest says what it would build for {action.reference}", hint=_AGAIN)


def _check_releases(plan: Plan, members: Sequence[Member]) -> None:
    """A release may name by now what the plan retires."""
    tombstones = [action for action in plan.writes if action.kind is Kind.TOMBSTONE]
    if not tombstones:
        return
    try:
        found = mentions_of(members)
    except InvalidInput as error:
        raise StalePlan(f"apply the plan: {error.message}", hint=_AGAIN) from error
    claims = Claims.of(members)
    for member, mentions in zip(members, found, strict=True):
        # A rollback may bury a tag whose image the manifest doesn't have any more.
        own = [one for one in tombstones if (claims.owner(one.reference) or members[0]) is member]
        for before, after in zip(own, protected(own, member.file.manifest, member.target, mentions), strict=True):
            if after.kind is not before.kind:
                raise StalePlan(f"apply the plan: retire {after.reference}: {after.reason}", hint=_AGAIN)
