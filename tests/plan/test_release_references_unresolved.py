"""Templates, broken files and files that are built to overwhelm: nothing in them may go unseen."""

from itertools import pairwise

import pytest

from replsync.oci.reference import parse_reference
from replsync.plan.release_references import MAX_SIZE
from tests.plan.release_snippets import WORKER, found, lines_naming, unresolved

TEMPLATED = [
    ("image: '{{repl ConfigOption \"image\" }}'", False),
    ('image: {{repl ConfigOption "image" }}', False),
    ("image: '{{ .Values.image }}'", False),
    ('image: registry.replicated.com/myapp/worker:repl{{ ConfigOption "tag" }}', False),
    ("env: [{value: 'registry.replicated.com/myapp/worker:repl{{ ConfigOption \"tag\" }}'}]", False),
    ("env: [{value: 'repl{{ LocalRegistryHost }}/myapp/worker:1.9.4'}]", False),
    ("image: 'repl{{ LocalRegistryHost }}/myapp/worker:1.9.3'", True),
    ("env: [{value: 'repl{{ LocalRegistryHost }}/myapp/worker:1.9.3'}]", True),
    (
        'image: repl{{ HasLocalRegistry | ternary (LocalRegistryHost) "registry.replicated.com" }}/myapp/worker:1.9.3',
        True,
    ),
    (
        'image: \'{{repl ternary "registry.replicated.com/myapp/worker:1.9.3" "nginx:1" (ConfigOption "a") }}\'',
        True,
    ),
    (
        'image: \'{{repl HasLocalRegistry | ternary LocalRegistryHost "registry.replicated.com" }}/'
        '{{repl HasLocalRegistry | ternary LocalRegistryNamespace "myapp" }}/worker:1.9.3\'',
        True,
    ),
    (
        "image: {registry: '{{repl LocalRegistryHost}}', repository: myapp/worker, tag: 1.9.3}",
        True,
    ),
    (
        "image: {registry: '{{repl HasLocalRegistry | ternary LocalRegistryHost \"registry.replicated.com\" }}', "
        "repository: '{{repl HasLocalRegistry | ternary LocalRegistryNamespace \"myapp\" }}/worker', tag: 1.9.3}",
        True,
    ),
    ("image: {repository: registry.replicated.com/myapp/worker, tag: '{{ .Values.tag }}'}", True),
    ("image: {repository: '{{ .Values.repository }}', tag: 1.9.3}", False),
    ("additionalImages: ['{{repl ConfigOption \"image\" }}']", False),
    ("workerImage: '{{repl ConfigOption \"image\" }}'", False),
    ("image: not an image", False),
    ("image: docker://registry.replicated.com/myapp/worker:1.9.3", True),
]


@pytest.mark.parametrize(("text", "protected"), TEMPLATED)
def test_what_cannot_be_told_is_unresolved_and_protects_what_it_holds(text: str, protected: bool) -> None:
    assert [line for line, _ in unresolved(text)] == [1]
    assert lines_naming(text) == ([1] if protected else [])


def test_an_unresolved_mention_says_what_is_written() -> None:
    assert unresolved('image: {{repl ConfigOption "image" }}') == [(1, '{{repl ConfigOption "image" }}')]
    (mention,) = found("image: |\n  {{repl\n  " + "x" * 300 + " }}")
    assert mention.text == "{{repl " + "x" * 193


BROKEN = """\
kind: Deployment
spec:
{{repl if ConfigOptionEquals "a" "1" }}
  image: registry.replicated.com/myapp/worker:1.9.3
{{repl else }}
  image: {{repl ConfigOption "host" }}/myapp/worker:2
{{repl end }}
  other:
    repository: registry.replicated.com/myapp/web
    tag: 1.9.3
---
image: registry.replicated.com/myapp/worker:1.9.3
"""


def test_a_document_that_templates_make_unreadable_is_unresolved_and_still_protects_what_it_names() -> None:
    assert lines_naming(BROKEN) == [4, 12]
    assert unresolved(BROKEN) == [
        (4, "can't be read as YAML"),  # YAML notices it one line below the template
        (6, '{{repl ConfigOption "host" }}/myapp/worker:2'),
    ]
    assert lines_naming(BROKEN, parse_reference("registry.replicated.com/myapp/web:1.9.3")) == [9]


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        *(("a: b: c", 1), ("\ta: 1", 1), ("a: *nothing", 1), ("a: \0", 1), ('a: "\\UFFFFFFFF"', 1), ("a: 1\n}", 2)),
        *(("a: [", 2), ("a: 1\nb: !x!y z", 2), ("a:\n  b: 1\n c: 1", 3), ("- a\nb: 1", 2), ("a: @b", 1)),
    ],
)
def test_a_broken_document_hides_neither_its_own_references_nor_other_documents(broken: str, line: int) -> None:
    text = f"{broken}\n# {WORKER}\n---\nimage: {WORKER}\n"
    newlines = broken.count("\n")
    assert lines_naming(text) == [newlines + 2, newlines + 4]
    assert unresolved(text) == [(line, "can't be read as YAML")]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (f"image: {WORKER} # \xff".encode("latin-1"), "can't be read: not UTF-8"),
        (f"image: {WORKER}".encode("utf-16"), "can't be read: not UTF-8"),
        (f"image: {WORKER}\n".encode() + b"#" * MAX_SIZE, "can't be read: larger than 8 MiB"),
        (f"image: {WORKER}\n".encode() + b"--- a\n" * 6000, "more than 5000 documents"),
    ],
)
def test_a_file_that_is_not_read_is_unresolved_and_still_protects_what_it_names(data: bytes, said: str) -> None:
    assert [text for _, text in unresolved(data)] == [said]
    assert lines_naming(data) == [1]


ALIASES = [f"{c}: &{c} [{', '.join([f'*{p}'] * 9)}]\n" for p, c in pairwise("abcdefghijk")]


@pytest.mark.parametrize(
    "bomb",
    [
        "[" * 100_000,
        "{{" * 100_000,
        "a: " * 50_000,
        "- " * 50_000,
        "a: &a {b: *a, image: *a}",
        "a: &a [x]\n" + "".join(ALIASES),
        "a: &a " + "x" * 100_000 + "\nb: [" + "*a, " * 10_000 + "]",
        "a: &a {" + ", ".join(f"k{n}: 1" for n in range(2000)) + "}\nb:\n" + "- {<<: *a}\n" * 2000,
        "a: &a {<<: *a}",
        "image: " + "{{" * 2000 + "}}",
        "- " * 100_000 + '"{{',
        "a: '" + "\\" * 100_000 + "/{{'",
        "a: '" + "registry.replicated.com/" * 20_000 + "'",
        "\n".join(["image: " + "{{a" * 1300] * 100),
        "x: " + "a.b/" * 100_000,
        "image: " + "a-" * 100_000,
        "image: a" + " " * 4000 + "b",
        "!" + "a" * 200_000 + " b",
        "\n".join("a: |\n".rjust(n + 5) for n in range(200)),
        "\n".join(["repository: a", "tag: b", "registry: c", "digest: d"] * 1000),
        ("a: '" + "\n" * 50_000 + "'"),
    ],
    ids=lambda bomb: bomb[:20],
)
@pytest.mark.timeout(20)
def test_what_is_built_to_overwhelm_is_read_in_bounded_time(bomb: str) -> None:
    assert lines_naming(f"{bomb}\n---\nimage: {WORKER}\n")[-1:] == [bomb.count("\n") + 3]
