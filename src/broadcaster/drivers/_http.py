"""HTTP for drivers, blocking and not: the one module that imports HTTP clients."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from weakref import WeakKeyDictionary

from broadcaster.drivers.requests import Attempts, HttpRequest, HttpResponse, Pause, Unreachable
from broadcaster.errors import MissingExtra

try:
    import aiohttp
    import urllib3
except ImportError as error:
    raise MissingExtra(error.name or "urllib3", extra="http") from error

__all__ = ["HttpClient"]

_CONNECTIONS = 16


class HttpClient:
    """Keep-alive connections with timeouts in seconds: one pool for threads, one for each event loop."""

    def __init__(self, *, connect_timeout: float, read_timeout: float) -> None:
        self._timeouts = (connect_timeout, read_timeout)
        self._pool: urllib3.PoolManager | None = None
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = (
            WeakKeyDictionary()
        )
        self._process = os.getpid()

    def run(self, flow: Attempts) -> HttpResponse:
        """Carry *flow* out, blocking."""
        outcome: HttpResponse | Unreachable | None = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as finished:
                return finished.value  # type: ignore[no-any-return]
            if isinstance(step, Pause):
                outcome = time.sleep(step.seconds)
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
                outcome = await asyncio.sleep(step.seconds)
            else:
                outcome = await self._asend(step)

    def close(self) -> None:
        """Close the pool that threads use."""
        if self._pool is not None:
            self._pool.clear()

    async def aclose(self) -> None:
        """Close the session of the running event loop."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    def _send(self, request: HttpRequest) -> HttpResponse | Unreachable:
        try:
            response = self._threads_pool().request(
                request.method, request.url, body=request.body or None, headers=dict(request.headers)
            )
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
            return Unreachable(f"no connection: {_plain(error)}", received=False)
        except urllib3.exceptions.HTTPError as error:
            return Unreachable(f"no answer: {_plain(error)}", received=True)
        return HttpResponse(response.status, response.data, _seconds(response.headers.get("Retry-After")))

    async def _asend(self, request: HttpRequest) -> HttpResponse | Unreachable:
        try:
            async with self._session().request(
                request.method, request.url, data=request.body or None, headers=request.headers
            ) as response:
                body = await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Unreachable(f"no connection: {_plain(error)}", received=False)
        except (aiohttp.ClientError, TimeoutError) as error:
            return Unreachable(f"no answer: {_plain(error)}", received=True)
        return HttpResponse(response.status, body, _seconds(response.headers.get("Retry-After")))

    def _threads_pool(self) -> urllib3.PoolManager:
        self._forget_after_fork()
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

    def _session(self) -> aiohttp.ClientSession:
        self._forget_after_fork()
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None or session.closed:
            connect, read = self._timeouts
            self._sessions[loop] = session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
                timeout=aiohttp.ClientTimeout(
                    total=connect + read, sock_connect=connect, connect=connect + read
                ),
                # A cookie from one answer has no business in the next request.
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return session

    def _forget_after_fork(self) -> None:
        # A child shares its parent's sockets; using them would mix two processes' answers.
        if self._process != os.getpid():
            self._process = os.getpid()
            self._pool = None
            self._sessions = WeakKeyDictionary()


def _plain(error: Exception) -> str:
    return str(error) or type(error).__name__


def _seconds(retry_after: str | None) -> float | None:
    try:
        return max(0.0, float(retry_after)) if retry_after is not None else None
    except ValueError:
        return None
