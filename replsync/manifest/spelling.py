"""How an entry of a manifest is written: quotes where they are needed, a block or a flow mapping."""

import re
from dataclasses import dataclass

_PLAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9 _.,:;/()+@=-]*[A-Za-z0-9_.,;/()+@=-])?")
# What editors, which may follow YAML 1.1 or 1.2, read as no text (yaml.org/type: bool, null, timestamp, int, float).
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\s].*)?")
_NUMBER = re.compile(r"0[xo][0-9A-Fa-f_]+|0b[01_]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?")
_SIXTIES = re.compile(r"[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


@dataclass(frozen=True)
class Entry:
    """An entry of `tags` or `retired`: its keys in the order that they are written in, `tag` first."""

    keys: tuple[tuple[str, str], ...]

    @property
    def is_bare(self) -> bool:
        """Whether the tag alone says it all."""
        return len(self.keys) == 1

    def in_one_line(self, padding: str = "", *, in_flow: bool = False) -> str:
        """Return the entry as a flow mapping, or as a bare tag; `in_flow`: inside of brackets."""
        if self.is_bare:
            return self._value(*self.keys[0], in_flow=in_flow)
        inner = ", ".join(f"{key}: {self._value(key, text, in_flow=True)}" for key, text in self.keys)
        return f"{{{padding}{inner}{padding}}}"

    def in_lines(self) -> list[str]:
        """Return the lines of the entry as a block mapping, or the bare tag, without indentation."""
        if self.is_bare:
            return [self.in_one_line()]
        return [f"{key}: {self._value(key, text, in_flow=False)}" for key, text in self.keys]

    def _value(self, key: str, text: str, *, in_flow: bool) -> str:
        match key:
            case "tag":
                return spelled_tag(text)
            case "even_if_referenced":
                return text  # true is meant, not the word
            case _:
                return spelled(text, in_flow=in_flow)


def spelled_tag(tag: str) -> str:
    """Return `tag` as it is written: 1.10 needs no quotes."""
    return tag if _DECIMAL.fullmatch(tag) else spelled(tag, in_flow=False)


def spelled(text: str, *, in_flow: bool) -> str:
    """Return `text`, printable characters, plain where every reader of YAML takes it for that text, else quoted."""
    is_plain = _PLAIN.fullmatch(text) and ": " not in text and not _is_something_else(text)
    if is_plain and not (in_flow and re.search("[,:]", text)):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _is_something_else(text: str) -> bool:
    return text.lower() in _WORDS or any(kind.fullmatch(text) for kind in (_DATE, _NUMBER, _SIXTIES))
