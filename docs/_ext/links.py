"""Links to files that are no pages of the site: they lead to the text of the file, in the site, or are plain text.

Pages link to each other and to other files of the repository by relative paths, as a code host wants it.
"""

import os
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
INCLUDED = {"CHANGELOG.md": "project/changelog.md", "CONTRIBUTING.md": "project/contributing.md"}
"""Files of the repository's root that are pages of the site, too, and where they are."""

_INSTEAD = {**INCLUDED, "README.md": "index.md"}

_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
_CODE = re.compile(r"(?ms)^(```|~~~).*?^\1[ \t]*$|`[^`\n]+`")


def setup(app: Any) -> dict[str, bool]:
    """Have Sphinx turn the links of each page as it reads it."""
    app.connect("source-read", _turn)
    return {"parallel_read_safe": True}


def turned(text: str, folder: Path, page: Path) -> str:
    """Return `text`, written for `folder`, with its links as they have to be in the site's page `page`."""

    def link(found: re.Match[str]) -> str:
        words, target = found[1], found[2]
        path, hash_, anchor = target.partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return found[0]
        file = (folder / path).resolve()
        if file.is_dir() and (file / "README.md").is_file():
            file = file / "README.md"
        if not file.is_relative_to(DOCS):
            inside = _INSTEAD.get(str(file.relative_to(ROOT)))
            if file == ROOT / "README.md":
                hash_ = anchor = ""  # the start page has other sections
            if inside is None:
                return found[0] if file.is_file() and file.suffix != ".md" else words
            file = DOCS / inside
        if file.is_dir():
            return f"[{words}]({os.path.relpath(DOCS / 'index.md', page.parent)})"
        return f"[{words}]({os.path.relpath(file, page.parent)}{hash_}{anchor})"

    parts, at = [], 0
    for code in _CODE.finditer(text):  # links in code are no links
        parts += [_LINK.sub(link, text[at : code.start()]), code[0]]
        at = code.end()
    return "".join([*parts, _LINK.sub(link, text[at:])])


def _turn(app: Any, name: str, source: list[str]) -> None:
    page = Path(app.env.doc2path(name))
    inside = page.relative_to(DOCS).as_posix()
    original = next((ROOT / file for file, at in INCLUDED.items() if at == inside), page)
    if original is not page:
        source[0] = original.read_text()
    source[0] = turned(source[0], original.parent, page)
