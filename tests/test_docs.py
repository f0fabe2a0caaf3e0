"""The project's pages name files that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_PATH = re.compile(r"`((?:tests|replsync|docs|examples|schemas|scripts)/[A-Za-z0-9_./-]+)`")
_LINK = re.compile(r"\]\(([^):#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_files_that_are_there(page: Path) -> None:
    text = page.read_text()
    paths = [ROOT / path for path in _PATH.findall(text)] + [page.parent / path for path in _LINK.findall(text)]
    assert [str(path) for path in paths if not path.exists()] == []


def test_there_are_pages_with_files_in_them() -> None:
    guarantees = (ROOT / "docs/guarantees.md").read_text()
    assert len(set(_PATH.findall(guarantees))) > 10
