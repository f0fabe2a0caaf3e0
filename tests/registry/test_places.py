"""How many things go on at once with one host, and who is next."""

import asyncio
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from replsync.registry.places import Places


class Visitor:
    """Takes a place and keeps it until it is told to go."""

    def __init__(self, places: Places, came: Callable[["Visitor"], None], wanted_by: int | None = None) -> None:
        self.is_inside = False
        self.wanted_by = wanted_by
        self._places = places
        self._came = came
        self._go = asyncio.Event()
        self.task = asyncio.create_task(self._visit())

    async def _visit(self) -> None:
        async with self._places.one(None if self.wanted_by is None else lambda: self.wanted_by or 0):
            self.is_inside = True
            self._came(self)
            try:
                await self._go.wait()
            finally:
                self.is_inside = False

    def go(self) -> None:
        self._go.set()


class Hall:
    """Places, the visitors in the order in which they came in, and a clock that stands still."""

    def __init__(self, most: int, start: int = 8) -> None:
        self.now = 0.0
        self.places = Places(most, start=start, clock=lambda: self.now)
        self.came: list[Visitor] = []

    @property
    def inside(self) -> int:
        return sum(one.is_inside for one in self.came)

    async def visit(self, wanted_by: int | None = None) -> Visitor:
        visitor = Visitor(self.places, self.came.append, wanted_by)
        await settle()
        return visitor


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def crowd(hall: Hall, number: int) -> list[Visitor]:
    return [await hall.visit() for _ in range(number)]


async def close(visitors: list[Visitor]) -> None:
    for visitor in visitors:
        visitor.task.cancel()
    await asyncio.gather(*(visitor.task for visitor in visitors), return_exceptions=True)


async def test_there_are_eight_places_at_first() -> None:
    hall = Hall(most=32)
    visitors = await crowd(hall, 20)
    assert (hall.inside, hall.places.limit) == (8, 8)
    await close(visitors)


async def test_there_are_never_more_places_than_settings_say() -> None:
    hall = Hall(most=3)
    visitors = await crowd(hall, 5)
    assert hall.inside == 3
    for _ in range(100):
        hall.places.went_well(0.01)
    await settle()
    assert (hall.inside, hall.places.limit) == (3, 3)
    await close(visitors)


async def test_a_round_of_quick_answers_doubles_the_places() -> None:
    hall = Hall(most=64)
    visitors = await crowd(hall, 40)
    for _ in range(8):
        hall.places.went_well(0.01)
    await settle()
    assert (hall.inside, hall.places.limit) == (16, 16)
    for _ in range(16):
        hall.places.went_well(0.01)
    assert hall.places.limit == 32
    await close(visitors)


async def test_nothing_is_learnt_where_nobody_waits() -> None:
    hall = Hall(most=64)
    visitors = await crowd(hall, 8)
    for _ in range(8):
        hall.places.went_well(0.01)
    assert hall.places.limit == 8
    await close(visitors)


async def test_slow_answers_make_no_places() -> None:
    hall = Hall(most=64)
    visitors = await crowd(hall, 20)
    hall.places.went_well(0.1)
    for _ in range(8):
        hall.places.went_well(0.5)
    assert hall.places.limit == 9
    await close(visitors)


async def test_what_is_far_away_is_not_slow() -> None:
    hall = Hall(most=64)
    visitors = await crowd(hall, 20)
    for _ in range(8):
        hall.places.went_well(1.0)
    assert hall.places.limit == 16
    await close(visitors)


async def test_trouble_halves_the_places_once_for_all_that_was_under_way() -> None:
    hall = Hall(most=64)
    hall.now = 10
    for _ in range(8):
        hall.places.had_trouble(begun=5)
    assert hall.places.limit == 4


async def test_what_began_after_a_cut_cuts_again() -> None:
    hall = Hall(most=64)
    hall.now = 10
    hall.places.had_trouble(begun=5)
    hall.now = 20
    hall.places.had_trouble(begun=10)
    assert hall.places.limit == 2


async def test_there_is_always_one_place() -> None:
    hall = Hall(most=64)
    for _ in range(10):
        hall.now += 1
        hall.places.had_trouble(begun=hall.now)
    visitor = await hall.visit()
    assert (hall.inside, hall.places.limit) == (1, 1)
    await close([visitor])


async def test_whoever_has_a_place_keeps_it_in_trouble_and_nobody_gets_another() -> None:
    hall = Hall(most=64)
    visitors = await crowd(hall, 10)
    hall.places.had_trouble(begun=0)
    assert hall.inside == 8
    for visitor in visitors[:4]:
        visitor.go()
    await settle()
    assert hall.inside == 4
    visitors[4].go()
    await settle()
    assert hall.inside == 4
    assert hall.came[-1] is visitors[8]
    await close(visitors)


async def test_after_trouble_the_places_grow_by_one_a_round() -> None:
    hall = Hall(most=64)
    visitors = await crowd(hall, 40)
    hall.places.had_trouble(begun=0)
    for limit in (4, 5, 6):
        assert hall.places.limit == limit
        answers = 0
        while hall.places.limit == limit:
            hall.places.went_well(0.01)
            answers += 1
        assert limit <= answers <= limit + 1
    await close(visitors)


async def test_who_came_first_goes_first() -> None:
    hall = Hall(most=1)
    visitors = await crowd(hall, 5)
    for visitor in visitors:
        visitor.go()
        await settle()
    assert hall.came == visitors


async def test_the_most_wanted_goes_first_and_of_those_who_came_first() -> None:
    hall = Hall(most=1)
    first = await hall.visit(0)
    one, three, other, two = [await hall.visit(wanted_by) for wanted_by in (1, 3, 3, 2)]
    for visitor in (first, three, other, two, one):
        visitor.go()
        await settle()
    assert hall.came == [first, three, other, two, one]


async def test_by_how_many_one_is_wanted_counts_when_a_place_is_free() -> None:
    hall = Hall(most=1)
    first, one, other = [await hall.visit(wanted_by) for wanted_by in (0, 2, 1)]
    other.wanted_by = 5
    first.go()
    await settle()
    assert hall.came == [first, other]
    await close([one, other])


async def test_who_stops_waiting_is_passed_over() -> None:
    hall = Hall(most=1)
    first, second, third = await crowd(hall, 3)
    second.task.cancel()
    first.go()
    await settle()
    assert hall.came == [first, third]
    await close([third])


async def test_who_stops_waiting_as_a_place_becomes_free_does_not_get_it() -> None:
    hall = Hall(most=1)
    first, second, third = await crowd(hall, 3)
    first.go()
    second.task.cancel()  # neither of the two has taken a step yet
    await settle()
    assert first.task.result() is None
    assert hall.came == [first, third]
    await close([third])


async def test_a_place_that_was_just_given_to_who_stops_waiting_goes_to_the_next() -> None:
    hall = Hall(most=1)
    first, second, third = await crowd(hall, 3)
    first.go()
    await asyncio.sleep(0)  # it has just left: the second was given its place, and doesn't know yet
    assert not first.is_inside
    assert not second.is_inside
    second.task.cancel()
    await settle()
    assert hall.came == [first, third]
    await close([third])


class AnyCourse(RuleBasedStateMachine):
    """Whatever happens, nobody comes in where there is no place, and nobody waits while there is one."""

    visitors: Bundle[Visitor] = Bundle("visitors")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.hall = Hall(most=6, start=3)
        self.all: list[Visitor] = []

    def teardown(self) -> None:
        self.loop.run_until_complete(close(self.all))
        self.loop.close()

    def came_in(self, visitor: Visitor) -> None:
        self.hall.came.append(visitor)
        assert self.hall.inside <= self.hall.places.limit

    def settle(self) -> None:
        self.loop.run_until_complete(settle())
        for visitor in self.all:
            if visitor.task.done() and not visitor.task.cancelled():
                visitor.task.result()  # raises what went wrong in it

    @rule(target=visitors, wanted_by=st.none() | st.integers(0, 5))
    def visit(self, wanted_by: int | None) -> Visitor:
        async def start() -> Visitor:
            return Visitor(self.hall.places, self.came_in, wanted_by)

        visitor = self.loop.run_until_complete(start())
        self.all.append(visitor)
        self.settle()
        return visitor

    @rule(visitor=consumes(visitors))
    def leave(self, visitor: Visitor) -> None:
        visitor.go()
        self.settle()

    @rule(leaving=consumes(visitors), cancelled=consumes(visitors), turns=st.integers(0, 4))
    def leave_and_cancel(self, leaving: Visitor, cancelled: Visitor, turns: int) -> None:
        leaving.go()
        for _ in range(turns):
            self.loop.run_until_complete(asyncio.sleep(0))
        cancelled.task.cancel()
        self.settle()

    @rule(cancelled=st.lists(consumes(visitors), max_size=4))
    def cancel(self, cancelled: list[Visitor]) -> None:
        for visitor in cancelled:
            visitor.task.cancel()
        self.settle()

    @rule(seconds=st.floats(0, 2))
    def answer(self, seconds: float) -> None:
        self.hall.places.went_well(seconds)
        self.settle()

    @rule(ago=st.floats(0, 3))
    def trouble(self, ago: float) -> None:
        self.hall.now += 1
        self.hall.places.had_trouble(self.hall.now - ago)
        self.settle()

    @invariant()
    def there_is_a_place_or_nobody_waits(self) -> None:
        limit = self.hall.places.limit
        waiting = sum(not one.task.done() and not one.is_inside for one in self.all)
        assert 1 <= limit <= 6
        assert not waiting or self.hall.inside >= limit


AnyCourse.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestAnyCourse = AnyCourse.TestCase
