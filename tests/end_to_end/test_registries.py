"""The same work at each kind of registry, as target and as source: they keep to the specification in their own ways."""

import functools
import random
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.held import Reader
from tests.end_to_end.proxy import Proxy
from tests.end_to_end.workplace import SignedIn, Workplace
from tests.servers.any_registry import AnyRegistry, StartAnyRegistry
from tests.servers.images import BuiltImage, BuiltIndex, build_image, build_index, digest_of
from tests.servers.push import Uploader, push
from tests.servers.registry import RegistryServer
from tests.servers.skopeo import Skopeo

PLATFORMS = ("linux/amd64", "linux/arm64/v8")
BASE = build_image({"base": b"base" * 10_000})


@functools.cache
def images() -> Mapping[str, BuiltImage | BuiltIndex]:
    """What there is to copy, by `repository:tag`."""
    large = random.Random(4).randbytes(20_000_000)  # not to be compressed
    return {
        "worker:1.0": build_image({"worker": b"worker 1.0"}, base=BASE),
        "worker:1.1": build_image({"worker": b"worker 1.1"}, media="docker"),
        "api:1.0": build_image({"api": b"api 1.0"}, base=BASE),
        "web/front:1.0": build_index([build_image({"web": b"oci"}, platform=name) for name in PLATFORMS]),
        "web/front:1.1": build_index(
            [build_image({"web": b"docker"}, platform=name, media="docker") for name in PLATFORMS], media="docker"
        ),
        "model:1.0": build_image({"model": large}),
    }


def copies_everything(workplace: Workplace, source: SignedIn, target: SignedIn, skopeo: Skopeo) -> None:
    """Plan, apply, plan again; and read back what is there."""
    workplace.sign_in(source, target)
    tags: dict[str, list[str]] = {}
    for name, image in images().items():
        repository, _, tag = name.partition(":")
        push(source.host, f"acme/{repository}", tag, image, source.credentials)
        tags.setdefault(repository, []).append(tag)
    workplace.write(
        target.host,
        *({"name": name, "source": f"{source.host}/acme/{name}", "tags": some} for name, some in tags.items()),
    )
    assert set(workplace.kinds().values()) == {"create"}
    assert f"Apply: {len(images())} created." in workplace.apply().stdout
    assert workplace.is_in_sync()
    for name, image in images().items():
        repository, _, tag = name.partition(":")
        assert skopeo.inspect_raw(f"{target.host}/{workplace.app}/{name}", target.credentials) == image.manifest
        reader = Reader(target.host, f"{workplace.app}/{repository}", target.credentials)
        assert reader.manifest(tag) == image.manifest
        assert reader.is_complete(image)
        for blob in blobs(image):
            assert read(target, f"{workplace.app}/{repository}", blob) == digest_of(blob)


def blobs(image: BuiltImage | BuiltIndex) -> list[bytes]:
    """The layers and configs of an image, of all its platforms."""
    return [blob for one in getattr(image, "images", [image]) for blob in one.blobs.values()]


def read(registry: SignedIn, repository: str, blob: bytes) -> str:
    """The digest of what is there under the digest of `blob`."""
    uploader = Uploader(registry.host, repository, registry.credentials)
    answer = uploader.request("GET", f"/v2/{repository}/blobs/{digest_of(blob)}")
    assert answer.status == 200, answer
    return digest_of(answer.body)


def test_images_are_copied_to_each_registry(
    workplace: Workplace, source: RegistryServer, any_registry: AnyRegistry, skopeo: Skopeo
) -> None:
    copies_everything(workplace, source, any_registry, skopeo)


def test_images_are_copied_from_each_registry(
    workplace: Workplace, start_any_registry: StartAnyRegistry, docker_registry: RegistryServer, skopeo: Skopeo
) -> None:
    copies_everything(workplace, start_any_registry(), docker_registry, skopeo)


def test_a_shared_layer_is_sent_to_one_repository_and_mounted_in_the_other(
    workplace: Workplace, source: RegistryServer, any_registry: AnyRegistry, start_proxy: StartProxy
) -> None:
    seen = start_proxy(any_registry.host)
    target = AnyRegistry(any_registry.kind, seen.host, any_registry.credentials)
    workplace.sign_in(target)
    names = ("api", "worker")
    for name in names:
        push(source.host, f"acme/{name}", "1.0", images()[f"{name}:1.0"])
    workplace.write(
        seen.host, *({"name": name, "source": f"{source.host}/acme/{name}", "tags": ["1.0"]} for name in names)
    )
    workplace.apply()
    (base,) = (digest_of(layer) for layer in BASE.layers)
    if any_registry.kind != "crane_registry":  # it mounts nothing: the layer may be sent again
        assert len(repositories(seen, "digest", base)) == 1
        assert len(repositories(seen, "mount", base)) == 1
    for name in names:
        image = images()[f"{name}:1.0"]
        for blob in blobs(image):
            assert read(any_registry, f"{workplace.app}/{name}", blob) == digest_of(blob)
    assert workplace.is_in_sync()


def repositories(seen: Proxy, parameter: str, digest: str) -> set[str]:
    """Where a blob was sent (`digest`) or mounted (`mount`)."""
    return {
        urlsplit(asked.path).path.partition("/blobs/")[0]
        for asked in seen.asked
        if asked.method in ("POST", "PUT") and digest in parse_qs(urlsplit(asked.path).query).get(parameter, [])
    }


def test_a_source_without_the_repository_or_the_tag_blocks_the_plan(
    workplace: Workplace, start_any_registry: StartAnyRegistry, docker_registry: RegistryServer
) -> None:
    source = start_any_registry()
    workplace.sign_in(source)
    push(source.host, "acme/worker", "1.0", BASE, source.credentials)
    workplace.write(
        docker_registry.host,
        {"name": "worker", "source": f"{source.host}/acme/worker", "tags": ["2.0"]},
        {"name": "api", "source": f"{source.host}/acme/api", "tags": ["1.0"]},
    )
    actions = workplace.actions()
    assert {name: action["kind"] for name, action in actions.items()} == {"worker:2.0": "blocked", "api:1.0": "blocked"}
    for action in actions.values():
        assert "the registry has no such image" in action["reason"], action
