"""Telling a CI what a run found: annotations, summaries and values, each where that CI looks for them.

A CI that can't be told is no reason to fail: it is said on stderr, and the run goes on.
"""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from replsync.cli import log
from replsync.cli.files import write_whole
from replsync.cli.options import CiName
from replsync.errors import ReplsyncError, SeveralInvalid
from replsync.manifest.faults import InvalidManifest
from replsync.plan.claims import Member
from replsync.plan.document import Plan
from replsync.plan.findings import Finding, fault_findings, plan_findings, report_findings
from replsync.plan.report import Report
from replsync.render.ci_values import Values, plan_values, report_values
from replsync.render.github import annotations, error_annotation, outputs
from replsync.render.gitlab import code_quality, dotenv, terraform
from replsync.render.markdown import MAX_BYTES, plan_markdown, report_markdown

REPORTS = "replsync-reports"
"""The folder for GitLab, in the project's."""

_PROJECT = "CI_PROJECT_DIR"
_SUMMARY_LIMIT = 1024 * 1024
"""Bytes of one step's summary, all its commands' together."""


def tell_error(ci: CiName, error: ReplsyncError) -> None:
    """Tell what ended the run: where in its manifests, if that is what is wrong."""
    errors = error.errors if isinstance(error, SeveralInvalid) else (error,)
    invalid = [one for one in errors if isinstance(one, InvalidManifest)]
    match ci:
        case CiName.GITHUB:
            _command(annotations(_from_root(fault_findings(invalid), "GITHUB_WORKSPACE")))
            for one in errors:
                if not isinstance(one, InvalidManifest):
                    _command(error_annotation(one.in_full))
        case CiName.GITLAB:
            _report("replsync.env", dotenv({"outcome": "failed"}))  # not that of a command before
            if invalid:
                _report("gl-code-quality-report.json", code_quality(_from_root(fault_findings(invalid), _PROJECT)))
        case CiName.AUTO | CiName.NONE:
            pass
        case _:
            assert_never(ci)


def tell_valid(ci: CiName) -> None:
    """Tell that there are no faults: GitLab then knows that those of earlier runs are mended."""
    if ci is CiName.GITLAB:
        _report("gl-code-quality-report.json", code_quality(()))


def tell_plan(ci: CiName, plan: Plan, members: Sequence[Member], saved: Path | None = None) -> None:
    """Tell what a plan does. `members` are its manifests, `saved` is the file where it was saved."""
    values = plan_values(plan, str(saved) if saved else None)
    match ci:
        case CiName.GITHUB:
            _tell_github(plan_findings(plan, members), values)
            _summarize(lambda limit: plan_markdown(plan, limit))
        case CiName.GITLAB:
            _tell_gitlab(plan_findings(plan, members), values)
            _report("terraform.json", terraform(plan))
        case CiName.AUTO | CiName.NONE:
            pass
        case _:
            assert_never(ci)


def tell_report(ci: CiName, report: Report, members: Sequence[Member]) -> None:
    """Tell what became of a plan. `members` are its manifests."""
    match ci:
        case CiName.GITHUB:
            _tell_github(report_findings(report, members), report_values(report))
            _summarize(lambda limit: report_markdown(report, limit))
        case CiName.GITLAB:
            _tell_gitlab(report_findings(report, members), report_values(report))
        case CiName.AUTO | CiName.NONE:
            pass
        case _:
            assert_never(ci)


def _tell_github(findings: Iterable[Finding], values: Values) -> None:
    _command(annotations(_from_root(findings, "GITHUB_WORKSPACE")))
    path = os.environ.get("GITHUB_OUTPUT")
    if path:
        _append(Path(path), outputs(values))


def _summarize(markdown: Callable[[int], str]) -> None:
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    taken = 0
    with suppress(OSError):
        taken = Path(path).stat().st_size
    room = _SUMMARY_LIMIT - taken - 1
    if room < MAX_BYTES:
        log.say("note", "note: the step's summary has no room for this; it stands in the log")
    else:
        _append(Path(path), markdown(room) + "\n")


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        log.say("note", f"note: GitHub can't be told: write {path}: {error.strerror}")


def _command(lines: str) -> None:
    """On stderr, which the runner reads as well: stdout may be a document that goes into a file."""
    with suppress(BrokenPipeError):
        print(lines, end="", file=sys.stderr, flush=True)


def _tell_gitlab(findings: Iterable[Finding], values: Values) -> None:
    _report("gl-code-quality-report.json", code_quality(_from_root(findings, _PROJECT)))
    _report("replsync.env", dotenv(values))


def _report(name: str, text: str) -> None:
    folder = Path(os.environ.get(_PROJECT) or ".") / REPORTS
    try:
        folder.mkdir(exist_ok=True)
        write_whole(folder / name, text.encode(), "the report for GitLab")
    except OSError as error:
        log.say("note", f"note: GitLab can't be told: write {folder}: {error.strerror}")
    except ReplsyncError as error:
        log.say("note", f"note: GitLab can't be told: {error.message}")


def _from_root(findings: Iterable[Finding], variable: str) -> list[Finding]:
    """Name the files as the CI does: from the folder of the checkout."""
    root = os.path.realpath(os.environ.get(variable) or ".")

    def named(path: str) -> str:
        real = os.path.realpath(path)
        return os.path.relpath(real, root) if real.startswith(root + os.sep) else path

    return [replace(one, place=replace(one.place, path=named(one.place.path))) for one in findings]
