import pytest

from broadcaster.client.retries import Retries


def test_each_try_waits_longer_up_to_half_a_minute() -> None:
    retries = Retries(lambda: 1.0)

    assert [retries.after(None, lasted=0.0) for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_connection_that_lasted_starts_over() -> None:
    retries = Retries(lambda: 1.0)
    for _ in range(5):
        retries.after(None, lasted=0.0)

    assert retries.after(None, lasted=60.0) == 1.0


@pytest.mark.parametrize("dice", [0.0, 0.5, 1.0])
def test_at_least_half_of_the_pause_is_certain(dice: float) -> None:
    assert 0.5 <= Retries(lambda: dice).after(4100, lasted=60.0) <= 1.0


def test_at_once_is_at_once_but_not_twice_in_a_row() -> None:
    retries = Retries(lambda: 1.0)

    assert retries.after(4200, lasted=60.0) == 0.2
    assert retries.after(4200, lasted=0.1) == 2.0


def test_a_server_that_sends_everybody_away_at_once_is_not_called_in_a_loop() -> None:
    assert Retries(lambda: 0.0).after(4200, lasted=0.0) == 0.5
