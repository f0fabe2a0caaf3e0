"""What GitLab shows of a job's reports: code quality, variables, and counts of changes. Pure functions to strings."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from replsync.plan.document import Plan
from replsync.plan.escaping import harmless
from replsync.plan.findings import Finding
from replsync.render.ci_values import terraform_counts
from replsync.render.harmless import clean

_SEVERITIES = {"error": "blocker", "warning": "major"}
_MAX_DESCRIPTION = 1_000
_MAX_FINDINGS = 500


def code_quality(findings: Sequence[Finding]) -> str:
    """Return the report for `artifacts:reports:codequality` (docs.gitlab.com, "Code Quality report format").

    A finding keeps its fingerprint while its line moves, so that GitLab tells new ones from old ones.
    """
    if len(findings) > _MAX_FINDINGS:
        more = len(findings) - _MAX_FINDINGS + 1
        last = replace(findings[-1], subject="", message=f"and {more} more findings: see the job's log")
        findings = [*findings[: _MAX_FINDINGS - 1], last]
    items = []
    times: dict[str, int] = {}
    for finding in findings:
        said = json.dumps([finding.check, finding.place.path, finding.subject, finding.message])
        times[said] = times.get(said, 0) + 1
        about = f"{finding.subject}: " if finding.subject else ""
        items.append(
            {
                "description": clean(f"{about}{finding.message}")[:_MAX_DESCRIPTION],
                "check_name": f"replsync-{finding.check}",
                "fingerprint": hashlib.sha256(f"{said}{times[said]}".encode()).hexdigest(),
                "severity": _SEVERITIES[finding.level],
                "location": {"path": finding.place.path, "lines": {"begin": finding.place.line}},
            }
        )
    return harmless(json.dumps(items, indent=2)) + "\n"


def dotenv(values: Mapping[str, str]) -> str:
    """Return the variables for `artifacts:reports:dotenv`: later jobs have them as `$REPLSYNC_…`.

    A value that GitLab would expand, or that is no line of text, is empty: it would name something else.
    """
    named = {f"REPLSYNC_{name.upper().replace('-', '_')}": value for name, value in values.items()}
    return "".join(f"{name}={value if _is_fit(value) else ''}\n" for name, value in named.items())


def _is_fit(value: str) -> bool:
    return "$" not in value and clean(value) == value


def terraform(plan: Plan) -> str:
    """Return the counts for `artifacts:reports:terraform`, which merge requests show."""
    return json.dumps(terraform_counts(plan)) + "\n"
