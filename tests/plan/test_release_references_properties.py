"""What holds for a release's files, whatever is in them."""

import json
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from replsync.oci.reference import Reference, Repository
from replsync.plan.release_references import ReleaseFile, mentions, names
from tests.plan.release_snippets import ANY

HOSTS = frozenset({"registry.replicated.com", "localhost:5000"})
PIECES = st.sampled_from(
    [
        *(
            "image: ",
            "images:",
            "repository: ",
            "registry: ",
            "tag: ",
            "- ",
            "  ",
            "\n",
            "\r\n",
            "---\n",
            "...\n",
            "'",
            '"',
        ),
        *(
            "{{repl ",
            "repl{{ ",
            "}}",
            "{",
            "}",
            "[",
            "]",
            ", ",
            "&a ",
            "*a",
            "<<: ",
            "|\n",
            ">\n",
            "!!str ",
            "# ",
            "? ",
        ),
        *(
            "registry.replicated.com/myapp/worker:1.9.3",
            "LocalImageName ",
            "1.10",
            "\\",
            "\t",
            "\0",
            "\x85",
            "%TAG ! !",
        ),
        *("apiVersion: kots.io/v1beta1\n", "kind: Application\n", "spec:\n", "additionalImages: ", "excludedImages: "),
    ]
)
# No dot in the first part, as in an application's slug: where the registry is left open it would be a host.
PATHS = st.from_regex(r"myapp(/[a-z0-9]{1,8}([._-][a-z0-9]{1,8})?){1,3}", fullmatch=True)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True) | st.sampled_from(
    ["1.10", "yes", "0x1f", "1e3"]
)
REFERENCES = st.builds(lambda path, tag: Reference(Repository("registry.replicated.com", path), tag), PATHS, TAGS)
# ruamel writes a text with `?` in front without quotes, and can't read that back where it is in braces.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).filter(lambda text: text[:1] != "?")
NOISE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "image", "spec", "tag"]), inner),
    max_leaves=6,
)


@st.composite
def deployments(draw: st.DrawFn) -> tuple[dict[str, Any], Reference]:
    reference = draw(REFERENCES)
    path, tag = reference.repository.path, reference.tag
    image = draw(
        st.sampled_from(
            [
                str(reference),
                f'{{{{repl LocalImageName "{reference}" }}}}',
                f"repl{{{{ LocalImageName '{reference}' }}}}",
                {"registry": "registry.replicated.com", "repository": path, "tag": tag},
                {"repository": str(reference.repository), "tag": tag, "pullPolicy": "Always"},
                {"repository": path, "tag": tag},
            ]
        )
    )
    spec = {draw(st.sampled_from(["containers", "initContainers"])): [draw(NOISE), {"name": "c", "image": image}]}
    return {"kind": "Deployment", "noise": draw(NOISE), "spec": {"template": {"spec": spec}}}, reference


def dumped(document: Any, form: str) -> str:
    if form == "json":
        return json.dumps(document, indent=2)
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = form == "flow"
    stream = StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


@given(st.binary(max_size=200) | st.lists(PIECES, max_size=40).map("".join).map(str.encode))
def test_no_bytes_are_too_strange_to_be_read(data: bytes) -> None:
    found = mentions([ReleaseFile("a", data)], ANY, HOSTS)
    assert found == tuple(sorted(set(found)))
    last = data.count(b"\n") + data.count(b"\r") + 1
    assert all(1 <= mention.line <= last and 0 < len(mention.text) <= 200 for mention in found)


@given(st.lists(PIECES, max_size=20).map("".join), REFERENCES)
def test_no_document_hides_the_next_one(before: str, reference: Reference) -> None:
    text = f"{before}\n---\nimage: {reference}\n"
    found = mentions([ReleaseFile("a", text.encode())], ANY, HOSTS)
    assert any(names(mention, reference, HOSTS, None) for mention in found)


@pytest.mark.parametrize("form", ["json", "flow", "block"])
@given(deployment=deployments())
def test_a_deployment_names_the_image_it_was_made_with(form: str, deployment: tuple[Any, Reference]) -> None:
    document, reference = deployment
    found = mentions([ReleaseFile("a", dumped(document, form).encode())], ANY, HOSTS)
    assert any(names(mention, reference, HOSTS, None) for mention in found)


@given(deployments(), st.integers(0, 3))
def test_the_line_is_that_of_the_reference(deployment: tuple[Any, Reference], above: int) -> None:
    _, reference = deployment
    text = "# comment\n" * above + f"spec:\n  image: {reference}\n"
    found = mentions([ReleaseFile("a", text.encode())], ANY, HOSTS)
    # A dot at the end is also looked at as the end of a sentence.
    assert reference in {mention.reference for mention in found}
    assert {mention.line for mention in found} == {above + 2}
