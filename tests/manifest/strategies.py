"""Strategies for manifests, and for the texts in them."""

from typing import Any

from hypothesis import strategies as st

DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:".__add__)
LOOKS_LIKE_SOMETHING_ELSE = [
    "1.10",
    "1",
    "0x1f",
    "1e3",
    "yes",
    "true",
    "2024-01-01",
    "null",
    "007",
    "NaN",
    "1_0",
    "0o7",
]
TAGS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True), st.sampled_from(LOOKS_LIKE_SOMETHING_ELSE)
)
NAMES = st.from_regex(r"[a-z0-9]{1,8}([._/-][a-z0-9]{1,8}){0,2}", fullmatch=True)
_WITHOUT_DIGEST = ("docker-daemon:", "docker-archive:")
SOURCES = st.sampled_from(
    [
        *("ghcr.io/acme/worker", "docker://quay.io/a/b", "worker", "docker-daemon:worker"),
        *("oci:dist/worker", "oci-archive:../worker.tar", "docker-archive:dist/all.tar:worker"),
    ]
)
SIZES = st.integers(1, 10**15 - 1) | st.builds(
    "{}{}{}".format,
    st.integers(1, 10**6) | st.decimals("0.001", "999.999", places=3),
    st.sampled_from(["", " "]),
    st.sampled_from(["kB", "KB", "MB", "GB", "TB"]),
)
PRINTABLE = st.characters(exclude_categories=["C", "Z"], include_characters=" ")
"""What `str.isprintable` takes."""
REASONS = st.text(PRINTABLE, min_size=1, max_size=500).filter(str.strip)


@st.composite
def tags(draw: st.DrawFn, name: str, daemon: bool) -> Any:
    """An entry of `tags`: plain, or a mapping with a source, a digest, or both where they go together."""
    entry: dict[str, str] = {"tag": name}
    source = draw(st.none() | SOURCES)
    if source is not None:
        entry["source"] = source
    from_daemon = daemon if source is None else source.startswith(_WITHOUT_DIGEST)
    if not from_daemon and draw(st.booleans()):
        entry["digest"] = draw(DIGESTS)
    return name if len(entry) == 1 and draw(st.booleans()) else entry


@st.composite
def images(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """An image without contradictions."""
    image: dict[str, Any] = {"name": name}
    listed = draw(st.lists(TAGS, min_size=1, max_size=6, unique=True))
    cut = draw(st.integers(0, len(listed)))
    if draw(st.booleans()):
        image["source"] = draw(SOURCES)
    if draw(st.booleans()):
        image["mutable"] = draw(st.lists(st.sampled_from(["latest", "edge-*", "1.?", "[0-9]*", "*"])))
    daemon = image.get("source", "").startswith(_WITHOUT_DIGEST)
    image["tags"] = [draw(tags(tag, daemon)) for tag in listed[:cut]]
    if "source" in image and not daemon and draw(st.booleans()):
        image["select"] = draw(selectors())
    image["retired"] = [{"tag": tag, "reason": draw(REASONS)} for tag in listed[cut:]]
    return image


@st.composite
def selectors(draw: st.DrawFn) -> dict[str, Any]:
    """A `select` without contradictions."""
    select: dict[str, Any] = {}
    if draw(st.booleans()):
        select["semver"] = draw(st.sampled_from([">=1.8 <2", "^1.2", "~1.2 || 1.x", "1.2 - 1.4", "*", ">=2.0.0-0 <3"]))
    if draw(st.booleans()):
        select["regex"] = draw(st.sampled_from(["[0-9.]+", "(?P<version>.*?)(-alpine)?", "v.*"]))
    if draw(st.booleans()):
        select["exclude"] = draw(st.lists(st.sampled_from(["*-debug", "1.?", "0.*"]), max_size=2))
    if not select.keys() & {"semver", "regex"} or draw(st.booleans()):
        select["newest"] = draw(st.integers(1, 10_000))
    elif draw(st.booleans()):
        select["max"] = draw(st.integers(1, 10_000))
    return select


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    """A whole manifest, as plain values."""
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    manifest: dict[str, Any] = {"version": 1, "images": [draw(images(name)) for name in names]}
    if draw(st.booleans()):
        manifest["app"] = draw(NAMES.filter(lambda name: "/" not in name))
    if draw(st.booleans()):
        manifest["registry"] = draw(st.sampled_from(["registry.replicated.com", "localhost:5000", "[::1]:80"]))
    if draw(st.booleans()):
        manifest["policy"] = {"unlisted": draw(st.sampled_from(["report", "ignore", "tombstone"]))}
    if draw(st.booleans()):
        manifest.setdefault("policy", {})["max_layer_size"] = draw(SIZES)
    if draw(st.booleans()):
        manifest["transfer"] = draw(transfers())
    return manifest


@st.composite
def transfers(draw: st.DrawFn) -> dict[str, Any]:
    """A section `transfer` without contradictions."""
    transfer: dict[str, Any] = {}
    if draw(st.booleans()):
        transfer["parallelism"] = draw(st.integers(1, 256))
    if draw(st.booleans()):
        transfer["min_chunk_size"] = draw(st.sampled_from([1, "64KB", "1MB"]))
    if draw(st.booleans()):
        transfer["max_chunk_size"] = draw(st.sampled_from(["1MB", "1.5GiB", 2_000_000_000]))
    return transfer
