"""Builds as sources: their names for people, and for documents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.oci.build_source import BuildSource, parse_build
from replsync.oci.platform import Platform
from replsync.oci.source_name import DaemonSource, RegistrySource, located, parse_source, parse_written, written

TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=12)
NAME = st.text("abcXYZ019_", min_size=1, max_size=6)
PAIRS = st.dictionaries(NAME, TEXT, max_size=3).map(lambda pairs: tuple(sorted(pairs.items())))
BUILDS = st.builds(
    BuildSource,
    context=TEXT,
    dockerfile=TEXT,
    target=st.none() | TEXT,
    args=st.dictionaries(NAME, TEXT | st.just(""), max_size=3).map(lambda pairs: tuple(sorted(pairs.items()))),
    secrets=PAIRS,
    platforms=st.sampled_from([(), (Platform("linux", "amd64"),), (Platform("linux", "arm", "v7"),)]),
)


@given(BUILDS)
def test_what_is_written_is_read_back(build: BuildSource) -> None:
    text = written(build)
    assert parse_written(text) == build
    assert text.isascii()
    assert not set(text) & set(" #'\"\n")


@given(st.text(max_size=40).map("build:".__add__) | st.text("build:?=&.%a1", max_size=30))
def test_any_text_is_the_one_way_to_write_a_build_or_none(text: str) -> None:
    try:
        build = parse_build(text)
    except ValueError:
        return
    assert build.written == text


def test_for_people_it_has_no_values() -> None:
    build = BuildSource(
        "./worker", "own", "prod", (("VERSION", "1.2"),), (("npm", "~/.npmrc"),), (Platform("linux", "amd64"),)
    )
    assert str(build) == "build:./worker (own, target prod, args VERSION, secrets npm, linux/amd64)"
    assert str(BuildSource("worker")) == "build:worker"


def test_paths_are_located_in_the_manifests_folder() -> None:
    build = BuildSource("../worker", secrets=(("a", "a"), ("b", "/run/b")))
    assert located(build, "deploy") == BuildSource("deploy/../worker", secrets=(("a", "deploy/a"), ("b", "/run/b")))
    assert located(build, ".") == build


@pytest.mark.parametrize(
    "text",
    ["build:", "build:a?", "build:a?x=1", "build:a?target", "build:a?platform=x", "build:a?dockerfile=Dockerfile"],
)
def test_what_nobody_writes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"written|platform|query"):
        parse_build(text)


def test_an_image_of_this_name_is_no_build() -> None:
    image = parse_source("build:1.2")
    assert isinstance(image, RegistrySource)
    assert parse_written(written(image)) == image
    daemon = parse_source("docker-daemon:build:1.2")
    assert isinstance(daemon, DaemonSource)
    assert parse_written(written(daemon)) == daemon
