"""Slips that are valid YAML, and nearly a manifest: each is told with its place and what was probably meant."""

import pytest

from replsync.manifest.choice import Choice, LeftOut, Selection
from replsync.manifest.read import read_manifest
from replsync.manifest.select import Select
from replsync.manifest.versions import parse_range
from tests.manifest.faults_of import assert_fault

HEAD = "version: 1\nimages:\n  - name: worker\n"
GOOD = HEAD + "    tags: [1.10]\n"

SLIPS = [
    pytest.param(HEAD + "    source: docker://\n", 4, 13, "it names no image", None, id="source of nothing"),
    pytest.param(
        HEAD + "    source: 'docker-daemon:'\n", 4, 13, "docker-daemon:worker:dev", None, id="daemon's nothing"
    ),
    pytest.param(GOOD + "    platforms: []\n", 5, 16, "is an empty list", "remove the key", id="no platforms"),
    pytest.param(
        GOOD + "    platforms: [linux/amd64, linux/arm64, linux/amd64]\n",
        *(5, 43, "`linux/amd64` is listed twice, first in line 5, column 17", "remove one"),
        id="a platform twice",
    ),
    pytest.param(
        GOOD + "    build: {context: ., platforms: [linux/amd64, linux/amd64]}\n",
        *(5, 50, "`linux/amd64` is listed twice", "remove one"),
        id="a build's platform twice",
    ),
    pytest.param(
        GOOD + "    build: {context: ., platforms: []}\n",
        5,
        36,
        "is an empty list",
        "remove the key",
        id="a build's none",
    ),
    pytest.param(
        GOOD + "policy: {max_layer_size: 1.9}\n",
        5,
        26,
        "a size is a whole number",
        "did you mean `1.9GB`?",
        id="no unit",
    ),
    pytest.param(GOOD + "    mutable: ['v[']\n", 5, 15, "the `[` in it is never closed", "`v[0-9]*`", id="bracket"),
    pytest.param(GOOD + "    mutable: ['v[]']\n", 5, 15, "the `[` in it is never closed", "`v[0-9]*`", id="brackets"),
    pytest.param(
        GOOD + "    source: a.io/b\n    select: {semver: '>2 <1'}\n",
        *(6, 22, "no version is in this range", "`<1 || >2`"),
        id="impossible range",
    ),
    pytest.param(
        '{"actions": [], "format": "replsync.plan/1"}',
        1,
        1,
        "this is a saved plan",
        "`replsync apply FILE`",
        id="a plan",
    ),
    pytest.param("version: 1\nsources: {}\n", 1, 1, "this is a lock file", "name the manifest", id="a lock file"),
]


@pytest.mark.parametrize(("text", "line", "column", "words", "proposal"), SLIPS)
def test_a_slip_is_told(text: str, line: int, column: int, words: str, proposal: str | None) -> None:
    assert_fault(text, line, column, words, proposal)


@pytest.mark.parametrize("pattern", ["v[0-9]*", "[!a]", "[]]", "[[]", "a]", "[!]]"])
def test_a_bracket_that_is_closed_is_a_pattern(pattern: str) -> None:
    manifest = read_manifest(f"{GOOD}    mutable: ['{pattern}']\n".encode(), "f").manifest
    assert manifest.images[0].mutable == (pattern,)


@pytest.mark.parametrize(
    ("text", "is_empty"),
    [
        (">2 <1", True),
        (">1.0.0 <1.0.0", True),
        (">=1.0.0 <1.0.0", True),
        ("=1.0.0 =2.0.0", True),
        (">*", True),
        (">2 <1 || >3 <2", True),
        (">=1.0.0 <=1.0.0", False),
        (">2 <1 || 1.x", False),
        ("*", False),
        ("^1.2", False),
        ("1.2 - 1.4", False),
        (">=1.8 <2", False),
    ],
)
def test_a_range_that_no_version_is_in_is_known(text: str, is_empty: bool) -> None:
    assert parse_range(text).is_empty == is_empty


@pytest.mark.parametrize(
    ("older", "said"), [(0, "newest 9, and 6 fit"), (3, "newest 9 of 9 that fit")], ids=["fewer", "as many"]
)
def test_why_a_tag_is_among_the_newest_makes_sense_where_fewer_fit(older: int, said: str) -> None:
    tags = tuple(f"1.{number}" for number in range(6))
    choice = Choice("worker", Select(newest=9), tags, Selection(tags, {LeftOut.OLDER: older} if older else {}))
    assert choice.why == f"chosen by `select`: {said}"
