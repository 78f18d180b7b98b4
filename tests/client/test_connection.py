from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from broadcaster import (
    AnonymousEvent,
    BroadcastManager,
    ConfigurationError,
    EncryptedPrivateChannel,
    Forbidden,
    Settings,
)
from broadcaster.client import Client, ConnectionRefused, Incoming, Listener
from broadcaster.client import EncryptedPrivateChannel as EncryptedChannel
from broadcaster.errors import BroadcastError
from broadcaster.server import ServerThread
from tests.ports import free_port
from tests.server.clients import APP, CREDENTIALS
from tests.waits import auntil

SECONDS = 10.0


@pytest.fixture
def server() -> Iterator[ServerThread]:
    with ServerThread([replace(APP, history=("kept*",))], port=free_port()) as server:
        yield server


def client_of(port: int, **options: Any) -> Client:
    return Client(f"ws://127.0.0.1:{port}", APP.key, **{"auth": CREDENTIALS, **options})


def send(server: ServerThread, channel: str, **data: object) -> None:
    with BroadcastManager(Settings(default="local"), server=server) as broadcast:
        broadcast.send(AnonymousEvent("news", on=channel, data=data))


async def next_of(listener: Listener[Incoming]) -> Incoming:
    return await asyncio.wait_for(anext(listener), SECONDS)


@asynccontextmanager
async def restarted(port: int) -> AsyncIterator[ServerThread]:
    """A server on *port*, which stops while the client's loop runs on, so that it can say goodbye."""
    server = ServerThread([APP], port=port)
    await asyncio.to_thread(server.start)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


# Hearing


async def test_events_of_a_channel_come_decoded_and_in_order(server: ServerThread) -> None:
    async with client_of(server.port) as client:
        orders = client.channel("orders")
        news = orders.listen("news")
        await orders.subscribed()

        for number in range(3):
            await asyncio.to_thread(send, server, "orders", number=number)

        assert [(await next_of(news)).data for _ in range(3)] == [{"number": 0}, {"number": 1}, {"number": 2}]


async def test_a_listener_hears_the_names_it_asked_for_and_without_any_all_of_the_applications(
    server: ServerThread,
) -> None:
    async with client_of(server.port) as client:
        orders = client.channel("orders")
        other, everything = orders.listen("other"), orders.listen()
        await orders.subscribed()

        await asyncio.to_thread(send, server, "orders", number=1)

        assert await next_of(everything) == Incoming("news", "orders", {"number": 1})
    assert [event async for event in other] == []


async def test_a_listener_ends_with_the_client(server: ServerThread) -> None:
    async with client_of(server.port) as client:
        news = client.channel("orders").listen()

    assert [event async for event in news] == []


async def test_a_channel_that_was_left_is_heard_no_more_and_can_be_joined_again(server: ServerThread) -> None:
    async with client_of(server.port) as client:
        first = client.channel("orders")
        heard = first.listen()
        await first.subscribed()
        await first.leave()
        assert [event async for event in heard] == []

        again = client.channel("orders")
        news = again.listen()
        await again.subscribed()
        await asyncio.to_thread(send, server, "orders", number=1)

        assert (await next_of(news)).data == {"number": 1}
        assert again is not first


# Guarded channels


async def test_whoever_knows_the_secret_joins_by_itself(server: ServerThread) -> None:
    async with client_of(server.port) as client:
        await client.private("a").subscribed()
        room = client.join("a")
        await room.subscribed()

        assert list(room.members) == [f"client-{client.socket_id}"]


@pytest.mark.parametrize("waits", [True, False])
async def test_an_application_may_be_asked_for_leave(server: ServerThread, waits: bool) -> None:
    def leave(socket_id: str, channel: str) -> dict[str, str]:
        member = json.dumps({"user_id": 7, "user_info": {"name": "Ann"}})
        return {"auth": CREDENTIALS.channel_auth(socket_id, channel, member), "channel_data": member}

    async def aleave(socket_id: str, channel: str) -> dict[str, str]:
        return leave(socket_id, channel)

    async with client_of(server.port, auth=aleave if waits else leave) as client:
        room = client.join("a")
        await room.subscribed()

        assert room.members == {"7": {"name": "Ann"}}


async def test_a_refusal_reaches_who_waits_and_who_listens(server: ServerThread) -> None:
    def refuse(socket_id: str, channel: str) -> dict[str, str]:
        raise Forbidden("not yours", channel=channel)

    async with client_of(server.port, auth=refuse) as client:
        orders = client.private("orders")
        news = orders.listen()

        with pytest.raises(Forbidden, match="not yours"):
            await orders.subscribed()
        with pytest.raises(Forbidden):
            await next_of(news)
        with pytest.raises(Forbidden):
            await next_of(orders.listen())


async def test_a_server_that_refuses_a_channel_is_heard_too(server: ServerThread) -> None:
    async with client_of(server.port, auth=lambda *_: {"auth": f"{APP.key}:{'0' * 64}"}) as client:
        with pytest.raises(Forbidden, match="the server refused"):
            await client.private("orders").subscribed()


async def test_without_auth_a_guarded_channel_is_refused(server: ServerThread) -> None:
    async with client_of(server.port, auth=None) as client:
        with pytest.raises(Forbidden, match="the client has no auth"):
            await client.private("orders").subscribed()


async def test_an_application_that_does_not_answer_is_asked_again(
    server: ServerThread, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[Any] = [OSError("down"), None]

    def leave(socket_id: str, channel: str) -> dict[str, str]:
        if (error := answers.pop(0)) is not None:
            raise error
        return {"auth": CREDENTIALS.channel_auth(socket_id, channel)}

    with caplog.at_level(logging.WARNING, "broadcaster.client"):
        async with client_of(server.port, auth=leave) as client:
            await client.private("orders").subscribed()

    assert "no leave for 'private-orders' (OSError('down')); asked again" in caplog.text


async def test_clients_whisper_to_each_other_and_see_who_comes_and_goes(server: ServerThread) -> None:
    async with client_of(server.port) as ann:
        room = ann.join("room")
        coming, going, heard = room.joining(), room.leaving(), room.listen_for_whisper("typing")
        await room.subscribed()
        async with client_of(server.port) as bob:
            theirs = bob.join("room")
            await theirs.subscribed()
            came = await next_of(coming)
            await theirs.whisper("typing", {"on": True})

            whisper = await next_of(heard)

            bobs_id = f"client-{bob.socket_id}"
            assert len(room.members) == len(theirs.members) == 2
        went = await next_of(going)

    assert came.data["user_id"] == went.data["user_id"] == whisper.user_id == bobs_id
    assert whisper.data == {"on": True}
    assert len(room.members) == 1


async def test_nobody_whispers_before_being_there(server: ServerThread) -> None:
    async with client_of(server.port) as client:
        with pytest.raises(BroadcastError, match="not on it yet; await subscribed"):
            await client.private("a").whisper("x", {})


# Staying connected


async def test_a_client_that_is_there_first_waits_for_its_server(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    with caplog.at_level(logging.WARNING, "broadcaster.client"):
        async with client_of(port) as client:
            orders = client.private("orders")
            news = orders.listen()
            with pytest.raises(TimeoutError):
                await orders.subscribed(timeout=0.05)
            async with restarted(port) as server:
                await orders.subscribed()
                await asyncio.to_thread(send, server, "private-orders", number=1)

                assert (await next_of(news)).data == {"number": 1}

    assert "connection lost" in caplog.text


async def test_a_listener_goes_on_over_a_restart(server: ServerThread) -> None:
    port = server.port
    async with client_of(port) as client:
        orders = client.private("orders")
        news = orders.listen()
        await orders.subscribed()
        first = client.socket_id
        await asyncio.to_thread(server.stop)
        await auntil(lambda: not orders.joined.is_set())
        async with restarted(port) as again:
            await orders.subscribed()
            await asyncio.to_thread(send, again, "private-orders", number=2)

            assert (await next_of(news)).data == {"number": 2}
            assert client.socket_id != first


async def test_what_was_missed_on_a_channel_with_a_history_is_heard(server: ServerThread) -> None:
    async with client_of(server.port) as client:
        kept = client.channel("kept")
        news = kept.listen()
        await kept.subscribed()
        await asyncio.to_thread(send, server, "kept", number=1)
        await next_of(news)
        assert client._socket is not None
        client._socket.transport.abort()
        await asyncio.to_thread(send, server, "kept", number=2)

        assert (await next_of(news)).data == {"number": 2}


async def test_a_key_that_nobody_knows_is_told_and_not_tried_again(server: ServerThread) -> None:
    async with Client(f"ws://127.0.0.1:{server.port}", "nobody") as client:
        orders = client.channel("orders")
        with pytest.raises(ConnectionRefused, match="4001: No application has the key 'nobody'"):
            await orders.subscribed()
        with pytest.raises(ConnectionRefused):
            await client.channel("later").subscribed()


@pytest.mark.parametrize(
    "url", ["127.0.0.1:6001", "http://a", "ws://", "", "ws://:secret#@[", "ws://:secret\uff03x@127.0.0.1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="no address of a server") as error:
        Client(url, "key")
    assert "secret" not in str(error.value)


async def test_nothing_of_a_client_is_left_when_it_ends(server: ServerThread) -> None:
    before = asyncio.all_tasks()
    async with client_of(server.port) as client:
        await client.private("orders").subscribed()

    assert asyncio.all_tasks() == before
    await auntil(lambda: server.connection_count == 0)


# Encrypted channels


KEY = base64.b64encode(bytes(range(32))).decode()


@contextmanager
def encrypting(server: ServerThread, key: str = KEY) -> Iterator[BroadcastManager]:
    options = {"driver": "local", "encryption_master_key": key}
    settings = Settings.from_dict({"driver": "local", "drivers": {"local": options}})
    with BroadcastManager(settings, server=server) as broadcast:
        yield broadcast


async def test_an_encrypted_channel_is_read_by_who_has_its_key(server: ServerThread) -> None:
    event = AnonymousEvent("news", on=EncryptedPrivateChannel("safe"), data={"text": "\u2603"})
    async with client_of(server.port, encryption_master_key=KEY) as client:
        safe = client.encrypted_private("safe")
        news = safe.listen()
        await safe.subscribed()

        with encrypting(server) as broadcast:
            await broadcast.asend(event)

        assert (await next_of(news)).data == {"text": "\u2603"}


async def test_an_event_that_was_sealed_with_another_key_is_dropped_and_logged(
    server: ServerThread, caplog: pytest.LogCaptureFixture
) -> None:
    other = base64.b64encode(bytes(32)).decode()
    async with client_of(server.port, encryption_master_key=KEY) as client:
        safe = client.open("private-encrypted-safe")
        news = safe.listen()
        await safe.subscribed()

        for key, text in ((other, "lost"), (KEY, "found")):
            with encrypting(server, key) as broadcast:
                await broadcast.asend(
                    AnonymousEvent("news", on=EncryptedPrivateChannel("safe"), data={"text": text})
                )

        assert (await next_of(news)).data == {"text": "found"}
    assert "an event on 'private-encrypted-safe' cannot be opened" in caplog.text
    assert "lost" not in caplog.text


@pytest.mark.parametrize(
    ("auth", "said"),
    [
        (CREDENTIALS, "the client has no encryption_master_key"),
        (
            lambda socket_id, channel: {"auth": CREDENTIALS.channel_auth(socket_id, channel)},
            "no shared_secret",
        ),
    ],
)
async def test_an_encrypted_channel_takes_a_secret(server: ServerThread, auth: Any, said: str) -> None:
    async with client_of(server.port, auth=auth) as client:
        with pytest.raises(Forbidden, match=said):
            await client.encrypted_private("safe").subscribed()


async def test_the_secret_is_not_told_to_the_server(server: ServerThread) -> None:
    channel = EncryptedChannel("private-encrypted-safe", send=never, forget=never)

    assert channel.subscription({"auth": "a", "shared_secret": "hush"}) == {
        "channel": "private-encrypted-safe",
        "auth": "a",
    }


def never(*_: object) -> Any:
    raise AssertionError
