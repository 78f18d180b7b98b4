"""HTTP for drivers, blocking and not: the one module that imports HTTP clients."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from broadcaster.drivers.requests import Attempts, HttpRequest, HttpResponse, Pause, Unreachable
from broadcaster.errors import MissingExtra

try:
    import aiohttp
    import urllib3
    import yarl
except ImportError as error:
    raise MissingExtra(error.name or "urllib3", extra="http") from error

__all__ = ["HttpClient"]

_CONNECTIONS = 16


class HttpClient:
    """Keep-alive connections with timeouts in seconds: one pool for threads, one for each event loop.

    Belongs to the process that made it.
    """

    def __init__(self, *, connect_timeout: float, read_timeout: float) -> None:
        self._timeouts = (connect_timeout, read_timeout)
        self._lock = threading.Lock()
        self._pool: urllib3.PoolManager | None = None
        self._sessions: dict[asyncio.AbstractEventLoop, _Session] = {}

    def run(self, flow: Attempts) -> HttpResponse:
        """Carry *flow* out, blocking."""
        outcome: HttpResponse | Unreachable | None = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as finished:
                return finished.value  # type: ignore[no-any-return]
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                outcome = None
            else:
                outcome = self._send(step)

    async def arun(self, flow: Attempts) -> HttpResponse:
        """Carry *flow* out on the running event loop."""
        outcome: HttpResponse | Unreachable | None = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as finished:
                return finished.value  # type: ignore[no-any-return]
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                outcome = None
            else:
                outcome = await self._asend(step)

    def close(self) -> None:
        """Close the pool that threads use."""
        if self._pool is not None:
            self._pool.clear()

    async def aclose(self) -> None:
        """Close the pool that threads use, and the session of the running event loop."""
        self.close()
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.owner.aclose()

    def _send(self, request: HttpRequest) -> HttpResponse | Unreachable:
        try:
            response = self._threads_pool().request(
                request.method,
                request.url,
                body=request.body or None,
                headers=dict(request.headers),
                redirect=False,
                pool_timeout=sum(self._timeouts),
            )
        except (
            urllib3.exceptions.NewConnectionError,
            urllib3.exceptions.ConnectTimeoutError,
            urllib3.exceptions.EmptyPoolError,
        ) as error:
            return Unreachable(f"no connection: {_plain(error)}", received=False)
        except urllib3.exceptions.HTTPError as error:
            return Unreachable(f"no answer: {_plain(error)}", received=True)
        return HttpResponse(response.status, response.data, _seconds(response.headers.get("Retry-After")))

    async def _asend(self, request: HttpRequest) -> HttpResponse | Unreachable:
        session = await self._session()
        try:
            async with session.request(
                request.method,
                yarl.URL(request.url, encoded=True),
                data=request.body or None,
                headers=request.headers,
                allow_redirects=False,
            ) as response:
                body = await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Unreachable(f"no connection: {_plain(error)}", received=False)
        except (aiohttp.ClientError, TimeoutError) as error:
            return Unreachable(f"no answer: {_plain(error)}", received=True)
        return HttpResponse(response.status, body, _seconds(response.headers.get("Retry-After")))

    def _threads_pool(self) -> urllib3.PoolManager:
        with self._lock:
            if self._pool is None:
                connect, read = self._timeouts
                self._pool = urllib3.PoolManager(
                    num_pools=4,
                    maxsize=_CONNECTIONS,
                    block=True,
                    timeout=urllib3.Timeout(connect=connect, read=read),
                    retries=False,
                    ssl_context=ssl.create_default_context(),
                )
            return self._pool

    async def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        held = self._sessions.get(loop)
        if held is None or held.client.closed:
            for closed in [known for known in list(self._sessions) if known.is_closed()]:
                self._sessions.pop(closed, None)
            owner = self._opened()
            self._sessions[loop] = held = _Session(await anext(owner), owner)
        return held.client

    async def _opened(self) -> AsyncGenerator[aiohttp.ClientSession]:
        """Hold a session open until the generator is closed.

        A generator, because `asyncio.run()` closes those of its loop at the end: whoever sends from one
        short-lived loop after another leaves no connection behind.
        """
        connect, read = self._timeouts
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(
                total=connect + read, connect=connect + read, sock_connect=connect, sock_read=read
            ),
            # A cookie from one answer has no business in the next request.
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            yield session


@dataclass(frozen=True, slots=True)
class _Session:
    client: aiohttp.ClientSession
    owner: AsyncGenerator[aiohttp.ClientSession]


def _plain(error: Exception) -> str:
    return str(error) or type(error).__name__


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds to wait that a `Retry-After` header asks for, as a number or as a date."""
    if retry_after is None:
        return None
    try:
        if retry_after.strip().isdigit():
            return float(retry_after)
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
