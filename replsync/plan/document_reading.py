"""Reading a plan document back: only what `plan_json` wrote is taken, byte for byte."""

import json
import re
from typing import Any, assert_never

from replsync.errors import InvalidInput, StalePlan
from replsync.manifest.labels import is_chosen
from replsync.oci.build_source import BuildSource
from replsync.oci.digest import Digest, parse_digest
from replsync.oci.made_from import build_of, split_to
from replsync.oci.platform import parse_platform
from replsync.oci.recipe import AS_IT_IS, Transforms
from replsync.oci.reference import Reference, Repository, parse_reference
from replsync.oci.source_name import (
    DaemonSource,
    LayoutSource,
    RegistrySource,
    SavedSource,
    SourceName,
    parse_written,
    pinned,
)
from replsync.oci.tombstone import Epitaph
from replsync.plan.action import WRITING, Action, Bury, ByteCount, Copy, Kind, State, Write
from replsync.plan.comparing import buried
from replsync.plan.document import FORMAT, EngineName, Plan, PlannedManifest, body_digest, plan_json
from replsync.plan.document_schema import plan_schema
from replsync.plan.planner import in_order

MAX_SIZE = 64 * 1024 * 1024
"""Bytes of a plan document: ten thousand tags take about ten million."""

_SERIES, _, _VERSION = FORMAT.partition("/")


def read_plan(data: bytes, name: str) -> Plan:
    """Return the plan in `data`, the content of the file `name`.

    Raises InvalidInput for what is no plan document at all, StalePlan for one
    that was changed after it was made, or that a later version made.
    """
    document = _parse(data, name)
    _refuse_later(document, name)
    try:
        _check_digest(document)
        _check_schema(document)
        plan = _plan(document)
        # What contradicts itself (a summary that miscounts, a tag beside another reference) isn't written again.
        if plan_json(plan).encode() != data:
            raise ValueError("it is not as replsync writes it")
    except (ValueError, RecursionError) as error:  # half a surrogate pair is JSON, and can't be written again
        said = "it holds what no text holds" if isinstance(error, UnicodeError | RecursionError) else str(error)
        message = f"read the plan {name}: it was changed after it was made: {said}"
        raise StalePlan(message, hint="make the plan again: replsync plan --out FILE") from error
    return plan


def _check_digest(document: dict[str, Any]) -> None:
    if document.get("digest") != body_digest({key: value for key, value in document.items() if key != "digest"}):
        raise ValueError("its digest is not that of its content")


def _parse(data: bytes, name: str) -> dict[str, Any]:
    if len(data) > MAX_SIZE:
        raise _no_plan(name, f"it has more than {MAX_SIZE} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _no_plan(name, "it is not JSON; a manifest is named with -f") from error
    if not isinstance(document, dict) or not {"format", "digest", "actions"} & document.keys():
        raise _no_plan(name, "it is JSON of another kind")
    return document


def _refuse_later(document: dict[str, Any], name: str) -> None:
    stated = document.get("format")
    series, _, version = stated.partition("/") if isinstance(stated, str) else ("", "", "")
    if series == _SERIES and re.fullmatch("[0-9]{1,9}", version) and int(version) > int(_VERSION):
        raise StalePlan(
            f"read the plan {name}: it has the format {series}/{version}, this replsync reads {FORMAT}",
            hint="upgrade replsync, or make the plan again with this one",
        )


def _check_schema(document: dict[str, Any]) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    fault = best_match(Draft202012Validator(plan_schema()).iter_errors(document))
    if fault is not None:
        raise ValueError(f"{fault.json_path} is not as the schema of plans wants it")


def _plan(document: dict[str, Any]) -> Plan:
    plan = Plan(
        document["tool"],
        document["created_at"],
        tuple(map(_manifest, document["manifests"])),
        tuple(map(_action, document["actions"])),
        document["engine"],
        tuple(document["targets"]),
        tuple(document["warnings"]),
        tuple(document["notes"]),
    )
    for action in plan.actions:
        _check(action, plan)
    if len({manifest.path for manifest in plan.manifests}) != len(plan.manifests):
        raise ValueError("a manifest is named twice")
    if len({action.reference for action in plan.actions}) != len(plan.actions):
        raise ValueError("a tag has two actions")
    if plan.actions != in_order(plan.actions):
        raise ValueError("its actions are not in order")
    return plan


def _manifest(item: dict[str, Any]) -> PlannedManifest:
    if "\0" in item["path"]:
        raise ValueError("no file has such a name")
    lock = None if item["lock"] is None else parse_digest(item["lock"])
    return PlannedManifest(item["path"], parse_digest(item["sha256"]), item["registry"], item["app"], lock)


def _action(item: dict[str, Any]) -> Action:
    return Action(
        Kind(item["kind"]),
        item["image"],
        parse_reference(item["reference"]),
        _state(item["before"]),
        _state(item["after"]),
        item["reason"],
        _write(item),
        _bytes(item["bytes"]),
        tuple(item["notes"]),
        item["next_move"] or "",
    )


def _bytes(item: dict[str, Any] | None) -> ByteCount | None:
    if item is None:
        return None
    if not all(type(count) is int for count in item.values()):
        raise ValueError("a number of bytes is not whole")  # to JSON Schema 1.0 is an integer
    return ByteCount(**item)


def _state(item: dict[str, Any] | None) -> State | None:
    if item is None:
        return None
    state = State(item["kind"], _digest(item["digest"]), _digest(item["config"]), item["made_from"])
    if state.made_from is not None and state.kind != "image":
        raise ValueError("what an image is made from stands where there is a tombstone")
    return state


def _digest(text: str | None) -> Digest | None:
    return None if text is None else parse_digest(text)  # to Python the schema's `$` may stand before a newline


def _write(item: dict[str, Any]) -> Write | None:
    match item["source"], item["tombstone"]:
        case None, None:
            return None
        case {"reference": source, "digest": digest, "attestations": attestations} as changed, None:
            platforms = tuple(map(parse_platform, changed["platforms"]))
            transforms = Transforms(attestations, platforms, changed["split_over"], changed["refuse_over"])
            return _copy(parse_written(source), parse_digest(digest), transforms)
        case None, {"reason": reason, "replaces": replaces, "media_type": media_type}:
            return Bury(Epitaph(item["reference"], reason, parse_digest(replaces), media_type))
        case _:
            raise ValueError(f"{item['reference']} has two things to write")


def _copy(source: SourceName, digest: Digest, transforms: Transforms) -> Copy:
    """A tag's digest stands beside its name in the document."""
    match source:
        case RegistrySource(Reference(digest=None)) | LayoutSource(digest=None):
            return Copy(pinned(source, digest), digest, transforms)
        case RegistrySource() | DaemonSource() | LayoutSource() | SavedSource() | BuildSource():
            return Copy(source, digest, transforms)
        case _:
            assert_never(source)


def _check(action: Action, plan: Plan) -> None:
    """Raise ValueError where an action says what no plan says."""
    at = action.reference
    homes = (Repository(manifest.registry, f"{manifest.app}/{action.image}") for manifest in plan.manifests)
    if at not in [home.tagged(action.tag) for home in homes]:
        raise ValueError(f"{at} is not a tag of a manifest's application")
    if plan.targets and not any(is_chosen(action.label, target) for target in plan.targets):
        raise ValueError(f"{at} is not in the part that was planned")
    if (action.kind in WRITING) != (action.write is not None):
        raise ValueError(f"{at} has nothing to write, or should not be written")
    if action.before and not _was_read(action.before):
        raise ValueError(f"{at} is not said to be what a registry has")
    if not _fits(action.kind, action.before, action.after) or not _makes(action, plan.engine):
        raise ValueError(f"{at} would not become what the plan says")


def _was_read(before: State) -> bool:
    """Whether a registry can have answered this: it knows the digest, and a tombstone is known by its config."""
    is_read = before.digest is not None and before.made_from is None
    return is_read and (before.kind == "image" or before.config is not None)


def _fits(kind: Kind, before: State | None, after: State | None) -> bool:
    was, becomes = before and before.kind, after and after.kind
    match kind:
        case Kind.CREATE:
            return (was, becomes) == (None, "image")
        case Kind.UPDATE:
            return (was, becomes) == ("image", "image")
        case Kind.RESTORE:
            return (was, becomes) == ("tombstone", "image")
        case Kind.TOMBSTONE:
            return was is not None and becomes == "tombstone"
        case Kind.UNCHANGED:
            return before == after
        case Kind.UNLISTED:
            return was == "image" and before == after
        case Kind.BLOCKED:
            return after is None
        case _:
            assert_never(kind)


def _makes(action: Action, engine: EngineName) -> bool:
    """Whether what is written gives just the state after it. A digest is None where a daemon will choose it."""
    after = action.after
    if action.write is None or after is None:
        return action.write is None
    match action.write:
        case Copy(source) as copy:
            return _gives(copy, after, engine) and (after.kind == "image" or _is_own(action, source))
        case Bury(epitaph):
            return after == buried(epitaph, by_daemon=engine == "docker") and _is_of(epitaph, action)
        case _:
            assert_never(action.write)


def _gives(copy: Copy, after: State, engine: EngineName) -> bool:
    source, digest = copy.source, copy.digest
    match source:
        case DaemonSource() | SavedSource():
            is_named = (after.digest, after.config) == (None, digest) and copy.transforms.without_limit == AS_IT_IS
            return is_named and _is_split_so(copy, after)
        case BuildSource():
            is_named = (after.digest, after.config, after.made_from) == (None, None, build_of(digest))
            return is_named and copy.transforms.without_limit == AS_IT_IS
        case RegistrySource() if engine == "docker":
            is_known = after.digest is None and after.config is not None and after.made_from is None
            return source.reference.digest == digest and is_known and copy.transforms == AS_IT_IS
        case RegistrySource():
            return source.reference.digest == digest and _is_as_changed(copy, after)
        case LayoutSource():
            return engine == "registry" and source.digest == digest and _is_as_changed(copy, after)
        case _:
            assert_never(source)


def _is_as_changed(copy: Copy, after: State) -> bool:
    """Whether an image is another one only where something is changed: which, is compared before anything is sent.

    It may stay the same: by a lock alone nobody knows if there is anything to take away.
    """
    if not _is_split_so(copy, after) or copy.transforms.refuse_over is not None:
        return False
    if after.digest is None:
        return after.made_from is not None
    return copy.digest == after.digest or copy.transforms.without_limit != AS_IT_IS


def _is_split_so(copy: Copy, after: State) -> bool:
    limit, made_from = copy.transforms.split_over, after.made_from
    if made_from is None:
        return limit is None or (after.digest or after.config) is not None
    if limit is None or not made_from.endswith(split_to(limit)):
        return False
    source = made_from.removesuffix(split_to(limit))
    return source == copy.digest if copy.transforms.without_limit == AS_IT_IS else _is_digest(source)


def _is_digest(text: str) -> bool:
    try:
        parse_digest(text)
    except ValueError:
        return False
    return True


def _is_own(action: Action, source: SourceName) -> bool:
    """Whether it is copied from the tag's own repository, by digest: a tombstone comes from nowhere else."""
    match source:
        case RegistrySource(Reference(repository, tag=None)):
            return repository == action.reference.repository
        case _:
            return False


def _is_of(epitaph: Epitaph, action: Action) -> bool:
    """Whether the tombstone is of what the tag was, and for the reason that is shown."""
    before = action.before
    # A tombstone that is written anew replaces what the first one did.
    replaces = before is not None and (epitaph.replaces == before.digest) == (before.kind == "image")
    return replaces and epitaph.reason == action.reason


def _no_plan(name: str, why: str) -> InvalidInput:
    return InvalidInput(f"read the plan {name}: {why}", hint="name a file that `replsync plan --out FILE` wrote")
