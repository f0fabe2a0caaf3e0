"""Credentials from files."""

import base64
from pathlib import Path

import pytest

from replsync.errors import InvalidInput, SignInError
from replsync.registry.credentials import Credential, CredentialStore
from tests.registry.clients import SECRET
from tests.registry.docker_files import HOST, auth, docker_config, written


async def found(home: Path, host: str = HOST, repository: str = "", **env: str) -> Credential | None:
    return await CredentialStore(env, home).find(host, repository)


async def who(home: Path, host: str = HOST, repository: str = "", **env: str) -> str | None:
    credential = await found(home, host, repository, **env)
    return credential.username if credential else None


async def test_no_file_is_no_credential(tmp_path: Path) -> None:
    assert await found(tmp_path) is None


async def test_dockers_file_has_user_and_password_in_base64(tmp_path: Path) -> None:
    path = docker_config(tmp_path, {"auths": {HOST: auth("ann", "with:colons and ünicode")}})
    assert await found(tmp_path) == Credential("ann", "with:colons and ünicode", f"{path} ({HOST})")


async def test_user_and_password_may_stand_apart(tmp_path: Path) -> None:
    docker_config(tmp_path, {"auths": {HOST: {"username": "ann", "password": SECRET}}})
    credential = await found(tmp_path)
    assert credential
    assert (credential.username, credential.password) == ("ann", SECRET)


async def test_padding_of_old_docker_versions_is_no_part_of_a_password(tmp_path: Path) -> None:
    docker_config(tmp_path, {"auths": {HOST: auth("ann", "secret\0\0")}})
    credential = await found(tmp_path)
    assert credential
    assert credential.password == "secret"


async def test_an_identity_token_goes_before_a_password(tmp_path: Path) -> None:
    docker_config(tmp_path, {"auths": {HOST: {**auth(), "identitytoken": "idt"}}})
    credential = await found(tmp_path)
    assert credential
    assert (credential.password, credential.is_identity_token) == ("idt", True)


@pytest.mark.parametrize(
    ("key", "host"),
    [
        (HOST, HOST),
        (f"https://{HOST}", HOST),
        (f"https://{HOST}/v1/", HOST),
        (f"http://{HOST}/v2/", HOST),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
    ],
)
async def test_keys_that_name_a_host(tmp_path: Path, key: str, host: str) -> None:
    docker_config(tmp_path, {"auths": {key: auth()}})
    assert await who(tmp_path, host, "app/worker") == "ann"


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("example.com", HOST),
        (HOST, "example.com"),
        (f"evil.{HOST}", HOST),
        (HOST, f"{HOST}:5000"),
        (f"{HOST}:5000", HOST),
        ("docker.io", "docker.io.evil.test"),
        ("docker.io", "auth.docker.io"),
    ],
)
async def test_a_credential_is_for_no_other_host(tmp_path: Path, key: str, host: str) -> None:
    docker_config(tmp_path, {"auths": {key: auth()}})
    assert await found(tmp_path, host) is None


@pytest.mark.parametrize(
    ("repository", "user"),
    [
        ("app/worker", "worker"),
        ("app/worker/deep", "worker"),
        ("app/other", "app"),
        ("app", "app"),
        ("apple/worker", "host"),
        ("other", "host"),
        ("", "host"),
    ],
)
async def test_the_most_specific_of_podmans_keys_wins(tmp_path: Path, repository: str, user: str) -> None:
    keys = {HOST: auth("host"), f"{HOST}/app": auth("app"), f"{HOST}/app/worker": auth("worker")}
    docker_config(tmp_path, {"auths": keys})
    assert await who(tmp_path, HOST, repository) == user


async def test_a_namespace_called_v1_is_no_version_of_the_api(tmp_path: Path) -> None:
    docker_config(tmp_path, {"auths": {f"{HOST}/app/v1": auth()}})
    assert await found(tmp_path, HOST, "app/worker") is None


@pytest.mark.parametrize("order", [1, -1])
async def test_the_exact_key_wins_over_an_old_url(tmp_path: Path, order: int) -> None:
    keys = [(f"https://{HOST}/v1/", auth("old")), (HOST, auth("new"))]
    docker_config(tmp_path, {"auths": dict(keys[::order])})
    assert await who(tmp_path) == "new"


async def test_an_empty_entry_is_no_credential(tmp_path: Path) -> None:
    docker_config(tmp_path, {"auths": {HOST: {}}})
    assert await found(tmp_path) is None


@pytest.mark.parametrize("content", [{}, {"auths": None}, {"auths": []}, {"auths": {HOST: None}}, {"auths": {HOST: 5}}])
async def test_a_file_without_credentials_has_none(tmp_path: Path, content: object) -> None:
    docker_config(tmp_path, content)
    assert await found(tmp_path) is None


async def test_files_are_looked_at_in_order(tmp_path: Path) -> None:
    runtime, config, docker = tmp_path / "run", tmp_path / "xdg", tmp_path / "docker"
    env = {"XDG_RUNTIME_DIR": str(runtime), "XDG_CONFIG_HOME": str(config), "DOCKER_CONFIG": str(docker)}
    for number, path in enumerate(
        (config / "containers" / "auth.json", runtime / "containers" / "auth.json", docker / "config.json")
    ):
        written(path, {"auths": {HOST: auth(f"user{number}")}})
        assert await who(tmp_path, **env) == f"user{number}"


async def test_a_file_without_the_host_leaves_it_to_the_next(tmp_path: Path) -> None:
    docker_config(tmp_path, {"auths": {"other.example.com": auth("other")}})
    written(tmp_path / ".config" / "containers" / "auth.json", {"auths": {HOST: auth("podman")}})
    assert await who(tmp_path) == "podman"


async def test_docker_config_replaces_the_file_in_the_home_folder(tmp_path: Path) -> None:
    docker_config(tmp_path, {"auths": {HOST: auth()}})
    assert await found(tmp_path, DOCKER_CONFIG=str(tmp_path / "elsewhere")) is None


async def test_registry_auth_file_stands_alone(tmp_path: Path) -> None:
    docker_config(tmp_path, {"auths": {HOST: auth("home"), "other.example.com": auth("home")}})
    alone = written(tmp_path / "alone.json", {"auths": {HOST: auth("alone")}})
    assert await who(tmp_path, REGISTRY_AUTH_FILE=str(alone)) == "alone"
    assert await who(tmp_path, "other.example.com", REGISTRY_AUTH_FILE=str(alone)) is None


async def test_what_the_files_do_not_know_is_looked_up_among_the_others(tmp_path: Path) -> None:
    docker_config(tmp_path, {"auths": {HOST: auth("file")}})
    extra = {host: Credential("extra", "x", "$TOKEN") for host in (HOST, "other.example.com")}
    store = CredentialStore({}, tmp_path, extra)
    assert [one and one.username for one in (await store.find(HOST), await store.find("other.example.com"))] == [
        "file",
        "extra",
    ]


@pytest.mark.parametrize(
    "content", [b"", b"not JSON " + SECRET.encode(), b"\xff\xfe", b"[]", b'"text"', b"[" * 100_000]
)
async def test_a_file_that_is_no_json_object_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = docker_config(tmp_path, content)
    with pytest.raises(InvalidInput, match="read credentials from") as caught:
        await found(tmp_path)
    assert str(path) in caught.value.message
    assert SECRET not in caught.value.message


async def test_a_folder_in_the_files_place_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / ".docker" / "config.json").mkdir(parents=True)
    with pytest.raises(InvalidInput, match=r"config\.json: Is a directory"):
        await found(tmp_path)


@pytest.mark.parametrize(
    "encoded",
    [SECRET, f"{SECRET}=", base64.b64encode(b"\xff:\xff").decode(), base64.b64encode(SECRET.encode()).decode()],
)
async def test_a_bad_auth_is_an_error_without_the_secret(tmp_path: Path, encoded: str) -> None:
    docker_config(tmp_path, {"auths": {HOST: {"auth": encoded}}})
    with pytest.raises(InvalidInput, match=f"read credentials for {HOST} from .*`auth`") as caught:
        await found(tmp_path)
    shown = f"{caught.value!r} {caught.value.hint} {caught.value.__cause__}"
    assert encoded not in shown
    assert SECRET not in shown


async def test_a_bad_auth_of_another_host_does_not_matter(tmp_path: Path) -> None:
    docker_config(tmp_path, {"auths": {HOST: auth(), "other.example.com": {"auth": "?"}}})
    assert await who(tmp_path) == "ann"


async def test_secrets_are_in_no_repr(tmp_path: Path) -> None:
    docker_config(tmp_path, {"auths": {HOST: auth()}})
    store = CredentialStore({}, tmp_path)
    credential = await store.find(HOST)
    shown = f"{credential!r} {credential} {store!r}"
    assert "ann" in shown
    assert SECRET not in shown
    assert auth()["auth"] not in shown


async def test_a_file_is_read_once(tmp_path: Path) -> None:
    path = docker_config(tmp_path, {"auths": {HOST: auth("first")}})
    store = CredentialStore({}, tmp_path)
    assert await store.find(HOST)
    written(path, {"auths": {HOST: auth("second")}})
    again = await store.find(HOST)
    assert again
    assert again.username == "first"


@pytest.mark.parametrize("entry", [{"username": "ann\ud800", "password": SECRET}, {"identitytoken": SECRET + "\udfff"}])
async def test_what_is_no_text_is_an_error_without_the_secret(tmp_path: Path, entry: dict[str, str]) -> None:
    path = docker_config(tmp_path, {"auths": {HOST: entry}})
    with pytest.raises(InvalidInput, match=f"^use the credential from {path} .*: it holds characters") as caught:
        await found(tmp_path)
    assert SECRET not in f"{caught.value} {caught.value.hint} {caught.value.__cause__!r} {caught.value.__context__!r}"


async def test_a_variable_that_is_no_text_is_an_error_that_names_it(tmp_path: Path) -> None:
    extra = {HOST: Credential("replsync", "\udcff", "$TOKEN")}
    with pytest.raises(InvalidInput, match=r"^use the credential from \$TOKEN: it holds characters"):
        await CredentialStore({}, tmp_path, extra).find(HOST)


async def test_a_secret_in_the_place_of_a_helper_is_not_shown(tmp_path: Path) -> None:
    docker_config(tmp_path, {"credsStore": [SECRET]})
    with pytest.raises(SignInError, match=r"^ask the credential helper for ") as caught:
        await found(tmp_path)
    assert SECRET not in f"{caught.value} {caught.value.hint}"
