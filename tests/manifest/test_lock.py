"""The lock file: its text, what it has to hold, and everything that can be wrong with it."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from replsync.errors import InvalidInput, UsageError
from replsync.manifest.faults import Fault, InvalidManifest
from replsync.manifest.lock import (
    Lock,
    LockedTags,
    Renewal,
    chooses_anew,
    lock_path,
    locked_tags,
    missing,
    needed,
    renewed,
    superfluous,
)
from replsync.manifest.lock_pushed import said_of, to_be_said, transforms_text, unsaid
from replsync.manifest.lock_text import lock_text, read_lock
from replsync.manifest.model import Manifest
from replsync.oci.digest import Digest, sha256
from replsync.oci.platform import parse_platform
from replsync.oci.recipe import Transforms
from replsync.oci.source_name import SourceName, parse_source
from tests.manifest.strategies import DIGESTS, TAGS, manifests

NAME = "replicated-images.lock.yaml"
ONE, TWO = sha256(b"one"), sha256(b"two")
HEADER = "# Written by `replsync lock`: what each source was when it was looked up. Commit it with the manifest.\n"
LOCK = f"version: 1\nsources:\n  docker://ghcr.io/acme/worker:1.10: {ONE}\n"

HOSTS = st.sampled_from(
    ["docker.io", "ghcr.io", "localhost", "localhost:5000", "10.0.0.1:80", "[::1]", "[fe80::1]:5000", "GHCR", "a-b.c"]
)
COMPONENTS = st.from_regex(r"[a-z0-9]{1,5}((\.|__?|-{1,3})[a-z0-9]{1,5})?", fullmatch=True)
PATHS = st.lists(COMPONENTS, min_size=2, max_size=4).map("/".join)
REGISTRY_SOURCES = st.tuples(HOSTS, PATHS, TAGS).map(lambda parts: "docker://{}/{}:{}".format(*parts))
DAEMON_NAMES = st.sampled_from(
    [
        *("worker", "acme/worker", "[::1]:5000/a/b", "ghcr.io/a/b"),
        *("library/a/b", "docker.io/foo.bar/baz", "docker.io/localhost/a", "library/sha256"),
    ]
)
DAEMON_SOURCES = st.tuples(DAEMON_NAMES, TAGS).map(lambda parts: "docker-daemon:{}:{}".format(*parts))
FILE_PATHS = st.from_regex(r"(/|\.\./)?[a-zA-Z0-9._#&*!%@\[{-]{1,20}(/[a-z]{1,5})?", fullmatch=True)
FILE_SOURCES = st.one_of(
    st.tuples(st.sampled_from(["oci", "oci-archive", "docker-archive"]), FILE_PATHS).map(":".join),
    st.tuples(st.sampled_from(["oci", "oci-archive"]), FILE_PATHS, TAGS).map(":".join),
    st.tuples(st.just("docker-archive"), FILE_PATHS, st.just("ghcr.io/acme/worker"), TAGS).map(":".join),
)
LOCKED = st.dictionaries(
    (REGISTRY_SOURCES | DAEMON_SOURCES | FILE_SOURCES).map(parse_source), DIGESTS.map(Digest), max_size=8
)


def named(text: str) -> SourceName:
    return parse_source(text)


def manifest(*images: dict[str, Any]) -> Manifest:
    return Manifest.model_validate({"version": 1, "images": list(images)})


def lock(*sources: str) -> Lock:
    return Lock(NAME, {named(source): sha256(source.encode()) for source in sources})


def text_of(digests: Mapping[SourceName, Digest]) -> str:
    return lock_text(Lock(NAME, digests))


def fault_of(text: str) -> Fault:
    """Return the one thing that is wrong with the lock file `text`."""
    (fault,) = faults_of(text)
    return fault


def faults_of(text: str) -> tuple[Fault, ...]:
    with pytest.raises(InvalidManifest) as caught:
        read_lock(text.encode(), NAME)
    return caught.value.faults


WORKER = {"name": "worker", "source": "ghcr.io/acme/worker", "tags": ["1.10", "1.9"]}


@pytest.mark.parametrize(
    ("manifest_path", "path"),
    [
        ("replicated-images.yaml", "replicated-images.lock.yaml"),
        ("deploy/x.yml", "deploy/x.lock.yml"),
        ("a.yaml/images", "a.yaml/images.lock.yaml"),
        ("images.json", "images.json.lock.yaml"),
    ],
)
def test_the_lock_lies_beside_its_manifest(manifest_path: str, path: str) -> None:
    assert lock_path(manifest_path) == path


def test_a_lock_has_a_line_for_each_source_sorted_by_name() -> None:
    digests = {
        named("ghcr.io/acme/worker:1"): ONE,
        named("ghcr.io/acme/worker:1.10"): TWO,
        named("worker:1"): ONE,
        named("docker-daemon:worker:dev"): TWO,
        named("docker://[::1]:5000/a/b:1"): ONE,
    }
    assert text_of(digests) == (
        f"{HEADER}version: 1\n"
        "sources:\n"
        f"  docker-daemon:worker:dev: {TWO}\n"
        f"  docker://[::1]:5000/a/b:1: {ONE}\n"
        f"  docker://docker.io/library/worker:1: {ONE}\n"
        f"  docker://ghcr.io/acme/worker:1: {ONE}\n"
        f"  docker://ghcr.io/acme/worker:1.10: {TWO}\n"
    )


def test_a_lock_of_nothing_says_so() -> None:
    assert text_of({}) == f"{HEADER}version: 1\nsources: {{}}\n"


@given(LOCKED)
def test_what_is_written_is_what_is_read(digests: dict[SourceName, Digest]) -> None:
    assert read_lock(text_of(digests).encode(), NAME) == Lock(NAME, digests)


@given(LOCKED, st.randoms(use_true_random=False))
def test_the_text_does_not_depend_on_the_order(digests: dict[SourceName, Digest], random: Any) -> None:
    shuffled = list(digests.items())
    random.shuffle(shuffled)
    assert text_of(dict(shuffled)) == text_of(digests)


@given(LOCKED)
def test_every_source_has_its_own_line_and_they_are_sorted(digests: dict[SourceName, Digest]) -> None:
    keys = [line.strip().rpartition(": ")[0] for line in text_of(digests).splitlines()[3:]]
    assert keys == sorted(map(str, digests))


BY = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" '\""), min_size=1, max_size=60)
SELECTED = st.dictionaries(
    st.sampled_from(["worker", "tools/migrate", "null", "1.10", "on"]),
    st.builds(
        LockedTags, BY.map(str.strip).filter(bool), st.sets(TAGS, max_size=5).map(lambda tags: tuple(sorted(tags)))
    ),
)
MADE = DIGESTS | DIGESTS.map(lambda digest: f"{digest} split to 1900000000")
PUSHED = st.dictionaries(
    st.sampled_from(["attestations strip", "attestations keep, platforms linux/amd64, layers split over 5"]),
    st.dictionaries(DIGESTS.map(Digest), MADE, min_size=1, max_size=4),
)
LOCKS = st.builds(Lock, st.just(NAME), LOCKED, SELECTED, PUSHED)


@given(LOCKS)
@example(Lock(NAME, {}, {"worker": LockedTags("it's: # \"x\", 'y'", ())}, {}))
@example(Lock(NAME, {}, {"worker": LockedTags("x", ("0x1f", "1.10", "1e3", "2024-01-01", "null", "true"))}, {}))
def test_a_whole_lock_that_is_written_is_what_is_read(lock: Lock) -> None:
    assert read_lock(lock_text(lock).encode(), NAME) == lock


def test_a_lock_has_what_was_selected_and_what_is_pushed_in_sections_of_their_own() -> None:
    source = named("ghcr.io/acme/worker:1.10")
    selected = {"worker": LockedTags('semver "1.x", of docker://ghcr.io/acme/worker', ("1.9", "1.10"))}
    pushed = {"attestations strip, platforms linux/amd64": {ONE: TWO, TWO: f"{TWO} split to 5"}}
    assert lock_text(Lock(NAME, {source: ONE}, selected, pushed)) == (
        f"{HEADER}version: 1\n"
        "selected:\n"
        "  worker:\n"
        "    by: 'semver \"1.x\", of docker://ghcr.io/acme/worker'\n"
        "    tags:\n"
        "      - 1.10\n"
        "      - 1.9\n"
        "sources:\n"
        f"  {source}: {ONE}\n"
        "pushed:\n"
        "  attestations strip, platforms linux/amd64:\n"
        + "".join(sorted([f"    {ONE}: {TWO}\n", f"    {TWO}: {TWO} split to 5\n"]))
    )


END = "sources: {}\n"


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("selected: []\n", 2, 11, "`selected` is a list, expected `by` and `tags`"),
        ("selected:\n", 2, 1, "`selected` is empty"),
        ("selected: {A: {by: x, tags: []}}\n", 2, 12, "`A` is not the name of an image"),
        ("selected: {a: x}\n", 2, 15, "is `x`, expected a mapping of `by` and `tags`"),
        ("selected: {a: {by: x}}\n", 2, 15, "expected a mapping of `by` and `tags`"),
        ("selected: {a: {by: x, tags: [], more: x}}\n", 2, 15, "expected a mapping of `by` and `tags`"),
        ("selected: {a: {by: [], tags: []}}\n", 2, 20, "`by` is a list, expected a text"),
        ("selected: {a: {by: x, tags: 1.0}}\n", 2, 29, "`tags` is `1.0`, expected a list of tags"),
        ("selected: {a: {by: x, tags: [1.0, -x]}}\n", 2, 35, "`-x` is not a tag"),
        ("selected: {a: {by: x, tags: [[]]}}\n", 2, 30, "a list is not a tag"),
        ("selected: {a: {by: x, tags: [1.0, 2.0, 1.0]}}\n", 2, 40, "the tag `1.0` is there twice"),
        ("pushed: x\n", 2, 9, "`pushed` is `x`, expected what becomes of images"),
        ("pushed: {strip: x}\n", 2, 17, "what is pushed with `strip` is `x`, expected a mapping"),
        (f"pushed: {{strip: {{x: '{ONE}'}}}}\n", 2, 18, "is `x`, expected `sha256:`"),
        (f"pushed: {{strip: {{'{ONE}': x}}}}\n", 2, 93, "becomes is `x`, expected a digest"),
        (f"pushed: {{strip: {{'{ONE}': '{ONE} split to 0'}}}}\n", 2, 93, "expected a digest"),
        (f"pushed: {{strip: {{'{ONE}': }}}}\n", 2, 18, "becomes is empty, expected a digest"),
    ],
)
def test_a_fault_in_the_other_sections_is_told_with_its_place(text: str, line: int, column: int, said: str) -> None:
    fault = fault_of(f"version: 1\n{text}{END}")
    assert (fault.line, fault.column) == (line, column), fault
    assert said in fault.message
    assert "`replsync lock`" in (fault.proposal or "")


def test_a_selection_is_taken_from_the_lock_where_it_is_of_this_selector() -> None:
    image = manifest({**WORKER, "select": {"semver": "1.x"}}).images[0]
    by = 'semver "1.x", of docker://ghcr.io/acme/worker'
    assert locked_tags(None, image) is None
    assert locked_tags(Lock(NAME, {}), image) is None
    assert locked_tags(Lock(NAME, {}, {"worker": LockedTags(by, ("1.9",))}), image) == ("1.9",)
    for other in ('semver "2.x", of docker://ghcr.io/acme/worker', 'semver "1.x", of docker://ghcr.io/acme/other'):
        assert locked_tags(Lock(NAME, {}, {"worker": LockedTags(other, ("1.9",))}), image) is None


@pytest.mark.parametrize(
    ("pattern", "anew"),
    [
        ("worker", True),
        ("worker:*", True),
        ("w*", True),
        ("*", True),
        ("*:*", True),
        ("worker:1.*", False),
        ("x", False),
    ],
)
def test_a_selection_is_made_anew_where_the_whole_image_is_named(pattern: str, anew: bool) -> None:
    selecting = manifest({**WORKER, "select": {"semver": "1.x"}})
    assert chooses_anew(selecting.images[0], ["other", pattern]) is anew
    assert not chooses_anew(manifest(WORKER).images[0], [pattern])


def test_an_image_that_selects_nothing_yet_can_be_named_for_an_upgrade() -> None:
    images = manifest({"name": "worker", "source": "ghcr.io/acme/worker", "select": {"semver": "1.x"}})
    assert renewed(None, images, ["worker"]) == Renewal({}, {})
    with pytest.raises(UsageError):
        renewed(None, images, ["worker:1.0"])


STRIP, AMD = Transforms("strip"), Transforms("strip", (parse_platform("linux/amd64"),))


def test_what_becomes_of_a_digest_is_said_by_the_lock() -> None:
    lock = Lock(NAME, {}, {}, {transforms_text(AMD): {ONE: TWO}, transforms_text(STRIP): {TWO: ONE}})
    assert said_of(lock, ONE, Transforms()) == ONE
    assert said_of(lock, ONE, AMD) == TWO
    assert said_of(lock, TWO, AMD) is None
    assert said_of(lock, TWO, STRIP) == ONE
    assert said_of(lock, ONE, STRIP) == ONE  # most images have nothing that is stripped: those are not listed


def test_transforms_are_told_apart_by_their_text_whatever_the_order_of_the_platforms() -> None:
    amd, arm = parse_platform("linux/amd64"), parse_platform("linux/arm64")
    assert transforms_text(Transforms("strip", (arm, amd), 5)) == (
        "attestations strip, platforms linux/amd64 linux/arm64, layers split over 5"
    )
    assert transforms_text(Transforms("strip", (amd, arm, amd), 5)) == transforms_text(
        Transforms("strip", (arm, amd), 5)
    )
    texts = {transforms_text(one) for one in (STRIP, AMD, Transforms("reject"), Transforms("strip", (), 5))}
    assert len(texts) == 4


def test_a_lock_lacks_what_platforms_make_of_its_sources_until_it_is_written_anew() -> None:
    pinned = {"tag": "2.0", "digest": TWO}
    images = manifest({**WORKER, "tags": ["1.10", pinned], "platforms": ["linux/amd64"]})
    before = Lock(NAME, {named("ghcr.io/acme/worker:1.10"): ONE})
    (lacking,) = unsaid(before, images)
    assert str(lacking.source) == f"docker://ghcr.io/acme/worker:1.10@{ONE}"
    assert unsaid(Lock(NAME, before.digests, {}, {transforms_text(AMD): {ONE: ONE}}), images) == ()
    assert {key[1] for key in to_be_said(images, before.digests)} == {ONE, TWO}


def test_the_longest_names_that_can_be_looked_up_are_read_back() -> None:
    host = ".".join(["a" * 61] * 4) + ":65535"  # RFC 1035, 2.3.4: 255 octets
    digests = {named(f"{host}/{'b' * 255}:{'c' * 128}"): ONE}
    assert read_lock(text_of(digests).encode(), NAME).digests == digests


def test_a_source_is_needed_with_its_tag_and_all_that_it_stands_for() -> None:
    other = {"tag": "2.0", "source": "ghcr.io/acme/worker:1.9"}
    images = manifest({**WORKER, "tags": ["1.10", "1.9", other]}, {"name": "a/b", "tags": [{**other, "tag": "x"}]})
    assert needed(images) == {
        named("ghcr.io/acme/worker:1.10"): ("worker:1.10",),
        named("ghcr.io/acme/worker:1.9"): ("a/b:x", "worker:1.9", "worker:2.0"),
    }


def test_images_of_a_daemon_are_needed_by_name_and_sorted() -> None:
    tags = [{"tag": "x", "source": "docker-daemon:worker:test"}, "dev"]
    assert list(needed(manifest({"name": "worker", "source": "docker-daemon:worker", "tags": tags}))) == [
        named("docker-daemon:worker:dev"),
        named("docker-daemon:worker:test"),
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {"tag": "1", "source": f"ghcr.io/acme/worker@{ONE}"},
        {"tag": "1", "source": f"ghcr.io/acme/worker:1@{ONE}"},
        {"tag": "1", "source": "ghcr.io/acme/worker", "digest": ONE},
        {"tag": "1", "source": f"docker-daemon:{ONE}"},
        {"tag": "1", "digest": ONE},
        {"tag": "1"},
    ],
)
def test_what_is_pinned_or_has_no_source_is_not_needed(entry: dict[str, str]) -> None:
    assert needed(manifest({"name": "worker", "tags": [entry]})) == {}


def test_retired_tags_need_nothing() -> None:
    assert needed(manifest({**WORKER, "tags": [], "retired": [{"tag": "1", "reason": "old"}]})) == {}


def test_what_the_lock_lacks_and_what_it_has_too_much_is_told() -> None:
    old = lock("ghcr.io/acme/worker:1.9", "ghcr.io/acme/worker:1.8", "docker-daemon:worker:1.10")
    assert missing(old, manifest(WORKER)) == {named("ghcr.io/acme/worker:1.10"): ("worker:1.10",)}
    assert superfluous(old, manifest(WORKER)) == (
        named("docker-daemon:worker:1.10"),
        named("ghcr.io/acme/worker:1.8"),
    )


@given(manifests())
def test_nothing_is_missing_or_too_much_once_all_is_locked(data: dict[str, Any]) -> None:
    images = Manifest.model_validate(data)
    written = text_of({source: sha256(str(source).encode()) for source in renewed(None, images, []).sought})
    current = read_lock(written.encode(), NAME)
    assert missing(current, images) == {}
    assert superfluous(current, images) == ()
    again = renewed(current, images, [])
    assert text_of(again.kept) == written
    assert again.sought == {}


def test_only_what_is_missing_is_looked_up_and_what_nothing_needs_is_dropped() -> None:
    old = lock("ghcr.io/acme/worker:1.9", "ghcr.io/acme/worker:1.8")
    source = named("ghcr.io/acme/worker:1.9")
    assert renewed(old, manifest(WORKER), []) == Renewal(
        {source: old.digests[source]}, {named("ghcr.io/acme/worker:1.10"): ("worker:1.10",)}
    )


@pytest.mark.parametrize(
    ("patterns", "sought"),
    [
        (["*"], ["tools/migrate:1", "worker:1.10", "worker:1.9"]),
        (["worker"], ["worker:1.10", "worker:1.9"]),
        (["worker:1.1*"], ["worker:1.10"]),
        (["work"], None),
        (["WORKER"], None),
        (["*:1"], ["tools/migrate:1"]),
        (["tools/*"], ["tools/migrate:1"]),
        (["worker:1.9", "tools/migrate"], ["tools/migrate:1", "worker:1.9"]),
        (["worker", "worker:2*"], None),
    ],
)
def test_patterns_choose_what_is_looked_up_again(patterns: list[str], sought: list[str] | None) -> None:
    images = manifest(WORKER, {"name": "tools/migrate", "source": "quay.io/acme/migrate", "tags": ["1"]})
    full = lock("ghcr.io/acme/worker:1.10", "ghcr.io/acme/worker:1.9", "quay.io/acme/migrate:1")
    if sought is None:
        with pytest.raises(UsageError, match=f"`{patterns[-1].replace('*', '.')}`: it matches no tag"):
            renewed(full, images, patterns)
        return
    renewal = renewed(full, images, patterns)
    assert sorted(label for labels in renewal.sought.values() for label in labels) == sought
    assert {**renewal.kept, **dict.fromkeys(renewal.sought, ONE)}.keys() == full.digests.keys()


def test_tags_that_share_a_source_move_together() -> None:
    images = manifest({**WORKER, "tags": ["1.9", {"tag": "1", "source": "ghcr.io/acme/worker:1.9"}]})
    renewal = renewed(lock("ghcr.io/acme/worker:1.9"), images, ["worker:1"])
    assert renewal.kept == {}
    assert renewal.sought == {named("ghcr.io/acme/worker:1.9"): ("worker:1", "worker:1.9")}


def test_a_pattern_that_matches_only_a_pinned_tag_is_an_error() -> None:
    images = manifest({**WORKER, "tags": ["1.9", {"tag": "2.0", "digest": ONE}]})
    with pytest.raises(UsageError, match=r"`worker:2\.0`"):
        renewed(None, images, ["worker:2.0"])


WRONG = [
    pytest.param("", 1, 1, "the file says nothing", "replsync lock", id="empty"),
    pytest.param("- a\n", 1, 1, "the file is a list", "replsync lock", id="a list"),
    pytest.param("version: 1\n", 1, 1, "the file has no `sources`", "replsync lock", id="no sources"),
    pytest.param("sources: {}\n", 1, 1, "the file has no `version`", "replsync lock", id="no version"),
    pytest.param("version: one\nsources: {}\n", 1, 10, "`version` is `one`, expected the number 1", "", id="version"),
    pytest.param("version: 0\nsources: {}\n", 1, 10, "`version` is `0`, expected the number 1", "", id="version 0"),
    pytest.param("version:\nsources: {}\n", 1, 1, "`version` is empty", "replsync lock", id="no version's number"),
    pytest.param(f"{LOCK}images: []\n", 4, 1, "the unknown key `images`", "remove it", id="unknown key"),
    pytest.param("version: 1\nsources:\n", 2, 1, "`sources` is empty", "write `sources: {}`", id="empty sources"),
    pytest.param("version: 1\nsources: [a]\n", 2, 10, "`sources` is a list", "sources: {}", id="list of sources"),
    pytest.param(
        f"{LOCK}  docker://g.io/a:2: sha256:12\n", 4, 22, "the digest of `docker://g.io/a:2` is", "", id="digest"
    ),
    pytest.param(
        f"{LOCK}  docker://g.io/a:2:\n", 4, 3, "the digest of `docker://g.io/a:2` is empty", "", id="no digest"
    ),
    pytest.param(
        f"{LOCK}  docker://g.io/a:2: []\n", 4, 22, "the digest of `docker://g.io/a:2` is a list", "", id="a list"
    ),
    pytest.param(f"{LOCK}  dir:x: {ONE}\n", 4, 3, "the source `dir:x`: 'dir' is not a source", "", id="transport"),
    pytest.param(f"{LOCK}  oci:x@{ONE}: {ONE}\n", 4, 3, "it is pinned by its digest", "", id="pinned layout"),
    pytest.param(
        f"{LOCK}  docker-archive:x:docker.io/a/b: {ONE}\n",
        4,
        3,
        "it names no tag",
        "remove",
        id="archive's without a tag",
    ),
    pytest.param(f"{LOCK}  docker://g.io/A: {ONE}\n", 4, 3, "upper case is not allowed", "remove this", id="source"),
    pytest.param(f"{LOCK}  docker://g.io/a: {ONE}\n", 4, 3, "it names no tag", "remove this line", id="no tag"),
    pytest.param(f"{LOCK}  docker-daemon:a: {ONE}\n", 4, 3, "it names no tag", "remove", id="daemon's without a tag"),
    pytest.param(f"{LOCK}  g.io/a:1: {ONE}\n", 4, 3, "it is written `docker://g.io/a:1`", "remove", id="short name"),
    pytest.param(f"{LOCK}  docker://g.io/a@{ONE}: {ONE}\n", 4, 3, "it is pinned by its digest", "", id="pinned"),
    pytest.param(f"{LOCK}  docker-daemon:{ONE}: {ONE}\n", 4, 3, "it is pinned by its digest", "", id="image ID"),
    pytest.param(
        f"{LOCK}  docker://ghcr.io/acme/worker:1.10: {TWO}\n", 4, 3, "twice, first in line 3", "remove one", id="twice"
    ),
    pytest.param(f"{LOCK}---\n{LOCK}", 4, 1, "a lock file is one document", "remove the `---`", id="two documents"),
    pytest.param(f"%YAML 1.1\n---\n{LOCK}", 1, 1, "no meaning in a lock file", "remove it", id="directive"),
    pytest.param("version: !!int 1\nsources: {}\n", 1, 10, "no meaning in a lock file", "remove it", id="YAML tag"),
    pytest.param("version: !<1\n", 1, 10, "no meaning in a lock file", "needs quotes", id="broken YAML tag"),
    pytest.param("#" * 9_000_000, 1, 1, "a lock file may have 8388608", "the right file?", id="over 8 MiB"),
    pytest.param(f"\0{LOCK}\0", 1, 1, "a lock file is in UTF-8", "save the file as UTF-8", id="UTF-16"),
]


@pytest.mark.parametrize(("text", "line", "column", "words", "proposal"), WRONG)
def test_a_fault_is_told_with_its_place(text: str, line: int, column: int, words: str, proposal: str) -> None:
    fault = fault_of(text)
    assert (fault.line, fault.column) == (line, column), fault
    assert words in fault.message
    assert fault.proposal is not None
    assert proposal in fault.proposal


def test_a_newer_version_is_all_that_is_told() -> None:
    fault = fault_of("version: 2\nimages: []\n")
    assert (fault.line, fault.column) == (1, 10)
    assert fault.message == "this is a lock file of version `2`, this replsync reads 1"
    assert fault.proposal == "a newer replsync wrote it: upgrade replsync"


def test_all_faults_are_told_at_once() -> None:
    faults = faults_of(
        f"version: 3.0\nsources:\n  docker://g.io/a: {ONE}\n  docker://g.io/a:1: no\n  dir:x: no\nx: y\n"
    )
    assert [(fault.line, fault.column) for fault in faults] == [(1, 10), (3, 3), (4, 22), (5, 3), (5, 10), (6, 1)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"version: 1\nsources:\n<<<<<<< HEAD\n  docker://a/b:1: {ONE}\n=======\n  x: y\n>>>>>>> topic\n", 3),
        (f"{LOCK}=======\n", 4),
        (f"{LOCK}>>>>>>> topic\r\n", 4),
        ("<<<<<<<", 1),
    ],
)
def test_a_merge_conflict_is_called_one(text: str, line: int) -> None:
    fault = fault_of(text)
    assert (fault.line, fault.column) == (line, 1)
    assert fault.message == "this is a merge conflict"
    assert fault.proposal == "take either side, and run `replsync lock`"


def test_each_merge_conflict_is_told() -> None:
    conflict = "<<<<<<< HEAD\n||||||| base\n=======\n>>>>>>> topic\n"
    assert [fault.line for fault in faults_of(f"{LOCK}{conflict}{conflict}")] == [4, 8]


def test_a_lock_may_be_written_by_hand() -> None:
    text = f'sources: {{"docker://a.b/c:1": &d "{ONE}", "docker://a.b/c:2": *d}}\nversion: "1"\n'
    assert read_lock(text.encode(), NAME).digests == {named("a.b/c:1"): ONE, named("a.b/c:2"): ONE}


PIECES = st.lists(
    st.sampled_from(
        [
            *("version: 1\n", "sources:", "  docker://a.b/c:1: ", "docker-daemon:a", ONE, "<<<<<<< x\n", "null", "2"),
            *("\n", "  ", ":", "- ", "*a", "&a ", "[", "{", "}", "#", "'", "\x1b", "é"),
        ]
    ),
    max_size=15,
).map("".join)


@given(st.binary(max_size=100) | PIECES.map(str.encode))
@example(b"? [a]\n: b\n")
@example(b"version: &a [*a]")
@example(b"version:\nsources:\n  ? docker://a.b/c:1\n")
@example(b"sources: &a {x: *a}")
def test_any_bytes_are_a_lock_or_refused(data: bytes) -> None:
    try:
        read = read_lock(data, NAME)
    except InvalidInput as error:
        refusal = str(error)
    else:
        assert read_lock(text_of(read.digests).encode(), NAME) == read
        return
    assert f" in {NAME}" in refusal
    assert all(char == "\n" or char.isprintable() for char in refusal)
