"""The Redis driver against one real server."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
import redis
import uvloop

from broadcaster import BroadcastManager, DeliveryError, Event, Message, PrivateChannel, current_socket
from broadcaster.drivers import _redis_client
from broadcaster.drivers.redis import RedisDriver
from broadcaster.testing.contracts.drivers import RemoteDriverContract, Verb
from tests.drivers.proxy import Proxy
from tests.drivers.redis_peers import PREFIX, RedisPeer
from tests.drivers.redis_servers import PASSWORD, SECONDS, RedisServer, eventually
from tests.waits import auntil

Make = Callable[..., RedisDriver]
PING = Message("ping", ("lobby",), "{}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), "--enable-debug-command", "local") as running:
        yield running


@pytest.fixture
def server_peer(server: RedisServer) -> Iterator[RedisPeer]:
    with Proxy(server.port) as proxy:
        peer = RedisPeer([server], [proxy], port=proxy.port)
        yield peer
        peer.close()


class TestRedisDriver(RemoteDriverContract):
    @pytest.fixture
    def peer(self, server_peer: RedisPeer) -> RedisPeer:
        return server_peer

    def test_very_many_channels_take_one_round_trip(
        self, server: RedisServer, driver: RedisDriver, verb: Verb
    ) -> None:
        message = Message("ping", tuple(f"room.{number}" for number in range(120)), '{"n":1}')
        verb.deliver(driver, PING)

        cost = costs(server, lambda: verb.deliver(driver, message))

        assert cost == {"round trips": 1, "publish": 120}

    def test_a_batch_takes_one_round_trip(self, server: RedisServer, driver: RedisDriver, verb: Verb) -> None:
        messages = [Message("tick", ("lobby", "hall"), json.dumps({"n": number})) for number in range(57)]
        verb.deliver(driver, PING)

        cost = costs(server, lambda: verb.deliver_many(driver, messages))

        assert cost == {"round trips": 1, "publish": 114}

    def test_a_new_connection_logs_in_and_asks_nothing_else(
        self, server: RedisServer, driver: RedisDriver, verb: Verb
    ) -> None:
        cost = costs(server, lambda: verb.deliver(driver, PING))

        assert cost == {"round trips": 2, "auth": 1, "publish": 1}

    def test_a_batch_of_thousands_goes_in_parts(
        self, server: RedisServer, driver: RedisDriver, verb: Verb
    ) -> None:
        cost = costs(server, lambda: verb.deliver_many(driver, [PING] * 2_500))

        assert cost["publish"] == 2_500

    def test_what_may_have_been_published_is_not_published_again(
        self, peer: RedisPeer, server: RedisServer, make: Make, verb: Verb
    ) -> None:
        driver = make(timeout=0.5, retries=5)
        peer.listen("lobby")
        verb.deliver(driver, PING)

        sleeping = put_to_sleep(server, 1.5)
        with pytest.raises(DeliveryError, match="no answer from") as caught:
            verb.deliver(driver, PING)
        sleeping.join(SECONDS)

        assert caught.value.retryable
        assert len(peer.received(2)) == 2

    def test_a_message_that_tells_its_id_may_be_published_again(
        self, peer: RedisPeer, server: RedisServer, make: Make, verb: Verb
    ) -> None:
        driver = make(timeout=0.5, retries=9, message_ids=True)
        heard = Heard(server, "lobby")
        verb.deliver(driver, PING)

        sleeping = put_to_sleep(server, 1.5)
        verb.deliver(driver, PING)
        sleeping.join(SECONDS)

        published = heard.until(3)
        assert [list(one) for one in published] == [["event", "data", "socket", "id"]] * 3
        assert {one["id"] for one in published} == {PING.id}

    def test_a_wrong_password_is_no_matter_of_time(self, peer: RedisPeer, make: Make, verb: Verb) -> None:
        driver = make(password="so wrong")

        with pytest.raises(DeliveryError, match="check the username and password") as caught:
            verb.deliver(driver, PING)

        assert not caught.value.retryable
        assert "so wrong" not in f"{caught.value!r} {driver!r}"

    def test_a_password_that_is_missing_is_named(self, peer: RedisPeer, make: Make, verb: Verb) -> None:
        driver = make(password=None)

        with pytest.raises(DeliveryError, match="Authentication required") as caught:
            verb.deliver_many(driver, [PING, PING])

        assert not caught.value.retryable

    def test_a_user_publishes_where_it_may_and_nowhere_else(
        self, peer: RedisPeer, server: RedisServer, make: Make, verb: Verb
    ) -> None:
        server.client().acl_setuser(
            "ann", enabled=True, passwords="+pw", commands=["+publish"], channels=[f"{PREFIX}lobby"]
        )
        driver = make(username="ann", password="pw")
        peer.listen("lobby", "hall")

        verb.deliver(driver, PING)
        with pytest.raises(DeliveryError, match="ACL SETUSER") as caught:
            verb.deliver(driver, Message("ping", ("lobby", "hall"), "{}"))

        assert not caught.value.retryable
        assert [received.channel for received in peer.received(2)] == ["lobby", "lobby"]

    def test_a_server_that_was_restarted_is_found(self, tmp_path: Any, verb: Verb) -> None:
        with RedisServer(tmp_path) as mortal:
            driver = RedisDriver(port=mortal.port, password=PASSWORD)
            verb.deliver(driver, PING)

            mortal.stop()
            with pytest.raises(DeliveryError) as caught:
                verb.deliver(driver, PING)
            mortal.start()
            verb.deliver(driver, PING)
            verb.close(driver)

            assert caught.value.retryable
            assert mortal.client().info("commandstats")["cmdstat_publish"]["calls"] == 1

    def test_no_crowd_opens_more_than_so_many_connections(
        self, peer: RedisPeer, driver: RedisDriver, verb: Verb
    ) -> None:
        messages = [Message("tick", ("lobby",), json.dumps({"n": number})) for number in range(200)]
        peer.listen("lobby")

        verb.deliver_at_once(driver, messages)

        self.check_all(peer, messages)
        assert 1 <= peer.proxies[0].connections <= 50

    def test_a_crowd_that_waits_in_vain_is_told(self, peer: RedisPeer, make: Make, verb: Verb) -> None:
        driver = make(timeout=0.5, retries=0)
        peer.stall()

        def fails(message: Message) -> None:
            with pytest.raises(DeliveryError) as caught:
                driver.deliver(message)
            assert caught.value.retryable

        async def all_fail() -> None:
            failures = await asyncio.gather(
                *(driver.adeliver(PING) for _ in range(120)), return_exceptions=True
            )
            assert all(isinstance(failure, DeliveryError) and failure.retryable for failure in failures)

        asyncio.run(all_fail())
        with ThreadPoolExecutor(120) as threads:
            list(threads.map(fails, [PING] * 120))

        peer.resume()
        verb.deliver(driver, PING)

    def test_connections_of_a_crowd_that_left_are_closed(
        self, peer: RedisPeer, server: RedisServer, make: Make, verb: Verb, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_redis_client, "_MOST_IDLE_SECONDS", 0.2)
        driver = make(timeout=SECONDS)
        before = opened(server)
        # They are in use for longer than they may be idle.
        sleeping = put_to_sleep(server, 1.0)
        verb.deliver_at_once(driver, [PING] * 40)
        sleeping.join(SECONDS)

        def few_are_left() -> bool:
            verb.deliver(driver, PING)
            return connections(server) <= 1

        # Those that were opened, not those that are left: the idle ones may have been closed already.
        assert opened(server) - before >= 20
        eventually(few_are_left)


def test_redis_cli_reads_what_laravel_would_have_published(server: RedisServer) -> None:
    class OrderShipped(Event):
        orderId: int  # noqa: N815 - as PHP spells it

        def broadcast_on(self) -> PrivateChannel:
            return PrivateChannel(f"orders.{self.orderId}")

        def broadcast_as(self) -> str:
            return "App\\Events\\OrderShipped"

    table = {"driver": "redis", "port": server.port, "password": PASSWORD, "prefix": "laravel-database-"}
    program = shutil.which("redis-cli")
    assert program, "redis-cli is missing; it comes with redis-server, or as redis-tools"
    channel = "laravel-database-private-orders.7"
    command = [program, "-p", str(server.port), "SUBSCRIBE", channel]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, env={"REDISCLI_AUTH": PASSWORD}, text=True)
    assert reader.stdout
    with (
        reader,
        reader.stdout as lines,
        BroadcastManager.from_dict({"driver": "redis", "drivers": {"redis": table}}) as broadcast,
    ):
        assert [lines.readline() for _ in range(3)] == ["subscribe\n", f"{channel}\n", "1\n"]

        with current_socket("8_xVQG3YbPAAAA"):
            broadcast.send(OrderShipped(orderId=7), to_others=True)

        assert [lines.readline() for _ in range(3)] == [
            "message\n",
            "laravel-database-private-orders.7\n",
            r'{"event":"App\\Events\\OrderShipped","data":{"orderId":7,"socket":"8_xVQG3YbPAAAA"},'
            r'"socket":"8_xVQG3YbPAAAA"}' + "\n",
        ]
        reader.kill()


@pytest.mark.parametrize("path", ["", "/", "/3", "/?db=3"])
def test_a_url_says_it_all(path: str, server: RedisServer) -> None:
    password = PASSWORD.replace(" ", "%20").replace("/", "%2F")
    driver = RedisDriver(url=f"redis://default:{password}@localhost:{server.port}{path}")

    driver.deliver(PING)

    assert [one["db"] for one in publishers(server)] == ["3" if "3" in path else "0"]
    driver.close()


def test_an_encrypted_channel_is_refused(server: RedisServer) -> None:
    driver = RedisDriver(port=server.port, password=PASSWORD)

    with pytest.raises(DeliveryError, match="private-encrypted-safe") as caught:
        driver.deliver(Message("ping", ("lobby", "private-encrypted-safe"), "{}"))

    assert not caught.value.retryable


def test_data_that_is_no_json_is_refused(server: RedisServer) -> None:
    driver = RedisDriver(port=server.port, password=PASSWORD)

    with pytest.raises(DeliveryError, match="the data of 'ping'") as caught:
        driver.deliver(Message("ping", ("lobby",), '{"socket"'))

    assert not caught.value.retryable


def test_a_host_that_cannot_be_is_a_failure() -> None:
    driver = RedisDriver(host="a" * 80 + ".test", retries=0)

    with pytest.raises(DeliveryError, match="no connection to aaa"):
        driver.deliver(PING)
    with pytest.raises(DeliveryError, match="no connection to aaa"):
        asyncio.run(driver.adeliver(PING))


def test_closing_disturbs_no_delivery(server: RedisServer) -> None:
    driver = RedisDriver(port=server.port, password=PASSWORD, retries=0)
    done = threading.Event()

    def close_again_and_again() -> None:
        while not done.wait(0.001):
            driver.close()

    def deliver_again_and_again() -> None:
        for _ in range(150):
            driver.deliver(PING)

    def both() -> None:
        with ThreadPoolExecutor(5) as threads:
            closing = threads.submit(close_again_and_again)
            sending = [threads.submit(deliver_again_and_again) for _ in range(4)]
            wait(sending, SECONDS)
            done.set()
        for one in [closing, *sending]:
            one.result(SECONDS)

    assert costs(server, both)["publish"] == 600
    driver.close()


def test_cancelled_deliveries_leave_their_room_to_others(server_peer: RedisPeer) -> None:
    driver = server_peer.driver(timeout=SECONDS)

    async def scenario() -> None:
        server_peer.stall()
        tasks = [asyncio.create_task(driver.adeliver(PING)) for _ in range(70)]
        await asyncio.wait(tasks, timeout=0.2)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        server_peer.resume()
        await asyncio.gather(*(driver.adeliver(PING) for _ in range(70)))
        await driver.aclose()

    asyncio.run(scenario())


async def test_a_farewell_that_is_cancelled_closes_every_connection(server: RedisServer) -> None:
    driver = RedisDriver(port=server.port, password=PASSWORD)
    await asyncio.gather(*(driver.adeliver(PING) for _ in range(8)))
    before = connections(server)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await driver.aclose()

    await auntil(lambda: connections(server) == 0)
    assert before > 1


@pytest.mark.parametrize("loops", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_event_loop_leaves_no_connection_behind(loops: Any, server: RedisServer) -> None:
    driver = RedisDriver(port=server.port, password=PASSWORD)

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(driver.adeliver(PING))
        assert connections(server) == 1

    eventually(lambda: connections(server) == 0)


def test_a_connection_that_broke_while_the_event_loop_stood_still_costs_no_message(
    server_peer: RedisPeer,
) -> None:
    driver = server_peer.driver(retries=0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(driver.adeliver(PING))
        server_peer.proxies[0].break_connections()
        runner.run(driver.adeliver(PING))


class Heard:
    """What is published on a channel, as it is."""

    def __init__(self, server: RedisServer, channel: str) -> None:
        self._subscriber = server.client().pubsub(ignore_subscribe_messages=True)
        self._subscriber.subscribe(PREFIX + channel)
        self._subscriber.get_message(timeout=SECONDS)

    def until(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many; return them."""
        with self._subscriber as subscriber:
            texts = [eventually(lambda: subscriber.get_message(timeout=1.0))["data"] for _ in range(count)]
        return [json.loads(text) for text in texts]


def put_to_sleep(server: RedisServer, seconds: float) -> threading.Thread:
    """Let *server* neither read nor answer for so long, from now on."""
    client = server.client()
    client.ping()
    thread = threading.Thread(target=client.execute_command, args=("DEBUG", "SLEEP", seconds))
    watcher = server.client(socket_timeout=0.2, retry=None)
    watcher.ping()
    thread.start()
    while True:
        try:
            watcher.ping()
        except redis.TimeoutError:
            return thread


def costs(server: RedisServer, deliver: Callable[[], None]) -> dict[str, int]:
    """Return what it costs the server: how often it reads, and the commands."""
    client = server.client()
    client.config_resetstat()
    before = client.info("stats")["total_reads_processed"]
    deliver()
    after = client.info("stats")["total_reads_processed"]
    commands = client.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): facts["calls"] for name, facts in commands.items()}
    asked_here = {"info", "config|resetstat", "client|setinfo", "hello", "ping"}
    own = {name: count for name, count in calls.items() if name not in asked_here}
    return {"round trips": after - before - 1, **own}


def publishers(server: RedisServer) -> list[dict[str, str]]:
    """Return the driver's connections: those of the tests speak another version of the protocol."""
    return [one for one in server.client().client_list() if one["resp"] == "2" and one["cmd"] == "publish"]


def opened(server: RedisServer) -> int:
    return int(server.client().info("stats")["total_connections_received"])


def connections(server: RedisServer) -> int:
    return len(publishers(server))
