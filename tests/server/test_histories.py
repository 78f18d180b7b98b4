from __future__ import annotations

from pathlib import Path

import pytest

from broadcaster import AnonymousEvent, BroadcastManager, Settings
from broadcaster.server import ServerThread
from tests.drivers.proxy import Proxy
from tests.drivers.redis_servers import RedisServer, cluster
from tests.server.clients import Client, call
from tests.server.peers import PREFIX, clients, cut, mend, next_data, node, post


def back(browser: Client, last_id: str, *, channel: str = "kept") -> str:
    """Have a client come back to a channel; return the id in the acknowledgement."""
    browser.send("pusher:subscribe", data={"channel": channel, "auth": "", "last_id": last_id})
    acknowledged = browser.receive()
    assert acknowledged["event"] == "pusher_internal:subscription_succeeded"
    return str(acknowledged["id"])


def test_events_of_a_channel_with_a_history_have_the_same_id_on_every_node(
    nodes: tuple[ServerThread, ServerThread],
) -> None:
    with clients(*nodes) as browsers:
        for browser in browsers:
            browser.subscribe("kept-ids")

        for number, server in enumerate([*nodes, *nodes]):
            post(server, "kept-ids", number)
        heard = [[browser.receive() for _ in range(4)] for browser in browsers]

    assert heard[0] == heard[1]
    assert sorted(frame["data"] for frame in heard[0]) == ["0", "1", "2", "3"]
    assert len({frame["id"] for frame in heard[0]}) == 4


def test_what_is_sent_when_a_node_has_answered_comes_after_it_on_every_node(
    nodes: tuple[ServerThread, ServerThread],
) -> None:
    with clients(*nodes) as browsers:
        for browser in browsers:
            browser.subscribe("kept-order")

        for number in range(60):
            post(nodes[number % 2], "kept-order", number)

        for browser in browsers:
            assert [next_data(browser) for _ in range(60)] == [*range(60)]


def test_who_comes_back_to_another_node_gets_what_it_has_missed(
    nodes: tuple[ServerThread, ServerThread],
) -> None:
    one, other = nodes
    with clients(one) as [browser]:
        last_id = browser.subscribe("kept-move")["id"]
    with clients(other) as [stays]:
        stays.subscribe("kept-move")
        for number, server in enumerate([one, other, one]):
            post(server, "kept-move", number)
            assert next_data(stays) == number

    with clients(other) as [browser]:
        latest = back(browser, last_id, channel="kept-move")
        missed = [browser.receive() for _ in range(3)]
        post(one, "kept-move", 3)

        assert [frame["data"] for frame in missed] == ["0", "1", "2"]
        assert missed[-1]["id"] == latest
        assert next_data(browser) == 3


def test_in_a_cluster_a_client_moves_from_node_to_node_and_misses_nothing(tmp_path: Path) -> None:
    channels = [f"kept-{number}" for number in range(6)]
    with (
        cluster(tmp_path) as shards,
        node(shards.url) as one,
        node(shards.url) as other,
        clients(one, other) as [stays, browser],
    ):
        assert {shards.owner(PREFIX + channel) for channel in channels} == {0, 1, 2}
        for channel in channels:
            stays.subscribe(channel)
        last_ids = {channel: browser.subscribe(channel)["id"] for channel in channels}

        for round_, server in enumerate([one, other, one]):
            for channel in channels:
                post(server, channel, 2 * round_)
                post(one if server is other else other, channel, 2 * round_ + 1)
            with clients(server) as [moved]:
                for channel in channels:
                    back(moved, last_ids[channel], channel=channel)
                    missed = [moved.receive() for _ in range(2)]
                    assert [frame["data"] for frame in missed] == [str(2 * round_), str(2 * round_ + 1)]
                    last_ids[channel] = missed[-1]["id"]
        heard = [stays.receive() for _ in range(6 * len(channels))]

        for channel in channels:
            there = [frame for frame in heard if frame["channel"] == channel]
            assert [frame["data"] for frame in there] == [str(number) for number in range(6)]
            assert there[-1]["id"] == last_ids[channel]
        assert stays.is_alive()


def test_what_others_said_while_redis_was_away_is_replayed(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Proxy(redis.port) as proxy,
        node(redis.url(proxy.port), seconds=0.5) as one,
        node(redis.url()) as other,
        clients(one, other) as [ann, bob],
    ):
        for browser in (ann, bob):
            browser.subscribe("kept-away")
        cut(proxy, one)

        post(other, "kept-away", 1)
        post(one, "kept-away", 2)
        assert (next_data(bob), next_data(ann)) == (1, 2)
        mend(proxy, one)

        assert (next_data(bob), next_data(ann)) == (2, 1)
        post(other, "kept-away", 3)
        assert [next_data(browser) for browser in (ann, bob)] == [3, 3]
        assert all(browser.is_alive() for browser in (ann, bob))
    assert "events may be missing" not in caplog.text


def test_whoever_comes_back_while_redis_is_away_is_told_of_the_gap(redis: RedisServer) -> None:
    with (
        Proxy(redis.port) as proxy,
        node(redis.url(proxy.port), seconds=0.5) as one,
        clients(one, one) as [ann, bob],
    ):
        last_id = ann.subscribe("kept")["id"]
        post(one, "kept", 1)
        assert next_data(ann) == 1
        cut(proxy, one)

        back(bob, last_id)

        assert bob.receive()["event"] == "broadcaster:gap"


def test_a_history_that_redis_has_lost_is_a_gap_for_everybody(
    redis: RedisServer, nodes: tuple[ServerThread, ServerThread], caplog: pytest.LogCaptureFixture
) -> None:
    one, other = nodes
    with clients(one, other) as browsers:
        ids = [browser.subscribe("kept-lost")["id"] for browser in browsers]
        redis.client().flushall()
        post(one, "kept-lost", 1)

        for browser in browsers:
            gap, event = browser.receive(), browser.receive()
            assert (gap["event"], event["data"]) == ("broadcaster:gap", "1")
            assert gap["id"] == event["id"]
    with clients(other) as [browser]:
        back(browser, ids[0], channel="kept-lost")
        assert browser.receive()["event"] == "broadcaster:gap"
    assert "events may be missing on 'kept-lost'" in caplog.text


@pytest.mark.parametrize("ids", [False, True])
def test_what_is_published_past_the_nodes_is_replayed_where_it_has_an_id_and_else_a_gap(
    redis: RedisServer, nodes: tuple[ServerThread, ServerThread], ids: bool
) -> None:
    options = {"driver": "redis", "url": redis.url(), "prefix": PREFIX, "message_ids": ids}
    settings = Settings.from_dict({"driver": "redis", "drivers": {"redis": options}})
    channel = f"kept-past-{ids}"
    with clients(*nodes, nodes[0]) as [ann, bob, cid], BroadcastManager(settings) as broadcast:
        last_id = {browser.subscribe(channel)["id"] for browser in (ann, bob)}.pop()

        broadcast.send(AnonymousEvent("shipped", on=channel, data={"number": 1}))
        heard = [browser.receive() for browser in (ann, bob)]
        # What the nodes had to say of it is said.
        post(nodes[0], channel, 2)
        post(nodes[1], channel, 3)
        for browser in (ann, bob):
            assert sorted(next_data(browser) for _ in range(2)) == [2, 3]
        back(cid, last_id, channel=channel)

        assert [frame["data"] for frame in heard] == ['{"number":1}'] * 2
        assert ("id" in heard[0], heard[0] == heard[1]) == (ids, True)
        assert cid.receive()["event"] == ("shipped" if ids else "broadcaster:gap")


def test_the_history_outlives_the_node_that_recorded_it(redis: RedisServer) -> None:
    with node(redis.url()) as one, clients(one) as [browser]:
        last_id = browser.subscribe("kept-on")["id"]
        post(one, "kept-on", 1)
        assert next_data(browser) == 1

    with node(redis.url()) as other, clients(other) as [browser]:
        back(browser, last_id, channel="kept-on")

        assert next_data(browser) == 1


def test_what_is_no_event_is_left_out_wherever_it_stands(
    redis: RedisServer, nodes: tuple[ServerThread, ServerThread], caplog: pytest.LogCaptureFixture
) -> None:
    one, other = nodes
    with clients(one) as [browser]:
        last_id = browser.subscribe("kept-nonsense")["id"]
        redis.client().xadd(f"{{{PREFIX}kept-nonsense}}:history", {"": "nonsense"})
        post(one, "kept-nonsense", 1)

        assert next_data(browser) == 1
    with clients(other) as [browser]:
        back(browser, last_id, channel="kept-nonsense")

        assert next_data(browser) == 1
    assert "what was recorded on 'kept-nonsense' is left out" in caplog.text


def test_a_message_that_two_nodes_take_is_recorded_once(
    redis: RedisServer, nodes: tuple[ServerThread, ServerThread]
) -> None:
    with clients(*nodes) as browsers:
        for browser in browsers:
            browser.subscribe("kept-once")

        event = {"name": "news", "channels": ["kept-once"], "data": "1"}
        for server in nodes:
            call(server.port, "POST", "/apps/3/events", event, ids="the-same")
            post(server, "kept-once", 2)

        for browser in browsers:
            assert sorted(next_data(browser) for _ in range(3)) == [1, 2, 2]
            assert browser.is_alive()
    assert redis.client().xlen(f"{{{PREFIX}kept-once}}:history") == 1 + 3
