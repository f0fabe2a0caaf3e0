"""The counting proxy, and the reader that checks what came of a run."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.content import Image, Shape, build
from benchmarks.counting import counting
from benchmarks.reading_back import fault_of
from benchmarks.registry_client import RegistryClient
from tests.servers.registry import RegistryServer

SHAPE = Shape(repositories=2, tags=2, base=(3000, 4000), own_layer=2000)


@pytest.fixture
def client(docker_registry: RegistryServer) -> Iterator[RegistryClient]:
    with contextlib.closing(RegistryClient(docker_registry.host)) as client:
        yield client


def test_requests_and_bytes_are_counted(docker_registry: RegistryServer, namespace: str) -> None:
    with counting(docker_registry.host) as (host, traffic), contextlib.closing(RegistryClient(host)) as client:
        images = build(client, namespace, SHAPE)
        assert fault_of(client, images, exact=True, contents=True) is None
    blobs = {blob.digest: blob.size for image in images for blob in image.blobs}
    # Two base layers are mounted in the second repository; 4 own layers, 4 configs.
    assert traffic.requests == {
        "POST upload": 2 + 2 + 4 + 4,
        "PATCH upload": 2 + 4,
        "PUT upload": 2 + 4 + 4,
        "PUT manifest": 4,
        "GET manifest": 4,
        "HEAD blob": 4 * 4,
        "GET blob": len(blobs),
    }
    assert traffic.sent["upload"] == sum(blobs.values())
    assert traffic.received["blob"] == sum(blobs.values())


def test_what_is_right_has_no_fault(client: RegistryClient, namespace: str) -> None:
    assert fault_of(client, build(client, namespace, SHAPE), exact=True, contents=True) is None


def test_a_missing_image_is_a_fault(client: RegistryClient, namespace: str) -> None:
    images = build(client, namespace, SHAPE)
    absent = replace(images[0], tag="absent")
    fault = fault_of(client, [*images, absent], exact=True, contents=True)
    assert fault == f"{namespace}/r000:absent is missing"


def test_another_image_is_a_fault_and_with_another_config_even_where_bytes_may_differ(
    client: RegistryClient, namespace: str
) -> None:
    first, second, *_ = build(client, namespace, SHAPE)
    swapped = replace(second, tag=first.tag)
    assert f"not {second.digest}" in str(fault_of(client, [swapped], exact=True, contents=False))
    assert "another config" in str(fault_of(client, [swapped], exact=False, contents=False))


def test_the_same_shape_gives_the_same_images(client: RegistryClient, namespace: str) -> None:
    def digests(images: list[Image]) -> list[str]:
        return [image.digest for image in images]

    assert digests(build(client, namespace, SHAPE)) == digests(build(client, namespace, SHAPE))
