"""JSON that can be printed: its own rules leave much in a text that terminals and CI runners act on."""

import json
import re

# Characters that control a terminal, turn the writing direction or can't be seen, and `#` where it would begin a CI
# runner's command. Written out, not asked of Python, whose versions know different characters: a plan's digest is the
# same with all of them.
_ESCAPED = re.compile(
    "[\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    r"|#(?=#[A-Za-z]*\[)"
)


def harmless(text: str) -> str:
    """Return JSON that says the same, with what a terminal or a CI runner would act on written as escapes."""
    return _ESCAPED.sub(lambda found: r"\u0023" if found[0] == "#" else json.dumps(found[0])[1:-1], text)
