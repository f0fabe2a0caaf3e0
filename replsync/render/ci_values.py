"""What a CI's later steps are told of a plan or a report: names and values. Pure."""

import shlex
from typing import assert_never

from replsync.plan.action import Kind
from replsync.plan.document import Plan, plan_digest
from replsync.plan.report import Done, Report

Values = dict[str, str]
"""Each value is one line."""


def plan_values(plan: Plan, saved: str | None) -> Values:
    """Return what there is to say of a plan; `saved` is the path where it was saved."""
    outcome = "blocked" if plan.blocked else "changes" if plan.writes else "no-changes"
    return {
        "outcome": outcome,
        "has-changes": "true" if plan.writes else "false",
        **{str(kind): str(count) for kind, count in plan.summary.items()},
        "upload-bytes": str(plan.upload),
        "digest": plan_digest(plan),
        "plan-file": saved or "",
    }


def report_values(report: Report) -> Values:
    """Return what there is to say of what became of a plan."""
    unrecorded = sum(failure.is_written for failure in report.failures)
    done = [outcome for outcome in report.outcomes if isinstance(outcome, Done)]
    if report.plan.blocked:
        outcome = "blocked"
    elif report.failures:
        outcome = "failed"
    elif report.left:
        outcome = "interrupted"
    else:
        outcome = "applied" if any(one.is_written for one in done) else "no-changes"
    return {
        "outcome": outcome,
        "written": str(sum(one.is_written for one in done) + unrecorded),
        "already": str(sum(not one.is_written for one in done)),
        "failed": str(len(report.failures)),
        "left": str(len(report.left)),
        "digest": report.reviewed or plan_digest(report.plan),
        "journal": " ".join(map(shlex.quote, report.journals)),
        "undo": " && ".join(report.undo),  # of several manifests each has its own
    }


def terraform_counts(plan: Plan) -> dict[str, int]:
    """Return the counts as Terraform has them: a tombstone takes something away, a restored tag is changed."""
    counts = {"create": 0, "update": 0, "delete": 0}
    for kind, count in plan.summary.items():
        match kind:
            case Kind.CREATE:
                counts["create"] += count
            case Kind.UPDATE | Kind.RESTORE:
                counts["update"] += count
            case Kind.TOMBSTONE:
                counts["delete"] += count
            case Kind.UNCHANGED | Kind.BLOCKED | Kind.UNLISTED:
                pass
            case _:
                assert_never(kind)
    return counts
