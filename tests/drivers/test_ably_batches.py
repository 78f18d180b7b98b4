from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.drivers.ably_batches import Publication, encoded, requests_for
from broadcaster.drivers.requests import HttpRequest

# Of Ably's documentation: https://ably.com/docs/messages/batch
MOST_CHANNELS = 100
MOST_BYTES = 2 * 1024 * 1024


def specs(request: HttpRequest) -> list[tuple[list[str], Any]]:
    """Read a request as the REST reference says: its channels, and what goes to them."""
    content = json.loads(request.body)
    if request.url == "/messages":
        assert isinstance(content, list)
        return [(spec["channels"], spec["messages"]) for spec in content]
    empty, channels, channel, messages = request.url.split("/")
    assert (empty, channels, messages) == ("", "channels", "messages")
    return [([unquote(channel)], content)]


publications = st.lists(
    st.builds(
        Publication,
        st.lists(st.integers(0, 250).map(lambda n: f"public:{n}"), min_size=1, max_size=240, unique=True),
        st.integers(0, 9).map(encoded),
    ),
    max_size=8,
)


@given(publications)
def test_every_channel_gets_its_messages_in_order_within_the_limits(given: list[Publication]) -> None:
    wanted = [(channel, json.loads(each.message)) for each in given for channel in each.channels]

    requests = list(requests_for(given))

    got = [(channel, message) for r in requests for channels, message in specs(r) for channel in channels]
    assert got == wanted
    assert [request.completes for request in requests[-1:]] == [len(given)] * bool(given)
    for number, request in enumerate(requests, 1):
        # Of the first that many, each channel has got its own; of the next one, not every one has.
        taken = sum(len(channels) for r in requests[:number] for channels, _ in specs(r))
        complete = [sum(len(each.channels) for each in given[:n]) <= taken for n in range(len(given) + 1)]
        assert request.completes == sum(complete) - 1
        assert len({channel for channels, _ in specs(request) for channel in channels}) <= MOST_CHANNELS
        assert request.method == "POST"
        assert request.repeatable


@pytest.mark.parametrize("size", [100, 60_000, 200_000, 700_000, 3_000_000])
def test_no_request_is_larger_than_ably_takes_unless_one_message_is(size: int) -> None:
    given = [Publication([f"public:{n % 3}"], encoded("x" * size)) for n in range(12)]

    requests = list(requests_for(given))

    assert sum(len(specs(request)) for request in requests) == 12
    assert all(len(request.body) < MOST_BYTES or len(specs(request)) == 1 for request in requests)


def test_small_messages_share_requests() -> None:
    given = [Publication([f"public:{n % 50}", "public:all"], b"{}") for n in range(100)]

    assert len(list(requests_for(given))) == 1


def test_the_hundred_first_channel_takes_another_request() -> None:
    given = [Publication([f"public:{n}"], b"{}") for n in range(101)]

    assert [len(specs(request)) for request in requests_for(given)] == [100, 1]


def test_requests_are_made_one_by_one() -> None:
    made = []

    def endless() -> Any:
        while True:
            made.append(1)
            yield Publication(["public:a", "public:b"], b"{}")

    next(requests_for(endless()))

    assert len(made) < 1000


@pytest.mark.parametrize("channel", ["public:a;b=c@d,e.f-g_h", "private:a", "public:..", "public:foo:bar"])
def test_a_channel_is_one_part_of_the_path(channel: str) -> None:
    (request,) = requests_for([Publication([channel], b"{}")])

    assert specs(request) == [([channel], {})]
    assert not set(request.url) & set(";?#%2F") - set("%2F")


def test_text_is_sent_as_it_is() -> None:
    assert encoded({"name": '☃ 😀 \u2028 " \\'}) == '{"name":"☃ 😀 \u2028 \\" \\\\"}'.encode()


def test_nothing_takes_no_request() -> None:
    assert list(requests_for([])) == []
    assert list(requests_for([Publication([], b"{}")])) == []
