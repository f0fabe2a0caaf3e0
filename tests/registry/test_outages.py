"""A host that turns everything away: each call by itself doesn't use up all its tries."""

import asyncio
from dataclasses import replace

import pytest

from replsync.errors import HostUnreachable, RegistryError, RegistryUnreachable
from tests.registry.clients import AT_ONCE, open_client, tag
from tests.registry.scripted import Reply, Scripted

CALLS = 40
ONE_AT_A_TIME = replace(AT_ONCE, parallelism=1)
ATTEMPTS = AT_ONCE.persistence.attempts
FOUND = Reply(200, b"", {"Docker-Content-Digest": "sha256:" + "a" * 64, "Content-Type": "application/json"})


async def test_what_waited_shares_the_fate_of_the_call_before(scripted: Scripted) -> None:
    for number in range(CALLS):
        scripted.on(f"HEAD /v2/app/worker/manifests/{number}", Reply(429))
    async with open_client(settings=ONE_AT_A_TIME) as client:
        heads = (client.head(tag(scripted.host, str(number))) for number in range(CALLS))
        failures = await asyncio.gather(*heads, return_exceptions=True)
    assert all(isinstance(failure, RegistryError) and failure.status == 429 for failure in failures)
    assert sum("not tried, since" in str(failure) for failure in failures) == CALLS - 1
    assert len(scripted.received) == ATTEMPTS


async def test_later_calls_get_one_try_until_the_host_answers(scripted: Scripted) -> None:
    scripted.on("HEAD /v2/app/worker/manifests/1", Reply(429))
    scripted.on("HEAD /v2/app/worker/manifests/2", FOUND)
    async with open_client(settings=ONE_AT_A_TIME) as client:
        for tries in (ATTEMPTS, 1, 1):
            before = len(scripted.received)
            with pytest.raises(RegistryError, match="answered 429"):
                await client.head(tag(scripted.host))
            assert len(scripted.received) - before == tries
        assert await client.head(tag(scripted.host, "2"))
        before = len(scripted.received)
        with pytest.raises(RegistryError, match="answered 429"):
            await client.head(tag(scripted.host))
        assert len(scripted.received) - before == ATTEMPTS


async def test_a_tag_that_always_fails_takes_no_other_along(scripted: Scripted) -> None:
    scripted.on("HEAD /v2/app/worker/manifests/bad", Reply(500))
    for number in range(CALLS):
        scripted.on(f"HEAD /v2/app/worker/manifests/{number}", FOUND)
    async with open_client(settings=ONE_AT_A_TIME) as client:
        bad = asyncio.create_task(client.head(tag(scripted.host, "bad")))
        good = await asyncio.gather(*(client.head(tag(scripted.host, str(number))) for number in range(CALLS)))
        with pytest.raises(RegistryError, match="answered 500"):
            await bad
    assert all(good)


async def test_a_port_that_nobody_listens_at_is_no_host() -> None:
    async with open_client(settings=ONE_AT_A_TIME) as client:
        heads = (client.head(tag("127.0.0.1:1", str(number))) for number in range(CALLS))
        failures = await asyncio.gather(*heads, return_exceptions=True)
    assert isinstance(failures[0], HostUnreachable)
    assert all(isinstance(failure, RegistryUnreachable) for failure in failures)
    assert sum("not tried, since" in str(failure) for failure in failures) == CALLS - 1
