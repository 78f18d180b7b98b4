import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from broadcaster import AnonymousEvent, BroadcastManager, Settings
from broadcaster.cluster.group import Group
from broadcaster.server import Server
from tests.server.clients import APP, CREDENTIALS, SECONDS
from tests.waits import auntil


def address(server: Server) -> str:
    return f"ws://127.0.0.1:{server.port}/app/{APP.key}?protocol=7"


@asynccontextmanager
async def crowd(server: Server, count: int, channel: str = "") -> AsyncIterator[list[ClientConnection]]:
    """Clients that have read what the server says first, each of them a member of *channel*."""
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(connect(address(server))) for _ in range(count)]
        for number, one in enumerate(found):
            socket_id = json.loads(json.loads(await one.recv())["data"])["socket_id"]
            if channel:
                who = json.dumps({"user_id": str(number)})
                auth = CREDENTIALS.channel_auth(socket_id, channel, who)
                data = {"channel": channel, "auth": auth, "channel_data": who}
                await one.send(json.dumps({"event": "pusher:subscribe", "data": data}))
                while "subscription_succeeded" not in str(await one.recv()):
                    pass
        yield found


async def code_and_time(browser: ClientConnection) -> tuple[int | None, float]:
    try:
        while True:
            await browser.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None, asyncio.get_running_loop().time()


async def test_clients_are_sent_away_one_by_one_with_4200() -> None:
    server = Server([APP], port=0)
    await server.start()
    async with asyncio.timeout(SECONDS), crowd(server, 80) as browsers:
        ends = [asyncio.create_task(code_and_time(one)) for one in browsers]
        await server.stop(drain=1.6)
        codes, times = zip(*[await end for end in ends], strict=True)

    assert set(codes) == {4200}
    gaps = [later - earlier for earlier, later in zip(sorted(times), sorted(times)[1:], strict=False)]
    assert max(times) - min(times) > 1.0
    assert max(gaps) < 0.8
    assert list(times) != sorted(times)


async def test_a_few_clients_are_gone_before_the_time_is_over() -> None:
    server = Server([APP], port=0)
    await server.start()
    loop = asyncio.get_running_loop()
    async with crowd(server, 3) as browsers:
        ends = [asyncio.create_task(code_and_time(one)) for one in browsers]
        start = loop.time()

        await server.stop(grace=60, drain=40)

        assert loop.time() - start < SECONDS
        assert {(await end)[0] for end in ends} == {4200}


async def test_the_time_to_send_clients_away_fits_into_the_grace_period() -> None:
    server = Server([APP], port=0)
    await server.start()
    async with crowd(server, 200) as browsers:
        start = asyncio.get_running_loop().time()

        await server.stop(grace=4.0, drain=60)

        assert asyncio.get_running_loop().time() - start < 4.0
        assert {(await code_and_time(one))[0] for one in browsers} == {4200}


async def test_whoever_is_still_there_hears_who_has_left_and_what_is_sent() -> None:
    server = Server([APP], port=0, group=Group())
    await server.start()
    broadcast = BroadcastManager(Settings(default="local"), server=server)
    async with asyncio.timeout(SECONDS), crowd(server, 8, "presence-room") as browsers:
        stopping = asyncio.create_task(server.stop(drain=1.0))
        await auntil(lambda: server.connection_count == 7)
        await broadcast.asend(AnonymousEvent("late", on="presence-room"))
        heard = [[event async for event in events(one)] for one in browsers]
        await stopping

    assert max(one.count("pusher_internal:member_removed") for one in heard) == 7
    assert sum("late" in one for one in heard) == 7


async def test_what_was_written_is_read_before_the_close() -> None:
    server = Server([APP], port=0)
    await server.start()
    broadcast = BroadcastManager(Settings(default="local"), server=server)
    async with asyncio.timeout(SECONDS), crowd(server, 1) as [browser]:
        await browser.send('{"event":"pusher:subscribe","data":{"channel":"news"}}')
        await browser.recv()
        for number in range(80):
            broadcast.send(AnonymousEvent("n", on="news", data={"n": number, "fill": "x" * 9_000}))
        stopping = asyncio.create_task(server.stop(drain=0.5))
        heard = [event async for event in events(browser)]
        await stopping

    assert heard == ["n"] * 80


async def events(browser: ClientConnection) -> AsyncIterator[str]:
    try:
        async for frame in browser:
            yield json.loads(frame)["event"]
    except ConnectionClosed:
        return
