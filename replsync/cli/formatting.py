"""`replsync fmt`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from replsync.cli.files import read_whole, write_whole
from replsync.cli.manifest_file import HINT
from replsync.cli.manifests import manifest_paths, of_each
from replsync.cli.options import Ends
from replsync.errors import ChangedMeanwhile, UsageError
from replsync.manifest.formatting import formatted
from replsync.manifest.source_text import MAX_SIZE
from replsync.render.harmless import clean

STREAM = Path("-")
_UNFORMATTED = 1


def format_files(given: Sequence[Path], check: bool) -> None:
    """Format manifests in place, or with `check` name those that aren't formatted, and end with 1 where there are any.

    Raises InvalidInput with all that is wrong with any of them; nothing is written then.
    """
    if STREAM in given:
        _format_stream(given, check)
        return
    old = of_each(lambda path: (path, _read(path)), manifest_paths(given))
    new = of_each(lambda one: (*one, formatted(one[1], str(one[0]))), old)
    changed = [one for one in new if one[1] != one[2]]
    for path, before, after in changed:
        if check:
            print(f"{clean(str(path))}: not formatted")
            continue
        if _read(path) != before:
            raise ChangedMeanwhile(f"fmt: {path} was changed meanwhile; it was not written", hint="run fmt again")
        write_whole(path, after, "the manifest")
        print(f"{clean(str(path))}: formatted")
    if check and changed:
        print(f"next: replsync fmt -f {clean(str(changed[0][0]))}", file=sys.stderr)
        raise Ends(_UNFORMATTED)


def _format_stream(given: Sequence[Path], check: bool) -> None:
    """For editors: from standard input to standard output."""
    if len(given) > 1 or check:
        raise UsageError("fmt: - goes with no other file, and not with --check", hint="name the file")
    data = sys.stdin.buffer.read(MAX_SIZE + 1)
    sys.stdout.buffer.write(formatted(data, "-"))


def _read(path: Path) -> bytes:
    return read_whole(path, "the manifest", MAX_SIZE, HINT)
