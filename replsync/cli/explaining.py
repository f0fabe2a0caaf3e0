"""`replsync explain`: the texts of `replsync/explanations`, for a terminal. The documentation shows the same texts."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib.resources import files

from replsync.cli.terminal import use_colour
from replsync.errors import UsageError

_SUFFIX = ".md"
_BOLD = "\x1b[1m{}\x1b[0m"


def codes() -> tuple[str, ...]:
    """Return the code of every error that is explained, sorted."""
    names = (file.name for file in (files("replsync") / "explanations").iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def explanation(code: str) -> str:
    """Return the Markdown text about the error `code`, one of `codes()`: its first line is a heading."""
    return (files("replsync") / "explanations" / f"{code}{_SUFFIX}").read_text("utf-8")


def title(code: str) -> str:
    """Return in a few words what the error `code` is."""
    return explanation(code).partition("\n")[0].removeprefix("# ")


def explain_errors(wanted: Sequence[str], no_color: bool) -> None:
    """Print the explanation of each of `wanted`. Raises UsageError, before anything is printed, for one that isn't."""
    for code in wanted:
        if code not in codes():
            raise UsageError(f"explain: there is no error {code!r}", hint=_proposal(code))
    print("\n\n\n".join("\n".join(_lines(code, use_colour(no_color))) for code in wanted))


def list_errors() -> None:
    """Print every code with its title."""
    width = max(map(len, codes()))
    for code in codes():
        print(f"{code:<{width}}  {title(code)}")


def _lines(code: str, colour: bool) -> Iterable[str]:
    for line in explanation(code).rstrip().split("\n"):
        heading = line.lstrip("#").strip() if line.startswith("#") else ""
        if line.startswith("# "):
            heading = f"{code}: {heading}"
        yield (_BOLD.format(heading) if colour else heading) if heading else line


def _proposal(code: str) -> str:
    near = get_close_matches(code.lower(), codes(), n=1)
    return f"did you mean {near[0]}? replsync explain lists all" if near else "replsync explain lists all there are"
