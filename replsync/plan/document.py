"""The plan as a value, and as the document `replsync.plan/1` that others read."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from replsync.oci.digest import Digest, sha256
from replsync.plan.action import WRITING, Action, Kind

FORMAT = "replsync.plan/1"


@dataclass(frozen=True)
class PlannedManifest:
    """A manifest that the plan was made from: its path as given, and what it was then."""

    path: str
    sha256: Digest
    registry: str
    app: str


@dataclass(frozen=True)
class Plan:
    """What `apply` would do. `created_at` is RFC 3339 in UTC; `actions` are sorted by image and tag."""

    tool: str
    created_at: str
    manifests: tuple[PlannedManifest, ...]
    actions: tuple[Action, ...]

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


def plan_json(plan: Plan) -> str:
    """Return the plan document: canonical JSON (sorted keys, no white space) and a newline.

    Its `digest` is the sha256 of the same JSON without that member.
    """
    body: dict[str, Any] = {
        "format": FORMAT,
        "tool": plan.tool,
        "created_at": plan.created_at,
        "manifests": [asdict(manifest) for manifest in plan.manifests],
        "summary": {str(kind): count for kind, count in plan.summary.items()},
        "actions": [_action(action) for action in plan.actions],
    }
    body["digest"] = sha256(_canonical(body).encode())
    return _canonical(body) + "\n"


def _action(action: Action) -> dict[str, Any]:
    return {
        "kind": str(action.kind),
        "image": action.image,
        "tag": action.tag,
        "reference": str(action.reference),
        "before": asdict(action.before) if action.before else None,
        "after": asdict(action.after) if action.after else None,
        "source": {"reference": str(action.source.name), "digest": action.source.digest} if action.source else None,
        "reason": action.reason,
        "bytes": asdict(action.bytes),
    }


def _canonical(data: Any) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
