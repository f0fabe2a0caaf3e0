"""Choosing tags by `image:tag` with wildcards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.manifest.labels import concern, is_among, is_chosen

IMAGES, TAGS = st.sampled_from(["worker", "tools/migrate", "w"]), st.sampled_from(["1.9", "1.10", "latest", "w"])
PATTERNS = st.text("*w1:.?/", min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("label", "pattern", "chosen"),
    [
        ("worker:1.9", "worker:1.9", True),
        ("worker:1.9", "worker", True),
        ("worker:1.9", "wor*", True),
        ("worker:1.9", "worker:1.*", True),
        ("worker:1.9", "*:1.9", True),
        ("tools/migrate:1.9", "tools/*", True),
        ("worker:1.9", "worker:1", False),
        ("worker:1.9", "work", False),
        ("worker:1.9", "Worker", False),
    ],
)
def test_a_pattern_is_an_image_or_an_image_and_a_tag(label: str, pattern: str, chosen: bool) -> None:
    assert is_chosen(label, pattern) == chosen
    assert is_among(label, ["nothing", pattern]) == chosen


def test_without_patterns_all_is_meant() -> None:
    assert is_among("worker:1.9", [])
    assert concern([], "worker")


@given(IMAGES, TAGS, st.lists(PATTERNS, max_size=3))
def test_patterns_concern_every_image_of_which_they_choose_a_tag(image: str, tag: str, patterns: list[str]) -> None:
    assert concern(patterns, image) or not is_among(f"{image}:{tag}", patterns)
