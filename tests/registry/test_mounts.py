"""Taking a blob over from another repository of the same registry."""

import pytest

from replsync.errors import RegistryUnreachable
from replsync.registry.client import RegistryClient
from tests.registry.clients import blob_of, repository, uploads
from tests.registry.scripted import Reply, Scripted, refusal

DATA = blob_of(b"data")
_, POST, _ = uploads(DATA.digest)


@pytest.mark.parametrize(
    "answer", [refusal(400, "UNSUPPORTED"), refusal(403, "DENIED"), refusal(404), refusal(405), Reply(500)]
)
async def test_a_mount_that_is_refused_is_no_failure(scripted: Scripted, client: RegistryClient, answer: Reply) -> None:
    scripted.on(POST, answer)
    assert not await client.mount(repository(scripted.host), DATA.digest, repository(scripted.host, "app/base"))


async def test_a_mount_names_blob_and_repository(scripted: Scripted, client: RegistryClient) -> None:
    scripted.on(POST, Reply(201))
    assert await client.mount(repository(scripted.host), DATA.digest, repository(scripted.host, "app/base"))
    assert scripted.received[0].path.partition("?")[2] == f"mount=sha256%3A{DATA.digest[7:]}&from=app%2Fbase"


async def test_a_mount_at_a_registry_that_is_gone_is_a_failure(client: RegistryClient) -> None:
    with pytest.raises(RegistryUnreachable):
        await client.mount(repository("127.0.0.1:1"), DATA.digest, repository("127.0.0.1:1", "app/base"))
