"""Bytes that may be held at once."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from replsync.apply.allowance import Allowance


async def test_who_fits_in_does_not_wait() -> None:
    allowance = Allowance(10)
    async with asyncio.timeout(5), allowance.of(4), allowance.of(6), allowance.of(0):
        pass


async def test_who_does_not_fit_in_waits_for_room() -> None:
    allowance = Allowance(10)
    entered = asyncio.Event()

    async def enter() -> None:
        async with allowance.of(5):
            entered.set()

    async with allowance.of(4):
        async with allowance.of(6):
            waiting = asyncio.create_task(enter())
            for _ in range(5):
                await asyncio.sleep(0)
            assert not entered.is_set()
        await waiting
    assert entered.is_set()


async def test_what_is_larger_than_all_waits_until_nothing_else_is_held() -> None:
    allowance = Allowance(10)
    async with asyncio.timeout(5), allowance.of(1000):
        waiting = asyncio.create_task(allowance.of(1).__aenter__())
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5), st.booleans()), max_size=30))
def test_never_is_more_held_than_allowed_and_all_get_their_turn(visits: list[tuple[int, int, bool]]) -> None:
    held, entered = 0, 0

    async def check() -> None:
        allowance = Allowance(10)

        async def visit(size: int, turns: int) -> None:
            nonlocal held, entered
            async with allowance.of(size):
                held += min(size, 10)
                entered += 1
                assert held <= 10
                try:
                    for _ in range(turns):
                        await asyncio.sleep(0)
                finally:
                    held -= min(size, 10)

        tasks = [asyncio.create_task(visit(size, turns)) for size, turns, _ in visits]
        await asyncio.sleep(0)
        for task, (_, _, is_cancelled) in zip(tasks, visits, strict=True):
            if is_cancelled:
                task.cancel()
        async with asyncio.timeout(5):
            done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(one is None or isinstance(one, asyncio.CancelledError) for one in done)
        assert entered >= sum(not is_cancelled for _, _, is_cancelled in visits)
        async with asyncio.timeout(5), allowance.of(10):
            pass  # all of it is free again

    asyncio.run(check())
