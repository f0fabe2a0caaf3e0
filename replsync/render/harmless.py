"""Foreign text made fit for a terminal and a CI log. Light: errors are printed with it before anything else is loaded.

What is foreign: what registries and daemons say, and what stands in files that
somebody else may have written: a manifest in a pull request, a saved plan, a journal.
"""

import re

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_BLANKS = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""Not printable to Python, and yet nothing but blanks."""

# Printable to Python, and yet not to be seen (Unicode, Default_Ignorable_Code_Point): runners written in .NET overlook
# them when they look for commands.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U0001bca0-\U0001bca3\U000e0000-\U000e0fff]"
)
# What log readers take for commands. Anywhere in a line: `##[` (GitHub's old form, Azure), `##vso[` (Azure),
# `##teamcity[`. At its start, behind blanks too: `::` (GitHub), and the headings of Buildkite's groups. GitLab's
# sections and Jenkins's notes need an escape character.
_COMMAND = re.compile(r"#(?=#[A-Za-z]*\[)|^\s*(?::(?=:)|-(?=--)|\+(?=\+\+)|~(?=~~)|\^(?=\^\^))")


def clean(text: str) -> str:
    """Return `text` as one line in which nothing controls a terminal, turns the writing direction or commands a CI.

    Control characters become U+FFFD, and so they do in between of what would
    be a command; invisible ones are left out. For text that may come to the
    start of a line, too: a caller need not know.
    """
    seen = _UNSEEN.sub("", text)
    if not seen.isprintable():
        seen = "".join(one if one.isprintable() or one in _BLANKS else _REPLACEMENT for one in seen)
    return _COMMAND.sub(rf"\g<0>{_REPLACEMENT}", seen)


def clean_lines(text: str) -> str:
    """Return `text`, which has lines by intention, with each of them made harmless as by `clean`."""
    return "\n".join(map(clean, text.split("\n")))
