import asyncio
import json
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from broadcaster import AnonymousEvent, BroadcastManager, ConfigurationError, DeliveryError, Settings
from broadcaster.protocol.limits import Limits
from broadcaster.server import App, Server
from tests.server.clients import APP, SECONDS, UPGRADE
from tests.waits import auntil


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server([APP], port=0) as running:
        yield running


def address(server: Server) -> str:
    return f"ws://127.0.0.1:{server.port}/app/{APP.key}?protocol=7"


async def test_events_are_published_from_the_servers_own_loop_without_waiting(server: Server) -> None:
    async with connect(address(server)) as browser, asyncio.timeout(SECONDS):
        await browser.recv()
        await browser.send('{"event":"pusher:subscribe","data":{"channel":"lobby"}}')
        await browser.recv()
        async with BroadcastManager(Settings(default="local"), server=server) as broadcast:
            await broadcast.asend(AnonymousEvent("one", on="lobby"))
            broadcast.send(AnonymousEvent("two", on="lobby"))

        assert json.loads(await browser.recv())["event"] == "one"
        assert json.loads(await browser.recv())["event"] == "two"


async def test_events_are_published_from_another_thread(server: Server) -> None:
    async with connect(address(server)) as browser, asyncio.timeout(SECONDS):
        await browser.recv()
        await browser.send('{"event":"pusher:subscribe","data":{"channel":"lobby"}}')
        await browser.recv()
        broadcast = BroadcastManager(Settings(default="local"), server=server)

        await asyncio.to_thread(broadcast.send, AnonymousEvent("e", on="lobby"))

        assert json.loads(await browser.recv())["event"] == "e"


async def test_data_beyond_the_limit_is_refused_before_it_is_pushed(server: Server) -> None:
    broadcast = BroadcastManager(Settings(default="local"), server=server)

    with pytest.raises(DeliveryError, match="10240 are allowed") as refused:
        await broadcast.asend(AnonymousEvent("e", on="lobby", data={"x": "y" * 10_240}))

    assert (refused.value.status, refused.value.retryable) == (413, False)


async def test_stopping_closes_every_connection_with_4100() -> None:
    async with Server([APP], port=0) as server, asyncio.timeout(SECONDS):
        browser = await connect(address(server))
        await browser.recv()

    with pytest.raises(ConnectionClosed) as closed:
        await browser.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4100


async def test_an_upgrade_on_an_open_connection_is_refused_with_503_once_the_server_drains() -> None:
    server = Server([APP], port=0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
    await writer.drain()
    server._node.close()

    with pytest.raises(InvalidStatus) as refused:
        await connect(address(server))

    assert refused.value.response.status_code == 503
    writer.close()
    await server.stop()
    assert reader.at_eof() or await reader.read() == b""


async def test_who_was_accepted_before_the_end_is_answered_let_in_and_sent_away() -> None:
    server = Server([APP], port=0)
    await server.start()
    openings = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
    await auntil(lambda: len(server._transports._open) == 3)

    async with asyncio.timeout(SECONDS):
        stopping = asyncio.create_task(server.stop(grace=1.5, drain=1.0))
        await auntil(lambda: not server._listening.is_open)
        answers = []
        for path, (reader, writer) in zip(("/readyz", "/livez"), openings, strict=False):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            answers.append((await reader.read()).decode())
        reader, writer = openings[2]
        writer.write(b"GET /app/" + APP.key.encode() + b"?protocol=7 HTTP/1.1\r\n" + UPGRADE)
        await reader.readuntil(b"connection_established")
        await stopping
        end = await reader.read()

    assert [answer[:13] for answer in answers] == ["HTTP/1.1 503 ", "HTTP/1.1 200 "]
    assert all("Connection: close" in answer for answer in answers)
    assert "draining" in answers[0]
    assert b"\x10\x68" in end  # 4200
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)
    for _, writer in openings:
        writer.close()


async def test_who_waits_to_be_accepted_is_not_reset() -> None:
    server = Server([APP], port=0)
    await server.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as waiting:
        waiting.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")

        await server.stop(drain=2.0)

        assert waiting.recv(65_536).startswith(b"HTTP/1.1 200 ")


async def test_stopping_waits_no_longer_than_the_grace_period_for_a_peer_that_does_not_answer() -> None:
    server = Server([APP], port=0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /apps/3/events HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
    silent = await connect(address(server))
    await silent.recv()
    silent.transport.pause_reading()

    async with asyncio.timeout(SECONDS):
        await server.stop(grace=0.05)

    assert server.connection_count == 0
    writer.close()
    silent.transport.abort()
    assert await reader.read() == b""


async def test_a_server_starts_again_on_the_port_it_had() -> None:
    server = Server([APP], port=0)
    async with server:
        first = server.port
    async with server:
        assert server.port == first


async def test_a_port_in_use_is_named(server: Server) -> None:
    with pytest.raises(
        ConfigurationError, match=f"cannot listen on 127.0.0.1:{server.port}: another program does"
    ):
        await Server([APP], port=server.port).start()


async def test_publishing_on_a_stopped_server_fails_and_may_be_tried_again() -> None:
    broadcast = BroadcastManager(Settings(default="local"), server=Server([APP], port=0))

    with pytest.raises(DeliveryError, match="is not running") as refused:
        await broadcast.asend(AnonymousEvent("e", on="lobby"))

    assert refused.value.retryable


async def test_a_silent_peer_is_probed_and_then_hung_up_on_with_4201() -> None:
    hasty = App(id="3", key=APP.key, secret=APP.secret, limits=Limits(activity_timeout=1, pong_timeout=1))
    async with Server([hasty], port=0) as server, asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /app/" + APP.key.encode() + b"?protocol=7 HTTP/1.1\r\n" + UPGRADE)
        ping, error, close = b"\x89\x00", b'"code":4201', b"\x10\x69"
        received = await reader.readuntil(close)
        writer.close()

    assert received.index(ping) < received.index(error)


async def test_a_peer_that_only_answers_pings_stays_connected() -> None:
    hasty = App(id="3", key=APP.key, secret=APP.secret, limits=Limits(activity_timeout=1, pong_timeout=1))
    # This client's library answers control pings; nobody here ever sends a pusher:pong.
    async with Server([hasty], port=0) as server, connect(address(server), ping_interval=None) as browser:
        await browser.recv()

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(browser.recv(), 3.5)

        assert server.connection_count == 1


# Applications that are found anew

OTHER = App("9", "other-key", "other-secret")


async def test_applications_are_found_anew_and_who_is_connected_stays(tmp_path: Path) -> None:
    database = tmp_path / "apps.db"
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("CREATE TABLE apps (id TEXT, key TEXT, secret TEXT)")
        db.execute("INSERT INTO apps VALUES (?, ?, ?)", (APP.id, APP.key, APP.secret))

    def apps() -> list[App]:
        with closing(sqlite3.connect(database)) as db:
            return [App(*row) for row in db.execute("SELECT id, key, secret FROM apps")]

    async with Server(apps, port=0) as server, asyncio.timeout(SECONDS), connect(address(server)) as browser:
        await browser.recv()
        with closing(sqlite3.connect(database)) as db, db:
            db.execute("INSERT INTO apps VALUES (?, ?, ?)", (OTHER.id, OTHER.key, OTHER.secret))

        assert await server.reload()

        assert [app.id for app in server.apps] == [APP.id, OTHER.id]
        async with connect(f"ws://127.0.0.1:{server.port}/app/{OTHER.key}?protocol=7") as other:
            assert "connection_established" in str(await other.recv())
        await browser.send('{"event":"pusher:ping","data":{}}')
        assert "pong" in str(await browser.recv())


@pytest.mark.parametrize("error", [ConfigurationError("no file"), RuntimeError("no database")])
async def test_what_cannot_be_found_anew_stays_and_the_log_says_why(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[list[App] | Exception] = [[APP], error]

    def apps() -> list[App]:
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer

    async with Server(apps, port=0) as server:
        assert not await server.reload()

        assert server.apps == [APP]
    assert "everything stays as it is" in caplog.text
    assert str(error) in caplog.text


async def test_they_may_be_found_anew_again_and_again() -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    times = iter(range(1_000))

    def apps() -> list[App]:
        if next(times) == 3:
            loop.call_soon_threadsafe(asked.set)
        return [APP]

    async with Server(apps, port=0, reload_seconds=0.01), asyncio.timeout(SECONDS):
        await asked.wait()


async def test_frames_have_the_size_of_their_own_application() -> None:
    small = App("9", "small", "secret", limits=Limits(frame_size=100))
    text = '{"event":"pusher:ping","data":{"x":"' + "y" * 100 + '"}}'
    codes = []

    async with Server([APP, small], port=0) as server, asyncio.timeout(SECONDS):
        for key in (APP.key, "small"):
            async with connect(f"ws://127.0.0.1:{server.port}/app/{key}?protocol=7") as browser:
                await browser.recv()
                await browser.send(text)
                try:
                    codes.append(json.loads(await browser.recv())["event"])
                except ConnectionClosed as closed:
                    codes.append(closed.rcvd and closed.rcvd.code)

    assert codes == ["pusher:pong", 1009]
