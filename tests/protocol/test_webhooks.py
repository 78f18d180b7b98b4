from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import ConfigurationError
from broadcaster.protocol.effects import Notify
from broadcaster.protocol.webhooks import EVENTS, Pause, Webhook, encode_event, payload

URL = "https://example.com/hooks"
OCCUPIED, VACATED = Notify("channel_occupied", "a"), Notify("channel_vacated", "a")
ADDED = Notify("member_added", "presence-a", {"user_id": "7"})
REMOVED = Notify("member_removed", "presence-a", {"user_id": "7"})


# Who hears what


def test_without_filters_a_webhook_hears_everything() -> None:
    assert all(Webhook(URL).wants(Notify(name, "a")) for name in EVENTS)


def test_a_webhook_hears_of_its_events_and_channels_only() -> None:
    webhook = Webhook(URL, events=("channel_occupied",), channels=("private-*", "a"))

    assert webhook.wants(OCCUPIED)
    assert webhook.wants(Notify("channel_occupied", "private-1"))
    assert not webhook.wants(VACATED)
    assert not webhook.wants(Notify("channel_occupied", "b"))


@pytest.mark.parametrize(
    "url", ["", "example.com", "ftp://example.com", "https://", "http://a:99999/", "http://a b/"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="no address for a webhook"):
        Webhook(url)


def test_an_event_that_does_not_exist_is_named_with_what_is_meant() -> None:
    with pytest.raises(ConfigurationError, match="'member_aded', did you mean 'member_added'"):
        Webhook(URL, events=("member_aded",))


@pytest.mark.parametrize("name", ["X-Pusher-Key", "content-type", "a b", "a\r\nb", ""])
def test_a_header_that_is_none_or_ours_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"a webhook (cannot send|sends)"):
        Webhook(URL, headers={name: "x"})


def test_a_header_cannot_smuggle_another_and_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Webhook(URL, headers={"Authorization": "hush\r\nX: y"})

    assert "hush" not in str(refused.value)
    assert "hush" not in repr(Webhook(URL, headers={"Authorization": "hush"}))


def test_nothing_at_a_time_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="events_per_request of a webhook must be at least 1, not 0"):
        Webhook(URL, events_per_request=0)
    with pytest.raises(ConfigurationError, match="waiting of a webhook must be at least 1"):
        Webhook(URL, waiting=0)


# What it looks like


def test_an_event_and_a_payload_are_those_of_the_protocol() -> None:
    events = [encode_event(OCCUPIED), encode_event(ADDED)]

    assert payload(events, 1700000000000) == (
        b'{"time_ms":1700000000000,"events":[{"name":"channel_occupied","channel":"a"},'
        b'{"name":"member_added","channel":"presence-a","user_id":"7"}]}'
    )


@given(st.text(), st.text())
def test_whatever_a_client_says_the_payload_is_json(channel: str, data: str) -> None:
    body = payload([encode_event(Notify("client_event", channel, {"data": data}))], 1)

    assert json.loads(body)["events"] == [{"name": "client_event", "channel": channel, "data": data}]


# The pause before bad news


def test_good_news_is_told_at_once_and_bad_news_three_seconds_later() -> None:
    pause = Pause()

    assert pause.take(OCCUPIED, 10.0) == [OCCUPIED]
    assert pause.take(VACATED, 11.0) == []
    assert pause.tick(13.9) == []
    assert pause.tick(14.0) == [VACATED]
    assert pause.tick(20.0) == []


def test_a_page_that_is_reloaded_makes_no_news() -> None:
    pause = Pause()
    for news in (REMOVED, VACATED):
        assert pause.take(news, 10.0) == []

    back = [told for news in (Notify("channel_occupied", "a"), ADDED) for told in pause.take(news, 12.0)]

    assert back == []
    assert pause.tick(20.0) == []


def test_one_user_who_comes_does_not_stand_in_for_another_who_left() -> None:
    pause = Pause()
    pause.take(REMOVED, 10.0)
    other = Notify("member_added", "presence-a", {"user_id": "8"})

    assert pause.take(other, 11.0) == [other]
    assert pause.tick(13.0) == [REMOVED]


def test_at_the_end_nothing_is_held_back() -> None:
    pause = Pause()
    pause.take(REMOVED, 10.0)
    pause.take(VACATED, 10.0)

    assert pause.drain() == [REMOVED, VACATED]
    assert pause.drain() == []


def test_what_is_held_is_bounded() -> None:
    pause = Pause()
    gone = [Notify("channel_vacated", str(number)) for number in range(100_001)]

    told = [one for news in gone for one in pause.take(news, 10.0)]

    assert told == gone[:1]


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 5)), max_size=30))
def test_what_is_told_always_alternates_and_ends_with_the_truth(turns: list[tuple[str, int]]) -> None:
    pause, now, inside = Pause(), 0.0, set[str]()
    told: dict[str, list[str]] = {"a": [], "b": []}

    for channel, seconds in turns:
        now += seconds
        due = pause.tick(now)
        name = "channel_vacated" if channel in inside else "channel_occupied"
        inside ^= {channel}
        for news in [*due, *pause.take(Notify(name, channel), now)]:
            told[news.channel].append(news.name)
    for news in pause.tick(now + 3):
        told[news.channel].append(news.name)

    for channel, names in told.items():
        assert names == ["channel_occupied", "channel_vacated"] * (len(names) // 2) + (
            ["channel_occupied"] if channel in inside else []
        )
