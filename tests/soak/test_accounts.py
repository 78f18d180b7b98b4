from __future__ import annotations

from tests.soak.accounts import Account, Heard, Record, Window, account

WINDOWS = [Window(10.0, 20.0), Window(70.0, 80.0)]
SENT = {"news": [5.0, 9.0, 15.0, 25.0, 75.0, 90.0]}
"""Outside, just before the first window, in it, outside, in the second one, outside."""


def record(*numbers: int, gaps: tuple[float, ...] = (), away: tuple[tuple[float, float], ...] = ()) -> Record:
    heard = Heard(gaps=list(gaps))
    for number in numbers:
        heard.add(number, SENT["news"][number] + 0.5)
    return Record({"news": heard}, list(away))


def figures(*records: Record) -> dict[int | None, Account]:
    return account(SENT, records, WINDOWS, seconds=3.0)


def test_who_hears_everything_once_has_lost_nothing() -> None:
    found = figures(record(0, 1, 2, 3, 4, 5), record(5, 4, 3, 2, 1, 0))

    assert found == {
        0: Account(sent=2, expected=4, delivered=4, slowest=0.5),
        1: Account(sent=1, expected=2, delivered=2, slowest=0.5),
        None: Account(sent=3, expected=6, delivered=6, slowest=0.5),
    }


def test_a_message_belongs_to_the_window_that_it_was_sent_in_or_just_before() -> None:
    found = figures(record())

    assert {place: account.lost for place, account in found.items()} == {0: 2, 1: 1, None: 3}


def test_what_is_lost_and_what_comes_twice_is_counted_for_all_and_for_the_worst_off() -> None:
    found = figures(record(0, 1, 2, 3, 3, 4, 5, 5), record(0, 0, 1, 2, 4), record(1, 2, 3, 4, 5))[None]

    assert (found.expected, found.delivered) == (9, 6)
    assert (found.lost, found.most_lost) == (3, 2)
    assert (found.duplicated, found.most_duplicated) == (3, 2)


def test_what_is_lost_inside_a_window_is_not_lost_outside() -> None:
    found = figures(record(0, 1, 3, 4, 4, 5))

    assert (found[0].lost, found[1].duplicated) == (1, 1)
    assert (found[None].lost, found[None].duplicated) == (0, 0)


def test_who_was_connected_when_something_was_lost_is_told_from_who_was_away() -> None:
    found = figures(record(0, 1, 3, 4, 5, away=((14.5, 16.0),)), record(0, 1, 3, 4, 5, away=((17.0, 18.0),)))

    assert (found[0].lost, found[0].lost_there) == (2, 1)


def test_a_gap_that_is_told_after_the_loss_and_in_its_window_makes_it_no_silent_one() -> None:
    told, too_early, too_late = (record(0, 1, 3, 4, 5, gaps=(at,)) for at in (16.0, 14.0, 76.0))

    assert figures(told)[0].lost_silently == 0
    assert figures(too_early)[0].lost_silently == 1
    assert figures(too_late)[0].lost_silently == 1


def test_nobody_hears_of_a_loss_that_no_gap_is_told_of() -> None:
    assert figures(record(0, 1, 2, 4, 5))[None].lost_silently == 1


def test_the_first_and_the_last_client_that_come_back_tell_how_long_it_took() -> None:
    records = [record(away=((10.1, 11.0),)), record(away=((10.2, 12.5), (70.1, 71.0))), record()]

    assert WINDOWS[0].recovery(records) == (1.0, 2.5)
    assert WINDOWS[1].recovery(records) == (1.0, 1.0)
    assert WINDOWS[1].recovery(records[2:]) is None


def test_the_slowest_delivery_is_told_whoever_comes_first() -> None:
    late = record(3, 5)
    late.heard["news"].add(0, 7.5)

    assert figures(record(0), late, record(0))[None].slowest == 2.5


def test_channels_that_are_not_asked_for_are_left_out() -> None:
    mixed = Record({"news": Heard(), "other": Heard()})

    assert figures(mixed)[None].expected == 3
