"""Where credentials are put, and taken from, by the names that Docker has for hosts."""

import json
from pathlib import Path

import pytest

from replsync.registry.credential_storage import CredentialStorage, Place
from replsync.registry.credentials import Credential, CredentialStore
from tests.registry.clients import SECRET
from tests.registry.docker_files import HOST, auth, docker_config, written

ANN = Credential("ann", SECRET, "tests")


def storage(home: Path, **env: str) -> CredentialStorage:
    def write(path: Path, data: bytes) -> None:
        written(path, data)

    return CredentialStorage(env, home, write)


def auths(path: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads(path.read_text())["auths"]
    return content


async def test_docker_hub_is_kept_by_the_address_that_docker_looks_for(tmp_path: Path) -> None:
    path = docker_config(tmp_path, {"auths": {"docker.io": auth("old")}})
    assert await storage(tmp_path).store(ANN, "docker.io") == Place(str(path), is_plain=True)
    assert auths(path) == {"https://index.docker.io/v1/": auth("ann")}
    found = await CredentialStore({}, tmp_path).find("docker.io")
    assert found
    assert found.username == "ann"


async def test_an_old_url_of_the_host_is_not_left_behind(tmp_path: Path) -> None:
    path = docker_config(tmp_path, {"auths": {f"https://{HOST}/v1/": auth("old"), "other.test": auth("bob")}})
    await storage(tmp_path).store(ANN, HOST)
    assert auths(path) == {"other.test": auth("bob"), HOST: auth("ann")}
    await storage(tmp_path).erase(HOST)
    assert auths(path) == {"other.test": auth("bob")}


async def test_an_empty_helper_leaves_the_host_to_the_file(tmp_path: Path) -> None:
    path = docker_config(tmp_path, {"credHelpers": {HOST: ""}, "credsStore": "missing"})
    await storage(tmp_path).store(ANN, HOST)
    assert auths(path) == {HOST: auth("ann")}


async def test_the_file_that_stands_alone_is_written(tmp_path: Path) -> None:
    alone = tmp_path / "alone.json"
    await storage(tmp_path, REGISTRY_AUTH_FILE=str(alone)).store(ANN, HOST)
    assert auths(alone) == {HOST: auth("ann")}
    assert not (tmp_path / ".docker").exists()


async def test_what_is_for_a_part_of_the_host_stays_and_is_named(tmp_path: Path) -> None:
    path = docker_config(tmp_path, {"auths": {f"{HOST}/app": auth("app"), HOST: auth("ann")}})
    there = storage(tmp_path)
    assert await there.erase(HOST) == Place(str(path), is_plain=True)
    assert auths(path) == {f"{HOST}/app": auth("app")}
    assert await there.remaining(HOST) == (f"{path} ({HOST}/app)",)


async def test_where_nothing_is_kept_nothing_is_written(tmp_path: Path) -> None:
    path = docker_config(tmp_path, {"auths": {"other.test": auth("bob")}})
    before = path.read_bytes()
    assert await storage(tmp_path).erase(HOST) is None
    assert path.read_bytes() == before


@pytest.mark.parametrize("auths_of_file", [None, {}])
async def test_a_file_without_credentials_takes_one(tmp_path: Path, auths_of_file: object) -> None:
    path = docker_config(tmp_path, {"auths": auths_of_file})
    await storage(tmp_path).store(ANN, HOST)
    assert auths(path) == {HOST: auth("ann")}
