"""References and source names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replsync.oci.digest import sha256
from replsync.oci.reference import Reference, Repository, is_loopback, is_path, is_tag, parse_reference
from replsync.oci.source_name import DaemonSource, RegistrySource, parse_source, pinned, source_for_tag

DIGEST = sha256(b"x")


@pytest.mark.parametrize(
    ("text", "host", "path", "tag"),
    [
        ("worker", "docker.io", "library/worker", None),
        ("worker:1.10", "docker.io", "library/worker", "1.10"),
        ("acme/worker:1", "docker.io", "acme/worker", "1"),
        ("ghcr.io/acme/worker", "ghcr.io", "acme/worker", None),
        ("localhost/worker:dev", "localhost", "worker", "dev"),
        ("localhost:5000/worker", "localhost:5000", "worker", None),
        ("127.0.0.1:5000/a/b/c:t", "127.0.0.1:5000", "a/b/c", "t"),
        ("[::1]:5000/worker:1", "[::1]:5000", "worker", "1"),
        ("registry:5000/a__b/c-d.e", "registry:5000", "a__b/c-d.e", None),
    ],
)
def test_a_reference_is_read_as_docker_reads_it(text: str, host: str, path: str, tag: str | None) -> None:
    assert parse_reference(text) == Reference(Repository(host, path), tag)


def test_a_reference_may_have_a_tag_and_a_digest() -> None:
    reference = parse_reference(f"ghcr.io/acme/worker:1@{DIGEST}")
    assert (reference.tag, reference.digest, reference.selector) == ("1", DIGEST, DIGEST)


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "a:", "Worker", "ghcr.io/Acme/worker", "a//b", "a/", "/a", "a b", "a:b c", "a@sha256:12", "a@x"),
        *(
            "a:" + "x" * 129,
            "a/../b",
            "exa mple.com/a",
            "a\n",
            "http://example.com/a",
            "a@" + DIGEST.upper(),
            "x" * 256,
        ),
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_reference(text)


@given(st.text(max_size=60))
def test_parsing_raises_nothing_but_value_error(text: str) -> None:
    for parse in (parse_reference, parse_source):
        try:
            parse(text)
        except ValueError:
            continue


component = st.from_regex(r"[a-z0-9]+([._-][a-z0-9]+)?", fullmatch=True)


@given(
    st.sampled_from(["ghcr.io", "localhost:5000", "127.0.0.1:80", "[::1]:5000"]),
    st.lists(component, min_size=1, max_size=4),
    st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True),
    st.sampled_from([None, DIGEST]),
)
def test_what_is_printed_reads_back_the_same(host: str, parts: list[str], tag: str | None, digest: object) -> None:
    reference = Reference(Repository(host, "/".join(parts)), tag, DIGEST if digest else None)
    assert parse_reference(str(reference)) == reference
    assert parse_source(f"docker://{reference}") == RegistrySource(reference)


def test_a_reference_without_tag_and_digest_selects_nothing() -> None:
    with pytest.raises(ValueError, match="no tag and no digest"):
        _ = parse_reference("worker").selector


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *[(host, True) for host in ("localhost", "localhost:5000", "127.0.0.1:1", "127.9.9.9", "[::1]:5000", "[::1]")],
        *[
            (host, False)
            for host in ("example.com", "localhost.example.com", "10.0.0.1:5000", "128.0.0.1", "[fe80::1]:1")
        ],
    ],
)
def test_loopback_hosts_are_known(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_names_and_tags_have_the_limits_of_the_grammar() -> None:
    assert is_tag("x" * 128)
    assert not is_tag("x" * 129)
    assert not is_tag("-x")
    assert not is_tag("1.0\n")
    assert is_path("a" * 255)
    assert not is_path("a" * 256)
    assert not is_path("a\n")


@pytest.mark.parametrize(
    ("text", "image", "printed"),
    [
        ("docker-daemon:worker:dev", "worker:dev", "docker-daemon:docker.io/library/worker:dev"),
        ("docker-daemon:acme/worker:1", "acme/worker:1", "docker-daemon:docker.io/acme/worker:1"),
        ("docker-daemon:ghcr.io/acme/worker:1", "ghcr.io/acme/worker:1", "docker-daemon:ghcr.io/acme/worker:1"),
        (f"docker-daemon:{DIGEST}", DIGEST, f"docker-daemon:{DIGEST}"),
        # Docker reads each of these as another image, or as none, where more of it is left out.
        ("docker-daemon:library/a/b:1", "library/a/b:1", "docker-daemon:docker.io/library/a/b:1"),
        ("docker-daemon:docker.io/foo.bar/baz:1", "docker.io/foo.bar/baz:1", "docker-daemon:docker.io/foo.bar/baz:1"),
        ("docker-daemon:docker.io/localhost/a:1", "docker.io/localhost/a:1", "docker-daemon:docker.io/localhost/a:1"),
        ("docker-daemon:library/sha256:dev", "library/sha256:dev", "docker-daemon:docker.io/library/sha256:dev"),
        ("docker-daemon:ghcr.io/library/a:1", "ghcr.io/library/a:1", "docker-daemon:ghcr.io/library/a:1"),
    ],
)
def test_a_daemons_image_is_named_as_docker_names_it(text: str, image: str, printed: str) -> None:
    source = parse_source(text)
    assert isinstance(source, DaemonSource)
    assert source.image == image
    assert parse_source(printed) == source


@given(
    st.sampled_from(["docker.io", "ghcr.io", "localhost", "[::1]:5000"]),
    st.lists(
        component | st.sampled_from(["library", "docker.io", "localhost", "sha256", "sha512", "foo.bar"]),
        min_size=1,
        max_size=4,
    ),
    st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True),
)
def test_a_daemons_image_is_read_back_from_its_short_name(host: str, parts: list[str], tag: str | None) -> None:
    path = "/".join(["library", *parts] if host == "docker.io" and len(parts) == 1 else parts)
    source = DaemonSource(Reference(Repository(host, path), tag))
    assert parse_source(str(source)) == source
    assert len(source.image) <= len(str(source.name))


@pytest.mark.parametrize("text", ["containers-storage:x", "https://ghcr.io/acme/worker", "dir:x"])
def test_a_source_of_another_kind_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is not a source that is supported"):
        parse_source(text)


def test_a_daemons_image_has_no_registry_digest() -> None:
    with pytest.raises(ValueError, match="image ID"):
        parse_source(f"docker-daemon:worker@{DIGEST}")


def test_a_source_takes_the_tag_that_it_lacks() -> None:
    bare = parse_source("ghcr.io/acme/worker")
    assert str(source_for_tag(bare, "1.10")) == "docker://ghcr.io/acme/worker:1.10"
    for complete in ("ghcr.io/acme/worker:2", f"ghcr.io/acme/worker@{DIGEST}", f"docker-daemon:{DIGEST}"):
        assert source_for_tag(parse_source(complete), "1.10") == parse_source(complete)
    assert source_for_tag(parse_source("docker-daemon:worker"), "dev") == parse_source("docker-daemon:worker:dev")


def test_a_pinned_source_is_read_by_digest() -> None:
    source = parse_source("ghcr.io/acme/worker:1")
    assert isinstance(source, RegistrySource)
    assert pinned(source, DIGEST).reference.selector == DIGEST
