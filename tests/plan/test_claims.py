"""Several manifests in one run: which of them a tag belongs to, and where two contradict each other."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.manifest.read import read_manifest
from replsync.oci.reference import Reference
from replsync.plan.claims import Claims, Member, contradictions
from replsync.plan.planner import Target

HERE, ELSEWHERE, OTHER = "registry.test", "images.test", "other.test"


def member(name: str, *images: Mapping[str, Any], app: str = "myapp", registry: str = HERE, **more: Any) -> Member:
    content = {"version": 1, "registry": registry, **more, "images": images}
    return Member(read_manifest(json.dumps(content).encode(), name), Target(registry, app))


def worker(*tags: str, **more: Any) -> dict[str, Any]:
    return {"name": "worker", "tags": tags, **more}


def said(*members: Member) -> list[str]:
    return [f"{one.name}: {fault.message}" for one in contradictions(members) for fault in one.faults]


def tag(text: str, app: str = "myapp", registry: str = HERE) -> Reference:
    image, _, name = text.partition(":")
    return Target(registry, app).repository(image).tagged(name)


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(member("b.yaml", worker("2", "1")), id="both list it"),
        pytest.param(
            member("b.yaml", {"name": "worker", "retired": [{"tag": "1", "reason": "old"}]}), id="one retires it"
        ),
        pytest.param(
            member("b.yaml", worker("1"), registry=ELSEWHERE, registry_aliases=[HERE]), id="another name of it"
        ),
    ],
)
def test_a_tag_that_two_name_is_a_fault_of_the_later(later: Member) -> None:
    (fault,) = said(member("a.yaml", {"name": "web", "tags": ["1"]}, worker("1")), later)
    assert fault.startswith("b.yaml: `worker:1` belongs to a.yaml:1:")


def test_it_says_where_both_stand() -> None:
    text = "version: 1\nimages:\n  - name: worker\n    tags:\n      - '1'\n"
    members = [Member(read_manifest(text.encode(), name), Target(HERE, "myapp")) for name in ("a.yaml", "b.yaml")]
    (invalid,) = contradictions(members)
    assert str(invalid) == (
        "b.yaml:5:9: `worker:1` belongs to a.yaml:5:9 already\n"
        "    = name it in one of the two: a tag has one manifest\n\n"
        "1 fault in b.yaml"
    )


def test_a_third_one_is_told_of_the_first() -> None:
    assert said(*(member(f"{name}.yaml", worker("1")) for name in "abc")) == [
        f"{name}.yaml: `worker:1` belongs to a.yaml:1:84 already" for name in "bc"
    ]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(member("b.yaml", worker("2")), id="another tag"),
        pytest.param(member("b.yaml", {"name": "web", "tags": ["1"]}), id="another image"),
        pytest.param(member("b.yaml", worker("1"), app="other"), id="another application"),
        pytest.param(member("b.yaml", worker("1"), registry=OTHER), id="another registry"),
        pytest.param(member("b.yaml", worker("1"), registry=OTHER, policy={"unlisted": "ignore"}), id="policy"),
    ],
)
def test_what_is_not_the_same_tag_is_none(other: Member) -> None:
    assert said(member("a.yaml", worker("1")), other) == []


def test_an_image_that_two_have_has_one_policy_for_what_neither_names() -> None:
    other = member("b.yaml", worker("2"), policy={"unlisted": "tombstone"})
    assert said(member("a.yaml", worker("1")), other) == [
        "b.yaml: `worker` is an image of a.yaml, too, where policy.unlisted is report, and here it is tombstone"
    ]


def test_names_of_one_registry_may_be_told_by_a_third() -> None:
    between = member("c.yaml", {"name": "web", "tags": ["1"]}, registry=OTHER, registry_aliases=[HERE, ELSEWHERE])
    one, two = member("a.yaml", worker("1")), member("b.yaml", worker("1"), registry=ELSEWHERE)
    assert said(one, two) == []
    assert len(said(one, two, between)) == 1


def test_a_tag_that_nobody_names_belongs_to_the_first_that_has_its_image() -> None:
    one, two = member("a.yaml", worker("1")), member("b.yaml", worker("2"))
    claims = Claims.of([one, two])
    assert claims.owner(tag("worker:2")) is two
    assert claims.owner(tag("worker:3")) is one
    assert claims.owner(tag("web:1")) is None
    assert claims.owner(tag("worker:1", app="other")) is None


def test_a_tag_is_found_by_any_name_of_its_registry() -> None:
    one = member("a.yaml", worker("1"), registry_aliases=[ELSEWHERE])
    two = member("b.yaml", worker("2"), registry=ELSEWHERE)
    claims = Claims.of([one, two])
    assert claims.owner(tag("worker:2")) is two
    assert claims.owner(tag("worker:1", registry=ELSEWHERE)) is one


_NAMES = st.sampled_from(["a", "b"])
_TAGS = st.lists(st.sampled_from(["1", "2", "3"]), unique=True, min_size=1)


@st.composite
def several(draw: st.DrawFn) -> Sequence[Member]:
    """Up to four manifests of few names, so that they meet."""
    return [
        member(
            f"{number}.yaml",
            *({"name": name, "tags": tags} for name, tags in draw(st.dictionaries(_NAMES, _TAGS, min_size=1)).items()),
            app=draw(_NAMES),
            registry=draw(st.sampled_from([HERE, ELSEWHERE])),
        )
        for number in range(draw(st.integers(1, 4)))
    ]


def named(one: Member) -> set[Reference]:
    images = one.file.manifest.images
    return {one.target.repository(image.name).tagged(tag.tag) for image in images for tag in image.tags}


@given(several())
def test_there_is_a_fault_for_each_tag_that_is_named_again(members: Sequence[Member]) -> None:
    every = [reference for one in members for reference in named(one)]
    assert len(said(*members)) == len(every) - len(set(every))


@given(several())
def test_each_tag_belongs_to_the_first_that_names_it(members: Sequence[Member]) -> None:
    claims = Claims.of(members)
    for one in members:
        for reference in named(one):
            assert claims.owner(reference) is next(first for first in members if reference in named(first))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_tag_that_fits_a_selector_belongs_to_whoever_has_that(order: tuple[int, int]) -> None:
    """Whichever comes first: what a selector chose, or chooses no more, is judged by its own manifest."""
    selecting = member("a.yaml", {"name": "worker", "source": "ghcr.io/acme/worker", "select": {"semver": ">=1"}})
    listing = member("b.yaml", worker("edge"))
    claims = Claims.of([(selecting, listing)[one] for one in order])
    assert claims.owner(tag("worker:1.2.3")) is selecting
    assert claims.owner(tag("worker:edge")) is listing
    assert claims.owner(tag("worker:other")) is (selecting, listing)[order[0]]
