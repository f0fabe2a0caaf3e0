"""The plan document `replsync.plan/1`."""

import hashlib
import json
from dataclasses import replace

from replsync.oci.digest import sha256
from replsync.oci.tag_state import Absent
from replsync.plan.action import Action, Kind
from replsync.plan.document import Plan, PlannedManifest, plan_json
from tests.plan.situations import action, digest, listing, present, resolved, retiring

MANIFEST = PlannedManifest("replicated-images.yaml", sha256(b""), "registry.test", "myapp")


def plan(*actions: Action) -> Plan:
    return Plan("replsync 0.1.0", "2026-01-01T00:00:00Z", (MANIFEST,), actions)


def test_the_document_has_the_members_of_its_format() -> None:
    body = json.loads(plan_json(plan(action(listing(), Absent(), resolved("E")))))
    assert body["format"] == "replsync.plan/1"
    assert set(body) == {"format", "tool", "created_at", "engine", "manifests", "targets", "warnings", "notes"} | {
        *("summary", "actions", "digest")
    }
    assert body["manifests"] == [
        {
            "path": "replicated-images.yaml",
            "sha256": sha256(b""),
            "registry": "registry.test",
            "app": "myapp",
            "lock": None,
        }
    ]
    assert body["summary"] == {str(kind): int(kind is Kind.CREATE) for kind in Kind}
    assert body["actions"] == [
        {
            "kind": "create",
            "image": "worker",
            "tag": "1.0",
            "reference": "registry.test/myapp/worker:1.0",
            "before": None,
            "after": {"kind": "image", "digest": digest("E"), "config": None, "made_from": None},
            "source": {
                "reference": "docker://ghcr.io/acme/worker:1.0",
                "digest": digest("E"),
                "attestations": "keep",
                "platforms": [],
                "split_over": None,
                "refuse_over": None,
            },
            "tombstone": None,
            "reason": "the registry has no such tag",
            "next_move": None,
            "notes": [],
            "bytes": {"total": 0, "upload": 0, "mount": 0},
        }
    ]


def test_applications_are_named_once_and_in_one_order_however_the_manifests_are_named() -> None:
    others = [PlannedManifest(name, sha256(b""), "a.test", app) for name, app in (("1", "b"), ("2", "a"), ("3", "b"))]
    made = replace(plan(), manifests=(MANIFEST, *others))
    assert made.applications == ("a.test/a", "a.test/b", "registry.test/myapp")
    assert replace(made, manifests=made.manifests[::-1]).applications == made.applications


def test_a_tag_is_named_in_full_where_there_are_several_applications() -> None:
    one = action(retiring(), present("D"))
    assert plan(one).name_of(one) == "worker:1.0"
    both = replace(plan(one), manifests=(MANIFEST, replace(MANIFEST, path="b.yaml", app="other")))
    assert both.name_of(one) == "registry.test/myapp/worker:1.0"


def test_the_digest_is_that_of_the_rest() -> None:
    text = plan_json(plan(action(retiring(), present("D"))))
    body = json.loads(text)
    stated = body.pop("digest")
    rest = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert stated == "sha256:" + hashlib.sha256(rest.encode()).hexdigest()


def test_the_document_is_canonical() -> None:
    text = plan_json(plan(action(retiring("für immer"), present("D"))))
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"


def test_writes_and_blocked_are_told_apart() -> None:
    made = plan(
        action(listing(), Absent(), resolved("E")),
        action(listing(), present("D"), resolved("E")),
        action(listing(), present("E"), resolved("E")),
    )
    assert [one.kind for one in made.writes] == [Kind.CREATE]
    assert [one.kind for one in made.blocked] == [Kind.BLOCKED]
