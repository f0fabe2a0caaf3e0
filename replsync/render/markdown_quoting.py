"""Foreign text in Markdown: as code, in which no viewer looks for markup, links, mentions or references.

GitHub and GitLab turn `@name`, `#1`, `!1`, hashes and addresses into links wherever they stand in running text, after
entities and backslashes were taken away. Only in code they don't. Pure functions to strings.
"""

import re

from replsync.render.harmless import clean

MAX_QUOTED = 500
"""Characters of one quoted text; what is cut off is marked."""

_FACTOR = 8
"""Of a text that may be large no more characters are looked at than this times those that are shown."""

# cmark takes no more than 80 backticks for a fence, and three at the start of a line may begin a block.
_RUN = re.compile("`{2,}")


def quoted(text: str, limit: int = MAX_QUOTED) -> str:
    """Return `text` as one code span, cut to `limit` characters; of no text, none.

    It may stand anywhere in a line but at its start, where the caller has words of its own.
    """
    line = clean(text[: _FACTOR * limit])
    if len(line) > limit:
        line = line[: limit - 1] + "…"
    line = _RUN.sub(lambda run: "'" * len(run[0]), line)
    if not line:
        return ""
    fence = "``" if "`" in line else "`"
    # One blank on either side is taken away again (CommonMark, 6.1), unless there is nothing but blanks.
    pad = " " if line.strip(" ") and (line[0] in "` " or line[-1] in "` ") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def quoted_in_table(text: str, limit: int = MAX_QUOTED) -> str:
    r"""Return the same for a cell of a table, where even in code `\|` is what a bar is written as (GFM, 4.10).

    A backslash in front of a bar gets a blank behind it: readers differ on what `\\|` is.
    """
    return quoted(text.replace("\\|", "\\ |"), limit).replace("|", "\\|")
