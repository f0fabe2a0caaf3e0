"""The YAML parser's errors in words for somebody who doesn't know its grammar."""

import re

from ruamel.yaml.error import MarkedYAMLError

from replsync.manifest.faults import shown
from replsync.manifest.source_text import Position, SourceText

DIRECTIVE = "a directive"
"""The problem that the scanner reports for a line such as `%YAML 1.2`."""

_QUOTE = "a text that starts like this needs quotes"
_QUOTE_WHOLE = "a text with quotes or brackets in front needs quotes around all of it"
_QUOTE_INSIDE = "a text with one of `,[]{}` in it needs quotes there"


def explain(error: MarkedYAMLError, source: SourceText) -> tuple[Position, str, str | None]:
    """Return where the reader should look, what is wrong there, and a proposal."""
    problem = str(error.problem or error.context or "")
    context = str(error.context or "")
    here = _position(error.problem_mark or error.context_mark)
    opened = _position(error.context_mark) if error.context_mark else here
    found = (re.search(r"(?:found|got) (?:character )?'(.*)'", problem) or ("", ""))[1]
    before = source.lines[here.line - 1][: here.column - 1] if here.line <= len(source.lines) else ""
    if problem == DIRECTIVE:
        return here, f"a line that starts with `%` has no meaning in a {source.kind}", "remove it"
    if "cannot start any token" in problem:
        if found == r"\t":
            return here, "YAML is not indented by tabs", "use spaces"
        return here, f"a text cannot start with {shown(found)}", _QUOTE
    if "mapping values are not allowed" in problem:
        if re.search(r":\s", before.lstrip("- ") + " "):
            return here, "a second `: ` in one line", "a text that holds `: ` needs quotes"
        key = Position(here.line, len(before) - len(before.lstrip()) + 1)
        return key, "there can be no key here", "indent it like the keys beside it, and look for a `:` missing above"
    if "mapping keys are not allowed" in problem:
        return here, "there can be no key here", _QUOTE
    if "expected <block end>" in problem:
        if before.strip():
            return here, "a text goes on behind its closing quote", "quote all of it; inside '…' a quote is written ''"
        return here, "this line does not fit those above it", "indent it like the lines that it belongs to"
    if "could not find expected ':'" in problem:
        return opened, "a `:` is missing after this key", "write `key: value`, with a blank behind the colon"
    if "expected ',' or" in problem:
        opening, closing = ("[", "]") if "sequence" in context else ("{", "}")
        if found == "<stream end>":
            return opened, f"the `{opening}` opened here is never closed", f"add a `{closing}`"
        where = f"line {opened.line}, column {opened.column}"
        return here, f"a `,` or `{closing}` is missing here: `{opening}` was opened in {where}", _QUOTE_INSIDE
    if "quoted scalar" in context and "unexpected" in problem:
        return opened, "the quote opened here is never closed", "close it"
    if "escape" in problem and "quoted scalar" in context:
        return here, "in double quotes, a `\\` starts an escape, and this is none", "write `\\\\`, or use single quotes"
    if "document end marker" in problem:
        return here, "nothing may follow the `...` that ends the file", "remove the `...`"
    if "expected '<document start>'" in problem:
        return here, "nothing may follow here: what stands before it is complete", _QUOTE_WHOLE
    if "expected the node content" in problem:
        if found.startswith("<"):
            return here, "a value is missing here", None
        return here, f"a value is missing in front of {shown(found)}", _QUOTE
    if "sequence entries are not allowed" in problem:
        return here, "a list cannot start behind a key in one line", "start a new line before `- `, or write `[…]`"
    if context.endswith("an alias") or context.endswith("an anchor"):
        return opened, "`*` and `&` start an alias and an anchor, which need a name", _QUOTE
    if " tag" in context or "tag handle" in problem:
        return opened, f"`!` starts a YAML tag, which has no meaning in a {source.kind}", _QUOTE
    if "block scalar" in context:
        return here, "behind `|` or `>` the line must end", _QUOTE
    return here, f"this is not YAML: {context}: {problem}" if context else f"this is not YAML: {problem}", None


def _position(mark: object) -> Position:
    return Position(getattr(mark, "line", 0) + 1, getattr(mark, "column", 0) + 1)
