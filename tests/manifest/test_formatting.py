"""`replsync fmt` on manifests in any style: they say the same afterwards, with all comments, and once is enough."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from replsync.errors import InvalidInput
from replsync.manifest.formatting import formatted
from replsync.manifest.read import read_manifest
from tests.manifest.test_edit_properties import PIECES, Written, comments, model, written_manifests

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(
    path for path in ROOT.glob("examples/**/*.yaml") if "kots" not in path.parts and "ci" not in path.parts
)

UNTIDY = """\


#  The modeline stays.   \t
images:   # all of them
-   tags:
    # numbers
    -    '1.10'
    - "1.11"   # quoted

    - 1.12


    - "latest"
    - true
    -   {digest: "sha256:4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a", tag: '2024-01-01'}
    - source:   ghcr.io/acme/x:1
      # the tag
      tag : 0x1F
      # below the tag
    # below the list

    # who
    mutable: [latest,
      'edge-*',   # these too
    ]
    name:  worker\x20\x20
      # deeper
# the end of worker
-
    name: api
    retired: [{reason: too
       old, tag: a}]
app: myapp
# The version.
version: 1
policy:
        unlisted: ignore
        # deep
# The end.

"""

TIDY = """\
#  The modeline stays.
# The version.
version: 1
app: myapp
policy:
  unlisted: ignore
  # deep
images:   # all of them
  - name: worker
      # deeper
    # below the list

    # who
    mutable: [latest,
      'edge-*',   # these too
    ]
    tags:
      # numbers
      - "1.10"
      - "1.11"   # quoted

      - 1.12

      - latest
      - "true"
      - {tag: "2024-01-01", digest: "sha256:4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"}
      - source: ghcr.io/acme/x:1
        # the tag
        tag: "0x1F"
        # below the tag
  # the end of worker
  -
    name: api
    retired: [{tag: a, reason: too
       old}]
# The end.
"""


def test_lines_keys_and_quotes_are_set_right() -> None:
    assert formatted(UNTIDY.encode(), "f").decode() == TIDY


@given(written_manifests())
@settings(max_examples=100)
def test_a_formatted_manifest_says_the_same_and_stays_as_it_is(file: Written) -> None:
    new = formatted(file.data, "f")
    assert model(new) == model(file.data)
    assert comments(new) == comments(file.data)
    assert formatted(new, "f") == new
    lines = re.split("\r\n|\n", new.decode())
    assert lines[-1] == ""
    assert [line for line in lines if line != line.rstrip(" \t")] == []
    assert new.startswith(b"\xef\xbb\xbf") == file.data.startswith(b"\xef\xbb\xbf")
    assert new.count(b"\r\n") == (new.count(b"\n") if b"\r" in file.data else 0)


@given(written_manifests(), st.lists(st.tuples(st.integers(0, 2000), PIECES), min_size=1, max_size=3))
@settings(max_examples=150)
@example(Written(b"version: 1\nimages: [{name: a, tags: [b]}]", [], []), [(0, "# c1 x\n")])
def test_a_file_in_any_style_is_formatted_rightly_or_not_at_all(file: Written, pieces: list[tuple[int, str]]) -> None:
    text = file.data.decode()
    for place, piece in pieces:
        at = place % (len(text) + 1)
        text = text[:at] + piece + text[at:]
    data = text.encode()
    try:
        new = formatted(data, "f")
    except InvalidInput:
        return
    assert model(new) == model(data)
    assert formatted(new, "f") == new


@given(written_manifests())
@settings(max_examples=40)
def test_entries_stay_in_their_order(file: Written) -> None:
    before, after = (read_manifest(data, "f").manifest for data in (file.data, formatted(file.data, "f")))
    assert [image.name for image in after.images] == [image.name for image in before.images]
    assert [tag.tag for image in after.images for tag in image.tags] == [
        tag.tag for image in before.images for tag in image.tags
    ]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_formatted(path: Path) -> None:
    assert formatted(path.read_bytes(), path.name) == path.read_bytes()


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ("1.10", "1.10"),
        ('"1.10"', '"1.10"'),
        ("'1.10'", '"1.10"'),
        ('"latest"', "latest"),
        ("true", '"true"'),
        ("2026-01-01", '"2026-01-01"'),
        ("'null'", '"null"'),
        ("0x1F", '"0x1F"'),
        ("1_0", '"1_0"'),
    ],
)
def test_a_tag_has_quotes_where_a_reader_of_yaml_would_take_it_for_something_else(written: str, becomes: str) -> None:
    frame = "version: 1\nimages:\n  - name: a\n    tags:\n      - {}\n      - {{tag: x, source: 'y'}}\n"
    assert formatted(frame.format(written).encode(), "f").decode() == frame.format(becomes)


def test_a_manifest_in_json_stays_json() -> None:
    text = '{"version": 1,  \n "images": [{"name": "a", "tags": ["b"]}]}'
    assert formatted(text.encode(), "f").decode() == text.replace("  \n", "\n") + "\n"


def test_keys_stay_in_place_where_an_alias_would_come_before_its_anchor() -> None:
    text = "version: 1\nimages:\n  - name: b\n    tags: &tags [x]\n    mutable: *tags\n"
    assert formatted(text.encode(), "f").decode() == text
