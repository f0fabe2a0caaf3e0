"""Reading a manifest: text stays text, and everything keeps its place."""

import textwrap
from pathlib import Path

import pytest

from replsync.manifest.read import ManifestFile, read_manifest
from replsync.oci.digest import sha256
from replsync.oci.source_name import parse_source
from tests.manifest.faults_of import faults_of

TEXT = """\
# A comment.
version: 1
app: myapp
registry: "localhost:5000"
policy: {unlisted: tombstone}
images:
  - name: tools/worker
    source: ghcr.io/acme/worker
    mutable: [latest, "edge-*"]
    tags:
      - 1.10
      - tag: 1.11.0
        source: docker-daemon:worker:dev
    retired:
      - {tag: 1.9.3, reason: "CVE-2026-1234, use 1.10"}
"""
EXAMPLES = Path(__file__).parents[2] / "examples"


def read(text: str) -> ManifestFile:
    return read_manifest(text.encode(), "f.yaml")


def with_tags(tags: str) -> str:
    return f"version: 1\nimages:\n  - name: worker\n    tags: {tags}\n"


def test_a_manifest_is_read() -> None:
    manifest = read(TEXT).manifest
    assert (manifest.version, manifest.app, manifest.registry) == (1, "myapp", "localhost:5000")
    assert manifest.policy.unlisted == "tombstone"
    (image,) = manifest.images
    assert (image.name, image.source, image.mutable) == (
        "tools/worker",
        parse_source("ghcr.io/acme/worker"),
        ("latest", "edge-*"),
    )
    assert [(tag.tag, tag.source) for tag in image.tags] == [
        ("1.10", None),
        ("1.11.0", parse_source("docker-daemon:worker:dev")),
    ]
    assert [(entry.tag, entry.reason) for entry in image.retired] == [("1.9.3", "CVE-2026-1234, use 1.10")]


def test_the_digest_is_that_of_the_bytes() -> None:
    file = read(TEXT)
    assert (file.name, file.sha256) == ("f.yaml", sha256(TEXT.encode()))


@pytest.mark.parametrize(
    "tag",
    [
        *("1.10", "1", "007", "0x1f", "0o17", "1e3", "1_000", "0.0", "yes", "no", "on", "Off", "true", "False"),
        *("2024-01-01", "2024-01-01T00-00-00", "Null", "NULL", "nan", "inf", "12345678901234567890", "y", "N", "__"),
    ],
)
def test_a_tag_stays_the_text_that_was_written(tag: str) -> None:
    for written in (f"[{tag}]", f"[{{tag: {tag}}}]", f"\n      - {tag}", f"['{tag}']", f"[!!str {tag}]"):
        assert read(with_tags(written)).manifest.images[0].tags[0].tag == tag


@pytest.mark.parametrize("written", ['"null"', "'null'", "!!str null", "! null"])
def test_a_tag_may_be_called_null(written: str) -> None:
    assert read(with_tags(f"[{written}]")).manifest.images[0].tags[0].tag == "null"


def test_the_version_may_be_in_quotes() -> None:
    assert read(TEXT.replace("version: 1", 'version: "1"')).manifest == read(TEXT).manifest


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\ufeff" + TEXT, id="byte order mark"),
        pytest.param(TEXT.replace("\n", "\r\n"), id="lines ended by CR LF"),
        pytest.param(TEXT.replace("\n", "\r"), id="lines ended by CR"),
        pytest.param(TEXT.rstrip("\n"), id="no end of the last line"),
        pytest.param("---\n" + TEXT + "...\n", id="marks of the document"),
        pytest.param(TEXT.replace("version: 1", '? "version"\n: 1'), id="long form of a key"),
    ],
)
def test_the_same_manifest_in_another_form(text: str) -> None:
    assert read(text).manifest == read(TEXT).manifest


def test_json_is_yaml() -> None:
    text = '{"version": 1,\n\t"images": [{"name": "worker", "tags": ["1.10", {"tag": "x"}]}]}'
    assert [tag.tag for tag in read(text).manifest.images[0].tags] == ["1.10", "x"]


def test_an_alias_stands_for_what_its_anchor_marks() -> None:
    text = "version: 1\nimages:\n  - {name: a, tags: &t [1.10, &one 1.11]}\n  - {name: b, tags: *t}\n"
    text += "  - {name: c, tags: [*one ]}\n"
    assert [[tag.tag for tag in image.tags] for image in read(text).manifest.images] == [
        ["1.10", "1.11"],
        ["1.10", "1.11"],
        ["1.11"],
    ]


def test_a_folded_reason_is_one_line() -> None:
    text = with_tags("[]") + "    retired:\n      - tag: a\n        reason: >-\n          one\n          line\n"
    assert read(text).manifest.images[0].retired[0].reason == "one line"


def test_a_manifest_of_ten_thousand_tags_is_read() -> None:
    images = (f"  - name: image{i}\n    tags: [{', '.join(f'{i}.{j}' for j in range(200))}]\n" for i in range(50))
    manifest = read("version: 1\nimages:\n" + "".join(images)).manifest
    assert sum(len(image.tags) for image in manifest.images) == 10_000
    assert manifest.images[49].tags[199].tag == "49.199"


@pytest.mark.parametrize(
    ("path", "position"),
    [
        ((), (2, 1)),
        (("version",), (2, 10)),
        (("policy",), (5, 9)),
        (("policy", "unlisted"), (5, 20)),
        (("images",), (7, 3)),
        (("images", 0), (7, 5)),
        (("images", 0, "name"), (7, 11)),
        (("images", 0, "mutable", 1), (9, 23)),
        (("images", 0, "tags", 0), (11, 9)),
        (("images", 0, "tags", 0, "tag"), (11, 9)),
        (("images", 0, "tags", 1), (12, 9)),
        (("images", 0, "tags", 1, "source"), (13, 17)),
        (("images", 0, "retired", 0, "reason"), (15, 30)),
        (("images", 0, "retired", 7), (15, 7)),
        (("images", 3), (7, 3)),
        (("images", -1), (7, 3)),
        (("images", "name"), (7, 3)),
        (("nothing", 0, "like", "it"), (2, 1)),
    ],
)
def test_every_value_has_a_position(path: tuple[str | int, ...], position: tuple[int, int]) -> None:
    assert read(TEXT).positions.of(path) == position


@pytest.mark.parametrize(
    ("path", "position"),
    [
        (("version",), (2, 1)),
        (("policy", "unlisted"), (5, 10)),
        (("images", 0, "source"), (8, 5)),
        (("images", 0, "tags", 1, "source"), (13, 9)),
        (("images", 0, "tags", 0), (11, 9)),
        (("images", 0, "digest"), (7, 5)),
        (("images", 5, "name"), (7, 3)),
        ((), (2, 1)),
    ],
)
def test_every_key_has_a_position(path: tuple[str | int, ...], position: tuple[int, int]) -> None:
    assert read(TEXT).positions.of_key(path) == position


def test_the_part_of_a_path_that_the_file_has_is_known() -> None:
    positions = read(TEXT).positions
    assert positions.known(("images", 0, "tags", 0, "tag")) == ("images", 0, "tags", 0)
    assert positions.known(("images", 0, "tags", 1, "tag")) == ("images", 0, "tags", 1, "tag")
    assert positions.known(("app", "x")) == ("app",)


def test_columns_count_characters_and_lines_every_line_end() -> None:
    text = "# ä\r\n" + with_tags('["é",\t"ü", 图, x]').replace("\n", "\r")
    assert [(fault.line, fault.column) for fault in faults_of(text)] == [(5, 12), (5, 17), (5, 22)]


def test_the_minimal_example_takes_its_tags_from_the_images_source() -> None:
    manifest = read_manifest((EXAMPLES / "minimal.yaml").read_bytes(), "minimal.yaml").manifest
    (image,) = manifest.images
    assert [str(image.source_of(tag)) for tag in image.tags] == [
        "docker://ghcr.io/acme/worker:1.10",
        "docker://ghcr.io/acme/worker:1.10.1",
    ]


def test_indented_text_is_read_like_any_other() -> None:
    assert read(textwrap.indent(TEXT, "  ")).manifest == read(TEXT).manifest
