"""Sizes in bytes, read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.manifest.byte_size import likely_size, parse_size, size_text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1900000000", 1_900_000_000),
        ("0010", 10),
        ("1B", 1),
        ("1kB", 1000),
        ("1KB", 1000),
        ("1KiB", 1024),
        ("500MB", 500_000_000),
        ("500 MB", 500_000_000),
        ("1.9GB", 1_900_000_000),
        ("2GiB", 2_147_483_648),
        ("0.5GiB", 536_870_912),
        ("1.000000001GB", 1_000_000_001),
        ("4TB", 4_000_000_000_000),
        ("4TiB", 4_398_046_511_104),
    ],
)
def test_units_are_powers_of_1000_or_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1.5", "1.5B", "0.0001kB", "1 000", "1GB\n", "1  GB", "GB", "\u0661GB"]
)
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="no "):
        parse_size(text)


@given(st.text("0123456789.,-+_ kKmMgGtTiIbBx", max_size=8))
def test_what_is_proposed_is_a_size(text: str) -> None:
    proposal = likely_size(text)
    assert proposal is None or parse_size(proposal) > 0


@given(st.integers(1, 999), st.sampled_from(["B", "kB", "MB", "GB", "TB"]))
def test_what_is_written_is_read_back(number: int, unit: str) -> None:
    size = parse_size(f"{number} {unit}")
    assert parse_size(size_text(size)) == size


def test_sizes_are_written_in_decimal_units() -> None:
    assert [size_text(count) for count in (0, 999, 1000, 1_550_000, 2_000_000_000)] == [
        *("0 B", "999 B", "1.0 kB"),
        *("1.6 MB", "2.0 GB"),
    ]
