"""Everything that can be wrong before the manifest's own rules: bytes, YAML, aliases."""

import pytest

from replsync.manifest.source_text import MAX_SIZE, decode
from replsync.manifest.yaml_tree import MAX_ALIASED, MAX_DEPTH, MAX_TEXT
from tests.manifest.faults_of import NAME, assert_fault, faults_of

GOOD = "version: 1\nimages:\n  - name: worker\n    tags: [1.10]\n"

FILES = [
    pytest.param(b"", 1, 1, "the file is empty", "version: 1\n", id="empty"),
    pytest.param(b" \n\n", 1, 1, "the file is empty", "- name: worker", id="only blanks"),
    pytest.param(b"\xef\xbb\xbf", 1, 1, "the file is empty", "version: 1\n", id="only a byte order mark"),
    pytest.param(b"# nothing yet\n", 1, 1, "the file holds only comments", "version: 1\n", id="only comments"),
    pytest.param(b"---\n", 1, 1, "the file says nothing", "version: 1\n", id="only a document start"),
    pytest.param(b"version: 1\nimages: [\xff]\n", 2, 10, "byte 20 of the file is 0xff", "UTF-8", id="not UTF-8"),
    pytest.param("é: ü\n".encode() + b"a\xe9\n", 2, 2, "0xe9, which is not UTF-8", "save the file", id="Latin 1"),
    pytest.param(b"\xef\xbb\xbfab\xff", 1, 3, "byte 5 of the file is 0xff", "UTF-8", id="not UTF-8 behind a mark"),
    pytest.param(GOOD.encode("utf-16"), 1, 1, "in UTF-16", "save the file as UTF-8", id="UTF-16"),
    pytest.param(GOOD.encode("utf-16-le"), 1, 1, "in UTF-16", "UTF-8", id="UTF-16, little end first, no mark"),
    pytest.param(GOOD.encode("utf-16-be"), 1, 1, "in UTF-16", "UTF-8", id="UTF-16, big end first, no mark"),
    pytest.param(GOOD.encode("utf-32"), 1, 1, "in UTF-32", "UTF-8", id="UTF-32"),
    pytest.param(GOOD.encode("utf-32-be"), 1, 1, "in UTF-32", "UTF-8", id="UTF-32, no mark"),
    pytest.param(b"#" * (MAX_SIZE + 1), 1, 1, "8388609 bytes", "the right file?", id="over 8 MiB"),
    pytest.param("version: 1\r\nx: a\x1bb\n", 2, 5, "control character U+001B", "remove it", id="escape character"),
    pytest.param("a\n\nb\x00", 3, 2, "control character U+0000", "remove it", id="NUL"),
]

SYNTAX = [
    pytest.param("images:\n\t- name: x\n", 2, 1, "not indented by tabs", "use spaces", id="tab"),
    pytest.param("version: 1\n\timages: []\n", 2, 1, "not indented by tabs", "use spaces", id="tab after a value"),
    pytest.param("images: @x\n", 1, 9, "cannot start with `@`", "needs quotes", id="reserved character"),
    pytest.param("images: %x\n", 1, 9, "cannot start with `%`", "needs quotes", id="percent"),
    pytest.param("reason: use this: that\n", 1, 17, "a second `: ` in one line", "needs quotes", id="two colons"),
    pytest.param(
        "- reason: use: that\n", 1, 14, "a second `: ` in one line", "needs quotes", id="two colons in a list"
    ),
    pytest.param("version 1\nimages: []\n", 2, 1, "no key here", "missing above", id="colon missing above"),
    pytest.param("version: 1\n  images: []\n", 2, 3, "no key here", "indent it like", id="indented too far"),
    pytest.param("images:\n    - a\n  - b\n", 3, 3, "does not fit those above", "indent it like", id="odd indentation"),
    pytest.param("reason: 'it's'\n", 1, 13, "behind its closing quote", "written ''", id="quote inside quotes"),
    pytest.param("version: 1\nimages\n", 2, 1, "a `:` is missing after this key", "key: value", id="key without colon"),
    pytest.param("tags: [1.10, 1.11\n", 1, 7, "`[` opened here is never closed", "add a `]`", id="open bracket"),
    pytest.param("policy: {unlisted: report\n", 1, 9, "`{` opened here is never", "add a `}`", id="open brace"),
    pytest.param("tags: [1.10}\n", 1, 12, "`[` was opened in line 1, column 7", "needs quotes", id="wrong bracket"),
    pytest.param("x: {a: 1]\n", 1, 9, "a `,` or `}` is missing", "needs quotes", id="wrong brace"),
    pytest.param("tags: [1.10,, 1.11]\n", 1, 13, "a value is missing in front of `,`", "needs quotes", id="two commas"),
    pytest.param('reason: "x\n', 1, 9, "the quote opened here is never closed", "close it", id="open double quote"),
    pytest.param("reason: 'x\n---\n", 1, 9, "the quote opened here is never", "close it", id="document inside quotes"),
    pytest.param('reason: "\\d"\n', 1, 11, "starts an escape, and this is none", "\\\\", id="unknown escape"),
    pytest.param('reason: "\\u12"\n', 1, 12, "starts an escape, and this is none", "single quotes", id="short escape"),
    pytest.param('reason: "\\UFFFFFFFF"\n', 1, 12, "escape, and this is none", "single quotes", id="beyond Unicode"),
    pytest.param('reason: "\\U00110000"\n', 1, 12, "escape, and this is none", "single quotes", id="just beyond it"),
    pytest.param("tags: - 1.10\n", 1, 7, "cannot start behind a key", "start a new line", id="list behind a key"),
    pytest.param("mutable: [*]\n", 1, 11, "an alias and an anchor", "needs quotes", id="star without a name"),
    pytest.param("mutable: &\n", 1, 10, "an alias and an anchor", "needs quotes", id="ampersand without a name"),
    pytest.param("reason: !<x\n", 1, 9, "`!` starts a YAML tag", "needs quotes", id="broken YAML tag"),
    pytest.param("reason: !e!x y\n", 1, 9, "`!` starts a YAML tag", "needs quotes", id="unknown tag handle"),
    pytest.param("reason: !" + "a" * 2000, 1, 9, "`!` starts a YAML tag", "needs quotes", id="endless YAML tag"),
    pytest.param("reason: |x\n  y\n", 1, 10, "the line must end", "needs quotes", id="text behind a bar"),
    pytest.param("x: ? y\n", 1, 4, "no key here", "needs quotes", id="question mark"),
    pytest.param("[a] b\n", 1, 5, "nothing may follow here", "quotes around all of it", id="text behind a list"),
    pytest.param("x: 1\n... y\n", 2, 5, "nothing may follow the `...`", "remove", id="text behind the end"),
    pytest.param("... x\n", 1, 1, "a value is missing here", None, id="end before the start"),
    pytest.param("%YAML 1.1\n---\nx: 1\n", 1, 1, "starts with `%`", "remove it", id="directive"),
    pytest.param("%TAG ! x\n---\nx: 1\n", 1, 1, "starts with `%`", "remove it", id="tag directive"),
    pytest.param(GOOD + "---\n" + GOOD, 5, 1, "a second document starts here", "`---`", id="two documents"),
    pytest.param(GOOD + "---\n", 5, 1, "a second document starts here", "`---`", id="an empty second document"),
]

TREE = [
    pytest.param(GOOD + "version: 1\n", 5, 1, "`version` stands here twice, first in line 1", "remove", id="key twice"),
    pytest.param(
        GOOD + "    'name': b\n", 5, 5, "`name` stands here twice, first in line 3, column 5", "remove", id="quoted key"
    ),
    pytest.param(GOOD + "<<: {app: x}\n", 5, 1, "merge keys (`<<`) are not", "write the keys out", id="merge key"),
    pytest.param(GOOD + "? [a]\n: b\n", 5, 3, "a list or mapping cannot be a key", "needs quotes", id="list as a key"),
    pytest.param(GOOD + "{a: b}: c\n", 5, 1, "cannot be a key", "needs quotes", id="mapping as a key"),
    pytest.param(GOOD + "app: !foo bar\n", 5, 6, "the YAML tag `!foo`", "remove it", id="custom tag"),
    pytest.param(GOOD + "app: !!int 7\n", 5, 6, "the YAML tag `!!int`", "remove it", id="number tag"),
    pytest.param(
        GOOD + "policy: !!python/object:os.system {}\n", 5, 9, "`!!python/object:os.system`", "remove", id="python tag"
    ),
    pytest.param(GOOD.replace("1.10", "&a [*a]"), 4, 16, "stands inside what it refers to", None, id="cyclic alias"),
    pytest.param(GOOD + "    mutable: [*-rc]\n", 5, 15, "`*-rc` refers to nothing", "quotes", id="unknown alias"),
    pytest.param(GOOD + 'app: "\\ud800"\n', 5, 6, "half a surrogate pair", "the character itself", id="surrogate"),
    pytest.param(GOOD + "app: " + "x" * (MAX_TEXT + 1), 5, 6, "a text of 4097 characters", None, id="endless text"),
    pytest.param("[" * (MAX_DEPTH + 1), 1, MAX_DEPTH + 1, "more than 50 lists", None, id="deep lists"),
    pytest.param("{a: " * (MAX_DEPTH + 1), 1, 4 * MAX_DEPTH + 1, "more than 50 lists", None, id="deep mappings"),
    pytest.param("- " * 100_000, 1, 2 * MAX_DEPTH + 1, "more than 50 lists", None, id="very deep block lists"),
    pytest.param("[" * 100_000, 1, MAX_DEPTH + 1, "more than 50 lists", None, id="very deep lists"),
]


@pytest.mark.parametrize(("data", "line", "column", "words", "proposal"), FILES)
def test_a_file_that_is_no_text_is_explained(
    data: bytes | str, line: int, column: int, words: str, proposal: str | None
) -> None:
    assert_fault(data, line, column, words, proposal)


@pytest.mark.parametrize(("data", "line", "column", "words", "proposal"), SYNTAX)
def test_an_error_of_syntax_is_explained(data: str, line: int, column: int, words: str, proposal: str | None) -> None:
    assert_fault(data, line, column, words, proposal)


@pytest.mark.parametrize(("data", "line", "column", "words", "proposal"), TREE)
def test_yaml_with_no_meaning_in_a_manifest_is_explained(
    data: str, line: int, column: int, words: str, proposal: str | None
) -> None:
    assert_fault(data, line, column, words, proposal)


def test_a_file_of_just_8_mib_is_not_too_large() -> None:
    assert decode(b"#" * MAX_SIZE, NAME).text.startswith("#")


def test_aliases_that_explode_are_refused() -> None:
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    fault = faults_of("\n".join(lines))[-1]
    assert f"stand for more than {MAX_ALIASED} values" in fault.message
    assert fault.proposal == "write them out"
    assert fault.line == 5


def test_aliases_cannot_nest_deeper_than_brackets() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [[[[[[[[[[*a{n - 1}]]]]]]]]]]" for n in range(1, 10)]
    assert "more than 50 lists and mappings" in faults_of("\n".join(lines))[-1].message


def test_reading_goes_on_after_a_fault_that_leaves_the_tree_whole() -> None:
    text = "version: 1\nversion: 1\nimages:\n  - name: worker\n    <<: *base\n    tags: !t [a b]\n"
    assert [(fault.line, fault.message.split("`")[1]) for fault in faults_of(text)] == [
        (2, "version"),
        (5, "<<"),
        (5, "*base"),
        (6, "!t"),
        (6, "images[0].tags[0]"),
    ]
