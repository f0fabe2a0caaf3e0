"""What a selector chooses of a repository's tags."""

import time
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from replsync.errors import InvalidInput
from replsync.manifest.choice import Choice, LeftOut, floating, in_need, locked_choice, with_choices
from replsync.manifest.model import Image, Manifest
from replsync.manifest.select import Select, chosen_by
from replsync.manifest.selecting import fits, selected
from replsync.oci.reference import is_tag
from tests.manifest.strategies import selectors

SIGNATURE = "sha256-" + "a" * 64
SELECTORS = selectors().map(Select.model_validate)
NUMBERS = st.integers(0, 3)
VERSIONED = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "v"]),
    st.lists(NUMBERS, min_size=1, max_size=4).map(lambda numbers: ".".join(map(str, numbers))),
    st.sampled_from(["", "-rc.1", "-alpine", "-debug", "_1"]),
)
TAGS = st.lists(
    VERSIONED
    | st.sampled_from(["latest", SIGNATURE, f"{SIGNATURE}.sig"])
    | st.text("019.-av_", min_size=1).filter(is_tag)
)


def select(**keys: Any) -> Select:
    return Select.model_validate(keys)


def chosen(tags: str, **keys: Any) -> str:
    return " ".join(selected(select(**keys), tags.split()).chosen)


def image(**keys: Any) -> Image:
    return Image.model_validate({"name": "worker", "source": "ghcr.io/acme/worker", **keys})


def manifest(*images: Image) -> Manifest:
    return Manifest.model_validate({"version": 1, "images": images})


@pytest.mark.parametrize(
    ("keys", "tags", "expected"),
    [
        ({"semver": ">=1.8 <2"}, "2.0.0 1.10.0 v1.9 1.8.0-rc.1 1.7 latest 1.8", "1.8 v1.9 1.10.0"),
        ({"semver": ">=1.8.0-0 <2"}, "1.8.0-rc.1 1.8.0 1.9.0-rc.1", "1.8.0-rc.1 1.8.0"),
        ({"newest": 2}, "1.9 1.10 1.2 2.0-rc.1 latest", "1.9 1.10"),
        ({"newest": 9}, "latest edge", ""),
        ({"regex": "v.*"}, "v1.9 v1.10 vx 1.2", "v1.9 v1.10 vx"),
        ({"regex": "edge-.*"}, "edge-b edge-a", "edge-a edge-b"),
        ({"regex": "[0-9.]+"}, "1.2 11.2-x x1.2", "1.2"),
        ({"regex": "v?[0-9.]+(-rc.*)?", "newest": 2}, "1.2.0 1.2.0-rc.1 1.1 latest", "1.2.0-rc.1 1.2.0"),
        ({"regex": "(?P<version>.*)-alpine", "newest": 1}, "1.9-alpine 1.10-alpine 1.11", "1.10-alpine"),
        ({"regex": "(?P<version>.*)-alpine", "semver": "<1.10"}, "1.9-alpine 1.10-alpine 1.8", "1.9-alpine"),
        ({"regex": "a|(?P<version>.*)-b", "newest": 3}, "a 1-b", "1-b"),
        ({"semver": "*", "exclude": ["1.8.*", "*-debug"]}, "1.8.1 1.9.0 1.9.0-debug", "1.9.0"),
        ({"regex": ".*"}, f"{SIGNATURE} {SIGNATURE}.att {SIGNATURE}.sbom sha256-x", "sha256-x"),
        ({"semver": "*"}, "2024.01.15 2024.1.2", "2024.1.2 2024.01.15"),
        # The same version in several spellings: sorted by them, and `newest` counts tags.
        ({"semver": "*"}, "v1.0.0 1.0 1.0.0 1 v1", "v1 1 1.0 v1.0.0 1.0.0"),
        ({"newest": 2}, "v1.0.0 1.0 1.0.0 0.9", "v1.0.0 1.0.0"),
        ({"newest": 1}, "1.01 1.1", "1.1"),
    ],
)
def test_what_is_chosen(keys: dict[str, Any], tags: str, expected: str) -> None:
    assert chosen(tags, **keys) == expected


def test_what_is_left_out_is_counted_by_its_reason() -> None:
    found = selected(
        select(semver=">=1.8 <2", newest=1, exclude=["1.8.3"]),
        ["1.8.0", "1.8.3", "1.9.0", "1.9.0-rc.1", "2.0.0", "latest", SIGNATURE],
    )
    assert found.chosen == ("1.9.0",)
    assert found.left_out == dict.fromkeys([kind for kind in LeftOut if kind is not LeftOut.UNMATCHED], 1)
    assert list(found.left_out) == [kind for kind in LeftOut if kind is not LeftOut.UNMATCHED]
    assert found.of == 7
    assert selected(select(regex="a"), ["b"]).left_out == {LeftOut.UNMATCHED: 1}


@given(SELECTORS, TAGS, st.randoms(use_true_random=False))
def test_the_order_of_the_tags_and_how_often_each_is_there_change_nothing(
    selector: Select, tags: list[str], random: Any
) -> None:
    shuffled = [*tags, *tags[:2]]
    random.shuffle(shuffled)
    assert selected(selector, shuffled) == selected(selector, tags)


@given(SELECTORS, TAGS)
@example(select(regex=".*"), [SIGNATURE])
def test_what_is_chosen_is_a_part_and_all_else_is_accounted_for(selector: Select, tags: list[str]) -> None:
    found = selected(selector, tags)
    assert set(found.chosen) <= set(tags)
    assert len(set(found.chosen)) == len(found.chosen)
    assert found.of == len(set(tags))
    assert not any(tag.startswith("sha256-a") for tag in found.chosen)
    assert all(fits(selector, tag) for tag in found.chosen)
    assert sum(fits(selector, tag) for tag in set(tags)) == len(found.chosen) + found.left_out.get(LeftOut.OLDER, 0)


@given(SELECTORS, TAGS, st.integers(1, 4))
def test_the_newest_are_the_end_of_all_that_fit(selector: Select, tags: list[str], newest: int) -> None:
    bare = selector.model_copy(update={"newest": 10_000})
    every = selected(bare, tags).chosen
    assert selected(selector.model_copy(update={"newest": newest}), tags).chosen == every[-newest:]


@given(SELECTORS, TAGS, st.sampled_from(["1.*", "v*", "*"]))
def test_what_is_excluded_is_as_if_it_were_not_there(selector: Select, tags: list[str], pattern: str) -> None:
    narrower = selector.model_copy(update={"exclude": (*selector.exclude, pattern)})
    kept = [tag for tag in tags if not fnmatchcase(tag, pattern)]
    assert selected(narrower, tags).chosen == selected(selector, kept).chosen


@given(SELECTORS, TAGS, TAGS)
def test_another_tag_changes_nothing_for_what_fits(selector: Select, tags: list[str], others: list[str]) -> None:
    bare = selector.model_copy(update={"newest": 10_000})
    assert set(selected(bare, tags).chosen) <= set(selected(bare, [*tags, *others]).chosen)


@pytest.mark.timeout(20)
def test_an_expression_that_never_ends_is_given_up() -> None:
    started = time.process_time()
    with pytest.raises(InvalidInput, match="it takes too long") as caught:
        selected(select(regex="(a|aa)+b"), ["a" * 128])
    assert "with the regex `(a|aa)+b`" in caught.value.message
    assert time.process_time() - started < 10


def test_what_is_listed_or_retired_is_not_listed_again() -> None:
    worker = image(tags=["1.0"], retired=[{"tag": "1.1", "reason": "old"}], select={"semver": "1.x"})
    other = Image.model_validate({"name": "other", "tags": ["1"]})
    choice = Choice("worker", select(semver="1.x"), ("1.0", "1.1", "1.2"))
    resolved = with_choices(manifest(worker, other), [choice])
    assert [tag.tag for tag in resolved.images[0].tags] == ["1.0", "1.2"]
    assert resolved.images[1] == other
    added = resolved.images[0].tags[1]
    assert str(resolved.images[0].source_of(added)) == "docker://ghcr.io/acme/worker:1.2"


@pytest.mark.parametrize(
    ("patterns", "needed"),
    [
        ((), True),
        (("worker",), True),
        (("worker:1.*",), True),
        (("worker:3.0",), True),
        (("worker:1.0",), False),
        (("worker:1.0", "worker:1.1"), False),
        (("worker:1.0", "worker:3.0"), True),
        (("other",), False),
        (("*:1.0",), True),
    ],
)
def test_a_selection_is_made_where_it_matters(patterns: tuple[str, ...], needed: bool) -> None:
    worker = image(tags=["1.0"], retired=[{"tag": "1.1", "reason": "old"}], select={"semver": "1.x"})
    listed = Image.model_validate({"name": "other", "tags": ["1"]})
    assert in_need(manifest(worker, listed), patterns) == ((worker,) if needed else ())


@pytest.mark.parametrize(("keys", "bound"), [({"newest": 3}, 3), ({"semver": "*", "max": 2}, 2), ({"semver": "*"}, 50)])
def test_more_than_the_bound_is_refused(keys: dict[str, Any], bound: int) -> None:
    tags = tuple(f"1.{number}" for number in range(bound + 1))
    assert locked_choice(image(select=keys), tags[:-1]).tags == tags[:-1]
    with pytest.raises(InvalidInput, match=f"worker: {bound + 1} fit, and `select` may choose {bound}"):
        locked_choice(image(select=keys), tags)


def test_a_tag_that_floats_is_named() -> None:
    tags = ["1", "1.8", "1.8.3", "1.80", "2.0", "v1", "latest", "latest.1"]
    assert floating(image(), tags) == ("1", "1.8")
    assert floating(image(mutable=["1", "1.8"]), tags) == ()


@given(SELECTORS, SELECTORS)
@example(select(semver='1" newest 2'[:1], newest=2), select(semver="1"))
def test_two_selectors_are_told_apart_by_their_text(one: Select, other: Select) -> None:
    def meant(selector: Select) -> tuple[Any, ...]:
        return selector.semver, selector.regex, set(selector.exclude), selector.newest

    assert (str(one) == str(other)) == (meant(one) == meant(other))


def test_a_long_selector_has_a_short_name() -> None:
    long = select(semver="*", exclude=[f"{number}*" for number in range(1000)])
    assert chosen_by(long, "x").startswith("sha256:")
    assert chosen_by(long, "x") != chosen_by(long, "y")
    assert chosen_by(select(semver="1.x"), "docker://a.b/c") == 'semver "1.x", of docker://a.b/c'
