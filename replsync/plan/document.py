"""The plan as a value, and as the document `replsync.plan/1` that others read and a later `apply` carries out."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, assert_never

from replsync.oci.digest import Digest, sha256
from replsync.oci.source_name import written
from replsync.plan.action import WRITING, Action, Bury, Copy, Kind, Write
from replsync.plan.escaping import harmless
from replsync.plan.targets import chosen

FORMAT = "replsync.plan/1"

EngineName = Literal["registry", "docker"]


@dataclass(frozen=True)
class PlannedManifest:
    """A manifest that the plan was made from: its path as given, and what it was then.

    `lock` is the digest of the lock file that was used, None where there was none.
    """

    path: str
    sha256: Digest
    registry: str
    app: str
    lock: Digest | None = None


@dataclass(frozen=True)
class Plan:
    """What `apply` would do. `created_at` is RFC 3339 in UTC; `actions` are sorted by repository and tag.

    `targets` are the patterns that chose a part of what the manifest says, none
    where it is all of it. `warnings` are about the plan as a whole, and so are
    `notes`, which are no reason to worry.
    """

    tool: str
    created_at: str
    manifests: tuple[PlannedManifest, ...]
    actions: tuple[Action, ...]
    engine: EngineName = "registry"
    targets: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> dict[Kind, int]:
        """How many actions of each kind, none left out."""
        counts = Counter(action.kind for action in self.actions)
        return {kind: counts[kind] for kind in Kind}

    @property
    def blocked(self) -> tuple[Action, ...]:
        """The actions that forbid the plan from being applied."""
        return tuple(action for action in self.actions if action.kind is Kind.BLOCKED)

    @property
    def writes(self) -> tuple[Action, ...]:
        """The actions that change the registry."""
        return tuple(action for action in self.actions if action.kind in WRITING)

    @property
    def applications(self) -> tuple[str, ...]:
        """Each REGISTRY/APP that the manifests are of, sorted."""
        return tuple(sorted({f"{manifest.registry}/{manifest.app}" for manifest in self.manifests}))

    def name_of(self, action: Action) -> str:
        """Name the tag, as short as may be: in full where there are several applications."""
        return str(action.reference) if len(self.applications) > 1 else action.label

    @property
    def upload(self) -> int:
        """Bytes to send in all, as far as they are known."""
        return sum(action.bytes.upload for action in self.writes if action.bytes)

    def narrowed(self, patterns: Iterable[str]) -> "Plan":
        """Return the part of the plan that `patterns` choose. Raises UsageError where one chooses nothing."""
        patterns = tuple(patterns)
        if not patterns:
            return self
        return replace(self, actions=chosen(self.actions, patterns), targets=(*self.targets, *patterns))


def plan_json(plan: Plan) -> str:
    """Return the plan document: canonical JSON (sorted keys, no white space) and a newline.

    Its `digest` is the sha256 of the same JSON without that member.
    """
    body = _body(plan)
    body["digest"] = body_digest(body)
    return canonical(body) + "\n"


def plan_digest(plan: Plan) -> Digest:
    """Return the `digest` of the plan's document."""
    return body_digest(_body(plan))


def body_digest(body: dict[str, Any]) -> Digest:
    """Return the digest of a plan document that has no `digest` in it."""
    return sha256(canonical(body).encode())


def canonical(data: Any) -> str:
    """Return `data` as JSON, the same text for the same data."""
    return harmless(json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False))


def _body(plan: Plan) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "tool": plan.tool,
        "created_at": plan.created_at,
        "engine": plan.engine,
        "manifests": [asdict(manifest) for manifest in plan.manifests],
        "targets": list(plan.targets),
        "warnings": list(plan.warnings),
        "notes": list(plan.notes),
        "summary": {str(kind): count for kind, count in plan.summary.items()},
        "actions": [_action(action) for action in plan.actions],
    }


def _action(action: Action) -> dict[str, Any]:
    return {
        "kind": str(action.kind),
        "image": action.image,
        "tag": action.tag,
        "reference": str(action.reference),
        "before": asdict(action.before) if action.before else None,
        "after": asdict(action.after) if action.after else None,
        **_write(action.write),
        "reason": action.reason,
        "next_move": action.next_move or None,
        "notes": list(action.notes),
        "bytes": asdict(action.bytes) if action.bytes else None,
    }


def _write(write: Write | None) -> dict[str, Any]:
    match write:
        case None:
            return {"source": None, "tombstone": None}
        case Copy(source, digest, transforms):
            changed = {
                "attestations": transforms.attestations,
                "platforms": [str(platform) for platform in transforms.platforms],
                "split_over": transforms.split_over,
                "refuse_over": transforms.refuse_over,
            }
            return {"source": {"reference": written(source), "digest": digest, **changed}, "tombstone": None}
        case Bury(epitaph):
            replaces = {"replaces": epitaph.replaces, "media_type": epitaph.replaces_media_type}
            return {"source": None, "tombstone": {"reason": epitaph.reason, **replaces}}
        case _:
            assert_never(write)
