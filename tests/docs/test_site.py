"""The documentation's site: whole, without the network, and made from the code where it tells of the code."""

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from docs._ext.generated import GENERATED, MANIFEST_PARTS, PLAN_PARTS, filled
from docs._ext.links import turned
from docs._ext.schema_reference import ROOT
from replsync.cli.examples import EXAMPLES
from replsync.cli.explaining import codes, explanation
from replsync.cli.main import FAILED, INTERRUPTED, USAGE, command
from replsync.cli.planning import CHANGES
from replsync.manifest.schema import manifest_schema
from replsync.plan.document_schema import plan_schema
from tests.docs.test_explanations import ERRORS

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
ATTRIBUTES = {"href", "src", "srcset", "data", "poster", "action"}
ENDS_WELL_OR_UNREAD = {0, 141}


class Page(HTMLParser):
    """What a built page loads, links to, and can be linked to at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.text = path.read_text()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ATTRIBUTES and value:
                (self.links if tag == "a" else self.loads).append(value)


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[str, Page]:
    """Every page of the site by its path."""
    return {str(path.relative_to(site)): Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_page_of_the_folder_is_in_the_site(pages: dict[str, Page]) -> None:
    sources = {str(path.relative_to(DOCS).with_suffix(".html")) for path in DOCS.rglob("*.md")}
    assert sources <= set(pages)


def test_no_page_loads_anything_from_elsewhere(site: Path, pages: dict[str, Page]) -> None:
    foreign = {(name, one) for name, page in pages.items() for one in page.loads if re.match(r"(?:https?:)?//", one)}
    assert foreign == set()
    styles = {path: path.read_text() for path in site.rglob("*.css")}
    assert {
        path for path, text in styles.items() if re.search(r"(?:url\(['\"]?|@import\s+['\"]?)(?:https?:)?//", text)
    } == set()
    assert len(styles) > 1


def test_every_link_within_the_site_leads_somewhere(site: Path, pages: dict[str, Page]) -> None:
    broken = []
    for name, page in pages.items():
        for link in page.links:
            path, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:|//", link):
                continue
            target = (site / name).parent.joinpath(path).resolve() if path else site / name
            found = pages.get(str(target.relative_to(site)))
            if not target.exists() or (anchor and found and anchor not in found.anchors):
                broken.append((name, link))
    assert broken == []


@pytest.mark.parametrize("code", codes())
def test_an_error_has_an_anchor_with_its_whole_text(pages: dict[str, Page], code: str) -> None:
    page = pages["reference/errors.html"]
    assert code in page.anchors
    assert _letters(explanation(code).partition("\n")[2]) in _letters(unescape(re.sub(r"<[^>]*>", "", page.text)))


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def test_every_key_of_the_manifest_is_described_with_type_default_and_example() -> None:
    schema = manifest_schema()
    objects = {name for name, part in schema["$defs"].items() if "properties" in part}
    assert objects | {ROOT} == set(MANIFEST_PARTS)
    text = GENERATED["manifest"]()
    for name, part in MANIFEST_PARTS.items():
        for key in (schema["$defs"][name] if name else schema)["properties"]:
            (section,) = re.findall(rf"(?ms)^### {re.escape(part.prefix + key)}\n(.*?)(?=^##|\Z)", text)
            assert re.match(r"\n\S.{15,}\n\n- type: \S.*\n- default: \S", section), (key, section)
            assert f"```yaml\n{key}: " in section, (part, key)
            assert "type: ['" not in section, section


def test_every_member_of_the_plan_document_is_listed() -> None:
    schema = plan_schema()
    assert set(schema.get("$defs", {})) | {ROOT} == set(PLAN_PARTS)
    text = GENERATED["plan"]()
    for name, part in PLAN_PARTS.items():
        for key in (schema["$defs"][name] if name else schema)["properties"]:
            assert f"\n### {part.prefix}{key}\n" in text


def test_every_command_is_told_with_all_its_options() -> None:
    root = command()
    text = GENERATED["commands"]()
    context = root.make_context("replsync", ["x"], resilient_parsing=True)
    names = root.list_commands(context)
    assert re.findall(r"(?m)^## replsync (.*)$", text) == names
    for name in names:
        (section,) = re.findall(rf"(?ms)^## replsync {name}\n(.*?)(?=^## |\Z)", text)
        assert f"replsync {name} [OPTIONS]" in section
        assert "\n".join(EXAMPLES[name]) in section
        for parameter in root.get_command(context, name).params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert option in section, (name, option)


def test_every_exit_code_is_told() -> None:
    page = filled((DOCS / "reference/exit-codes.md").read_text())
    table, _, errors = page.partition("## ")
    told = set(map(int, re.findall(r"(?m)^\| (\d+) \|", table)))
    of_errors = {error.exit_code for error in ERRORS}
    assert told == of_errors | {FAILED, CHANGES, USAGE, INTERRUPTED} | ENDS_WELL_OR_UNREAD
    assert set(map(int, re.findall(r"(?m)^\| (\d+) \|", errors))) == of_errors | {INTERRUPTED}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](builds.md)", "[a](builds.md)"),
        ("[a](builds.md#x)", "[a](builds.md#x)"),
        ("[a](../CHANGELOG.md)", "[a](project/changelog.md)"),
        ("[a](../README.md)", "[a](index.md)"),
        ("[a](../examples/)", "a"),
        ("[a](../examples/minimal.yaml)", "[a](../examples/minimal.yaml)"),
        ("[a](https://example.com/b.md)", "[a](https://example.com/b.md)"),
        ("`[a](../README.md)`", "`[a](../README.md)`"),
        ("```text\n[a](../README.md)\n```", "```text\n[a](../README.md)\n```"),
    ],
)
def test_links_are_turned_so_that_they_hold_in_the_site(text: str, expected: str) -> None:
    assert turned(text, DOCS, DOCS / "page.md") == expected


def test_links_of_an_included_file_are_turned_too() -> None:
    turning = turned("[a](docs/builds.md), [b](README.md)", REPOSITORY, DOCS / "project/contributing.md")
    assert turning == "[a](../builds.md), [b](../index.md)"
