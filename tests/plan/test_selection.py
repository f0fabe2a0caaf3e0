"""What a plan says of tags that `select` chose."""

from typing import Any

from replsync.manifest.choice import Choice, with_choices
from replsync.manifest.model import Manifest
from replsync.manifest.select import Select
from replsync.manifest.selecting import selected
from replsync.oci.tag_state import Absent
from replsync.plan.action import Kind
from replsync.plan.planner import UNLISTED_REASON, UNSELECTED_REASON, Situation, Target, decide
from replsync.plan.selection import doubts, explained
from tests.plan.situations import present, resolved

TARGET = Target("registry.test", "myapp")
WORKER = TARGET.repository("worker")


def manifest(unlisted: str = "report", **keys: Any) -> Manifest:
    image = {"name": "worker", "source": "ghcr.io/acme/worker", **keys}
    return Manifest.model_validate({"version": 1, "policy": {"unlisted": unlisted}, "images": [image]})


def choice(select: dict[str, Any], tags: str) -> Choice:
    selector = Select.model_validate(select)
    found = selected(selector, tags.split())
    return Choice("worker", selector, found.chosen, found)


def test_only_what_nobody_lists_is_explained_by_the_selector() -> None:
    select = {"semver": "1.x", "newest": 2}
    written = manifest(select=select, tags=["1.1"], retired=[{"tag": "1.2", "reason": "old"}])
    made = choice(select, "1.0 1.1 1.2 1.3")
    assert made.tags == ("1.2", "1.3")
    resolved_manifest = with_choices(written, [made])
    inventory = {WORKER.tagged(tag): Absent() for tag in ("1.1", "1.2", "1.3")}
    wanted = {WORKER.tagged(tag): resolved("E") for tag in ("1.1", "1.3")}
    actions = explained(decide(resolved_manifest, Situation(TARGET, inventory, wanted)), written, [made])
    why = 'chosen by `select`: semver "1.x", newest 2 of 4 that fit'
    assert [(action.tag, action.kind, action.notes) for action in actions] == [
        ("1.1", Kind.CREATE, ()),
        ("1.2", Kind.UNCHANGED, ()),
        ("1.3", Kind.CREATE, (why,)),
    ]


def test_a_tag_that_fits_and_is_not_chosen_is_never_retired_by_the_policy() -> None:
    tags = {"1.0": UNSELECTED_REASON, "2.0": UNLISTED_REASON, "latest": UNLISTED_REASON}
    inventory = {WORKER.tagged(tag): present("D") for tag in tags}
    for unlisted, other in (("tombstone", Kind.TOMBSTONE), ("report", Kind.UNLISTED)):
        actions = decide(manifest(unlisted, select={"semver": "1.x"}), Situation(TARGET, inventory, {}))
        assert [(action.tag, action.kind) for action in actions] == [
            ("1.0", Kind.UNLISTED),
            ("2.0", other),
            ("latest", other),
        ]
        assert {action.tag: action.reason for action in actions} == tags


def test_a_choice_of_nothing_and_a_tag_that_floats_are_told() -> None:
    select = {"semver": "*"}
    assert doubts(manifest(select=select), [choice(select, "1.8.0 1.9.0 latest")]) == ()
    assert doubts(manifest(select=select), [choice(select, "latest edge")]) == (
        'worker: `select` (semver "*") chooses 0 of the source\'s 2 tags; left out: 2 no versions',
    )
    floating = choice(select, "1 1.8 1.8.0 2 2.0 2.0.1 v3")
    (said,) = doubts(manifest(select=select), [floating])
    assert said == (
        "worker: `select` chooses 1, 1.8, 2 and 1 more beside tags with more numbers: "
        "if such a tag moves at its source, list it below `exclude` or `mutable`"
    )
    assert doubts(manifest(select=select, mutable=["?", "?.?"]), [floating]) == ()


def test_a_choice_is_summed_up() -> None:
    assert choice({"regex": "1.*"}, "1.0").summary == 'worker: `select` (regex "1.*") chooses 1 of the source\'s 1 tag'
    locked = Choice("worker", Select.model_validate({"newest": 3}), ("1.0",))
    assert locked.summary == "worker: `select` (newest 3) chooses 1 tag, by the lock file"
    assert locked.why == "chosen by `select`: newest 3 (as locked)"
