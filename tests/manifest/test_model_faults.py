"""Everything that can be wrong with a manifest that is sound YAML."""

import pytest

from replsync.manifest.faults import Fault
from tests.manifest.faults_of import assert_fault, faults_of

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
HEAD = "version: 1\nimages:\n  - name: worker\n"
"""A manifest's beginning: what follows is line 4 and belongs to the image."""
GOOD = HEAD + "    tags: [1.10]\n"
"""A whole one: what follows is line 5."""

TOP = [
    pytest.param("images: [{name: a, tags: [x]}]\n", 1, 1, "the file has no `version`", "`version: 1`", id="version"),
    pytest.param(GOOD.replace("1", "2", 1), 1, 10, "of version `2`, this replsync reads 1", "upgrade", id="newer"),
    pytest.param("version: 3\nfoo: [\n]\n", 1, 10, "of version `3`", "upgrade", id="newer, with unknown keys"),
    pytest.param(GOOD.replace("1", "0", 1), 1, 10, "`version` is `0`", "write `version: 1`", id="older"),
    pytest.param(GOOD.replace("1", "one", 1), 1, 10, "is `one`, expected the number 1", "version: 1", id="a word"),
    pytest.param(GOOD.replace("1", "1.5", 1), 1, 10, "is `1.5`, expected the number 1", "version: 1", id="a fraction"),
    pytest.param(GOOD.replace("1", "9" * 4000, 1), 1, 10, "of version `999", "upgrade", id="endless number"),
    pytest.param(GOOD.replace(" 1", "", 1), 1, 1, "`version` is empty", "expected the number 1", id="empty version"),
    pytest.param(GOOD.replace("1", "[1]", 1), 1, 10, "is a list, expected the number 1", None, id="list of versions"),
    pytest.param("version: 1\n", 1, 1, "the file has no `images`", "- name: worker", id="no images"),
    pytest.param("version: 1\nimages: []\n", 2, 9, "`images` is an empty list", None, id="empty images"),
    pytest.param("version: 1\nimages:\n", 2, 1, "`images` is empty", "a list of images", id="images of nothing"),
    pytest.param("version: 1\nimages: {worker: {}}\n", 2, 9, "is a mapping, expected a list", "`- `", id="mapping"),
    pytest.param("version: 1\nimages: worker\n", 2, 9, "is `worker`, expected a list of images", None, id="text"),
    pytest.param(
        "version: 1\nimages: [worker]\n", 2, 10, "expected a mapping with `name`", "- name: worker", id="names"
    ),
    pytest.param("version: 1\nimages: [[a]]\n", 2, 10, "`images[0]` is a list, expected a mapping", None, id="lists"),
    pytest.param("version: 1\nimages:\n  -\n", 3, 4, "`images[0]` is empty", "a mapping with `name`", id="empty item"),
    pytest.param("- worker\n", 1, 1, "the file is a list, expected a mapping", "version: 1", id="a list"),
    pytest.param("worker\n", 1, 1, "the file is `worker`, expected a mapping", "version: 1", id="a word alone"),
    pytest.param("null\n", 1, 1, "the file says nothing", "version: 1\n", id="null alone"),
    pytest.param(
        GOOD + "aap: x\n", 5, 1, "the file has the unknown key `aap`", "did you mean `app`?", id="unknown key"
    ),
    pytest.param(GOOD + "App: x\n", 5, 1, "the unknown key `App`", "did you mean `app`?", id="upper case in a key"),
    pytest.param(GOOD + "channels: []\n", 5, 1, "unknown key `channels`", "`version`, `app`, `reg", id="not yet a key"),
    pytest.param(
        GOOD + "source: x\n", 5, 1, "unknown key `source`", "belongs to an image or a tag", id="misplaced key"
    ),
    pytest.param(GOOD + "? " + "k" * 100 + "\n", 5, 3, "unknown key `kkk", None, id="endless key"),
    pytest.param(GOOD + ": x\n", 5, 1, "unknown key ``", "known here are", id="empty key"),
    pytest.param(GOOD + "releases: kots\n", 5, 11, "expected a list of patterns", "`releases: [kots]`", id="no list"),
    pytest.param(GOOD + "releases: [/kots]\n", 5, 12, "from the manifest's folder", "remove the `/`", id="absolute"),
    pytest.param(GOOD + "registry_aliases: [a b]\n", 5, 20, "HOST or HOST:PORT", None, id="no host"),
    pytest.param(
        GOOD + "policy: {max_tombstones: -1}\n", 5, 26, "a whole number, 0 or more", None, id="a count below zero"
    ),
    pytest.param(GOOD + "policy: {max_tombstones: []}\n", 5, 26, "expected a whole number", None, id="no count"),
    pytest.param(
        GOOD + "transfer: fast\n", 5, 11, "is `fast`, expected a mapping with `parallelism`", None, id="transfer: text"
    ),
    pytest.param(GOOD + "transfer:\n", 5, 1, "`transfer` is empty", "or remove the key", id="transfer: nothing"),
    pytest.param(
        GOOD + "transfer: {paralelism: 8}\n", 5, 12, "unknown key `paralelism`", "mean `parallelism`?", id="slip"
    ),
    pytest.param(
        GOOD + "transfer: {max_layer_size: 1GB}\n", 5, 12, "unknown key `max_layer", "to `policy`", id="misplaced"
    ),
    pytest.param(
        *(
            GOOD + "policy: {oversize_layers: split}\n",
            5,
            27,
            "needs a `max_layer_size`",
            "add `max_layer_size: 1.9GB`",
        ),
        id="split to nothing",
    ),
    pytest.param(
        GOOD + "policy: {max_layer_size: 1GB, oversize_layers: cut}\n", 5, 48, "`cut`", None, id="neither of both"
    ),
    pytest.param(GOOD + "parallelism: 8\n", 5, 1, "unknown key `parallelism`", "to `transfer`", id="parallelism"),
    pytest.param(GOOD + "transfer: {parallelism: 0}\n", 5, 25, "is `0`: this is a whole number from 1 to 256", None),
    pytest.param(GOOD + "transfer: {parallelism: 257}\n", 5, 25, "number from 1 to 256", None),
    pytest.param(GOOD + "transfer: {parallelism: many}\n", 5, 25, "number from 1 to 256", None),
    pytest.param(GOOD + "transfer: {parallelism: []}\n", 5, 25, "a list, expected a whole number", None),
    pytest.param(GOOD + "transfer: {min_chunk_size: {}}\n", 5, 28, "a mapping, expected a size such as", None),
    pytest.param(GOOD + "transfer: {max_chunk_size: 63.9KB}\n", 5, 28, "may be held to 64KB, and to no less", "`64KB`"),
    pytest.param(
        GOOD + "transfer: {max_chunk_size: 2MB, min_chunk_size: 3MB}\n", 5, 49, "more than `max_chunk_size`", "the same"
    ),
    pytest.param(GOOD + 'releases: ["a\\\\b"]\n', 5, 12, "joined by `/`", None, id="a backslash in a pattern"),
    pytest.param(GOOD + "app: MyApp\n", 5, 6, "`app` is `MyApp`", "did you mean `myapp`?", id="app: upper case"),
    pytest.param(GOOD + "app: a/b\n", 5, 6, "without `/`", "write `a` here", id="app: two parts"),
    pytest.param(GOOD + "app:\n", 5, 1, "`app` is empty", "expected a text; or remove the key", id="app: nothing"),
    pytest.param(GOOD + "app: ~\n", 5, 6, "`app` is empty", "remove the key", id="app: ~"),
    pytest.param(GOOD + "app: [x]\n", 5, 6, "`app` is a list, expected a text", None, id="app: list"),
    pytest.param(GOOD + "app: ä\n", 5, 6, "`app` is `ä`", None, id="app: no proposal"),
    pytest.param(GOOD + "registry: https://r.test\n", 5, 11, "without a scheme", "`r.test`", id="registry: scheme"),
    pytest.param(GOOD + "registry: r.test:5000/x\n", 5, 11, "or a path", "`r.test:5000`", id="registry: path"),
    pytest.param(GOOD + "registry: https://u:pw@r.test\n", 5, 11, "://****@r.test`", "`r.test`", id="registry: secret"),
    pytest.param(GOOD + "registry: a b\n", 5, 11, "HOST or HOST:PORT", None, id="registry: blank"),
    pytest.param(GOOD + "registry: {}\n", 5, 11, "is a mapping, expected a text", None, id="registry: mapping"),
    pytest.param(GOOD + "policy: report\n", 5, 9, "`policy` is `report`", "{unlisted: report}", id="policy: text"),
    pytest.param(GOOD + "policy: []\n", 5, 9, "a list, expected a mapping with `unlisted`", None, id="policy: list"),
    pytest.param(GOOD + "policy:\n", 5, 1, "`policy` is empty", "a mapping with `unlisted`", id="policy: nothing"),
    pytest.param(GOOD + "policy: {unlisted: tombston}\n", 5, 20, "is `tombston`, expected", "`tombstone`?", id="near"),
    pytest.param(GOOD + "policy: {unlisted: xyz}\n", 5, 20, "`report`, `ignore` or `tombstone`", None, id="far"),
    pytest.param(GOOD + "policy: {unlisted: []}\n", 5, 20, "is a list, expected `report`", None, id="unlisted: list"),
    pytest.param(
        GOOD + "policy: {unlisted: }\n", 5, 10, "`policy.unlisted` is empty", "`report`", id="unlisted: nothing"
    ),
    pytest.param(
        GOOD + "policy: {listed: x}\n", 5, 10, "`policy` has the unknown key", "`unlisted`?", id="policy: key"
    ),
]

IMAGE = [
    pytest.param(
        "version: 1\nimages: [{tags: [x]}]\n", 2, 10, "`images[0]` has no `name`", "name: worker", id="no name"
    ),
    pytest.param(HEAD, 3, 5, "`worker` has no tags, no retired tags and no source", "remove the entry", id="bare name"),
    pytest.param(HEAD + "    tags: []\n    mutable: [a]\n", 3, 5, "has no tags", "add some", id="empty tags"),
    pytest.param(
        HEAD.replace("worker", "Worker") + "    tags: [x]\n", 3, 11, "lower-case", "`worker`?", id="upper case"
    ),
    pytest.param(
        HEAD.replace("worker", "my worker") + "    tags: [x]\n", 3, 11, "`my worker`", "`my-worker`?", id="name: blank"
    ),
    pytest.param(
        HEAD.replace("worker", "worker:1.10") + "    tags: [x]\n",
        3,
        11,
        "`worker:1.10`",
        "`1.10` below",
        id="name: tag",
    ),
    pytest.param(
        HEAD.replace("worker", "[a]") + "    tags: [x]\n", 3, 11, "a list, expected a text", None, id="name: list"
    ),
    pytest.param(
        HEAD.replace("worker", "''") + "    tags: [x]\n", 3, 11, "`images[0].name` is ``", None, id="name: ''"
    ),
    pytest.param(
        GOOD + "  - name: api\n    souce: x\n", 6, 5, "unknown key `souce`", "did you mean `source`?", id="typo"
    ),
    pytest.param(GOOD + "    digest: x\n", 5, 5, "unknown key `digest`", "`digest` belongs to a tag", id="digest here"),
    pytest.param(GOOD + "    registry: x\n", 5, 5, "unknown key `registry`", "the top of the file", id="registry here"),
    pytest.param(GOOD + "    channels: []\n", 5, 5, "unknown key `channels`", "`name`, `source`, `bu", id="channels"),
    pytest.param(GOOD + "    source: a/b:1.10\n", 5, 13, "names no tag", "write `docker.io/a/b`", id="source with tag"),
    pytest.param(GOOD + f"    source: a/b@{A}\n", 5, 13, "and no digest", "write `docker.io/a/b`", id="with digest"),
    pytest.param(
        GOOD + "    source: docker-daemon:a:dev\n", 5, 13, "names no tag", "`docker-daemon:a`", id="daemon with tag"
    ),
    pytest.param(
        GOOD + f"    source: docker-daemon:{A}\n", 5, 13, "names no tag", "give it to one tag", id="daemon by image ID"
    ),
    pytest.param(
        GOOD + "    source: https://ghcr.io/a/b\n", 5, 13, "'https' is not a source", "mean `ghcr.io/a/b`?", id="https"
    ),
    pytest.param(
        GOOD + "    source: ghcr.io/A/b\n", 5, 13, "upper case", "mean `ghcr.io/a/b`?", id="source: upper case"
    ),
    pytest.param(GOOD + "    source: dir:x\n", 5, 13, "use docker://, docker-daemon:, oci:", None, id="source: dir"),
    pytest.param(GOOD + "    source: oci:dir:1\n", 5, 13, "names no tag", "`oci:dir`", id="layout with a name"),
    pytest.param(
        GOOD + f"    source: oci-archive:a@{A}\n", 5, 13, "no digest", "`oci-archive:a`", id="layout by digest"
    ),
    pytest.param(
        GOOD + "    source: docker-archive:a.tar\n",
        5,
        13,
        "which of the archive's names",
        "`docker-archive:a.tar:NAME`",
        id="archive without a name",
    ),
    pytest.param(
        GOOD + "    source: docker-archive:a.tar:w:1\n",
        5,
        13,
        "names no tag",
        "`docker-archive:a.tar:docker.io/library/w`",
        id="archive with a tag",
    ),
    pytest.param(GOOD + "    source: 'oci:a b'\n", 5, 13, "no blanks", "rename", id="path with a blank"),
    pytest.param(GOOD + "    source: 'oci:'\n", 5, 13, "names no path", None, id="no path"),
    pytest.param(GOOD + f"    source: oci:{'a' * 900}\n", 5, 13, "at most 900", None, id="long path"),
    pytest.param(GOOD + "    source: ''\n", 5, 13, "a source is the name of an image", None, id="source: ''"),
    pytest.param(GOOD + "    source:\n", 5, 5, "`images[0].source` is empty", "remove the key", id="source: nothing"),
    pytest.param(GOOD + "    source: null\n", 5, 13, "is empty", '"null"', id="source: null"),
    pytest.param(GOOD + "    source: {build: .}\n", 5, 13, "is a mapping, expected a text", None, id="source: mapping"),
    pytest.param(GOOD + "    mutable: latest\n", 5, 14, "expected a list of patterns", "[latest]`", id="mutable: text"),
    pytest.param(GOOD + "    mutable: {}\n", 5, 14, "is a mapping, expected a list", None, id="mutable: mapping"),
    pytest.param(GOOD + "    mutable: [a, [b]]\n", 5, 18, "is a list, expected a pattern", None, id="mutable: lists"),
    pytest.param(GOOD + "    mutable: ['']\n", 5, 15, "a pattern is 1 to 255", None, id="pattern: ''"),
    pytest.param(GOOD + "    mutable: [a/b]\n", 5, 15, "wildcards `*`, `?` and", None, id="pattern: slash"),
    pytest.param(GOOD + "    mutable: [a b]\n", 5, 15, "a pattern is", "an entry of its own", id="pattern: blank"),
]

TAG = [
    pytest.param("tags: [a b]", 12, "`images[0].tags[0]` is `a b`", "did you mean `a-b`?", id="blank"),
    pytest.param('tags: ["1.10, 1.11"]', 12, "a tag is 1 to 128", "an entry of its own", id="comma"),
    pytest.param("tags: [worker:1.10]", 12, "a tag is 1 to 128", "write `1.10`: the image's name", id="name and tag"),
    pytest.param("tags: [.1]", 12, "starts with no `.` or `-`", "did you mean `1`?", id="dot"),
    pytest.param('tags: ["***"]', 12, "a tag is 1 to 128", None, id="nothing like a tag"),
    pytest.param(f"tags: [{'x' * 129}]", 12, "a tag is 1 to 128", None, id="too long"),
    pytest.param("tags: ['']", 12, "`images[0].tags[0]` is ``", None, id="empty text"),
    pytest.param("tags: [a, null]", 15, "`images[0].tags[1]` is empty", 'write "null"', id="null"),
    pytest.param("tags: [a, ~]", 15, "`images[0].tags[1]` is empty", 'write "~"', id="tilde"),
    pytest.param("tags: [{tag: }]", 13, "`images[0].tags[0].tag` is empty", "expected a text", id="tag of nothing"),
    pytest.param("tags: [[a]]", 12, "is a list, expected a tag, or a mapping with `tag`", None, id="list"),
    pytest.param("tags: [{tag: [a]}]", 18, "`images[0].tags[0].tag` is a list", None, id="tag of a list"),
    pytest.param("tags: [{source: a/b}]", 12, "`images[0].tags[0]` has no `tag`", "tag: 1.10", id="no tag"),
    pytest.param("tags: 1.10", 11, "is `1.10`, expected a list of tags", "write `tags: [1.10]`", id="tags: text"),
    pytest.param("tags: {a: b}", 11, "is a mapping, expected a list of tags", "`- `", id="tags: mapping"),
    pytest.param("tags:", 5, "`images[0].tags` is empty", "a list of tags; or remove", id="tags: nothing"),
    pytest.param("tags: [{tag: a, sauce: b}]", 21, "unknown key `sauce`", "`source`?", id="unknown key"),
    pytest.param("tags: [{tag: a, reason: b}]", 21, "unknown key `reason`", "to a retired tag", id="reason"),
    pytest.param("tags: [{tag: a, source: b c}]", 29, "is not a repository name", None, id="source: blank"),
    pytest.param("tags: [{tag: a, digest: x}]", 29, "a digest is `sha256:` and 64", None, id="digest: a word"),
    pytest.param(f"tags: [{{tag: a, digest: {A[7:]}}}]", 29, "a digest is", f"mean `{A}`?", id="digest: bare"),
    pytest.param(f"tags: [{{tag: a, digest: {A.upper()}}}]", 29, "lower-case hex", f"`{A}`?", id="digest: upper case"),
    pytest.param(f"tags: [{{tag: a, digest: {A}a}}]", 29, "here are 65", None, id="digest: too long"),
    pytest.param("tags: [{tag: a, digest: [x]}]", 29, "is a list, expected a text", None, id="digest: list"),
    pytest.param("tags: [a, b, a]", 18, "`a` is listed twice, first in line 4, column 12", "remove one", id="twice"),
    pytest.param("tags: [a, {tag: a}]", 21, "listed twice, first in line 4, column 12", "remove", id="twice, two ways"),
    pytest.param(
        f"tags: [{{tag: a, source: docker-daemon:w, digest: {A}}}]", 54, "the Docker daemon", "remove", id="daemon"
    ),
    pytest.param(
        f"tags: [{{tag: a, source: w@{B}, digest: {A}}}]",
        112,
        "not the one that the source",
        "one of",
        id="two digests",
    ),
    pytest.param(
        f"source: docker-daemon:w\n    tags: [{{tag: a, digest: {A}}}]",
        (5, 29),
        "takes from the image",
        "",
        id="inherits",
    ),
    pytest.param(
        "retired: [a]", 15, "is `a`, expected a mapping with `tag`", '{tag: a, reason: "…"}', id="retired text"
    ),
    pytest.param("retired: [[a]]", 15, "is a list, expected a mapping with `tag`", None, id="retired list"),
    pytest.param("retired: {a: b}", 14, "expected a list of retired tags", "`- `", id="retired mapping"),
    pytest.param(
        "retired: [{tag: a}]", 15, "`images[0].retired[0]` has no `reason`", "{tag: 1.9.3, reason:", id="no reason"
    ),
    pytest.param(
        "retired: [{tag: a, reason: }]", 24, "`images[0].retired[0].reason` is empty", "text", id="empty reason"
    ),
    pytest.param('retired: [{tag: a, reason: " "}]', 32, "may not be blank", "say why", id="blank reason"),
    pytest.param(
        'retired: [{tag: a, reason: "b\\nc"}]', 32, "is `b\\nc`: a reason is one line", "line: b c", id="two lines"
    ),
    pytest.param('retired: [{tag: a, reason: "\\e[1m"}]', 32, "printable", None, id="control character"),
    pytest.param(
        f"retired: [{{tag: a, reason: {'x' * 501}}}]", 32, "500 characters, here are 501", None, id="too long"
    ),
    pytest.param(
        "retired: [{tag: a b, reason: c}]", 21, "`images[0].retired[0].tag` is `a b`", "`a-b`?", id="retired: tag"
    ),
    pytest.param(
        "retired: [{tag: a, reason: c, source: b}]", 35, "unknown key `source`", "an image or a tag", id="source"
    ),
    pytest.param(
        "retired: [{tag: a, reason: b}, {tag: a, reason: c}]",
        42,
        "`a` is retired twice, first in line 4",
        "",
        id="again",
    ),
    pytest.param(
        "retired: [{tag: a, reason: b}]\n    tags: [x, a]",
        (4, 21),
        "both listed and retired, first in line 5, column 15",
        "remove it from `tags` or from `retired`",
        id="listed and retired",
    ),
]


@pytest.mark.parametrize(("text", "line", "column", "words", "proposal"), TOP)
def test_a_fault_at_the_top_is_explained(text: str, line: int, column: int, words: str, proposal: str | None) -> None:
    assert_fault(text, line, column, words, proposal)


@pytest.mark.parametrize(("text", "line", "column", "words", "proposal"), IMAGE)
def test_a_fault_in_an_image_is_explained(text: str, line: int, column: int, words: str, proposal: str | None) -> None:
    assert_fault(text, line, column, words, proposal)


@pytest.mark.parametrize(("text", "at", "words", "proposal"), TAG)
def test_a_fault_in_a_tag_is_explained(text: str, at: int | tuple[int, int], words: str, proposal: str | None) -> None:
    line, column = at if isinstance(at, tuple) else (4, at)
    assert_fault(f"{HEAD}    {text}\n", line, column, words, proposal)


def test_an_image_that_is_listed_twice_is_named_with_both_places() -> None:
    text = GOOD + "  - name: worker\n    tags: [2]\n"
    assert_fault(text, 5, 11, "the image `worker` is listed twice, first in line 3, column 11", "merge the two")


def test_contradictions_are_found_beside_faults_of_other_kinds() -> None:
    text = HEAD + "    tags: [a, a, 'b c']\n  - name: worker\n    retired: [{tag: x}]\n    digest: y\n"
    assert [(fault.line, fault.column, _key_words(fault)) for fault in faults_of(text)] == [
        (4, 15, "the tag `a` is listed twice"),
        (4, 18, "`images[0].tags[2]` is `b c`"),
        (5, 11, "the image `worker` is listed twice"),
        (6, 15, "`images[1].retired[0]` has no `reason`"),
        (7, 5, "`images[1]` has the unknown key `digest`"),
    ]


def test_an_empty_images_list_is_not_claimed_where_its_entries_are_at_fault() -> None:
    assert [_key_words(fault) for fault in faults_of("version: 1\nimages: [{name: A, tags: [x]}]\n")] == [
        "`images[0].name` is `A`"
    ]


def test_a_fault_that_an_alias_repeats_stands_at_its_anchor() -> None:
    text = "version: 1\nimages:\n  - {name: a, tags: &t [b c]}\n  - {name: d, tags: *t}\n"
    assert [(fault.line, fault.column, _key_words(fault)) for fault in faults_of(text)] == [
        (3, 25, "`images[0].tags[0]` is `b c`"),
        (3, 25, "`images[1].tags[0]` is `b c`"),
    ]


def test_a_digest_is_not_measured_by_a_source_that_is_at_fault() -> None:
    text = f"{HEAD}    tags: [{{tag: a, digest: '{A}', source: 'dir:x'}}]\n"
    assert_fault(text, 4, 112, "'dir' is not a source that is supported", None)


SOURCED = HEAD + "    source: ghcr.io/acme/worker\n"
SELECT = [
    pytest.param("select: {}", 13, "`select` doesn't say what it chooses", "add `semver`", id="nothing"),
    pytest.param("select:", 5, "`images[0].select` is empty", "`semver`, `regex` or `newest`", id="empty"),
    pytest.param("select: ^1.2", 13, "is `^1.2`, expected a mapping with `semver`", '`select: {semver: "^1.2"}`'),
    pytest.param("select: [a]", 13, "is a list, expected a mapping with `semver`", None, id="list"),
    pytest.param("select: {exclude: [a]}", 13, "doesn't say what it chooses", "or `newest`", id="exclude alone"),
    pytest.param("select: {semvr: 1.x}", 14, "the unknown key `semvr`", "did you mean `semver`?", id="typo"),
    pytest.param("select: {tags: [x], newest: 1}", 14, "unknown key `tags`", "belongs to an image", id="misplaced"),
    pytest.param("select: {semver: latest}", 22, "'latest' is no part of a range; a range is", None, id="no range"),
    pytest.param("select: {semver: }", 14, "`images[0].select.semver` is empty", "expected a text", id="no semver"),
    pytest.param("select: {semver: '>=1.8 <'}", 22, "'<' is no part of a range", None, id="half a range"),
    pytest.param("select: {semver: [1.x]}", 22, "a list, expected a text", None, id="ranges"),
    pytest.param(f"select: {{semver: {'1' * 256}}}", 22, "one line of 1 to 255 printable", None, id="a long range"),
    pytest.param("select: {regex: '('}", 21, "it is no regular expression: missing )", None, id="no regex"),
    pytest.param("select: {regex: '(?P<v>.*)'}", 21, "the one group that may have a name", "`(?P<version>…)`"),
    pytest.param('select: {regex: "a\\tb"}', 21, "printable characters", None, id="a tab"),
    pytest.param("select: {newest: 0}", 22, "is `0`: this is a whole number from 1 to 10000", None, id="newest 0"),
    pytest.param("select: {newest: 10001}", 22, "from 1 to 10000", None, id="newest many"),
    pytest.param("select: {newest: [5]}", 22, "is a list, expected a whole number from 1", None, id="newest list"),
    pytest.param("select: {newest: 5, max: 9}", 30, "`newest` is a bound by itself", "remove it", id="two bounds"),
    pytest.param("select: {newest: 5, exclude: a}", 34, "expected a list of patterns", "`exclude: [a]`", id="one"),
    pytest.param("select: {newest: 5, exclude: [a b]}", 35, "with the wildcards", "an entry of its own", id="blank"),
]


@pytest.mark.parametrize(("text", "column", "message", "proposal"), SELECT)
def test_a_fault_in_a_selector_is_explained(text: str, column: int, message: str, proposal: str | None) -> None:
    assert_fault(f"{SOURCED}    {text}\n", 5, column, message, proposal)


def test_a_selector_needs_a_repository_to_choose_from() -> None:
    text = HEAD + "    tags: [x]\n    select: {newest: 5}\n"
    assert_fault(text, 5, 13, "and this image has none", "add `source: ghcr.io/acme/worker`")
    text = HEAD + "    source: docker-daemon:worker\n    select: {newest: 5}\n"
    assert_fault(text, 5, 13, "of a repository in a registry", "list the tags by name")


def test_no_message_speaks_like_the_libraries() -> None:
    cases = [case.values for case in (*TOP, *IMAGE)] + [(f"{HEAD}    {case.values[0]}\n",) for case in TAG]
    cases += [(f"{SOURCED}    {case.values[0]}\n",) for case in SELECT]
    for text, *_ in cases:
        for fault in faults_of(str(text)):
            for word in ("Input", "valid", "pydantic", "dictionary", "integer", "tuple", "Extra", "ctx", "None"):
                assert word not in fault.message
                assert word not in (fault.proposal or "")


@pytest.mark.parametrize(
    ("size", "proposal"),
    [
        *((text, None) for text in ("0", "0GB", "-1", "-1.9GB", "1.5B", "1PB", "GB", "big", "1.9.1GB", "1e9")),
        *((text, None) for text in ("9" * 16, f"{'9' * 16}GB", "0G", "1 000 MB", "''")),
        *(
            (text, "did you mean `1.9GB`?")
            for text in ("1.9gb", "1.9G", "1.9 g", "'1,9GB'", "1.9Gb", "1.9_GB", "+1.9GB")
        ),
        *((text, "did you mean `2GiB`?") for text in ("2Gi", "2gib", "2 GIB")),
        ("500k", "did you mean `500kB`?"),
        ("500ki", "did you mean `500KiB`?"),
        ("1_900_000_000", "did you mean `1900000000`?"),
    ],
)
def test_what_is_no_size_is_explained(size: str, proposal: str | None) -> None:
    text = GOOD + f"policy: {{max_layer_size: {size}}}\n"
    assert_fault(text, 5, 26, f"is `{size.strip(chr(39))}`: a size is a whole number of bytes above 0", proposal)


@pytest.mark.parametrize(
    ("size", "words", "at"),
    [("[]", "is a list, expected a size such as `500MB`", 26), ("", "is empty", 10), ("~", "is empty", 26)],
)
def test_where_a_size_belongs_nothing_else_is_taken(size: str, words: str, at: int) -> None:
    (fault,) = faults_of(GOOD + f"policy: {{max_layer_size: {size}}}\n")
    assert (fault.line, fault.column) == (5, at)
    assert f"`policy.max_layer_size` {words}" in fault.message


def _key_words(fault: Fault) -> str:
    return fault.message.partition(":")[0].partition(", ")[0]


@pytest.mark.parametrize(("text", "proposal"), [("yes", "did you mean `true`?"), ("maybe", None), ("OFF", "`false`?")])
def test_a_truth_is_true_or_false(text: str, proposal: str | None) -> None:
    entry = f"{{tag: 1, reason: old, even_if_referenced: {text}}}"
    assert_fault(f"{HEAD}    retired: [{entry}]\n", 4, 57, "this is `true` or `false`", proposal)


@pytest.mark.parametrize(
    ("name", "proposal"),
    [
        ("registry.replicated.com/myapp/worker", "write `worker`"),
        ("registry.replicated.com/myapp/tools/migrate", "write `tools/migrate`"),
        ("127.0.0.1:5000/myapp/worker", "write `worker`"),
        ("localhost:5000/worker", "write `worker`"),
    ],
)
def test_a_name_with_the_registry_in_it(name: str, proposal: str) -> None:
    text = f"version: 1\nimages:\n  - {{name: '{name}', tags: [1]}}\n"
    assert_fault(text, 3, 12, "the registry and the application are added to it", proposal)
