"""How much of a blob goes into one request."""

from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from replsync.registry.chunk_size import FIRST, ChunkBounds, ChunkSize

MB = 1_000_000
BOUNDS = ChunkBounds(smallest=1 * MB, largest=400 * MB, seconds=5)
PLENTY = 10**12

Event: TypeAlias = tuple[str, int, float]
bounds = st.builds(
    lambda smallest, more, seconds: ChunkBounds(smallest, smallest + more, seconds),
    st.integers(1, 10**8),
    st.integers(0, 10**9),
    st.floats(0.01, 100),
)
events = st.lists(
    st.tuples(st.sampled_from(["took", "cut off", "cut off for good"]), st.integers(1, 2 * 10**9), st.floats(0, 10**4)),
    max_size=20,
)


def learn(chunk: ChunkSize, events: list[Event]) -> None:
    for kind, size, seconds in events:
        if kind == "took":
            chunk.took(size, seconds)
        else:
            chunk.was_cut_off(size, seconds, for_good=kind == "cut off for good")


def test_the_first_request_of_a_large_blob_is_of_some_megabytes() -> None:
    assert ChunkSize(ChunkBounds()).of(PLENTY) == FIRST


def test_a_blob_that_fits_a_request_is_one() -> None:
    assert ChunkSize(ChunkBounds()).of(10 * MB) == 10 * MB


def test_a_small_rest_is_no_request_of_its_own() -> None:
    assert ChunkSize(ChunkBounds()).of(FIRST + FIRST // 10) == FIRST + FIRST // 10
    assert ChunkSize(ChunkBounds()).of(FIRST + FIRST // 4) == FIRST


def test_not_even_a_small_rest_goes_over_the_largest() -> None:
    chunk = ChunkSize(ChunkBounds(smallest=10, largest=100))
    assert chunk.of(101) == 100


def test_requests_come_to_take_the_seconds_that_are_wanted() -> None:
    chunk = ChunkSize(BOUNDS)
    rate = 10 * MB
    for _ in range(5):
        size = chunk.of(PLENTY)
        chunk.took(size, size / rate)
    assert chunk.of(PLENTY) == 50 * MB


def test_one_quick_answer_makes_the_next_request_eight_times_larger_at_most() -> None:
    chunk = ChunkSize(BOUNDS)
    chunk.took(2 * MB, 0)
    assert chunk.of(PLENTY) == 16 * MB


def test_a_slow_answer_makes_the_next_request_smaller() -> None:
    chunk = ChunkSize(BOUNDS)
    chunk.took(FIRST, 50)
    assert chunk.of(PLENTY) == FIRST // 10


def test_a_tiny_rest_says_nothing_of_the_speed() -> None:
    chunk = ChunkSize(BOUNDS)
    chunk.took(100 * MB, 5)
    chunk.took(100, 1)
    assert chunk.of(PLENTY) == 100 * MB


def test_what_was_cut_off_is_tried_in_half() -> None:
    chunk = ChunkSize(BOUNDS)
    assert chunk.was_cut_off(FIRST, 1, for_good=False)
    assert chunk.of(PLENTY) == FIRST // 2


def test_what_took_much_too_long_is_tried_in_much_less() -> None:
    chunk = ChunkSize(BOUNDS)
    chunk.was_cut_off(FIRST, 100, for_good=True)
    assert chunk.of(PLENTY) == BOUNDS.smallest


def test_a_broken_connection_is_forgotten_in_time() -> None:
    chunk = ChunkSize(BOUNDS)
    chunk.was_cut_off(FIRST, 1, for_good=False)
    for _ in range(5):
        chunk.took(chunk.of(PLENTY), 0.001)
    assert chunk.of(PLENTY) == BOUNDS.largest


def test_what_a_proxy_cut_off_is_smaller_for_good() -> None:
    chunk = ChunkSize(BOUNDS)
    chunk.was_cut_off(FIRST, 1, for_good=True)
    for _ in range(5):
        chunk.took(chunk.of(PLENTY), 0.001)
    assert chunk.of(PLENTY) == FIRST // 2
    assert chunk.of(FIRST // 2 + 1) == FIRST // 2  # nor with a small rest


def test_requests_that_are_as_small_as_may_be_can_be_made_no_smaller() -> None:
    chunk = ChunkSize(BOUNDS)
    assert not chunk.was_cut_off(BOUNDS.smallest, 100, for_good=True)


def test_what_the_registry_wants_at_least_goes_before_all_else() -> None:
    chunk = ChunkSize(ChunkBounds(smallest=10, largest=100))
    assert chunk.of(1000, at_least=500) == 500
    assert chunk.of(400, at_least=500) == 400


@given(bounds, events, st.integers(1, 10**12), st.integers(0, 10**10))
def test_a_request_is_never_outside_of_its_bounds(
    bounds: ChunkBounds, events: list[Event], left: int, at_least: int
) -> None:
    chunk = ChunkSize(bounds)
    learn(chunk, events)
    size = chunk.of(left, at_least)
    assert 0 < size <= left
    assert size <= max(bounds.largest, at_least)
    assert size == left or size >= max(bounds.smallest, at_least)


@given(bounds, events, st.integers(1, 2 * 10**9), st.floats(0, 10**4), st.booleans())
def test_after_a_cut_the_next_request_is_half_of_it_at_most(
    bounds: ChunkBounds, events: list[Event], size: int, seconds: float, for_good: bool
) -> None:
    chunk = ChunkSize(bounds)
    learn(chunk, events)
    before = chunk.of(PLENTY)
    was_more_than_may_be = chunk.was_cut_off(size, seconds, for_good=for_good)
    assert was_more_than_may_be == (size > bounds.smallest)
    assert chunk.of(PLENTY) <= before
    if was_more_than_may_be:
        assert chunk.of(PLENTY) <= max(size // 2, bounds.smallest)


@given(bounds, events, st.integers(1, 2 * 10**9), events)
def test_after_a_cut_for_good_no_request_is_larger(
    bounds: ChunkBounds, before: list[Event], size: int, after: list[Event]
) -> None:
    chunk = ChunkSize(bounds)
    learn(chunk, [*before, ("cut off for good", size, 1), *after])
    assert chunk.of(PLENTY) <= max(size // 2, bounds.smallest) or size <= bounds.smallest


@given(bounds, st.lists(st.floats(0, 100), max_size=20))
def test_no_request_is_more_than_eight_times_larger_than_any_before(bounds: ChunkBounds, seconds: list[float]) -> None:
    chunk = ChunkSize(bounds)
    largest = chunk.of(PLENTY)
    for each in seconds:
        size = chunk.of(PLENTY)
        assert size <= max(8 * largest, bounds.smallest)
        largest = max(largest, size)
        chunk.took(size, each)
