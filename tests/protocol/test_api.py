from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from broadcaster.protocol.api import ApiRequest, ApiResponse, answer
from broadcaster.protocol.limits import Limits

from .conversation import Client, Conversation, signed

NOW = 1_700_000_000
EVENT = {"name": "news", "channels": ["a"], "data": "{}"}


def ask(conversation: Conversation, request: ApiRequest) -> ApiResponse:
    """Answer *request*, and do what it asks for."""
    response = answer(conversation.hub, request, now=NOW)
    assert isinstance(response, ApiResponse)
    conversation.perform(response.effects)
    return response


def post(conversation: Conversation, path: str, body: object = b"") -> ApiResponse:
    return ask(conversation, signed("POST", f"/apps/3/{path}", body=body))


def get(conversation: Conversation, path: str, **query: str) -> ApiResponse:
    return ask(conversation, signed("GET", f"/apps/3/{path}", query=query.items()))


def heard(clients: Iterable[Client]) -> list[int]:
    """Return how many frames each client got."""
    return [len(client.take()) for client in clients]


def value(response: ApiResponse) -> Any:
    assert response.status == 200, response.body
    return json.loads(response.body)


# POST events


def test_an_event_is_pushed_to_its_channels() -> None:
    conversation = Conversation()
    clients = [*conversation.subscribed("a", 1), *conversation.subscribed("private-b", 1)]
    (elsewhere,) = conversation.subscribed("c", 1)

    response = post(
        conversation,
        "events",
        {"name": "my-event", "channels": ["a", "private-b"], "data": '{"message":"hello"}'},
    )

    assert (response.status, response.body) == (200, "{}")
    assert clients[0].texts[-1] == '{"event":"my-event","channel":"a","data":"{\\"message\\":\\"hello\\"}"}'
    assert heard([*clients, elsewhere]) == [1, 1, 0]


def test_an_event_for_nobody_is_fine() -> None:
    assert post(Conversation(), "events", EVENT).body == "{}"


def test_the_socket_that_asked_is_left_out() -> None:
    conversation = Conversation()
    sender, other = conversation.subscribed("a", 2)

    post(conversation, "events", {**EVENT, "socket_id": sender.socket_id})

    assert heard([sender, other]) == [0, 1]


def test_an_unknown_socket_leaves_nobody_out() -> None:
    conversation = Conversation()
    clients = conversation.subscribed("a", 2)

    post(conversation, "events", {**EVENT, "socket_id": "999.999"})

    assert heard(clients) == [1, 1]


def test_a_user_is_reached_on_its_own_channel() -> None:
    conversation = Conversation()
    (ann,) = conversation.silence([conversation.connects()])
    ann.signs_in("12345")
    ann.subscribes("#server-to-user-12345", auth="")

    post(conversation, "events", {"name": "evt", "channels": ["#server-to-user-12345"], "data": '{"a":1}'})

    assert ann.texts[-1] == '{"event":"evt","channel":"#server-to-user-12345","data":"{\\"a\\":1}"}'


def test_the_attributes_that_are_asked_for_come_for_every_channel() -> None:
    conversation = Conversation()
    conversation.joined("presence-a", "ann", "ann", "bob")
    conversation.subscribed("b", 1)

    response = post(
        conversation,
        "events",
        {
            **EVENT,
            "channels": ["presence-a", "b", "presence-nobody"],
            "info": "user_count,subscription_count",
        },
    )

    assert value(response) == {
        "channels": {
            "presence-a": {"user_count": 2, "subscription_count": 3},
            "b": {"subscription_count": 1},
            "presence-nobody": {"user_count": 0, "subscription_count": 0},
        }
    }


def test_a_channel_without_the_attribute_is_an_empty_object() -> None:
    response = post(Conversation(), "events", {**EVENT, "info": "user_count"})

    assert response.body == '{"channels":{"a":{}}}'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"not JSON", 400),
        (b"\xff\xfe\xfd", 400),
        ([EVENT], 400),
        ({**EVENT, "name": "pusher_internal:member_added"}, 400),
        ({**EVENT, "name": "x" * 201}, 400),
        ({**EVENT, "channels": [f"c{number}" for number in range(101)]}, 400),
        ({**EVENT, "socket_id": "1.1; drop"}, 400),
        ({**EVENT, "data": {"an": "object"}}, 400),
        ({**EVENT, "data": "é" * 5120 + "x"}, 413),
    ],
)
def test_a_bad_event_is_refused_and_pushes_nothing(body: object, status: int) -> None:
    conversation = Conversation()
    clients = conversation.subscribed("a", 1)

    response = post(conversation, "events", body)

    assert response.status == status
    assert not response.effects
    assert heard(clients) == [0]


def test_a_refusal_is_a_sentence_of_plain_text() -> None:
    response = post(Conversation(), "events", {**EVENT, "data": "x" * 10_241})

    assert response.body == "the data content of this event has 10241 bytes, 10240 are allowed"


def test_the_limits_are_those_of_the_hub() -> None:
    conversation = Conversation(Limits(data_size=4))

    assert post(conversation, "events", {**EVENT, "data": "12345"}).status == 413


# POST batch_events


def test_a_batch_is_pushed_in_order() -> None:
    conversation = Conversation()
    (client,) = conversation.subscribed("a", 1)
    events = [{"channel": "a", "name": f"event-{number}", "data": "{}"} for number in range(10)]

    response = post(conversation, "batch_events", {"batch": events})

    assert response.body == "{}"
    assert [frame["event"] for frame in client.take()] == [f"event-{number}" for number in range(10)]


def test_each_event_of_a_batch_leaves_out_its_own_socket() -> None:
    conversation = Conversation()
    one, two = conversation.subscribed("a", 2)
    events = [
        {"channel": "a", "name": "for two", "data": "", "socket_id": one.socket_id},
        {"channel": "a", "name": "for one", "data": "", "socket_id": two.socket_id},
    ]

    post(conversation, "batch_events", {"batch": events})

    assert [[frame["event"] for frame in client.take()] for client in (one, two)] == [
        ["for one"],
        ["for two"],
    ]


def test_the_attributes_of_a_batch_stand_where_their_events_stood() -> None:
    conversation = Conversation()
    conversation.joined("presence-b", "ann", "bob", "cat")
    events = [
        {"channel": "a", "name": "e", "data": "{}"},
        {"channel": "presence-b", "name": "e", "data": "{}", "info": "user_count"},
    ]

    response = post(conversation, "batch_events", {"batch": events})

    assert response.body == '{"batch":[{},{"user_count":3}]}'


@pytest.mark.parametrize("bad", [{}, {**EVENT, "data": "x" * 10_241}, {**EVENT, "name": "pusher:error"}])
def test_a_batch_is_pushed_whole_or_not_at_all(bad: object) -> None:
    conversation = Conversation()
    clients = conversation.subscribed("a", 1)

    response = post(conversation, "batch_events", {"batch": [EVENT, EVENT, bad]})

    assert response.status in {400, 413}
    assert heard(clients) == [0]


def test_eleven_events_are_too_many() -> None:
    assert post(Conversation(), "batch_events", {"batch": [EVENT] * 11}).status == 400


# X-Idempotency-Key


def post_with_ids(conversation: Conversation, path: str, body: object, ids: str) -> ApiResponse:
    return ask(conversation, signed("POST", f"/apps/3/{path}", body=body)._replace(ids=ids))


def test_an_event_that_is_sent_again_is_pushed_once() -> None:
    conversation = Conversation()
    clients = conversation.subscribed("a", 1)

    answers = [post_with_ids(conversation, "events", EVENT, ids) for ids in ("one", "one", "two", "")]

    assert {(answer.status, answer.body) for answer in answers} == {(200, "{}")}
    assert heard(clients) == [3]


def test_a_batch_that_is_sent_again_is_pushed_as_far_as_it_is_new() -> None:
    conversation = Conversation()
    (client,) = conversation.subscribed("a", 1)
    first, second, third = ({"channel": "a", "name": name, "data": "{}"} for name in ("1", "2", "3"))

    post_with_ids(conversation, "batch_events", {"batch": [first, second]}, "id-1,id-2")
    post_with_ids(conversation, "batch_events", {"batch": [second, third]}, "id-2, id-3")

    assert [frame["event"] for frame in client.take()] == ["1", "2", "3"]


def test_one_id_may_stand_for_a_whole_batch() -> None:
    conversation = Conversation()
    (client,) = conversation.subscribed("a", 1)
    batch = [{"channel": "a", "name": str(number), "data": "{}"} for number in range(3)]

    for _ in range(2):
        post_with_ids(conversation, "batch_events", {"batch": batch}, "whole")

    assert [frame["event"] for frame in client.take()] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        ("one,two", "X-Idempotency-Key has 2 ids for 3 events"),
        ("one,two,three,four", "X-Idempotency-Key has 4 ids for 3 events"),
        ("one,,three", "an id in X-Idempotency-Key has 1 to 128 characters"),
        (f"one,two,{'x' * 129}", "an id in X-Idempotency-Key has 1 to 128 characters"),
    ],
)
def test_ids_that_do_not_fit_their_batch_push_nothing(ids: str, reason: str) -> None:
    conversation = Conversation()
    clients = conversation.subscribed("a", 1)
    batch = [{"channel": "a", "name": "e", "data": "{}"}] * 3

    response = post_with_ids(conversation, "batch_events", {"batch": batch}, ids)

    assert (response.status, response.body) == (400, reason)
    assert heard(clients) == [0]


# GET channels


def test_without_channels_the_answer_is_an_empty_object() -> None:
    assert get(Conversation(), "channels").body == '{"channels":{}}'


def test_every_occupied_channel_is_listed() -> None:
    conversation = Conversation()
    conversation.subscribed("a", 2)
    conversation.joined("presence-b", "ann")

    assert get(conversation, "channels").body == '{"channels":{"a":{},"presence-b":{}}}'


def test_a_channel_that_everybody_left_is_not_listed() -> None:
    conversation = Conversation()
    one, two = conversation.subscribed("a", 2)
    one.unsubscribes("a")
    two.disconnects()

    assert get(conversation, "channels").body == '{"channels":{}}'


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("presence-", {"presence-a", "presence-b"}),
        ("presence-a", {"presence-a"}),
        ("p", {"presence-a", "presence-b", "private-a"}),
        ("P", set()),
        ("nothing", set()),
        ("", {"presence-a", "presence-b", "private-a"}),
    ],
)
def test_the_list_may_be_filtered_by_a_prefix(prefix: str, expected: set[str]) -> None:
    conversation = Conversation()
    for channel in ("presence-a", "presence-b"):
        conversation.joined(channel, "ann")
    conversation.subscribed("private-a", 1)

    assert set(value(get(conversation, "channels", filter_by_prefix=prefix))["channels"]) == expected


@pytest.mark.parametrize(("prefix", "listed"), [("", False), ("#server-to-user-", True), ("#", True)])
def test_the_channels_of_users_are_listed_when_asked_for(prefix: str, listed: bool) -> None:
    conversation = Conversation()
    client = conversation.connects()
    client.signs_in("ann")
    client.subscribes("#server-to-user-ann", auth="")

    channels = value(get(conversation, "channels", filter_by_prefix=prefix))["channels"]

    assert channels == ({"#server-to-user-ann": {}} if listed else {})


def test_users_are_counted_on_presence_channels() -> None:
    conversation = Conversation()
    conversation.joined("presence-a", "ann", "ann", "bob")
    conversation.joined("presence-b", "ann")

    response = get(conversation, "channels", filter_by_prefix="presence-", info="user_count")

    assert value(response) == {"channels": {"presence-a": {"user_count": 2}, "presence-b": {"user_count": 1}}}


def test_the_name_of_a_parameter_may_be_in_any_case() -> None:
    conversation = Conversation()
    conversation.joined("presence-a", "ann")

    response = get(conversation, "channels", Filter_By_Prefix="presence-", Info="user_count")

    assert value(response) == {"channels": {"presence-a": {"user_count": 1}}}


@pytest.mark.parametrize("prefix", ["", "a", "private-", "presence", "pres"])
def test_users_are_not_counted_anywhere_else(prefix: str) -> None:
    response = get(Conversation(), "channels", filter_by_prefix=prefix, info="user_count")

    assert (response.status, "filter_by_prefix" in response.body) == (400, True)


def test_an_unknown_attribute_is_refused() -> None:
    assert get(Conversation(), "channels", info="members").status == 400


def test_python_signs_the_digest_of_no_body() -> None:
    digest = "d41d8cd98f00b204e9800998ecf8427e"

    assert get(Conversation(), "channels", body_md5=digest).body == '{"channels":{}}'


# GET channels/{name}


def test_a_channel_is_occupied_or_not() -> None:
    conversation = Conversation()
    conversation.subscribed("a", 1)

    assert get(conversation, "channels/a").body == '{"occupied":true}'
    assert get(conversation, "channels/b").body == '{"occupied":false}'


def test_users_and_connections_are_counted_apart() -> None:
    conversation = Conversation()
    conversation.joined("presence-a", "ann", "ann", "bob")

    response = get(conversation, "channels/presence-a", info="user_count,subscription_count")

    assert response.body == '{"occupied":true,"user_count":2,"subscription_count":3}'


@pytest.mark.parametrize("info", ["user_count", "subscription_count,user_count"])
def test_users_of_a_channel_without_presence_are_not_counted(info: str) -> None:
    conversation = Conversation()
    conversation.subscribed("a", 1)

    assert get(conversation, "channels/a", info=info).status == 400


def test_connections_of_any_channel_are_counted() -> None:
    conversation = Conversation()
    conversation.subscribed("a", 2)

    assert (
        get(conversation, "channels/a", info="subscription_count").body
        == '{"occupied":true,"subscription_count":2}'
    )


def test_an_empty_channel_has_no_attributes() -> None:
    response = get(Conversation(), "channels/presence-a", info="user_count,subscription_count")

    assert response.body == '{"occupied":false}'


@pytest.mark.parametrize("spelling", ["a%3Db%40c", "a=b@c", "%61=b%40c"])
def test_the_name_of_a_channel_may_be_percent_encoded(spelling: str) -> None:
    conversation = Conversation()
    conversation.subscribed("a=b@c", 1)

    assert get(conversation, f"channels/{spelling}").body == '{"occupied":true}'


def test_a_channel_may_be_called_users() -> None:
    conversation = Conversation()
    conversation.subscribed("users", 1)

    assert get(conversation, "channels/users").body == '{"occupied":true}'


@pytest.mark.parametrize("name", ["%FF%FE", "%ED%A0%80", "%00", "%", "%zz"])
def test_any_name_may_be_asked_for(name: str) -> None:
    assert get(Conversation(), f"channels/{name}").body == '{"occupied":false}'


# GET channels/{name}/users


def test_the_users_of_a_presence_channel_are_listed_once_each() -> None:
    conversation = Conversation()
    conversation.joined("presence-a", "1", "2", "1")

    assert get(conversation, "channels/presence-a/users").body == '{"users":[{"id":"1"},{"id":"2"}]}'


def test_an_empty_presence_channel_has_no_users() -> None:
    assert get(Conversation(), "channels/presence-a/users").body == '{"users":[]}'


@pytest.mark.parametrize("channel", ["a", "private-a", "presence", "%23server-to-user-1"])
def test_only_presence_channels_have_users(channel: str) -> None:
    assert get(Conversation(), f"channels/{channel}/users").status == 400


# POST users/{id}/terminate_connections


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_a_user_is_thrown_out(body: bytes) -> None:
    conversation = Conversation()
    ann, bob = conversation.connects(), conversation.connects()
    ann.signs_in("user-1")
    bob.signs_in("user-2")

    response = post(conversation, "users/user-1/terminate_connections", body)

    assert (response.status, response.body) == (200, "{}")
    assert (ann.closed_with, bob.closed_with) == (4009, None)


def test_throwing_out_an_unknown_user_is_fine() -> None:
    response = post(Conversation(), "users/nobody/terminate_connections")

    assert (response.status, response.body) == (200, "{}")


@pytest.mark.parametrize(
    ("user_id", "wire"),
    [
        ("ann@example.com", "ann%40example.com"),
        ("ann@example.com", "ann@example.com"),
        ("a b", "a%20b"),
        ("Zoë", "Zo%C3%AB"),
        ("a/b", "a/b"),
        ("a/b", "a%2Fb"),
        ("a+b", "a+b"),
        ("100%", "100%25"),
        ("a%20b", "a%2520b"),
    ],
)
@pytest.mark.parametrize("signs", ["the id as it is", "the path on the wire"])
def test_a_user_id_may_hold_anything_in_any_spelling(user_id: str, wire: str, signs: str) -> None:
    conversation = Conversation()
    client = conversation.connects()
    client.signs_in(user_id)
    spelled = user_id if signs == "the id as it is" else wire
    request = signed("POST", f"/apps/3/users/{spelled}/terminate_connections")

    response = ask(conversation, request._replace(path=f"/apps/3/users/{wire}/terminate_connections"))

    assert (response.status, client.closed_with) == (200, 4009)


# Routes and signatures


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "events"),
        ("PUT", "events"),
        ("post", "events"),
        ("HEAD", "channels"),
        ("GET", "batch_events"),
        ("POST", "channels"),
        ("DELETE", "channels/a"),
        ("POST", "channels/presence-a/users"),
        ("GET", "users/ann/terminate_connections"),
    ],
)
def test_another_method_is_405(method: str, path: str) -> None:
    response = ask(Conversation(), signed(method, f"/apps/3/{path}"))

    allowed = "GET" if "channels" in path else "POST"
    assert (response.status, response.allow) == (405, allowed)
    assert response.body == f"{method} is not allowed here, {allowed} is"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/apps/3",
        "/apps/3/",
        "/apps//events",
        "/apps/3/events/",
        "/apps/3/Events",
        "/apps/3/event",
        "/v1/apps/3/events",
        "/apps/3/channels/a/b",
        "/apps/3/channels/a/events",
        "/apps/3/users//terminate_connections",
        "/apps/3/users/ann",
        "/apps/3/events\n",
    ],
)
def test_any_other_path_is_404(path: str) -> None:
    response = ask(Conversation(), signed("POST", path))

    assert (response.status, response.body) == (404, "no such route")


def test_an_application_id_may_be_any_text() -> None:
    assert ask(Conversation(), signed("GET", "/apps/my-app/channels")).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "events"),
        ("POST", "batch_events"),
        ("GET", "channels"),
        ("GET", "channels/a"),
        ("GET", "channels/presence-a/users"),
        ("POST", "users/ann/terminate_connections"),
    ],
)
def test_nothing_is_answered_without_a_signature(method: str, path: str) -> None:
    conversation = Conversation()
    (client,) = conversation.subscribed("a", 1)
    client.signs_in("ann")
    client.take()

    response = ask(conversation, ApiRequest(method, f"/apps/3/{path}", [], json.dumps(EVENT).encode()))

    assert response.status == 401
    assert (client.take(), client.closed_with) == ([], None)


def test_a_request_that_was_changed_pushes_nothing() -> None:
    conversation = Conversation()
    clients = conversation.subscribed("a", 1)
    request = signed("POST", "/apps/3/events", body=EVENT)

    response = ask(conversation, request._replace(body=request.body + b" "))

    assert response.status == 401
    assert heard(clients) == [0]


@pytest.mark.parametrize(("age", "status"), [(599, 200), (601, 401), (-601, 401)])
def test_an_old_request_is_not_played_again(age: int, status: int) -> None:
    request = signed("POST", "/apps/3/events", body=EVENT, now=NOW - age)

    assert ask(Conversation(), request).status == status


def test_a_request_is_not_played_again_where_the_application_refuses_that() -> None:
    conversation = Conversation(refuse_replays=True)
    clients = conversation.subscribed("a", 1)
    event, other = ({"name": "e", "channel": "a", "data": text} for text in ("1", "2"))
    request = signed("POST", "/apps/3/events", body=event)

    first, again, another = (
        ask(conversation, one) for one in (request, request, signed("POST", "/apps/3/events", body=other))
    )

    assert [first.status, again.status, another.status] == [200, 401, 200]
    assert "taken before" in again.body
    assert heard(clients) == [2]


def test_a_request_that_only_asks_may_be_repeated() -> None:
    conversation = Conversation(refuse_replays=True)

    assert [get(conversation, "channels").status for _ in range(2)] == [200, 200]


def test_the_body_of_a_request_is_not_shown_where_the_request_is() -> None:
    assert "secret text" not in repr(signed("POST", "/apps/3/events", body=b"secret text"))


# Too many requests


def test_beyond_its_rate_an_application_is_told_to_come_back_later() -> None:
    conversation = Conversation(Limits(api_requests_per_second=2))

    answers = [get(conversation, "channels") for _ in range(5)]

    assert [response.status for response in answers] == [200] * 4 + [429]
    assert ("Retry-After", "1") in answers[-1].headers


def test_a_request_that_is_not_signed_takes_nobodys_turn() -> None:
    conversation = Conversation(Limits(api_requests_per_second=1))

    for _ in range(10):
        assert ask(conversation, ApiRequest("GET", "/apps/3/channels")).status == 401

    assert get(conversation, "channels").status == 200
