"""The report on a manifest's faults, as a person reads it."""

import pytest

from replsync.errors import InvalidInput
from replsync.manifest.faults import MAX_PRINTED, Fault, InvalidManifest, render_faults, shown
from replsync.manifest.read import read_manifest
from tests.manifest.faults_of import faults_of

NAME = "replicated-images.yaml"

MANIFEST = """\
version: 1
registry: https://registry.replicated.com
images:
  - name: Worker
    souce: ghcr.io/acme/worker
    tags:
      - 1.10
      - {tag: 1.10, digest: sha256:abc}
    retired:
      - {tag: 1.9.3}
"""

REPORT = """\
replicated-images.yaml:2:11: `registry` is `https://registry.replicated.com`: a registry is HOST or HOST:PORT, \
without a scheme or a path
  2 | registry: https://registry.replicated.com
    |           ^
    = did you mean `registry.replicated.com`?

replicated-images.yaml:4:11: `images[0].name` is `Worker`: a name is lower-case letters and digits, with `.`, `_` \
or `-` between them, in parts joined by `/`
  4 |   - name: Worker
    |           ^
    = did you mean `worker`?

replicated-images.yaml:5:5: `images[0]` has the unknown key `souce`
  5 |     souce: ghcr.io/acme/worker
    |     ^
    = did you mean `source`?

replicated-images.yaml:8:15: the tag `1.10` is listed twice, first in line 7, column 9
  8 |       - {tag: 1.10, digest: sha256:abc}
    |               ^
    = remove one of them

replicated-images.yaml:8:29: `images[0].tags[1].digest` is `sha256:abc`: a digest is `sha256:` and 64 lower-case \
hex digits, here are 3
  8 |       - {tag: 1.10, digest: sha256:abc}
    |                             ^

replicated-images.yaml:10:9: `images[0].retired[0]` has no `reason`
  10 |       - {tag: 1.9.3}
     |         ^
     = write `{tag: 1.9.3, reason: "CVE-2026-1234, use 1.10"}`, for example

6 faults in replicated-images.yaml"""

EMPTY = """\
replicated-images.yaml:1:1: the file is empty
    = start with
      version: 1
      app: myapp
      images:
        - name: worker
          source: ghcr.io/acme/worker
          tags:
            - 1.10

1 fault in replicated-images.yaml"""


def excerpt_of(line: str, column: int) -> list[str]:
    """Return the excerpt and the caret below it, without the margin."""
    rendered = render_faults("f", [Fault(1, column, "wrong", None, line)]).split("\n")
    return [part[6:] for part in rendered[1:3]]


def test_a_report_shows_every_fault_with_its_line_and_a_proposal() -> None:
    with pytest.raises(InvalidManifest) as caught:
        read_manifest(MANIFEST.encode(), NAME)
    assert str(caught.value) == REPORT


def test_the_report_on_an_empty_file_says_how_to_start() -> None:
    with pytest.raises(InvalidManifest) as caught:
        read_manifest(b"", NAME)
    assert str(caught.value) == EMPTY


def test_an_invalid_manifest_ends_the_program_like_other_invalid_input() -> None:
    error = InvalidManifest(NAME, [Fault(1, 1, "wrong")])
    assert isinstance(error, InvalidInput)
    assert error.exit_code == 3
    assert error.message == str(error)


def test_faults_are_sorted_by_position() -> None:
    faults = [Fault(2, 1, "c"), Fault(1, 9, "b"), Fault(1, 10, "a"), Fault(1, 9, "a", "x")]
    assert [fault.message for fault in InvalidManifest(NAME, faults).faults] == ["a", "b", "a", "c"]


def test_a_long_report_counts_what_it_does_not_show() -> None:
    report = render_faults("f", [Fault(line, 1, "wrong") for line in range(1, MAX_PRINTED + 13)])
    assert report.count(": wrong") == MAX_PRINTED
    assert report.endswith("f:50:1: wrong\n\n… and 12 more\n\n62 faults in f")


def test_a_thousand_faults_are_all_kept() -> None:
    text = "version: 1\nimages: [{name: a, tags: [" + ", ".join(["b c"] * 1000) + "]}]\n"
    assert len([fault for fault in faults_of(text) if "a tag is" in fault.message]) == 1000


def test_the_caret_stands_below_its_character() -> None:
    assert excerpt_of("tags: [a b]", 8) == ["tags: [a b]", "       ^"]


def test_the_caret_may_stand_behind_the_end_of_the_line() -> None:
    assert excerpt_of("tags: [", 8) == ["tags: [", "       ^"]


def test_a_tab_is_shown_as_four_blanks() -> None:
    assert excerpt_of("\ta:\tb", 5) == ["    a:    b", "          ^"]


def test_wide_characters_take_two_columns() -> None:
    assert excerpt_of("图像: x", 5) == ["图像: x", "      ^"]


def test_combining_marks_take_no_column() -> None:
    assert excerpt_of("e\u0301a: x", 5) == ["e\u0301a: x", "   ^"]


def test_control_characters_are_shown_by_their_code() -> None:
    assert excerpt_of("a\x1b[1mb", 6) == ["a\\x1b[1mb", "        ^"]


def test_characters_that_turn_the_writing_direction_are_shown_by_their_code() -> None:
    assert excerpt_of("a\u202eb", 3) == ["a\\u202eb", "       ^"]


def test_a_long_line_is_cut_around_the_caret() -> None:
    text, caret = excerpt_of("x" * 300 + "HERE" + "y" * 300, 301)
    assert text[caret.index("^") :].startswith("HERE")
    assert text.startswith("…x")
    assert text.endswith("y…")
    assert len(text) == 102


def test_the_start_of_a_long_line_is_cut_on_the_right_alone() -> None:
    text, caret = excerpt_of("HERE" + "y" * 300, 1)
    assert (text[:4], text[-1], caret) == ("HERE", "…", "^")


def test_the_end_of_a_long_line_is_cut_on_the_left_alone() -> None:
    text, caret = excerpt_of("x" * 300 + "HERE", 301)
    assert (text[0], text[-4:], caret.index("^")) == ("…", "HERE", len(text) - 4)


def test_a_line_of_megabytes_is_cut() -> None:
    text, caret = excerpt_of("x" * 5_000_000 + "HERE" + "y" * 5_000_000, 5_000_001)
    assert text[caret.index("^") :].startswith("HERE")
    assert len(text) == 102


@pytest.mark.parametrize(
    "line",
    [
        "source: https://user:hunter2@ghcr.io/acme/worker",
        "source: docker://hunter2@ghcr.io/acme/worker:1.10",
        "source: user:hunter2@ghcr.io/acme/worker@sha256:abc",
    ],
)
def test_a_report_keeps_credentials_to_itself(line: str) -> None:
    text = f"version: 1\nimages:\n  - name: worker\n    {line}\n"
    with pytest.raises(InvalidManifest) as caught:
        read_manifest(text.encode(), NAME)
    assert "hunter2" not in str(caught.value)
    assert "****@" in str(caught.value)
    assert not any("hunter2" in fault.message + (fault.proposal or "") for fault in caught.value.faults)


def test_starring_out_credentials_leaves_the_caret_in_place() -> None:
    assert excerpt_of("a: x://b:c@d, e: f", 18) == ["a: x://***@d, e: f", "                 ^"]


def test_a_digest_is_no_credential() -> None:
    assert shown("worker:1.10@sha256:abc") == "`worker:1.10@sha256:abc`"


def test_a_value_in_a_message_is_cut_and_made_harmless() -> None:
    assert shown("x" * 100) == "`" + "x" * 59 + "…`"
    assert shown("a\nb\x1b\ud800") == "`a\\nb\\x1b\\ud800`"


def test_the_name_of_the_file_is_made_harmless() -> None:
    assert render_faults("a\x1bb", [Fault(1, 1, "wrong")]).startswith("a\\x1bb:1:1: wrong")
