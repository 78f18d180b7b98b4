"""What every reverse proxy in deploy/ does, shown on two real nodes behind it."""

from __future__ import annotations

import asyncio
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from broadcaster import AnonymousEvent, BroadcastManager
from broadcaster.client import Client, Incoming, Listener
from tests.ports import free_port
from tests.server.clients import APP, CREDENTIALS
from tests.waits import auntil

from .nodes import Node, nodes
from .site import SECONDS, Certificate, Site

__all__ = ["Address", "ProxyContract"]

Address = str
"""Where a node is, `host:port`."""


class ProxyContract(ABC):
    """Subclass it; `proxy()` runs the configuration in deploy/ while the block lasts."""

    @abstractmethod
    def proxy(self, folder: Path, site: Site, to: Sequence[Address]) -> AbstractContextManager[None]:
        """Serve *site* with nodes at the addresses *to*; it answers before the block begins."""

    @pytest.fixture
    def site(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
        """A place for a proxy, whose certificate everybody here believes."""
        certificate = Certificate.write(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
        return Site(free_port(), certificate)

    @pytest.fixture
    def run(self, tmp_path: Path, site: Site) -> Iterator[Callable[..., list[Node]]]:
        """Run nodes, and the proxy before them and before addresses *besides*."""
        with ExitStack() as running:

            def run(*, besides: Sequence[Address] = (), **how: int) -> list[Node]:
                found = running.enter_context(nodes(tmp_path, **how))
                addresses = [*besides, *(node.address for node in found)]
                running.enter_context(self.proxy(tmp_path, site, addresses))
                return found

            yield run

    @pytest.fixture
    def broadcast(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[BroadcastManager]:
        """An application that sends through the proxy."""
        where = {"PUSHER_HOST": "127.0.0.1", "PUSHER_PORT": str(site.port), "PUSHER_SCHEME": "https"}
        keys = {"PUSHER_APP_ID": APP.id, "PUSHER_APP_KEY": APP.key, "PUSHER_APP_SECRET": APP.secret}
        for name, value in {"BROADCAST_DRIVER": "pusher", **where, **keys}.items():
            monkeypatch.setenv(name, value)
        with BroadcastManager.from_env() as broadcast:
            yield broadcast

    async def test_connections_are_shared_among_the_nodes(
        self, run: Callable[..., list[Node]], site: Site
    ) -> None:
        await asyncio.to_thread(run)

        async with AsyncExitStack() as open_ones:
            browsers = [await open_ones.enter_async_context(site.browser()) for _ in range(6)]

        assert sorted(browser.node for browser in browsers) == [1, 1, 1, 2, 2, 2]

    async def test_what_is_sent_through_it_reaches_clients_of_every_node_once(
        self, run: Callable[..., list[Node]], site: Site, broadcast: BroadcastManager
    ) -> None:
        await asyncio.to_thread(run)

        async with AsyncExitStack() as open_ones:
            listeners = [listener for _, listener in await _join(site, open_ones, 4)]
            await asyncio.to_thread(_send, broadcast, 10)
            heard = [await _numbers(listener, 10) for listener in listeners]

        assert heard == [set(range(10))] * 4

    async def test_clients_of_a_node_that_dies_come_back_through_the_other(
        self, run: Callable[..., list[Node]], site: Site, broadcast: BroadcastManager
    ) -> None:
        first, _ = await asyncio.to_thread(run)

        async with AsyncExitStack() as open_ones:
            joined = await _join(site, open_ones, 4)
            before = [client.socket_id for client, _ in joined]
            await asyncio.to_thread(first.end, signal.SIGKILL)
            await auntil(lambda: sum(client.socket_id not in before for client, _ in joined) == 2)
            for client, _ in joined:
                async with asyncio.timeout(SECONDS):
                    await client.private("orders").joined.wait()
            stayed = sum(client.socket_id in before for client, _ in joined)
            await asyncio.to_thread(_send, broadcast, 4)
            heard = [await _numbers(listener, 4) for _, listener in joined]

        assert stayed == 2
        assert heard == [set(range(4))] * 4

    async def test_a_node_knows_a_client_by_its_own_address(
        self, run: Callable[..., list[Node]], site: Site
    ) -> None:
        await asyncio.to_thread(run, count=1, per_address=1)

        async with site.browser("127.0.0.2"), site.browser("127.0.0.3") as other:
            assert await other.is_alive()
            for headers in ({}, {"X-Forwarded-For": "10.9.8.7"}):
                async with asyncio.timeout(SECONDS), site.connect("127.0.0.2", **headers) as refused:
                    assert "1 connections from your address already" in str(await refused.recv())

    async def test_clients_do_not_notice_a_node_that_is_not_there(
        self, run: Callable[..., list[Node]], site: Site, broadcast: BroadcastManager
    ) -> None:
        await asyncio.to_thread(run, count=1, besides=[f"127.0.0.1:{free_port()}"])

        await asyncio.to_thread(_send, broadcast, 4)

        assert [await _is_served(site) for _ in range(4)] == [True] * 4

    async def test_clients_do_not_notice_a_node_that_is_going_away(
        self, run: Callable[..., list[Node]], site: Site
    ) -> None:
        with _leaving() as address:
            await asyncio.to_thread(run, count=1, besides=[address])

            assert [await _is_served(site) for _ in range(4)] == [True] * 4

    def test_the_addresses_of_the_operator_stay_inside(
        self, run: Callable[..., list[Node]], site: Site
    ) -> None:
        run(count=1)

        statuses = {path: site.status(path) for path in ("/up", "/client.js", "/livez", "/readyz", "/")}
        assert statuses == {"/up": 200, "/client.js": 200, "/livez": 404, "/readyz": 404, "/": 404}
        assert site.status(f"/apps/{APP.id}/events", "POST") in {400, 401}


async def _numbers(listener: Listener[Incoming], count: int) -> set[int]:
    """Return what the next events hold; nodes that take turns do not keep them in order."""
    async with asyncio.timeout(SECONDS):
        return {(await anext(listener)).data["n"] for _ in range(count)}


async def _join(site: Site, open_ones: AsyncExitStack, count: int) -> list[tuple[Client, Listener[Incoming]]]:
    """Let some clients join one channel, one after another; return them with what they hear."""
    joined = []
    for _ in range(count):
        client = Client(f"wss://127.0.0.1:{site.port}", APP.key, auth=CREDENTIALS)
        await open_ones.enter_async_context(client)
        listener = client.private("orders").listen("news")
        async with asyncio.timeout(SECONDS):
            await client.private("orders").joined.wait()
        joined.append((client, listener))
    return joined


def _send(broadcast: BroadcastManager, count: int) -> None:
    for number in range(count):
        broadcast.send(AnonymousEvent("news", on="private-orders", data={"n": number}))


async def _is_served(site: Site) -> bool:
    async with site.browser() as browser:
        return await browser.is_alive()


class _Leaving(BaseHTTPRequestHandler):
    """What a node answers while it drains."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_error(503)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _leaving() -> Iterator[Address]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Leaving)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(SECONDS)
        server.server_close()
