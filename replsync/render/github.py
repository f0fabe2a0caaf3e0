"""What GitHub Actions understands: annotations and outputs. Pure functions to strings.

docs.github.com, "Workflow commands for GitHub Actions"; how values are escaped: actions/toolkit, `command.ts`.
"""

from collections.abc import Mapping, Sequence

from replsync.plan.findings import Finding
from replsync.render.harmless import clean

MAX_ANNOTATIONS = 10
"""Of a level: GitHub shows no more of one step."""

_TITLES = {
    "invalid": "invalid manifest",
    "blocked": "blocked",
    "tombstone": "will be replaced by a tombstone",
    "failed": "failed",
}
_MAX_MESSAGE = 2_000


def annotations(findings: Sequence[Finding]) -> str:
    """Return a command for each finding, a line each; those for which GitHub has no room are counted in the last."""
    lines: list[str] = []
    for level in ("error", "warning"):
        found = [finding for finding in findings if finding.level == level]
        if len(found) > MAX_ANNOTATIONS:
            shown = found[: MAX_ANNOTATIONS - 1]
            more = f"and {len(found) - len(shown)} more, from {found[len(shown)].subject or 'this line'} on"
        else:
            shown, more = found, ""
        lines += [_annotation(finding, finding.message) for finding in shown]
        if more:
            lines.append(_annotation(found[len(shown)], more))
    return "".join(f"{line}\n" for line in lines)


def error_annotation(message: str) -> str:
    """Return the command for an error that is about no line of a file."""
    return f"::error title=replsync::{_data(message)}\n"


def outputs(values: Mapping[str, str]) -> str:
    """Return the lines for the file of `$GITHUB_OUTPUT`."""
    return "".join(_output(name, value) for name, value in values.items())


def _annotation(finding: Finding, message: str) -> str:
    subject = f"{finding.subject} " if finding.subject else ""
    properties = {
        "file": finding.place.path,
        "line": str(finding.place.line),
        "col": str(finding.place.column),
        "title": f"{subject}{_TITLES[finding.check]}",
    }
    said = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{finding.level} {said}::{_data(message)}"


def _data(text: str) -> str:
    line = clean(text)
    if len(line) > _MAX_MESSAGE:
        line = line[: _MAX_MESSAGE - 1] + "…"
    return line.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _output(name: str, value: str) -> str:
    """Between two lines that are no part of the value: it can't end early, and begin another output."""
    end = "replsync-end"
    while end in value:
        end += "-"
    return f"{name}<<{end}\n{value}\n{end}\n"
