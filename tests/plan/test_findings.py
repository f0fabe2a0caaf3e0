"""Where in a manifest the findings of a plan and of a report stand."""

from replsync.errors import ReplsyncError
from replsync.manifest.read import read_manifest
from replsync.oci.tag_state import Absent, TagState, Unavailable
from replsync.plan.action import Action
from replsync.plan.claims import Member
from replsync.plan.document import Plan
from replsync.plan.findings import Finding, Place, plan_findings, report_findings
from replsync.plan.report import Failed, Report
from tests.plan.situations import TARGET, actions, present, resolved

FIRST = b"""\
version: 1
app: myapp
registry: registry.test
policy: {unlisted: tombstone}
images:
  - name: api
    source: ghcr.io/acme/api
    tags: ["1.0"]
  - name: worker
    source: ghcr.io/acme/worker
    tags:
      - "1.0"
      - tag: "1.1"
    retired:
      - tag: "0.9"
        reason: old
"""
SECOND = b"""\
version: 1
app: myapp
registry: registry.test
policy: {unlisted: tombstone}
images:
  - name: worker
    source: ghcr.io/acme/worker
    select: {newest: 1, semver: ">=2"}
    tags: ["2.0"]
"""
MEMBERS = [Member(read_manifest(data, name), TARGET) for data, name in ((FIRST, "a.yaml"), (SECOND, "b.yaml"))]


def decided() -> tuple[Action, ...]:
    file = MEMBERS[0].file.manifest.model_copy(update={"images": MEMBERS[0].file.manifest.images[1:]})
    there: dict[str, TagState] = {
        "1.0": Absent(),
        "1.1": Absent(),
        "0.9": present("D"),
        "0.8": present("D"),
        "2.1": present("D"),
    }
    return actions(file, there, {"1.0": resolved("E"), "1.1": Unavailable("no such source")})


def test_a_plan_points_at_entries_of_tags_and_at_the_image_of_those_without_one() -> None:
    found = plan_findings(Plan("test", "", (), decided()), MEMBERS)
    assert found == (
        Finding("error", "blocked", Place("a.yaml", 13, 9), "worker:1.1", "no such source"),
        Finding("warning", "tombstone", Place("a.yaml", 9, 11), "worker:0.8", "not listed in the manifest"),
        Finding("warning", "tombstone", Place("a.yaml", 15, 9), "worker:0.9", "old"),
        Finding("warning", "tombstone", Place("b.yaml", 8, 13), "worker:2.1", "not listed in the manifest"),
    )


def test_a_report_points_at_what_failed() -> None:
    (created,) = [action for action in decided() if action.tag == "1.0"]
    failed = Failed(created, ReplsyncError("no room", hint="make some"))
    (finding,) = report_findings(Report(Plan("test", "", (), (created,)), (failed,)), MEMBERS)
    assert finding == Finding("error", "failed", Place("a.yaml", 12, 9), "worker:1.0", "no room; make some")


def test_a_tag_of_an_image_that_no_manifest_has_stands_at_the_first_ones_start() -> None:
    """A rollback may be of such a one."""
    (blocked,) = [action for action in decided() if action.tag == "1.1"]
    other = TARGET.repository("gone").tagged("1.1")
    (finding,) = plan_findings(Plan("test", "", (), (Action(blocked.kind, "gone", other, None, None, "no"),)), MEMBERS)
    assert finding.place == Place("a.yaml", 1, 1)
