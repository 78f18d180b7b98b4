from __future__ import annotations

from collections.abc import Awaitable, Callable

from broadcaster.transactions import Transaction, Transactions


class Remembered:
    """A transaction that keeps what is to be done after it."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], None], Callable[[], Awaitable[None]]]] = []

    def after_commit(self, carry: Callable[[], None], acarry: Callable[[], Awaitable[None]]) -> None:
        self.waiting.append((carry, acarry))


def test_without_finders_no_transaction_is_open() -> None:
    assert Transactions().current() is None


def test_the_first_finder_that_knows_of_one_decides() -> None:
    first, second = Remembered(), Remembered()
    transactions = Transactions()

    transactions.follow(lambda: None)
    transactions.follow(lambda: first)
    transactions.follow(lambda: second)

    assert transactions.current() is first


def test_a_finder_that_is_followed_twice_is_asked_once() -> None:
    asked: list[str] = []

    def find() -> Transaction | None:
        asked.append("asked")
        return None

    transactions = Transactions()
    transactions.follow(find)
    transactions.follow(find)

    assert transactions.current() is None
    assert asked == ["asked"]
