"""What a manifest says of builds."""

import pytest

from replsync.manifest.model import Manifest
from replsync.manifest.read import read_manifest
from replsync.oci.build_source import BuildSource
from replsync.oci.platform import Platform
from replsync.oci.source_name import RegistrySource
from tests.manifest.faults_of import faults_of

HEAD = "version: 1\nimages:\n  - name: worker\n"
AMD, ARM = Platform("linux", "amd64"), Platform("linux", "arm64")


def read(text: str) -> Manifest:
    return read_manifest(f"{HEAD}{text}".encode(), "replicated-images.yaml").manifest


def source(text: str) -> object:
    (image,) = read(text).images
    return image.source_of(image.tags[0])


def test_all_of_it_is_read_as_text() -> None:
    build = """
    build:
      context: ./worker
      dockerfile: docker/own
      target: 1
      args: {VERSION: 1.10, DEBUG: true, EMPTY: ""}
      secrets: {npm.rc: ../.npmrc}
      platforms: [linux/arm64]
    tags: [1.10]
"""
    args = (("DEBUG", "true"), ("EMPTY", ""), ("VERSION", "1.10"))
    assert source(build) == BuildSource("./worker", "docker/own", "1", args, (("npm.rc", "../.npmrc"),), (ARM,))


def test_a_tags_own_source_or_build_goes_before_the_images() -> None:
    build = "    build: {context: a}\n"
    assert source(f"{build}    tags: [a]\n") == BuildSource("a")
    assert source(f"{build}    tags: [{{tag: a, build: {{context: b}}}}]\n") == BuildSource("b")
    assert isinstance(source(f"{build}    tags: [{{tag: a, source: ghcr.io/a}}]\n"), RegistrySource)
    assert source("    source: ghcr.io/a\n    tags: [{tag: a, build: {context: b}}]\n") == BuildSource("b")


def test_it_is_built_for_the_images_platforms() -> None:
    image = "    platforms: [linux/amd64]\n    tags: [a]\n"
    assert source(f"    build: {{context: a}}\n{image}") == BuildSource("a", platforms=(AMD,))
    both = f"    build: {{context: a, platforms: [linux/amd64, linux/arm64]}}\n{image}"
    assert source(both) == BuildSource("a", platforms=(AMD,))


@pytest.mark.parametrize(
    ("text", "line", "words", "proposal"),
    [
        ("    build: ./worker\n", 4, "expected a mapping with `context`", "write `build: {context: ./worker}`"),
        ("    build:\n", 4, "is empty", "`context`"),
        ("    build: {target: a}\n", 4, "images[0].build` has no `context`", "add `context: ./worker`"),
        ("    build: {context: a, contxt: b}\n", 4, "unknown key `contxt`", "did you mean `context`?"),
        ("    build: {context: /a}\n", 4, "starts from the manifest's folder", "relative"),
        ("    build: {context: 'https://github.com/a/b.git'}\n", 4, "a folder on this machine", "clone"),
        ("    build: {context: 'a\\b'}\n", 4, "joined by `/`", ""),
        ("    build: {context: a, dockerfile: ../b}\n", 4, "lies in the build's context", ""),
        ("    build: {context: a, dockerfile: /b}\n", 4, "lies in the build's context", ""),
        ("    build: {context: a, target: 'a b'}\n", 4, "a stage is named by", ""),
        ("    build: {context: a, args: [A=b]}\n", 4, "args` is a list", ""),
        ("    build: {context: a, args: {A-B: b}}\n", 4, "'A-B' is not the name of a build argument", ""),
        ("    build: {context: a, args: {A: [b]}}\n", 4, "args", ""),
        ("    build: {context: a, secrets: {'a,b': c}}\n", 4, "'a,b' is not the id of a secret", ""),
        ("    build: {context: a, secrets: {a: ''}}\n", 4, "the file that holds a secret", ""),
        ("    build: {context: a, platforms: [arm]}\n", 4, "OS/ARCHITECTURE", ""),
        (f"    build: {{context: a, args: {{A: '{'b' * 1001}'}}}}\n", 4, "more than 1000 characters", "shorten"),
        ("    build: {context: a}\n    source: ghcr.io/a\n", 4, "both a `source` and a `build`", "remove one"),
        (
            "    build: {context: a}\n    tags: [{tag: a, digest: 'sha256:" + "a" * 64 + "'}]\n",
            5,
            "this tag is built",
            "remove the digest",
        ),
        (
            "    platforms: [linux/arm64]\n    build: {context: a, platforms: [linux/amd64]}\n",
            5,
            "has linux/arm64, for which it is not built",
            "add linux/arm64",
        ),
    ],
)
def test_a_fault_is_told_with_its_place(text: str, line: int, words: str, proposal: str) -> None:
    (fault,) = faults_of(f"{HEAD}{text}")
    assert fault.line == line
    assert words in fault.message, fault
    assert proposal in (fault.proposal or ""), fault
