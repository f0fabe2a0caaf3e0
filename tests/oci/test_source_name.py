"""Names of images in files: layouts, and archives of `docker save`."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.errors import InvalidInput
from replsync.oci.digest import parse_digest
from replsync.oci.reference import parse_reference
from replsync.oci.source_name import (
    LayoutSource,
    SavedSource,
    SourceName,
    located,
    parse_source,
    pinned,
    source_for_tag,
    spoken,
)

A = parse_digest("sha256:" + "a" * 64)
PATHS = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters=":", include_characters=" "), min_size=1
)
NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.:/+-]{0,30}", fullmatch=True)
LAYOUTS = st.builds(LayoutSource, PATHS, st.none() | NAMES, st.none() | st.just(A), st.booleans())
REFERENCES = st.sampled_from(["worker", "acme/worker:1", "ghcr.io/acme/worker:1.10"]).map(parse_reference)
SAVED = st.builds(SavedSource, PATHS, st.none() | REFERENCES)
FILES = (LAYOUTS | SAVED).filter(lambda source: not source.path.endswith(("@sha256", "@sha512")))


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("oci:dist", LayoutSource("dist")),
        ("oci:/srv/../dist/", LayoutSource("/srv/../dist/")),
        ("oci:dist:1.10", LayoutSource("dist", "1.10")),
        ("oci:dist:ghcr.io/acme/worker:1.10", LayoutSource("dist", "ghcr.io/acme/worker:1.10")),
        (f"oci:dist@{A}", LayoutSource("dist", None, A)),
        (f"oci:dist:1.10@{A}", LayoutSource("dist", "1.10", A)),
        ("oci:@scope/dist", LayoutSource("@scope/dist")),
        ("oci:1.2", LayoutSource("1.2")),
        ("oci-archive:dist.tar", LayoutSource("dist.tar", is_archive=True)),
        ("oci-archive:dist.tar:1.10", LayoutSource("dist.tar", "1.10", is_archive=True)),
        ("docker-archive:a.tar", SavedSource("a.tar")),
        ("docker-archive:a.tar:worker", SavedSource("a.tar", parse_reference("worker"))),
        ("docker-archive:a.tar:worker:dev", SavedSource("a.tar", parse_reference("worker:dev"))),
        ("docker-archive:a.tar:g.io:80/w:dev", SavedSource("a.tar", parse_reference("g.io:80/w:dev"))),
    ],
)
def test_a_file_is_named_with_or_without_the_image_in_it(text: str, source: SourceName) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize(
    ("text", "words"),
    [
        *((f"{transport}:", "names no path") for transport in ("oci", "oci-archive", "docker-archive")),
        *(("oci::1", "names no path"), ("oci:a\nb", "printable"), ("docker-archive:a\0", "printable")),
        *(("oci:a:", "not the name of an image"), ("oci:a:b c", "not the name"), ("oci:a:@1", "not the name")),
        *(("oci:a@sha256:12", "not a digest"), ("oci:a@sha256", "like the beginning of a digest")),
        *(("docker-archive:a:@1", "not by its place"), (f"docker-archive:a:w@{A}", "has no registry digest")),
        *(("docker-archive:a:", "not a repository name"), ("docker-archive:a:W", "upper case")),
    ],
)
def test_a_name_that_means_nothing_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_source(text)


@given(FILES)
def test_a_name_that_is_written_is_read_back(source: LayoutSource | SavedSource) -> None:
    assert parse_source(str(source)) == source


@given(st.sampled_from(["oci:", "oci-archive:", "docker-archive:"]), st.text())
def test_any_text_is_read_or_refused_with_words(transport: str, text: str) -> None:
    with contextlib.suppress(ValueError):
        source = parse_source(f"{transport}{text}")
        assert parse_source(str(source)) == source


def test_a_layout_of_a_whole_image_has_each_tag_by_its_name() -> None:
    assert source_for_tag(LayoutSource("d"), "1") == LayoutSource("d", "1")
    assert source_for_tag(LayoutSource("d", "2"), "1") == LayoutSource("d", "2")
    assert source_for_tag(LayoutSource("d"), "1", is_own=True) == LayoutSource("d")


def test_an_archives_name_takes_the_tag() -> None:
    named = SavedSource("a", parse_reference("worker"))
    for is_own in (True, False):
        assert source_for_tag(named, "1", is_own=is_own) == SavedSource("a", parse_reference("worker:1"))
        assert source_for_tag(SavedSource("a"), "1", is_own=is_own) == SavedSource("a")


@given(LAYOUTS)
def test_a_pinned_layout_is_spoken_of_without_the_digest(source: LayoutSource) -> None:
    exactly = pinned(source, A)
    assert exactly.digest == A
    assert str(A) not in spoken(exactly)


@pytest.mark.parametrize(
    ("folder", "path", "whole"),
    [(".", "d", "d"), ("", "d", "d"), ("x", "../d", "x/../d"), ("/x y", "d", "/x y/d"), ("x", "/d", "/d")],
)
def test_a_path_starts_from_the_manifests_folder(folder: str, path: str, whole: str) -> None:
    assert located(LayoutSource(path, "1"), folder) == LayoutSource(whole, "1")
    assert located(SavedSource(path), folder) == SavedSource(whole)
    other = parse_source("docker-daemon:worker")
    assert located(other, folder) is other


@pytest.mark.parametrize("folder", ["a:b", "a\nb"])
def test_a_folder_that_no_name_can_hold_is_refused(folder: str) -> None:
    with pytest.raises(InvalidInput, match="has a colon"):
        located(LayoutSource("d"), folder)
