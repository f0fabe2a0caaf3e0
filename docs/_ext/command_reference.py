"""The commands as Markdown: what `--help` says of each, and all of its arguments and options."""

import re
from collections.abc import Iterator
from typing import Any

from docs._ext.schema_reference import literal
from replsync.cli.examples import EXAMPLES
from replsync.cli.main import command

_EXTRA = re.compile(r"(.*?) *\[([^\[\]]*)\]")  # the default, the bounds, and whether it is required
_TYPE = re.compile(r" <(?:path|text|list\[str\])>$")


def commands() -> str:
    """Return a section for each command, in the order of `replsync --help`."""
    root = command()
    context = root.make_context("replsync", ["--help"], resilient_parsing=True)
    lines: list[str] = []
    for name in root.list_commands(context):
        lines += _command(root.get_command(context, name), f"replsync {name}")
    return "\n".join(lines)


def _command(found: Any, path: str) -> Iterator[str]:
    with found.make_context(path, [], resilient_parsing=True) as context:
        usage = " ".join(found.collect_usage_pieces(context))
        parameters = [one for one in found.get_params(context) if not getattr(one, "hidden", False)]
    yield from (f"## {path}", "", "```text", f"{path} {usage}", "```", "")
    description, *others = (found.help or "").split("\n\n")
    for paragraph in (description, *(one for one in others if "\b" not in one)):  # but for the examples
        yield from (literal(paragraph), "")
    yield from ("```bash", *EXAMPLES[found.name], "```", "")
    for kind in ("argument", "option"):
        records = [one.get_help_record(context) for one in parameters if one.param_type_name == kind]
        yield from (_item(*record) for record in records)
        yield ""


def _item(names: str, text: str) -> str:
    said = _EXTRA.fullmatch(text)
    text, extra = (said[1], f" ({said[2]})") if said else (text, "")
    return f"- `{_TYPE.sub('', names)}`: {literal(text + extra)}"
