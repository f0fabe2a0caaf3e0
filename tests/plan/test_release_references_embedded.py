"""Texts inside of texts, such as Helm's values in a ConfigMap, and repositories whose tag is anywhere."""

import json
from textwrap import indent

import pytest

from replsync.plan.release_references import ReleaseFile, mentions
from tests.plan.release_snippets import DIGEST, HOSTS, WORKER, found, lines_naming, unresolved

SPLIT = "image:\n  repository: registry.replicated.com/myapp/worker\n  tag: 1.9.3\n"
IF = '{{repl if ConfigOptionEquals "a" "1" }}\n'


def config_map(text: str) -> str:
    """A ConfigMap whose text begins in line 3."""
    return "data:\n  values.yaml: |\n" + indent(text, "    ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (SPLIT, 4),
        (IF + SPLIT + "{{repl end }}\n", 5),
        (SPLIT.replace("  tag", f"  {IF}  tag") + "  {{repl end }}\n", 4),
        (SPLIT + 'other: repl{{ ConfigOption "x" }}: y\n', 4),
        (SPLIT.replace("tag", "version"), 4),
        (SPLIT.replace("  tag: 1.9.3", f"  digest: {DIGEST}"), 4),
        (SPLIT.replace("  tag: 1.9.3", "  pullPolicy: Always"), 4),
        ('{"image": "registry.replicated.com\\/myapp\\/worker:1.9.3"}\n', 3),
        ("a: >\n  registry.replicated.com/myapp/worker:1.9.3\n", 3),
        ("echo\n\n# no YAML: [\n---\nregistry.replicated.com/myapp/worker:1.9.3\n", 7),
        ("b: c: d\nregistry.replicated.com/myapp/worker:1.9.3\n", 4),
    ],
)
def test_a_text_is_read_as_the_file_is(text: str, line: int) -> None:
    assert lines_naming(config_map(text)) == [line]
    assert unresolved(config_map(text)) == []


def test_a_text_that_templates_make_unreadable_is_unresolved() -> None:
    text = "a: [\nb: {{repl x }}\n" + SPLIT.replace("\n  tag: ", ":")
    assert lines_naming(config_map(text)) == [6]
    assert unresolved(config_map(text)) == [(5, "can't be read as YAML")]


def test_what_stands_on_the_line_of_a_template_is_not_lost() -> None:
    text = config_map("a: b\n{{repl if x }}image: registry.replicated.com/myapp/worker{{repl end }}\n")
    assert [line for line, _ in unresolved(text)] == [4]


VALUES = {"image": {"repository": "registry.replicated.com/myapp/worker", "tag": "1.9.3"}}


@pytest.mark.parametrize(
    "text",
    [
        f"v: '{json.dumps(VALUES)}'",
        f"v: '{json.dumps([VALUES])}'",
        f"v: {json.dumps(json.dumps(VALUES))}",
        f"v: {json.dumps(json.dumps({'v': json.dumps(VALUES)}))}",
        "v: >-\n  " + json.dumps(VALUES, indent=0).replace("\n", "\n  "),
        f"v: {json.dumps(json.dumps('a' + chr(10) + str(WORKER) + chr(10)))}",
        f'v: "a\\\\n{WORKER}\\\\n"',
        f'v: {{"a": "\\\\t{WORKER}"}}',
        "v: x registry.replicated.com\\/myapp\\/worker:1.9.3 x",
    ],
)
def test_json_in_a_text(text: str) -> None:
    assert lines_naming(text) == [1]
    assert unresolved(text) == []


def test_texts_that_are_too_large_together_are_said_and_searched_by_line() -> None:
    half = SPLIT + "  x: y\n" * 50_000
    full = "x: registry.replicated.com/myapp/worker:1.9.3\n"
    text = "a: |\n" + indent(half, " ") + "b: |\n" + indent(half + full, " ")
    start = half.count("\n") + 3
    assert lines_naming(text) == [3, start + half.count("\n")]
    assert (start, "not looked into: too large") in unresolved(text)
    assert (start + 1, "repository: registry.replicated.com/myapp/worker") in unresolved(text)


def test_texts_that_can_name_no_image_are_not_counted() -> None:
    large = "a: |\n" + " x: y\n" * 150_000
    files = [ReleaseFile("a", f"{large}b: |\n{indent(SPLIT, ' ')}".encode())]
    (mention,) = mentions(files, {"myapp/worker"}, HOSTS)
    assert mention.reference == WORKER


def test_texts_that_are_too_deep_are_said_and_searched_by_line() -> None:
    deep = SPLIT
    for _ in range(3):
        deep = "a: |\n" + indent(deep, " ")
    text = "a: |\n" + indent(deep, " ")
    assert lines_naming(deep) == [5]
    assert unresolved(deep) == []
    assert lines_naming(text) == []
    assert (5, "not looked into: too deep") in unresolved(text)


@pytest.mark.parametrize(
    "text",
    [
        "args: ['--image=registry.replicated.com/myapp/worker:$(TAG)']",
        "args: [--image, registry.replicated.com/myapp/worker, --tag, 1.9.3]",
        "args: ['--a=registry.replicated.com/myapp/web:1.9.3,b=registry.replicated.com/myapp/worker:$TAG']",
        "args: [--set, 'image.repository=registry.replicated.com/myapp/worker,image.tag=1.9.3']",
        "env: [{name: A, value: registry.replicated.com/myapp/worker}, {name: B, value: 1.9.3}]",
        'a: \'repl{{ LocalImageName (printf "registry.replicated.com/myapp/worker:%s" (ConfigOption "t")) }}\'',
        "a: docker://registry.replicated.com/myapp/worker",
        "a: see registry.replicated.com/myapp/worker.",
        "registry.replicated.com/myapp/worker: 1.9.3",
        "a: registry.replicated.com/myapp/workerrepl{{ x }}",
        "a: |\n worker.image=registry.replicated.com/myapp/worker\n worker.tag=1.9.3",
    ],
)
def test_a_repository_that_nothing_explains_is_unresolved(text: str) -> None:
    assert lines_naming(text) == []
    assert [line for line, _ in unresolved(text)] == [text.count("a: |\n") + 1]


@pytest.mark.parametrize(
    "text",
    [
        "a: registry.replicated.com/myapp/web",
        "a: registry.replicated.com/myapp/worker-x",
        "a: registry.replicated.com/myapp/worker/x",
        "a: registry.replicated.com/myapp/worker.x",
        "a: my.registry.replicated.com/myapp/worker",
        "a: proxy.replicated.com/proxy/myapp/registry.replicated.com/myapp/worker",
        "a: proxy.replicated.com/proxy/myapp/registry.replicated.com/myapp/worker:1.9.3",
        "# registry.replicated.com/myapp/worker\na: 1",
    ],
)
def test_another_repository_is_nothing(text: str) -> None:
    assert lines_naming(text) == []
    assert unresolved(text) == []


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("R/worker:{{repl if x }}1.9.3{{repl else }}1.9.4{{repl end }}", {"1.9.3", "1.9.4"}),
        ("R/worker:{{repl if x }}1{{repl else if y }}2{{repl else}}3{{repl end }}-a", {"1-a", "2-a", "3-a"}),
        ("R/worker:{{repl ternary '1' '2' }}{{repl if x }}-a{{repl end }}", {"1", "2", "1-a", "2-a"}),
        ("R/worker:1{{repl if x }}-a{{repl if y}}-b{{repl else}}-c{{repl end}}{{repl end }}", {"1", "1-a-b", "1-a-c"}),
        ("repl{{ if x }}R/worker:1repl{{ else }}R/worker:2repl{{ end }}", {"1", "2"}),
        ("{{repl if x }}{{repl LocalRegistryHost }}/myapp{{repl else }}R{{repl end }}/worker:1", {"1"}),
        ('repl{{ ConfigOption "registry" }}/worker:1', {"1"}),
        ("registry.replicated.com/repl{{ LicenseFieldValue 'slug' }}/worker:1", {"1"}),
        ("repl{{ x }}.acme.example:5000/myapp/worker:1", {"1"}),
        ("R/worker:{{repl if x }}1.9.3", {"1.9.3"}),
        ("R/worker:1.9.3{{repl end }}{{repl else }}", {"1.9.3"}),
    ],
)
def test_each_branch_of_a_template_counts(text: str, tags: set[str]) -> None:
    text = text.replace("R/", "registry.replicated.com/myapp/")
    for whole in (f"image: {json.dumps(text)}", f"a: {json.dumps('x ' + text)}"):
        for tag in tags:
            assert lines_naming(whole, WORKER.with_tag(tag)) == [1]
        assert {mention.reference.tag for mention in found(whole) if mention.reference} == tags


@pytest.mark.parametrize(
    "text",
    [
        "repl{{ x }}/myapp/worker:1.9.3" + " " * 4096,
        'repl{{ index "' + '" "'.join(map(str, range(70))) + '" }}/myapp/worker:1.9.3',
    ],
)
def test_a_template_that_comes_to_too_much_is_unresolved_where_it_may_name_an_image(text: str) -> None:
    assert len(unresolved(f"a: '{text}.'")) == 1
    file = ReleaseFile("a", f"a: '{text.replace('worker', 'web')}'\nb: worker".encode())
    assert all(mention.reference for mention in mentions([file], {"myapp/worker"}, HOSTS))
