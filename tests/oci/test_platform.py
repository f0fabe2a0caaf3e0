"""Platforms as people write them."""

import pytest

from replsync.oci.platform import Platform, listed, parse_platform, right_name


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/arm/v7", Platform("linux", "arm", "v7")),
        ("windows/amd64", Platform("windows", "amd64")),
        ("linux/mips64le", Platform("linux", "mips64le")),
    ],
)
def test_a_platform_is_read_and_written(text: str, platform: Platform) -> None:
    assert parse_platform(text) == platform
    assert str(platform) == text


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "Linux/amd64", "linux amd64", "l/a\n"]
)
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="OS/ARCHITECTURE"):
        parse_platform(text)


@pytest.mark.parametrize(
    ("text", "right"), [("linux/x86_64", "linux/amd64"), ("linux/aarch64/v8", "linux/arm64/v8"), ("x86-64", "amd64")]
)
def test_an_architecture_has_one_name(text: str, right: str) -> None:
    assert right_name(text) == right
    if "/" in text:
        with pytest.raises(ValueError, match="the name that Go gives it"):
            parse_platform(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm", "linux/arm/v6", False),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "linux/amd64/v3", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/amd64", "linux/386", False),
    ],
)
def test_a_variant_may_be_left_out(one: str, other: str, same: bool) -> None:
    assert parse_platform(one).matches(parse_platform(other)) is same
    assert parse_platform(other).matches(parse_platform(one)) is same


def test_platforms_are_listed_sorted_and_once() -> None:
    platforms = [Platform("linux", "s390x"), Platform("linux", "amd64"), Platform("linux", "s390x")]
    assert listed(platforms) == "linux/amd64, linux/s390x"
    assert listed([]) == "none"
