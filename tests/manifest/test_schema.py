"""The JSON Schema for editors: what it says, and that it says what reading says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from replsync.manifest.faults import InvalidManifest
from replsync.manifest.model import Image, Manifest, Policy, Tag, Transfer
from replsync.manifest.read import read_manifest
from replsync.manifest.schema import manifest_schema, schema_text
from replsync.manifest.select import Select
from replsync.oci.digest import parse_digest
from replsync.oci.reference import is_host, is_path, is_tag
from tests.manifest.strategies import manifests

ROOT = Path(__file__).parents[2]
SCHEMA_FILE = ROOT / "schemas" / "replicated-images.schema.json"
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
SCHEMA = manifest_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
A = "sha256:" + "a" * 64

HEAD = "version: 1\nimages:\n  - name: worker\n"
SIZES = ["1", "1900000000", "1B", "500 MB", "1.9GB", "2GiB", "1kB", "1KB", "'1900000000'", "0.5kB"]
NO_SIZES = ["0", "0GB", "0.0GB", "-1", "-1GB", "1.5", "1gb", "2G", "'1,9GB'", "1PB", "GB", "1e9 B", "[]", "true", "''"]

GOOD = [
    HEAD + "    tags: [1.10]\n",
    HEAD + "    tags: [1.10, 1, 1.10.1, latest, v1, 1e3]\n",
    HEAD + "    tags: [{tag: 1.10}, {tag: 2, source: a/b:3}]\n",
    HEAD + f"    tags: [{{tag: 1.10, digest: '{A}'}}]\n",
    HEAD + "    source: ghcr.io/acme/worker\n",
    HEAD + "    source: docker-daemon:worker\n    tags: []\n",
    HEAD + "    retired: [{tag: 1.9, reason: old}]\n",
    HEAD + "    tags: [x]\n    mutable: [latest, 1.1, 'edge-*', '[0-9]?']\n",
    HEAD + "    tags: [x]\napp: my-app\nregistry: r.test:5000\npolicy: {unlisted: ignore}\n",
    HEAD + "    tags: [x]\nregistry: '[::1]:5000'\npolicy: {}\n",
    HEAD.replace("worker", "tools/worker__a.b--c") + "    tags: [x]\n",
    *(HEAD + f"    tags: [x]\npolicy: {{max_layer_size: {size}}}\n" for size in SIZES),
    HEAD + "    tags: [x]\ntransfer: {}\n",
    HEAD + "    tags: [x]\ntransfer: {parallelism: 256, min_chunk_size: 1, max_chunk_size: 64000}\n",
]
SELECT = HEAD + "    source: ghcr.io/acme/worker\n    select: {}\n"
GOOD += [
    SELECT.format(select)
    for select in (
        *("{semver: 1.8}", "{semver: '>=1.8 <2', newest: 5}", "{regex: '[0-9.]+', max: 10000}", "{newest: 1}"),
        *("{semver: 1.x, exclude: []}", "{newest: 5, exclude: [1.8, '*-debug']}"),
    )
]
BAD = [
    *(
        SELECT.format(select)
        for select in (
            *("{}", "[]", "^1", "{exclude: [a]}", "{max: 5}", "{newest: 0}", "{newest: 10001}", "{newest: many}"),
            *("{newest: 5, max: 6}", "{semver: ''}", "{semver: []}", "{regex: {}}", "{semver: 1.x, exclude: ['a b']}"),
            *("{semver: 1.x, newset: 5}", f"{{regex: '{'a' * 256}'}}"),
        )
    ),
    HEAD + "    tags: [x]\n    select: {newest: 5}\n",
    "- a\n",
    "images: [{name: a, tags: [x]}]\n",
    "version: 1\n",
    "version: 1\nimages: []\n",
    "version: 1\nimages: {}\n",
    "version: 1\nimages: [a]\n",
    "version: 1\nimages: [{tags: [x]}]\n",
    (HEAD + "    tags: [x]\n").replace("1", "2", 1),
    (HEAD + "    tags: [x]\n").replace("1", "one", 1),
    HEAD,
    HEAD + "    tags: []\n",
    HEAD + "    mutable: [x]\n",
    HEAD + "    tags: x\n",
    HEAD + "    tags:\n",
    HEAD + "    tags: [a b]\n",
    HEAD + "    tags: [-x]\n",
    HEAD + "    tags: [null]\n",
    HEAD + "    tags: [[x]]\n",
    HEAD + "    tags: [{source: a}]\n",
    HEAD + "    tags: [{tag: x, source: }]\n",
    HEAD + "    tags: [{tag: x, source: a b}]\n",
    HEAD + "    tags: [{tag: x, source: 'https://a/b'}]\n",
    HEAD + "    tags: [{tag: x, digest: abc}]\n",
    HEAD + f"    tags: [{{tag: x, digest: {A.upper()}}}]\n",
    HEAD + "    tags: [{tag: x, reason: y}]\n",
    HEAD + "    tags: [x]\n    mutable: latest\n",
    HEAD + "    tags: [x]\n    mutable: [a/b]\n",
    HEAD + "    tags: [x]\n    mutable: ['']\n",
    HEAD + "    tags: [x]\n    platforms: [linux]\n",
    HEAD + "    tags: [x]\n    platforms: linux/amd64\n",
    HEAD + "    tags: [x]\npolicy: {attestations: keep}\n",
    HEAD + "    retired: [1.9]\n",
    HEAD + "    retired: [{tag: 1.9}]\n",
    HEAD + "    retired: [{tag: 1.9, reason: ''}]\n",
    HEAD + "    retired: [{tag: 1.9, reason: ' '}]\n",
    HEAD + '    retired: [{tag: 1.9, reason: "a\\nb"}]\n',
    HEAD + f"    retired: [{{tag: 1.9, reason: {'x' * 501}}}]\n",
    HEAD + "    tags: [x]\napp: My\n",
    HEAD + "    tags: [x]\napp: a/b\n",
    HEAD + "    tags: [x]\napp:\n",
    HEAD + "    tags: [x]\nregistry: https://r.test\n",
    HEAD + "    tags: [x]\nregistry: r.test/x\n",
    HEAD + "    tags: [x]\npolicy: report\n",
    HEAD + "    tags: [x]\npolicy: {unlisted: delete}\n",
    HEAD + "    tags: [x]\npolicy: {listed: report}\n",
    HEAD + "    tags: [x]\nplatforms: []\n",
    *(HEAD + f"    tags: [x]\npolicy: {{max_layer_size: {size}}}\n" for size in NO_SIZES),
    *(HEAD + f"    tags: [x]\ntransfer: {{parallelism: {count}}}\n" for count in ("0", "257", "-1", "many", "1.5")),
    HEAD + "    tags: [x]\ntransfer: {max_chunk_size: 63999}\n",
    HEAD + "    tags: [x]\ntransfer: {chunks: 1MB}\n",
    HEAD + "    tags: [x]\ntransfer: 8\n",
    HEAD.replace("worker", "Worker") + "    tags: [x]\n",
    HEAD.replace("worker", "a//b") + "    tags: [x]\n",
    HEAD.replace("worker", "a" * 256) + "    tags: [x]\n",
]
ONLY_READING_TELLS = [
    pytest.param(HEAD + "    tags: [x, x]\n", id="a tag listed twice"),
    pytest.param(HEAD + "    tags: [x]\n    retired: [{tag: x, reason: y}]\n", id="listed and retired"),
    pytest.param(HEAD + "    tags: [x]\n  - {name: worker, tags: [y]}\n", id="an image listed twice"),
    pytest.param(HEAD + "    source: a/b:1\n", id="an image's source with a tag"),
    pytest.param(
        HEAD + f"    source: docker-daemon:a\n    tags: [{{tag: x, digest: '{A}'}}]\n", id="a daemon's digest"
    ),
    pytest.param(HEAD + "    tags: [x]\npolicy: {max_layer_size: 1.5B}\n", id="half a byte"),
    pytest.param(HEAD + "    tags: [x]\ntransfer: {max_chunk_size: 63KB}\n", id="a chunk that is too small"),
    pytest.param(HEAD + "    tags: [x]\ntransfer: {min_chunk_size: 2MB, max_chunk_size: 1MB}\n", id="chunks crossed"),
]


def as_editors_see(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def is_read(text: str) -> bool:
    try:
        read_manifest(text.encode(), "f")
    except InvalidManifest:
        return False
    return True


def fields(schema: Any, at: str = "manifest") -> Iterator[tuple[str, Any]]:
    """Every property in `schema`, with a name for messages."""
    for name, part in schema.get("properties", {}).items():
        yield f"{at}.{name}", part
    for name, part in schema.get("$defs", {}).items():
        yield from fields(part, name)


FIELDS = list(fields(SCHEMA))


def test_the_schema_file_is_what_the_model_says() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), (
        "the model has changed: write the schema anew with `replsync schema > schemas/replicated-images.schema.json`"
    )


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_schema_describes_every_field_of_the_model() -> None:
    names = {name for name, _ in FIELDS}
    assert {f"manifest.{key}" for key in Manifest.model_fields} <= names
    assert {f"Image.{key}" for key in Image.model_fields} <= names
    assert {f"TagMapping.{key}" for key in Tag.model_fields} <= names
    assert {f"Policy.{key}" for key in Policy.model_fields} <= names
    assert {f"Transfer.{key}" for key in Transfer.model_fields} <= names
    assert {f"Select.{key}" for key in Select.model_fields} <= names
    assert {"Retired.tag", "Retired.reason"} <= names


@pytest.mark.parametrize(("name", "field"), FIELDS, ids=[name for name, _ in FIELDS])
def test_a_field_is_described_for_editors(name: str, field: Any) -> None:
    referred = SCHEMA["$defs"].get(field.get("$ref", "").rpartition("/")[2], {})
    assert field.get("title") or referred.get("title"), f"{name} has no title"
    assert field.get("description"), f"{name} has no description"
    assert field.get("examples"), f"{name} has no examples"


@pytest.mark.parametrize(("name", "field"), FIELDS, ids=[name for name, _ in FIELDS])
def test_the_examples_of_a_field_are_valid(name: str, field: Any) -> None:
    validator = Draft202012Validator({**field, "$defs": SCHEMA["$defs"]})
    for example in field["examples"]:
        validator.validate(example)


def test_no_object_takes_keys_that_are_not_described() -> None:
    objects = [SCHEMA, *(part for part in SCHEMA["$defs"].values() if part.get("type") == "object")]
    assert len(objects) == 8
    assert all(part["additionalProperties"] is False for part in objects)


def test_nothing_may_be_null() -> None:
    assert "null" not in schema_text().replace("(null)", "")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_valid_for_editors_and_for_reading(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    VALIDATOR.validate(as_editors_see(text))
    read_manifest(path.read_bytes(), path.name)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_tells_editors_where_the_schema_is(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / schema).resolve() == SCHEMA_FILE


def test_the_complete_example_has_every_key() -> None:
    manifest = read_manifest((ROOT / "examples" / "complete.yaml").read_bytes(), "complete.yaml").manifest
    used = set(manifest.model_fields_set)
    for image in manifest.images:
        used |= image.model_fields_set | (image.build.model_fields_set if image.build else set())
        used |= image.select.model_fields_set if image.select else set()
        for entry in (*image.tags, *image.retired):
            used |= entry.model_fields_set
    used |= manifest.policy.model_fields_set | manifest.transfer.model_fields_set
    assert used == {name.partition(".")[2] for name, _ in FIELDS}


@pytest.mark.parametrize("text", GOOD)
def test_what_is_read_is_valid_for_editors(text: str) -> None:
    assert is_read(text)
    VALIDATOR.validate(as_editors_see(text))


@given(manifests())
def test_whatever_manifest_is_read_is_valid_for_editors(data: dict[str, Any]) -> None:
    Manifest.model_validate(data)
    VALIDATOR.validate(data)


@pytest.mark.parametrize("text", BAD)
def test_what_is_refused_is_invalid_for_editors(text: str) -> None:
    assert not is_read(text)
    assert not VALIDATOR.is_valid(as_editors_see(text))


@pytest.mark.parametrize("text", ONLY_READING_TELLS)
def test_some_faults_are_beyond_a_schema(text: str) -> None:
    assert not is_read(text)
    assert VALIDATOR.is_valid(as_editors_see(text))


TEXTS = st.text(max_size=6) | st.text("ab.:-_/@AB0", max_size=8) | st.from_regex(r"[a-z0-9._/:-]{1,20}", fullmatch=True)


@given(TEXTS)
def test_the_patterns_are_those_of_the_grammar(text: str) -> None:
    if text.endswith("\n"):
        return  # Python's $ stands in front of it too; no YAML scalar on one line ends so
    tag = SCHEMA["$defs"]["Retired"]["properties"]["tag"]
    name = SCHEMA["$defs"]["Image"]["properties"]["name"]
    registry = SCHEMA["properties"]["registry"]
    app = SCHEMA["properties"]["app"]
    assert Draft202012Validator(tag).is_valid(text) == is_tag(text)
    assert Draft202012Validator(name).is_valid(text) == is_path(text)
    assert Draft202012Validator(registry).is_valid(text) == is_host(text)
    assert Draft202012Validator(app).is_valid(text) == (is_path(text) and "/" not in text)


@given(st.text("0123456789abcdefA:", max_size=4), st.sampled_from([62, 63, 64, 126, 127, 128]))
def test_the_pattern_of_digests_is_that_of_the_grammar(end: str, length: int) -> None:
    digest = SCHEMA["$defs"]["TagMapping"]["properties"]["digest"]
    for text in ("sha256:" + "a" * length + end, "sha512:" + "a" * length + end, end):
        try:
            fits = parse_digest(text).startswith("sha256:")  # registries tell no other
        except ValueError:
            fits = False
        assert Draft202012Validator(digest).is_valid(text) == fits
