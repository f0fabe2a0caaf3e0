"""Images in files that other programs wrote, from the manifest to the registry."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.workplace import Workplace
from tests.servers.images import build_image, build_index
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox
from tests.servers.skopeo import Skopeo

AMD = build_image({"a": b"1"}, platform="linux/amd64")
ARM = build_image({"b": b"2"}, platform="linux/arm64")
BOTH = build_index([AMD, ARM])
OTHER = build_image({"c": b"3"})


class Place:
    """A manifest with the image `worker` for a sandbox."""

    def __init__(self, workplace: Workplace, sandbox: RunningSandbox) -> None:
        self.workplace = workplace
        self.sandbox = sandbox
        workplace.sign_in(sandbox)

    @property
    def folder(self) -> Path:
        return self.workplace.folder

    def write(self, *tags: Any, **worker: Any) -> None:
        self.workplace.write(self.sandbox.host, {"name": "worker", "tags": tags, **worker})

    def action(self, tag: str = "1") -> dict[str, Any]:
        return dict(self.workplace.actions()[f"worker:{tag}"])

    def name(self, tag: str = "1") -> str:
        return f"{self.sandbox.host}/{self.workplace.app}/worker:{tag}"

    def digest(self, skopeo: Skopeo, tag: str = "1") -> str:
        return skopeo.digest(self.name(tag), self.sandbox.credentials)

    def config(self, skopeo: Skopeo, tag: str = "1") -> bytes:
        return skopeo.config(self.name(tag), self.sandbox.credentials)

    def assert_pushed(self) -> None:
        self.workplace.apply()
        assert self.workplace.is_in_sync()


@pytest.fixture
def place(workplace: Workplace, sandbox: RunningSandbox) -> Place:
    return Place(workplace, sandbox)


@pytest.fixture
def upstream(docker_registry: RegistryServer, namespace: str) -> Callable[[Any], str]:
    """Pushes an image for other programs to take, and names it."""

    def pushed(image: Any) -> str:
        push(docker_registry.host, f"{namespace}/up", "1", image)
        return f"{docker_registry.host}/{namespace}/up:1"

    return pushed


@pytest.mark.parametrize("transport", ["oci:dist", "oci-archive:dist.tar"])
@pytest.mark.parametrize("image", [AMD, BOTH], ids=["image", "index"])
def test_what_skopeo_wrote_is_pushed_to_the_byte(
    place: Place, skopeo: Skopeo, upstream: Callable[[Any], str], transport: str, image: Any
) -> None:
    kind, _, path = transport.partition(":")
    skopeo.copy(f"docker://{upstream(image)}", f"{kind}:{place.folder / path}:worker:1", "--all", "--preserve-digests")
    place.write({"tag": "1", "source": transport})
    action = place.action()
    assert (action["kind"], action["after"]["digest"]) == ("create", image.digest)
    assert action["source"]["reference"] == transport
    place.assert_pushed()
    assert place.digest(skopeo) == image.digest


def test_what_skopeo_saved_is_pushed(place: Place, skopeo: Skopeo, upstream: Callable[[Any], str]) -> None:
    skopeo.copy(f"docker://{upstream(AMD)}", f"docker-archive:{place.folder / 'dist.tar'}:acme/worker:1")
    place.write({"tag": "1", "source": "docker-archive:dist.tar"})
    action = place.action()
    assert (action["kind"], action["after"]["digest"], action["after"]["config"]) == ("create", None, AMD.config_digest)
    place.assert_pushed()
    assert place.config(skopeo) == AMD.config
