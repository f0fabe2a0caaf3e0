"""Properties: nothing but InvalidManifest ever comes out, and what is written is what is read."""

import io
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from replsync.manifest.contradictions import contradictions
from replsync.manifest.faults import InvalidManifest
from replsync.manifest.model import Manifest
from replsync.manifest.read import read_manifest
from tests.manifest.strategies import DIGESTS, NAMES, REASONS, SOURCES, TAGS, manifests

KEYS = st.sampled_from(
    [
        *("version", "app", "registry", "policy", "unlisted", "images", "name", "source", "mutable", "tags"),
        *("tag", "digest", "retired", "reason", "<<", "null"),
    ]
)
SCALARS = st.one_of(st.none(), st.text(max_size=8), st.integers(), st.booleans(), TAGS, DIGESTS, SOURCES)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=5),
    max_leaves=25,
)
# Close to a manifest, so that the rules behind the types are reached too.
NEARLY = st.fixed_dictionaries(
    {"version": st.just(1) | SCALARS},
    optional={
        "app": NAMES | SCALARS,
        "policy": st.fixed_dictionaries({}, optional={"unlisted": st.sampled_from(["report", "x"]) | TREES}) | TREES,
        "images": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "name": NAMES | SCALARS,
                    "source": SOURCES | TREES,
                    "tags": st.lists(st.sampled_from(["a", "b"]) | st.dictionaries(KEYS, SCALARS | TREES)) | TREES,
                    "retired": st.lists(st.fixed_dictionaries({"tag": st.just("a"), "reason": REASONS})) | TREES,
                },
            )
            | TREES,
            max_size=4,
        )
        | TREES,
    },
)
YAML_PIECES = st.lists(
    st.sampled_from(
        [*"ab1:-?,[]{}#&*!|>'\"%@` \n\t.~\\\r\x85\u2028\ufeffé", "\n  ", "\n- ", ": ", "---", "...", "!!", "<<"]
    )
    | st.sampled_from(
        ["&a ", "*a", "\\U", "00110000", "version: 1\n", "images:", "  - name: a\n", "    tags: ", "%YAML "]
    ),
    max_size=30,
).map("".join)


def dumped(data: Any) -> bytes:
    """Return `data` as YAML, written by ruamel."""
    file = io.BytesIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.dump(data, file)
    return file.getvalue()


def check_outcome(data: bytes) -> None:
    """Read `data`; where that is refused, check that the refusal is fit to be seen."""
    try:
        read_manifest(data, "f")
        return
    except InvalidManifest as error:
        refusal = error
    places = [(fault.line, fault.column) for fault in refusal.faults]
    assert places
    assert places == sorted(places)
    assert min(min(place) for place in places) >= 1
    # No control characters, and nothing that a terminal's encoding chokes on.
    assert all(char == "\n" or (char >= " " and char not in "\x7f\x9b\u2028\u202e") for char in str(refusal))
    str(refusal).encode()


@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf\x00")
@example(b"version: &a [*a]")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    check_outcome(data)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    check_outcome(text.encode("utf-8", "surrogatepass"))


@given(YAML_PIECES)
@example('"\\UFFFFFFFF"')
@example("%YAML 1.11\n---\n")
@example("!" * 3000)
@example("version:\nimages: []")
def test_any_pieces_of_yaml_are_read_or_refused(text: str) -> None:
    check_outcome(text.encode())


@given(TREES | NEARLY)
def test_any_tree_is_read_or_refused(tree: Any) -> None:
    check_outcome(dumped(tree))


@given(manifests())
def test_what_is_written_as_yaml_is_what_is_read(data: dict[str, Any]) -> None:
    assert read_manifest(dumped(data), "f").manifest == Manifest.model_validate(data)


@given(manifests())
def test_a_manifest_that_is_read_has_no_contradictions(data: dict[str, Any]) -> None:
    assert contradictions(Manifest.model_validate(data)) == []


@given(manifests())
def test_every_entry_of_a_manifest_has_its_own_position(data: dict[str, Any]) -> None:
    positions = read_manifest(dumped(data), "f").positions
    paths: list[tuple[str | int, ...]] = []
    for index, image in enumerate(data["images"]):
        for kind in ("tags", "retired"):
            paths += [("images", index, kind, number) for number in range(len(image[kind]))]
    assert [positions.known(path) for path in paths] == paths
    assert len({positions.of(path) for path in paths}) == len(paths)


@given(TAGS)
def test_a_tag_in_plain_yaml_stays_the_text_that_was_written(tag: str) -> None:
    written = '"null"' if tag == "null" else tag
    text = f"version: 1\nimages: [{{name: a, tags: [{written}]}}]\n"
    assert read_manifest(text.encode(), "f").manifest.images[0].tags[0].tag == tag
