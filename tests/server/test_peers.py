from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from broadcaster import AnonymousEvent, BroadcastManager, Settings
from broadcaster.server import ServerThread
from broadcaster.signing import Credentials
from tests.drivers.proxy import Proxy
from tests.drivers.redis_servers import RedisServer
from tests.server.clients import call, client, plain, raw, read_all, signed
from tests.server.peers import (
    OTHER,
    PREFIX,
    ask,
    clients,
    cut,
    mend,
    next_data,
    next_user,
    node,
    post,
    sign_in,
)
from tests.waits import until

ROOT = Path(__file__).parents[2]


@contextmanager
def node_of_its_own(channel: str, user_id: str, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A node in a process of its own, with a member on *channel*."""
    program = f"""
import sys
from tests.server.peers import clients, node
with node({url!r}, lease=2.0) as server, clients(server) as [browser]:
    browser.subscribe({channel!r}, user_id={user_id!r})
    sys.stdin.read()
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_an_event_reaches_the_clients_of_every_node(nodes: tuple[ServerThread, ServerThread]) -> None:
    with clients(*nodes) as browsers:
        for browser in browsers:
            browser.subscribe("orders")

        for number, server in enumerate([*nodes, *nodes]):
            post(server, "orders", number)
            assert [next_data(browser) for browser in browsers] == [number, number]


def test_what_is_sent_after_the_acknowledgement_is_heard(nodes: tuple[ServerThread, ServerThread]) -> None:
    one, other = nodes
    with clients(other) as [browser]:
        for number in range(100):
            browser.subscribe(f"channel-{number}")
            post(one, f"channel-{number}", number)
            assert next_data(browser) == number


def test_the_socket_that_asked_is_left_out_on_whatever_node_it_is(
    nodes: tuple[ServerThread, ServerThread],
) -> None:
    one, other = nodes
    with clients(one, other) as [ann, bob]:
        for browser in (ann, bob):
            browser.subscribe("orders")

        post(one, "orders", 1, socket_id=bob.socket_id)
        post(one, "orders", 2, socket_id=ann.socket_id)
        post(one, "orders", 3)

        assert [next_data(ann) for _ in range(2)] == [1, 3]
        assert [next_data(bob) for _ in range(2)] == [2, 3]


def test_a_whisper_reaches_the_clients_of_every_node_but_its_sender(
    nodes: tuple[ServerThread, ServerThread],
) -> None:
    one, other = nodes
    with clients(one, one, other) as [ann, bob, cid]:
        for browser, user in ((ann, "ann"), (bob, "bob"), (cid, "cid")):
            browser.subscribe("presence-room", user_id=user)
        assert [ann.receive()["event"] for _ in range(2)] == ["pusher_internal:member_added"] * 2

        ann.send("client-typing", channel="presence-room", data={"n": 1})

        for browser in (bob, cid):
            # Who joined elsewhere a moment ago may be told after the acknowledgement.
            while (frame := browser.receive())["event"] == "pusher_internal:member_added":
                pass
            assert (frame["event"], frame["user_id"]) == ("client-typing", "ann")
        assert ann.is_alive()


def test_a_message_that_two_nodes_take_is_pushed_once(nodes: tuple[ServerThread, ServerThread]) -> None:
    with clients(*nodes) as browsers:
        for browser in browsers:
            browser.subscribe("orders")

        event = {"name": "news", "channels": ["orders"], "data": "1"}
        for server in nodes:
            call(server.port, "POST", "/apps/3/events", event, ids="the-same")
            post(server, "fence", 0)
        post(nodes[0], "orders", 2)

        assert [[next_data(browser) for _ in range(2)] for browser in browsers] == [[1, 2], [1, 2]]


def test_applications_do_not_hear_each_other(nodes: tuple[ServerThread, ServerThread]) -> None:
    one, other = nodes
    with client(other.port) as ours, client(other.port, key=OTHER.key) as theirs:
        for browser in (ours, theirs):
            browser.subscribe("orders")

        event = {"name": "news", "channels": ["orders"], "data": "9"}
        credentials = Credentials(OTHER.key, OTHER.secret)
        assert call(one.port, "POST", "/apps/9/events", event, credentials=credentials).status == 200
        post(one, "orders", 3)

        assert (next_data(ours), next_data(theirs)) == (3, 9)


def test_a_user_is_terminated_on_whatever_node_it_is(nodes: tuple[ServerThread, ServerThread]) -> None:
    one, other = nodes
    with clients(one, other, other) as browsers:
        for browser, user in zip(browsers, ("ann", "ann", "bob"), strict=True):
            sign_in(browser, user)

        assert call(one.port, "POST", "/apps/3/users/ann/terminate_connections").status == 200

        assert [browser.receive()["data"]["code"] for browser in browsers[:2]] == [4009, 4009]
        assert browsers[2].is_alive()


# Who is where


def test_a_presence_channel_has_the_members_of_every_node(nodes: tuple[ServerThread, ServerThread]) -> None:
    one, other = nodes
    with clients(one, other, one) as [ann, bob, tab]:
        ann.subscribe("presence-room", user_id="ann")
        joined = bob.subscribe("presence-room", user_id="bob")
        assert sorted(json.loads(joined["data"])["presence"]["ids"]) == ["ann", "bob"]
        assert next_user(ann.receive()) == "bob"
        tab.subscribe("presence-room", user_id="bob")

        bob.send("pusher:unsubscribe", data={"channel": "presence-room"})
        tab.send("pusher:unsubscribe", data={"channel": "presence-room"})

        left = ann.receive()
        assert (left["event"], next_user(left)) == ("pusher_internal:member_removed", "bob")
        assert ann.is_alive()


def test_whoever_watches_a_user_hears_of_it_from_every_node(nodes: tuple[ServerThread, ServerThread]) -> None:
    one, other = nodes
    with clients(one) as [ann]:
        sign_in(ann, "ann", watchlist=["bob"])
        assert next_data(ann) == {"events": [{"name": "offline", "user_ids": ["bob"]}]}
        with clients(other) as [bob]:
            sign_in(bob, "bob", watchlist=["ann"])
            assert next_data(bob) == {"events": [{"name": "online", "user_ids": ["ann"]}]}
            assert next_data(ann) == {"events": [{"name": "online", "user_ids": ["bob"]}]}

        assert next_data(ann) == {"events": [{"name": "offline", "user_ids": ["bob"]}]}


def test_the_last_event_of_a_cache_channel_is_known_to_every_node(
    nodes: tuple[ServerThread, ServerThread], redis: RedisServer
) -> None:
    one, other = nodes
    post(one, "cache-board", 7)
    until(lambda: redis.client().exists(f"{{{PREFIX}broadcaster}}:cached:3/cache-board"))

    with clients(other) as [browser]:
        browser.subscribe("cache-board")

        assert next_data(browser) == 7


def test_the_members_of_a_node_that_is_killed_leave_once(redis: RedisServer) -> None:
    with node(redis.url(), lease=2.0) as one, clients(one) as [ann]:
        ann.subscribe("presence-killed", user_id="ann")
        with node_of_its_own("presence-killed", "bob", redis.url()) as killed:
            assert next_user(ann.receive()) == "bob"

            killed.kill()

            left = ann.receive()
        assert (left["event"], next_user(left)) == ("pusher_internal:member_removed", "bob")
        assert ann.is_alive()


# Without a hop


@pytest.mark.parametrize("ids", [False, True])
def test_what_the_redis_driver_publishes_is_heard_once_by_everybody(
    redis: RedisServer, nodes: tuple[ServerThread, ServerThread], ids: bool
) -> None:
    options = {"driver": "redis", "url": redis.url(), "prefix": PREFIX, "message_ids": ids}
    settings = Settings.from_dict({"driver": "redis", "drivers": {"redis": options}})
    with clients(*nodes) as browsers, BroadcastManager(settings) as broadcast:
        for browser in browsers:
            browser.subscribe("private-orders.7")

        for number in range(3):
            broadcast.send(AnonymousEvent("shipped", on="private-orders.7", data={"number": number}))

        for browser in browsers:
            assert [next_data(browser) for _ in range(3)] == [{"number": number} for number in range(3)]


def test_what_laravel_publishes_is_heard_and_nonsense_is_left_out(
    redis: RedisServer, nodes: tuple[ServerThread, ServerThread], caplog: pytest.LogCaptureFixture
) -> None:
    with clients(nodes[1]) as [browser]:
        browser.subscribe("orders")

        for text in ("nonsense", r'{"event":"App\\Shipped","data":{"id":7,"socket":null},"socket":null}'):
            redis.client().publish(PREFIX + "orders", text)
        frame = browser.receive()

    assert (frame["event"], frame["data"]) == ("App\\Shipped", '{"id":7}')
    assert "what was published on 'orders' is left out" in caplog.text


def test_a_node_hears_nothing_that_it_does_not_need(
    redis: RedisServer, nodes: tuple[ServerThread, ServerThread]
) -> None:
    admin = redis.client()
    with clients(*nodes) as [ann, bob]:
        ann.subscribe("orders")
        bob.subscribe("news")
        until(lambda: _channels(admin) == ["news", "orders"])
        assert admin.pubsub_numsub("shop-database-orders") == [(b"shop-database-orders", 1)]
        ann.send("pusher:unsubscribe", data={"channel": "orders"})

        until(lambda: _channels(admin) == ["news"])
    until(lambda: _channels(admin) == [])


def _channels(admin: Any) -> list[str]:
    """Return what is subscribed to, but for what is said of applications."""
    names = [name.decode().removeprefix(PREFIX) for name in admin.pubsub_channels()]
    return sorted(name for name in names if not name.endswith(":"))


def test_the_http_api_counts_all_nodes(nodes: tuple[ServerThread, ServerThread]) -> None:
    one, other = nodes
    with clients(one, other, other) as [ann, bob, tab]:
        for browser, user_id in [(ann, "ann"), (bob, "bob"), (tab, "bob")]:
            browser.subscribe("presence-room", user_id=user_id)
            browser.subscribe("orders")
        info = {"name": "news", "data": "1", "info": "subscription_count,user_count"}

        for server in nodes:
            until(lambda server=server: ask(server, "channels/orders") == (True, 3))  # type: ignore[misc]
            assert call(server.port, "GET", "/apps/3/channels").json == {
                "channels": {"orders": {}, "presence-room": {}}
            }
            assert call(server.port, "GET", "/apps/3/channels/presence-room/users").json == {
                "users": [{"id": "ann"}, {"id": "bob"}]
            }
            answer = call(server.port, "POST", "/apps/3/events", {**info, "channels": ["presence-room"]})
            assert answer.json == {"channels": {"presence-room": {"subscription_count": 3, "user_count": 2}}}


def test_calls_on_one_connection_are_answered_in_order_while_nodes_are_asked(
    nodes: tuple[ServerThread, ServerThread],
) -> None:
    one, _ = nodes
    targets = [signed("GET", "/apps/3/channels"), signed("GET", "/apps/3/channels/orders"), "/up"]
    calls = "".join(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n" for target in [*targets, *targets])

    with raw(one.port) as connection:
        connection.sendall(calls.encode())
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        bodies = re.findall(rb"\r\n\r\n(\{.*?\}(?=HTTP|$))", read_all(connection))

    health = b'{"health":"OK"}'
    assert bodies == [b'{"channels":{}}', b'{"occupied":false}', health] * 2 + [health]


def test_what_a_node_has_answered_is_known_to_every_other(nodes: tuple[ServerThread, ServerThread]) -> None:
    one, other = nodes
    for number in range(30):
        channel = f"cache-weather.{number}"
        post(one, channel, 1)
        post(other, channel, 2)

        with clients(one) as [late]:
            assert late.subscribe(channel)["event"] == "pusher_internal:subscription_succeeded"
            assert next_data(late) == 2


# Redis goes away


def test_while_redis_is_away_a_node_serves_its_own_and_says_that_it_is_not_ready(redis: RedisServer) -> None:
    with (
        Proxy(redis.port) as proxy,
        node(redis.url(proxy.port), seconds=0.5) as one,
        node(redis.url()) as other,
        clients(one, other) as [ann, bob],
    ):
        for browser in (ann, bob):
            browser.subscribe("orders")
        cut(proxy, one)

        assert ann.subscribe("others")["event"] == "pusher_internal:subscription_succeeded"
        post(one, "orders", 1)
        assert next_data(ann) == 1
        assert [plain(one.port, "GET", path).status for path in ("/up", "/livez")] == [200, 200]
        mend(proxy, one)
        post(other, "orders", 2)
        post(other, "others", 3)

        assert sorted(next_data(ann) for _ in range(2)) == [2, 3]
        assert sorted(next_data(bob) for _ in range(2)) == [1, 2]


def test_while_redis_is_away_it_is_not_guessed_who_is_elsewhere(redis: RedisServer) -> None:
    with (
        Proxy(redis.port) as proxy,
        node(redis.url(proxy.port), seconds=0.5) as one,
        clients(one) as [ann],
    ):
        ann.subscribe("orders")
        cut(proxy, one)
        event = {"name": "news", "channels": ["orders"], "data": "1", "info": "subscription_count"}

        asked = call(one.port, "GET", "/apps/3/channels/orders")
        sent = call(one.port, "POST", "/apps/3/events", event)

        assert (asked.status, asked.headers["Retry-After"]) == (503, "1")
        # It was sent, and must not be sent again: what it says is of this node.
        assert sent.json == {"channels": {"orders": {"subscription_count": 1}}}
        assert next_data(ann) == 1


def test_an_event_is_taken_although_redis_falls_silent(redis: RedisServer) -> None:
    with (
        Proxy(redis.port) as proxy,
        node(redis.url(proxy.port), seconds=0.5) as one,
        clients(one) as [ann],
    ):
        ann.subscribe("cache-weather")
        assert ann.receive()["event"] == "pusher:cache_miss"
        proxy.stall()

        post(one, "cache-weather", 1)

        assert next_data(ann) == 1
