"""What Helm's values name: a chart may add a registry, a namespace, a tag, or a repository."""

from textwrap import indent

import pytest

from replsync.oci.reference import parse_reference
from replsync.plan.release_references import ReleaseFile, mentions
from tests.plan.release_snippets import ANY, HOSTS, WORKER, found, lines_naming, unresolved


def chart(values: str, optional: str = "") -> str:
    """A HelmChart whose `values` begin in line 5."""
    more = f"\n  optionalValues:\n{indent(optional, '    ')}" if optional else ""
    return f"apiVersion: kots.io/v1beta2\nkind: HelmChart\nspec:\n  values:\n{indent(values, '    ')}{more}"


@pytest.mark.parametrize(
    ("values", "over"),
    [
        ("{repository: registry.replicated.com/myapp/worker, tag: '1.10'}", "{tag: 1.9.3}"),
        ("{registry: registry.replicated.com, repository: myapp/worker}", "{tag: 1.9.3}"),
        ("{repository: ghcr.io/acme/worker, tag: 1.9.3}", "{repository: registry.replicated.com/myapp/worker}"),
        ("{registry: docker.io, repository: myapp/worker, tag: 1.9.3}", "{registry: registry.replicated.com}"),
    ],
)
def test_optional_values_count_as_merged_into_the_values(values: str, over: str) -> None:
    optional = f"- values: {{other: 1}}\n- when: a\n  values: {{worker: {{image: {over}}}}}"
    text = chart(f"worker:\n  image: {values}", optional)
    assert WORKER in {mention.reference for mention in found(text)}
    assert unresolved(text) == []


def test_what_optional_values_replace_is_not_put_together_with_the_rest() -> None:
    values = "image: {registry: docker.io, repository: acme/worker, tag: 1.9.3}"
    text = chart(values, "- values: {image: {registry: registry.replicated.com, repository: myapp/web, tag: 1.9.3}}")
    assert {str(mention.reference) for mention in found(text)} == {
        "docker.io/acme/worker:1.9.3",
        "registry.replicated.com/myapp/web:1.9.3",
    }


def test_optional_values_merge_with_mappings_that_are_aliases() -> None:
    text = chart("w: &w {image: {repository: myapp/worker}}\nv: *w", "- values: {v: {image: {tag: 1.9.3}}}")
    assert WORKER.tag in {mention.reference.tag for mention in found(text) if mention.reference}


LEVELS = "".join(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("values", "over"),
    [
        ("a: &a {b: *a}\nw: *a", "&o {b: *o, c: *o}"),
        (f"a0: &a0 {{tag: 1.9.3}}\n{LEVELS}w: *a39", "*a39"),
    ],
)
@pytest.mark.timeout(20)
def test_values_that_are_built_to_overwhelm_are_unresolved(values: str, over: str) -> None:
    text = chart(values, f"- values: {{w: {over}}}") + f"\n---\nimage: {WORKER}"
    assert "can't be read as YAML" in {said for _, said in unresolved(text)}
    assert lines_naming(text) == [text.count("\n") + 1]


@pytest.mark.parametrize("text", ["worker: {image: {tag: 1.9.3}}", "workerImage: {digest: 'sha256:1'}"])
def test_a_tag_without_a_repository_is_unresolved(text: str) -> None:
    for whole in (text, chart(text), chart("a: 1", f"- values: {{{text}}}")):
        ((_, said),) = unresolved(whole)
        assert said.startswith("image: {tag: ")
        assert said.endswith("} without a repository")


@pytest.mark.parametrize("text", ["worker: {tag: 1.9.3}", "image: {tag: }", "image: {pullPolicy: Always}"])
def test_a_tag_that_is_no_images_is_nothing(text: str) -> None:
    assert found(chart(text)) == ()


def test_an_image_of_a_chart_without_a_tag_may_have_any() -> None:
    text = "image: registry.replicated.com/myapp/worker"
    assert lines_naming(chart(text)) == [5]
    assert lines_naming(chart(text + ":1.10")) == []
    assert lines_naming(text) == []


@pytest.mark.parametrize("key", ["namespace", "organization", "org", "project"])
def test_the_beginning_of_the_path_may_stand_in_a_key_of_any_name(key: str) -> None:
    text = f"image: {{registry: registry.replicated.com, {key}: myapp, name: worker, tag: 1.9.3}}"
    assert lines_naming(text) == [1]
    assert lines_naming(text, parse_reference("registry.replicated.com/myapp/my-worker:1.9.3")) == []
    for other in ("ghcr.io", "docker.io"):
        assert lines_naming(text.replace("registry.replicated.com", other)) == []


def test_images_as_a_mapping() -> None:
    text = chart("images:\n  worker: myapp/worker:1.9.3\n  web: myapp/web:1.9.3\n  pullPolicy: Always")
    assert lines_naming(text) == [6]
    assert unresolved(text) == []
    assert lines_naming(chart("images: {name: worker, image: 'registry.replicated.com/myapp/worker:1.10'}")) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("x: {name: worker, tag: 1.9.3}", False),
        ("images: {x: {name: worker, tag: 1.9.3}}", False),
        ("image: {name: worker, tag: 1.9.3}", True),
        ("image: {name: worker}", True),
        ("images: [{name: worker, newTag: 1.9.3}]", True),
        ("images: [{name: worker}]", False),
        ("x: {registry: registry.replicated.com, name: worker, tag: 1.9.3}", True),
    ],
)
def test_a_name_alone_counts_below_the_key_of_an_image(text: str, named: bool) -> None:
    assert lines_naming(text) == ([1] if named else [])
    assert lines_naming(chart(text)) == ([5] if named else [])


def test_a_mapping_that_makes_too_many_images_is_unresolved() -> None:
    text = "\n".join(f"w{n}Repository: worker\ntag: {n}" for n in range(30))
    assert [said for _, said in unresolved(text)] == ["more than 256 images in one mapping"]
    assert len(found(text)) <= 257


@pytest.mark.parametrize("name", ["api", "web", "ui"])
def test_a_short_name_is_looked_for_as_a_whole(name: str) -> None:
    def read(text: str) -> bool:
        return bool(mentions([ReleaseFile("a", f"image: nginx\nx: {text}".encode())], {f"myapp/{name}"}, HOSTS))

    assert not any(map(read, [f"{name}s", f"{name}_x", f"{name}-x", f"{name}X"]))
    assert all(map(read, [name, f"{name}:1", f"my-{name}", f"{name}@sha256", f"{name}.", f"\\n{name} "]))


def test_an_alias_to_a_text_is_that_text() -> None:
    text = "x: &x registry.replicated.com/myapp/worker\nimage: {repository: *x, tag: 1.9.3}"
    assert lines_naming(text) == [1]
    assert unresolved(text) == []


def test_hosts_count_in_any_spelling() -> None:
    for host in ("Registry.Replicated.com", "registry.replicated.com:443", "images.acme.example"):
        assert unresolved(f"args: ['--image={host}/myapp/worker:$(TAG)']") == [
            (1, f"--image={host}/myapp/worker:$(TAG)")
        ]
    assert mentions([ReleaseFile("a", b"x: h.io/myapp/worker")], ANY, HOSTS) == ()
    assert len(mentions([ReleaseFile("a", b"x: h.io/myapp/worker")], ANY, frozenset({"h.io:443"}))) == 1
