"""What readers of logs would act on in an output: terminals and CI runners."""

import re
import unicodedata

HOSTILE = (
    "::error::fake",
    "  \t::add-mask::x",
    "\ufe0f::stop-commands::x",
    "\u3000::warning::x",
    "x ##[error]fake",
    "x #\ufe0f#[group]fake",
    "####[group]fake",
    "x ##vso[task.setvariable variable=PATH]x",
    "x ##teamcity[buildStop]",
    "--- group",
    "+++ group",
    "~~~ group",
    "^^^ +++",
    "a\nb\n::error::fake",
    "a\r::error::fake",
    "a\u2028::error::fake\x85::error::fake\x0b::error::fake",
    "section_start:1:x\r\x1b[0Kfake",
    "\x1b[2J\x1b]0;owned\x07\x9b2J\x00\x7f\x08",
    "\u202etxt.exe\u202c \u2066a\u2069 \u200b\u200d\u2060\ufeff\xad \ud800",
    "\U000e0041\U000e0042 \u034f\u115f\u3164\uffa0",
)
"""Foreign text that tries each of them."""

ALL = "|".join(HOSTILE)

_BLANKS = " \xa0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_IGNORED = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]")


def acted_on(output: str) -> list[str]:
    """The lines of `output` that a runner or a terminal would act on, as far as foreign text can make it."""
    return [line for line in re.split(r"[\n\r\x0b\x0c\x85\u2028\u2029]", output) if _is_acted_on(line)]


def _is_acted_on(line: str) -> bool:
    if any(unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") or _IGNORED.match(one) for one in line):
        return True
    # actions/runner, ActionCommand.cs, and azure-pipelines-agent, Command.cs: `::` at the start of the trimmed line,
    # `##[` and `##vso[` anywhere.
    trimmed = line.strip(_BLANKS)
    return trimmed.startswith(("::", "---", "+++", "~~~", "^^^")) or bool(re.search(r"##([A-Za-z]*)\[", line))
