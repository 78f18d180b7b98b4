from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from broadcaster import BroadcastManager, ConfigurationError, DeliveryError, Message
from broadcaster.drivers.local import LocalDriver, LocalServer
from broadcaster.rules import Grant
from broadcaster.sealing import unseal
from broadcaster.server import App, ServerThread
from broadcaster.signing import Credentials
from broadcaster.testing.contracts.drivers import DriverContract
from tests.server.audience import Audience
from tests.server.clients import APP

PING = Message("ping", ("lobby",), "{}")


class Server:
    """An event loop in a thread, which pushes what is published on it unless it is told to be busy."""

    def __init__(self) -> None:
        self.pushed: list[Message] = []
        self.free = threading.Event()
        self.free.set()
        self.error: Exception | None = None
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    @property
    def credentials(self) -> Credentials:
        return Credentials("app-key", "app-secret")

    def publish(self, message: Message) -> Future[None]:
        future: Future[None] = Future()
        if threading.get_ident() == self._thread.ident:
            self._push(message, future)
        else:
            self.loop.call_soon_threadsafe(self._push, message, future)
        return future

    def close(self) -> None:
        self.free.set()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()

    def _push(self, message: Message, future: Future[None]) -> None:
        self.free.wait(5)
        if not future.set_running_or_notify_cancel():
            return
        if self.error is not None:
            future.set_exception(self.error)
        else:
            self.pushed.append(message)
            future.set_result(None)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(params=["blocking", "in a loop"])
def deliver(request: pytest.FixtureRequest) -> Callable[[LocalDriver], None]:
    if request.param == "blocking":
        return lambda driver: driver.deliver(PING)
    return lambda driver: asyncio.run(driver.adeliver(PING))


Deliver = Callable[[LocalDriver], None]


def test_a_message_is_pushed_before_the_caller_goes_on(server: Server, deliver: Deliver) -> None:
    deliver(LocalDriver(server))

    assert server.pushed == [PING]


def test_a_server_that_is_busy_too_long_is_worth_a_retry(server: Server, deliver: Deliver) -> None:
    server.free.clear()

    with pytest.raises(DeliveryError, match=r"did not take the message within 0\.01 s") as caught:
        deliver(LocalDriver(server, timeout=0.01))

    assert (caught.value.retryable, caught.value.driver) == (True, "local")


def test_a_message_that_was_given_up_is_not_pushed_later(server: Server, deliver: Deliver) -> None:
    server.free.clear()
    with pytest.raises(DeliveryError):
        deliver(LocalDriver(server, timeout=0.01))

    server.free.set()
    LocalDriver(server).deliver(Message("next", ("lobby",), "{}"))

    assert [message.name for message in server.pushed] == ["next"]


def test_the_error_of_the_server_reaches_the_caller(server: Server, deliver: Deliver) -> None:
    server.error = DeliveryError("the data has 20000 bytes", driver="local", status=413)

    with pytest.raises(DeliveryError) as caught:
        deliver(LocalDriver(server))

    assert caught.value is server.error


class Answering:
    """A server that has its answer ready."""

    def __init__(self, future: Future[None]) -> None:
        self._future = future

    @property
    def credentials(self) -> Credentials:
        return Credentials("app-key", "app-secret")

    def publish(self, message: Message) -> Future[None]:
        return self._future


def test_an_error_that_is_there_at_once_reaches_the_caller(deliver: Deliver) -> None:
    future: Future[None] = Future()
    future.set_exception(DeliveryError("no such application", driver="local"))

    with pytest.raises(DeliveryError, match="no such application"):
        deliver(LocalDriver(Answering(future)))


def test_a_server_that_stops_in_between_does_not_look_like_a_cancelled_task(deliver: Deliver) -> None:
    future: Future[None] = Future()
    future.cancel()

    with pytest.raises(DeliveryError, match="stopped before it took the message") as caught:
        deliver(LocalDriver(Answering(future)))

    assert caught.value.retryable


async def test_a_server_that_stops_while_a_task_waits_does_not_cancel_the_task() -> None:
    future: Future[None] = Future()
    sending = asyncio.create_task(LocalDriver(Answering(future)).adeliver(PING))
    await asyncio.sleep(0)

    future.cancel()

    with pytest.raises(DeliveryError, match="stopped before it took the message"):
        await asyncio.wait_for(sending, 5)


async def test_a_task_that_is_cancelled_stays_cancelled() -> None:
    future: Future[None] = Future()
    sending = asyncio.create_task(LocalDriver(Answering(future)).adeliver(PING))
    await asyncio.sleep(0)

    sending.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(sending, 5)


def test_sending_on_the_servers_own_loop_does_not_wait_for_itself(server: Server) -> None:
    driver = LocalDriver(server)

    async def on_the_loop() -> list[Message]:
        driver.deliver(PING)
        await driver.adeliver(PING)
        return list(server.pushed)

    pushed = asyncio.run_coroutine_threadsafe(on_the_loop(), server.loop).result(5)

    assert pushed == [PING, PING]


def test_several_messages_keep_their_order(server: Server) -> None:
    messages = [Message(str(number), ("lobby",), "{}") for number in range(5)]

    LocalDriver(server).deliver_many(messages)
    asyncio.run(LocalDriver(server).adeliver_many(messages))

    assert server.pushed == messages * 2


def test_its_options_come_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADCAST_DRIVER", "local")
    monkeypatch.setenv("BROADCAST_LOCAL_TIMEOUT", "0.01")
    monkeypatch.setenv("PUSHER_ENCRYPTION_MASTER_KEY", "too short")
    with pytest.raises(ConfigurationError, match="PUSHER_ENCRYPTION_MASTER_KEY must be 32 bytes"):
        BroadcastManager.from_env(server=server).driver()
    monkeypatch.delenv("PUSHER_ENCRYPTION_MASTER_KEY")
    server.free.clear()

    with pytest.raises(DeliveryError, match=r"within 0\.01 s"):
        BroadcastManager.from_env(server=server).driver().deliver(PING)


def test_the_servers_of_this_package_satisfy_it() -> None:
    server: LocalServer = ServerThread([App("1", "key", "secret")])

    with pytest.raises(DeliveryError, match="is not running") as caught:
        LocalDriver(server).deliver(PING)

    assert caught.value.retryable


def test_an_encrypted_channel_is_refused_rather_than_sent_in_the_clear(server: Server) -> None:
    secret = Message("ping", ("lobby", "private-encrypted-a"), "{}")

    with pytest.raises(DeliveryError, match="set PUSHER_ENCRYPTION_MASTER_KEY") as blocking:
        LocalDriver(server).deliver(secret)
    with pytest.raises(DeliveryError, match="no key to encrypt for 'private-encrypted-a'"):
        asyncio.run(LocalDriver(server).adeliver(secret))

    assert not blocking.value.retryable
    assert server.pushed == []


def test_with_a_key_it_is_encrypted_for_those_who_may_read_it(server: Server) -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    driver = LocalDriver(server, encryption_master_key=key)
    message = Message("ping", ("lobby", "private-encrypted-a"), '{"n":1}')

    driver.deliver(message)
    asyncio.run(driver.adeliver(message))

    for plain, sealed in (server.pushed[:2], server.pushed[2:]):
        assert (plain.channels, plain.data) == (("lobby",), '{"n":1}')
        answer = driver.signer.channel("1.2", Grant("private-encrypted-a"))
        assert sealed.channels == ("private-encrypted-a",)
        assert unseal(answer["shared_secret"], json.loads(sealed.data)) == '{"n":1}'


class Embedded:
    """A real server in a thread, with an audience."""

    def __init__(self, server: ServerThread, audience: Audience) -> None:
        self._server = server
        self.socket_id = audience.socket_id
        self.listen = audience.listen
        self.received = audience.received

    def driver(self, *, timeout: float | None = None, retries: int | None = None) -> LocalDriver:
        return LocalDriver(self._server)


class TestLocalDriver(DriverContract):
    @pytest.fixture
    def peer(self) -> Iterator[Embedded]:
        with ServerThread([APP]) as server, Audience(server.port) as audience:
            yield Embedded(server, audience)
