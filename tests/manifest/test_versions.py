"""Versions in tags, and ranges of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version

from replsync.manifest.versions import parse_range, version_of

NUMBERS = st.integers(0, 12)
PRERELEASES = st.none() | st.sampled_from(["0", "alpha", "rc.1", "rc.10"])
VERSIONS = st.builds(Version, NUMBERS, NUMBERS, NUMBERS, PRERELEASES)

# What is in each range, and what is not, as npm's own `semver` says.
RANGES = {
    "": ("0.0.0 1.2.3", "1.2.3-rc.1"),
    "*": ("0.0.0 99.0.0", "1.0.0-0"),
    "1.2.3": ("1.2.3", "1.2.2 1.2.4 1.2.3-rc.1"),
    "=1.2": ("1.2.0 1.2.9", "1.1.9 1.3.0 1.3.0-0"),
    "1": ("1.0.0 1.9.9", "0.9.9 2.0.0 2.0.0-0"),
    "v1.2": ("1.2.0", "1.3.0"),
    "1.x": ("1.0.0 1.99.0", "2.0.0 0.9.0"),
    "1.2.X": ("1.2.0 1.2.99", "1.3.0"),
    "1.2.*": ("1.2.0", "1.3.0"),
    ">=1.8 <2": ("1.8.0 1.99.9", "1.7.9 2.0.0 1.9.0-rc.1 2.0.0-0"),
    ">=1.8, <2": ("1.8.0 1.99.9", "1.7.9 2.0.0"),
    ">= 1.8   < 2": ("1.8.0", "2.0.0"),
    ">1.2": ("1.3.0 2.0.0", "1.2.0 1.2.9 1.3.0-rc.1"),
    ">1.2.3": ("1.2.4", "1.2.3 1.2.3-rc.1"),
    "<=1.2": ("1.2.9 0.1.0", "1.3.0"),
    "<1.2": ("1.1.9", "1.2.0 1.2.0-0"),
    "<=1.2.3": ("1.2.3", "1.2.4"),
    "<*": ("", "0.0.0 1.0.0"),
    ">*": ("", "0.0.0 1.0.0"),
    "~1.2.3": ("1.2.3 1.2.9", "1.2.2 1.3.0 1.3.0-0"),
    "~1.2": ("1.2.0", "1.3.0"),
    "~1": ("1.0.0 1.9.0", "2.0.0"),
    "~>1.2": ("1.2.5", "1.3.0"),
    "^1.2.3": ("1.2.3 1.9.0", "1.2.2 2.0.0 2.0.0-0"),
    "^0.2.3": ("0.2.3 0.2.9", "0.3.0"),
    "^0.0.3": ("0.0.3", "0.0.4 0.0.2"),
    "^0.0": ("0.0.0 0.0.9", "0.1.0"),
    "^0": ("0.9.9", "1.0.0"),
    "^1.x": ("1.0.0 1.9.0", "2.0.0"),
    "1.2 - 1.4": ("1.2.0 1.4.9", "1.1.9 1.5.0"),
    "1.2.3 - 2.3.4": ("1.2.3 2.3.4", "1.2.2 2.3.5"),
    "^1 || ^3": ("1.5.0 3.0.0", "2.0.0 4.0.0"),
    "1.2.3||>=2.0.1 <2.1": ("1.2.3 2.0.1", "2.0.0 2.1.0"),
    "^1.2.3-beta.2": ("1.2.3-beta.2 1.2.3-beta.10 1.2.3 1.3.0", "1.2.3-beta.1 1.2.4-beta.2 1.2.3-alpha"),
    ">=2.0.0-0 <2.1": ("2.0.0-alpha 2.0.0 2.0.9", "2.1.0 2.0.1-alpha 1.9.0"),
    ">1.0.0-alpha <1.0.0": ("1.0.0-beta 1.0.0-rc.1", "1.0.0 1.0.0-alpha"),
    "1.2.0 1.3.0": ("", "1.2.0 1.3.0"),
}


@pytest.mark.parametrize("text", RANGES)
def test_a_range_has_what_npm_has_in_it(text: str) -> None:
    found = parse_range(text)
    inside, outside = (one.split() for one in RANGES[text])
    assert [one for one in inside if Version.parse(one) not in found] == []
    assert [one for one in outside if Version.parse(one) in found] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latest", "'latest' is no part of a range"),
        ("!=1.2", "'!=1.2' is no part of a range"),
        (">=1.8 <", "'<' is no part of a range"),
        ("1.2.3.4", "'1.2.3.4' is no part of a range"),
        ("1.2.3+build", "no part of a range"),
        ("1.8 - ", "'-' is no part of a range"),
        ("1.x.3", "there is no number"),
        ("1.2-rc.1", "'1.2-rc.1' is no part of a range"),
        ("1.2.x-rc.1", "three numbers"),
        ("1.2.3-01", "'01' is no prerelease"),
        ("1.2.3-a..b", "is no prerelease"),
        ("^1 | ^2", "'|' is no part of a range"),
        ("9" * 5000, "4300 digits"),
    ],
)
def test_what_is_no_range_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("+", "[+]").replace("|", "[|]")):
        parse_range(text)


@given(st.text("0123456789.xX*v<>=~^|-, ra", max_size=30) | st.text(max_size=20), VERSIONS)
def test_any_text_is_a_range_or_refused(text: str, version: Version) -> None:
    try:
        found = parse_range(text)
    except ValueError:
        return
    assert (version in found) in (True, False)


@given(VERSIONS)
def test_a_version_is_in_the_range_of_itself_alone(version: Version) -> None:
    assert version in parse_range(str(version))
    assert version in parse_range(f">={version} <={version}")
    assert version not in parse_range(f">{version}")
    assert version not in parse_range(f"<{version}")


@given(VERSIONS, st.sampled_from([text for text in RANGES if "||" not in text]), st.sampled_from(list(RANGES)))
def test_alternatives_are_what_either_has(version: Version, one: str, other: str) -> None:
    either = version in parse_range(one) or version in parse_range(other)
    assert (version in parse_range(f"{one} || {other}")) == either


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("1.2.3", "1.2.3"),
        ("v1.2.3", "1.2.3"),
        ("1.2", "1.2.0"),
        ("1", "1.0.0"),
        ("v2", "2.0.0"),
        ("1.2.3-rc.1", "1.2.3-rc.1"),
        ("1.2-alpine", "1.2.0-alpine"),
        ("1.27.0-alpine3.19", "1.27.0-alpine3.19"),
        ("2024.01.15", "2024.1.15"),
        *((tag, None) for tag in ("latest", "V1.2", "1.2.3.4", "1.2.3_4", "1.2.", ".1", "1.2.3-", "1.2.3-rc.01", "v")),
        *((tag, None) for tag in ("edge-1.2", "sha256-" + "a" * 64, "1.2.3+4", " 1.2", "", "1.2.3-a_b", "１.2")),
    ],
)
def test_a_tag_names_a_version_or_none(tag: str, version: str | None) -> None:
    found = version_of(tag)
    assert (str(found) if found else None) == version


@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True))
def test_any_tag_is_read(tag: str) -> None:
    version = version_of(tag)
    assert version is None or version_of(str(version)) == version
