"""Fills the reference from the code: in a page, `<!-- generated: NAME -->` stands for what is made here.

On a code host the comment shows nothing, and the page says where else to look.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from docs._ext.command_reference import commands
from docs._ext.schema_reference import ROOT, Part, schema_sections
from replsync.cli.explaining import codes, explanation, title
from replsync.manifest.schema import manifest_schema
from replsync.plan.document_schema import plan_schema
from replsync.render.report_json import report_schema

DOCS = Path(__file__).parents[1]
_MARK = re.compile(r"(?m)^<!-- generated: ([a-z-]+) -->$")
_EXIT_CODE = re.compile(r"[Ee]xit code (\d+)")
_HEADING = re.compile(r"(?m)^## (.+)$")


def setup(app: Any) -> dict[str, bool]:
    """Have Sphinx fill each page as it reads it."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True}


MANIFEST_PARTS = {
    ROOT: Part("The file"),
    "Policy": Part("Policy", "policy."),
    "Transfer": Part("Transfer", "transfer."),
    "Image": Part("An image", "images[]."),
    "TagMapping": Part("A tag", "images[].tags[]."),
    "Retired": Part("A retired tag", "images[].retired[]."),
    "Select": Part("A selection", "images[].select."),
    "Build": Part("A build", "images[].build."),
}
PLAN_PARTS = {ROOT: Part("The document"), "action": Part("An action", "actions[].")}


def manifest() -> str:
    """Return a section for each part of the manifest, with all its keys."""
    return "\n".join(schema_sections(manifest_schema(), MANIFEST_PARTS))


def plan() -> str:
    """Return a section for each part of the plan document."""
    return "\n".join(schema_sections(plan_schema(), PLAN_PARTS))


def report() -> str:
    """Return a section for the report document."""
    return "\n".join(schema_sections(report_schema(), {ROOT: Part("The document")}))


def errors() -> str:
    """Return a section for each error, with its code as the anchor: the texts of `replsync explain`."""
    return "\n".join(map(_error, codes()))


def exit_codes() -> str:
    """Return which errors end a run with which exit code."""
    found: dict[int, list[str]] = {}
    for code in codes():
        for exit_code in map(int, _EXIT_CODE.findall(explanation(code))[:1]):
            found.setdefault(exit_code, []).append(code)
    lines = ["| exit code | errors |", "|---|---|"]
    for exit_code, names in sorted(found.items()):
        links = ", ".join(f"[{name}](errors.md#{name})" for name in names)
        lines.append(f"| {exit_code} | {links} |")
    return "\n".join(lines)


def error_list() -> str:
    """Return a table of all errors."""
    return "\n".join(["| code | |", "|---|---|", *(f"| [`{code}`](#{code}) | {title(code)} |" for code in codes())])


def more_pages() -> str:
    """Return the pages right in docs/ that the start page doesn't name, for its table of contents."""
    named = set(re.findall(r"(?m)^([a-z-]+)$", (DOCS / "index.md").read_text()))
    return "\n".join(_toctree(sorted(page.stem for page in DOCS.glob("*.md") if page.stem not in named | {"index"})))


GENERATED: dict[str, Callable[[], str]] = {
    "manifest": manifest,
    "plan": plan,
    "report": report,
    "commands": commands,
    "errors": errors,
    "error-list": error_list,
    "exit-codes": exit_codes,
    "more-pages": more_pages,
}


def filled(text: str) -> str:
    """Return a page's text with everything that is generated in its place. Raises KeyError for an unknown name."""
    return _MARK.sub(lambda found: GENERATED[found[1]](), text)


def _fill(_app: Any, _page: str, source: list[str]) -> None:
    source[0] = filled(source[0])


def _error(code: str) -> str:
    _, _, body = explanation(code).partition("\n")
    rubrics = _HEADING.sub(r"```{rubric} \1\n```", body)
    return f"## {code}\n\n**{title(code)}.**\n{rubrics}"


def _toctree(pages: Iterable[str]) -> list[str]:
    return ["```{toctree}", ":maxdepth: 1", "", *pages, "```"] if pages else []
