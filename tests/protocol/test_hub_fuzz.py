"""Whatever clients send: nothing raises, nobody gets what no client could read, and nothing stays behind.

The rules for single frames are in the clients of the conversation, which check everything they get.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster.protocol.api import ApiRequest, ApiResponse, answer
from broadcaster.protocol.limits import Limits
from tests.thorough import examples

from .conversation import CREDENTIALS, Conversation, channel_auth, signed

SOCKETS = ["1.1", "2.2", "3.3"]
LIMITS = Limits(channels_per_connection=4, presence_members=2, client_events_per_second=3)

any_text = st.text(st.characters(exclude_categories=()), max_size=30)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text | st.just(10**400),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(any_text, values, max_size=4),
    max_leaves=8,
)
channels = st.sampled_from(
    [
        "a",
        "private-a",
        "presence-a",
        "presence-b",
        "private-encrypted-a",
        "#server-to-user-ann",
        "#a",
        "",
        "é",
    ]
)
user_ids = st.sampled_from(["ann", "bob", "cat", 10, "10", "", None]) | any_json
members = st.fixed_dictionaries({"user_id": user_ids}, optional={"user_info": any_json})
users = st.fixed_dictionaries({"id": user_ids}, optional={"user_info": any_json, "watchlist": any_json})


@st.composite
def texts_of(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> str:
    """Write a value as JSON, in one of the ways that clients do, and sometimes not quite."""
    text = json.dumps(
        draw(values),
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:")])),
    )
    return draw(st.sampled_from([text] * 8 + [text[:-1], text + text, f"\ufeff{text}", f"[{text}]"]))


@st.composite
def subscriptions(draw: st.DrawFn, socket_id: str) -> dict[str, Any]:
    """Subscribe to some channel, most often with the signature that the application would give."""
    channel = draw(channels | any_text)
    channel_data = draw(st.none() | texts_of(members) | texts_of(any_json) | any_text)
    auth = channel_auth(socket_id, channel, channel_data if "presence-" in channel else None)
    data: dict[str, Any] = {
        "channel": channel,
        "auth": draw(st.sampled_from([auth] * 6 + ["", None, "x:y", auth[:-1]])),
    }
    if channel_data is not None:
        data["channel_data"] = channel_data
    return {"event": "pusher:subscribe", "data": data}


@st.composite
def sign_ins(draw: st.DrawFn, socket_id: str) -> dict[str, Any]:
    user_data = draw(texts_of(users) | texts_of(any_json) | any_text)
    auth = CREDENTIALS.user_auth(socket_id, user_data)
    return {
        "event": "pusher:signin",
        "data": {"auth": draw(st.sampled_from([auth] * 9 + ["x:y"])), "user_data": user_data},
    }


def frames_like(socket_id: str) -> st.SearchStrategy[dict[str, Any]]:
    """Build frames that look like those of a client, from the right ones to the hardly recognizable."""
    client_event = st.fixed_dictionaries(
        {"event": st.sampled_from(["client-a", "client-"]), "channel": channels | any_json},
        optional={"data": any_json, "user_id": any_json},
    )
    other = st.fixed_dictionaries(
        {
            "event": st.sampled_from(
                [
                    "pusher:ping",
                    "pusher:pong",
                    "pusher:subscribe",
                    "pusher:unsubscribe",
                    "pusher:signin",
                    "client-b",
                ]
            )
            | any_json
        },
        optional={
            "data": st.fixed_dictionaries(
                {},
                optional={
                    "channel": channels | any_json,
                    "auth": any_json,
                    "channel_data": any_json,
                    "user_data": any_json,
                },
            )
            | any_json,
            "channel": any_json,
        },
    )
    unsubscription = st.builds(
        lambda channel: {"event": "pusher:unsubscribe", "data": {"channel": channel}}, channels
    )
    return subscriptions(socket_id) | sign_ins(socket_id) | client_event | unsubscription | other


@st.composite
def steps(draw: st.DrawFn) -> tuple[int, str]:
    """Choose who sends what."""
    who = draw(st.sampled_from(range(len(SOCKETS))))
    frame = frames_like(SOCKETS[who])
    in_string_data = frame.map(lambda value: {**value, "data": json.dumps(value.get("data"))})
    return who, draw(texts_of(frame) | texts_of(in_string_data) | texts_of(any_json) | any_text)


@given(st.lists(steps(), max_size=15))
@settings(max_examples=examples(100), deadline=None)
def test_nothing_that_clients_send_raises_or_stays_behind(script: list[tuple[int, str]]) -> None:
    conversation = Conversation(LIMITS)
    clients = [conversation.connects(socket_id) for socket_id in SOCKETS]

    for who, text in script:
        clients[who].sends(text)
        conversation.broadcast("presence-a")
    conversation.perform(conversation.hub.terminate("ann"))
    conversation.passes(120)
    for client in clients:
        client.disconnects()

    hub = conversation.hub
    assert (hub.connections, hub.channels, len(hub._users), hub._users._watchers) == ({}, {}, 0, {})


@given(text=any_text | texts_of(any_json))
@settings(max_examples=examples(100), deadline=None)
def test_any_text_gets_an_answer_and_leaves_the_connection_open(text: str) -> None:
    conversation = Conversation()
    (client,) = conversation.silence([conversation.connects()])

    answers = client.sends(text)

    assert [answer["event"] for answer in answers] == ["pusher:error"]
    assert client.closed_with is None


PATHS = [
    "events",
    "batch_events",
    "channels",
    "channels/a",
    "channels/presence-a/users",
    "users/a/terminate_connections",
]
events = st.fixed_dictionaries(
    {
        "name": st.just("e") | any_json,
        "channels": st.just(["a"]) | st.lists(channels | any_text, max_size=3) | any_json,
        "data": st.just("{}") | any_text | any_json,
    },
    optional={
        "socket_id": st.just("1.1") | any_json,
        "info": st.just("user_count") | any_json,
        "channel": any_json,
    },
)
bodies = (
    texts_of(events)
    | texts_of(st.fixed_dictionaries({"batch": st.lists(events, max_size=3)}))
    | texts_of(any_json)
)


@given(
    method=st.sampled_from(["GET", "POST"]),
    path=st.sampled_from(PATHS),
    body=bodies.map(lambda text: text.encode(errors="surrogatepass")) | st.binary(max_size=20),
    query=st.dictionaries(
        st.sampled_from(["info", "filter_by_prefix", "x"]), st.just("user_count") | any_text
    ),
)
@settings(max_examples=examples(100), deadline=None)
def test_any_signed_request_gets_an_answer(
    method: str, path: str, body: bytes, query: dict[str, str]
) -> None:
    conversation = Conversation()
    (client,) = conversation.subscribed("a", 1)

    request = signed(method, f"/apps/3/{path}", body=body, query=query.items())
    response = answer(conversation.hub, request, now=1_700_000_000)
    assert isinstance(response, ApiResponse)
    conversation.perform(response.effects)

    assert response.status in {200, 400, 405, 413}
    assert response.status == 200 or not response.effects
    if response.status == 200:
        assert isinstance(json.loads(response.body), dict)
    assert client.closed_with is None


@given(path=any_text, query=st.lists(st.tuples(any_text, any_text), max_size=4), body=st.binary(max_size=10))
@settings(max_examples=examples(50), deadline=None)
def test_any_unsigned_request_is_refused(path: str, query: list[tuple[str, str]], body: bytes) -> None:
    hub = Conversation().hub

    for method, address in [
        ("GET", path),
        ("POST", f"/apps/3/events{path}"),
        ("GET", f"/apps/3/channels/{path}"),
    ]:
        response = answer(hub, ApiRequest(method, address, query, body), now=0)

        assert isinstance(response, ApiResponse)
        assert response.status in {401, 404, 405}
        assert not response.effects
