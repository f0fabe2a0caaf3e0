"""Sizes in bytes as people write and read them: `1.9GB`. Pure."""

import re
from decimal import Decimal

MAX_DIGITS = 15

_UNITS = {
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
}
_WRITTEN = ("B", "kB", "MB", "GB", "TB")
_NUMBER = rf"[0-9]{{1,{MAX_DIGITS}}}"

SIZE_PATTERN = rf"^(?=.*[1-9])(?:{_NUMBER}|{_NUMBER}(?:\.[0-9]{{1,9}})? ?(?:{'|'.join(_UNITS)}))$"
"""What a size looks like, except that a fraction has to give whole bytes."""


def parse_size(text: str) -> int:
    """Return the bytes in `500MB`, `1.9 GB`, `2GiB` or `1900000000`: kB to TB are powers of 1000, KiB to TiB of 1024.

    Raises ValueError for anything else, for nothing at all, and where bytes would be broken.
    """
    if "\n" in text or not re.fullmatch(SIZE_PATTERN, text):  # `$` may stand in front of a newline
        raise ValueError(f"{text!r} is no size")
    number = text.rstrip("BikKMGT ")
    unit = text[len(number) :].strip()
    size = Decimal(number) * _UNITS.get(unit, 1)
    if size != int(size):
        raise ValueError(f"{text!r} is no whole number of bytes")
    return int(size)


def likely_size(text: str) -> str | None:
    """Return what was probably meant by a text that is no size: `2GB` for `2 g`; None where nobody knows."""
    if re.fullmatch(f"[0-9_]{{1,{2 * MAX_DIGITS}}}", text):
        return _if_size(text.replace("_", ""))
    if re.fullmatch(r"[0-9]+[.,][0-9]+", text):
        return _if_size(f"{text.replace(',', '.')}GB")  # as limits of layers are
    parts = re.fullmatch(r"\+?([0-9]+(?:[.,][0-9]+)?)[ _]?([kmgt])(i?)b?", text.strip(), re.IGNORECASE)
    if not parts:
        return None
    prefix = "k" if parts[2] in "kK" and not parts[3] else parts[2].upper()
    return _if_size(f"{parts[1].replace(',', '.')}{prefix}{'i' if parts[3] else ''}B")


def _if_size(candidate: str) -> str | None:
    try:
        parse_size(candidate)
    except ValueError:
        return None
    return candidate


def size_text(count: int) -> str:
    """Return a number of bytes for people, in decimal units: `1.5 GB`."""
    value = float(count)
    for unit in _WRITTEN:
        if value < 1000 or unit == _WRITTEN[-1]:
            break
        value /= 1000
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
