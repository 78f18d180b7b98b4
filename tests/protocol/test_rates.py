from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broadcaster.protocol.rates import Bucket


def test_a_burst_passes_and_then_as_many_as_come_back() -> None:
    bucket = Bucket()

    def taken(now: float, asked: int) -> int:
        return sum(bucket.take(now, per_second=2, burst=5) for _ in range(asked))

    assert [taken(100, 10), taken(100.4, 10), taken(101, 10), taken(200, 10)] == [5, 0, 2, 5]


def test_without_a_rate_everything_passes() -> None:
    bucket = Bucket()

    assert all(bucket.take(0, per_second=0, burst=0) for _ in range(1_000))


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing() -> None:
    bucket = Bucket()
    bucket.take(100, per_second=1, burst=2)

    assert bucket.take(50, per_second=1, burst=2)
    assert not bucket.take(50, per_second=1, burst=2)


@given(st.lists(st.floats(0, 3), max_size=60))
def test_in_any_time_no_more_pass_than_the_burst_and_the_rate_allow(pauses: list[float]) -> None:
    bucket, now, passed = Bucket(), 0.0, 0

    for pause in pauses:
        now += pause
        passed += bucket.take(now, per_second=2, burst=5)
        assert passed <= 5 + 2 * now + 1e-6
