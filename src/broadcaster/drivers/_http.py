"""HTTP for drivers, blocking and not: the one module that imports HTTP clients."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress

from broadcaster.drivers._carrier import Carrier, seconds_to_wait
from broadcaster.drivers._loops import PerLoop
from broadcaster.drivers.requests import HttpRequest, HttpResponse, Unreachable
from broadcaster.errors import MissingExtra

try:
    import aiohttp
    import urllib3
    import yarl
except ImportError as error:
    raise MissingExtra(error.name or "urllib3", extra="http") from error

__all__ = ["HttpClient"]

_CONNECTIONS = 16
_ORIGINS = 16

# Errors of either client that come before the first byte of a request leaves.
_UNSENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    urllib3.exceptions.ClosedPoolError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.EmptyPoolError,
    urllib3.exceptions.NewConnectionError,
)


class HttpClient(Carrier):
    """Keep-alive connections with timeouts in seconds: pools for threads, and one for each event loop.

    Belongs to the process that made it.
    """

    def __init__(self, *, connect_timeout: float, read_timeout: float) -> None:
        self._timeouts = (connect_timeout, read_timeout)
        self._lock = threading.Lock()
        self._pools: dict[str, urllib3.HTTPConnectionPool] = {}  # by origin, latest used last
        self._sessions = PerLoop(self._opened)

    def close(self) -> None:
        """Close the pools that threads use."""
        with self._lock:
            while self._pools:
                self._pools.popitem()[1].close()

    async def aclose(self) -> None:
        """Close the pools that threads use, and the session of the running event loop."""
        self.close()
        await self._sessions.aclose()

    def _send(self, request: HttpRequest) -> HttpResponse | Unreachable:
        origin, target = _split(request.url)
        try:
            response = self._pool(origin).urlopen(
                request.method,
                target,
                body=request.body or None,
                headers=dict(request.headers),
                retries=False,
                redirect=False,
                pool_timeout=sum(self._timeouts),  # type: ignore[arg-type] # goes to `Queue.get()`
            )
        except urllib3.exceptions.HTTPError as error:
            return _unreachable(error, request, unsent=isinstance(error, _UNSENT) or _is_handshake(error))
        return HttpResponse(
            response.status, response.data, seconds_to_wait(response.headers.get("Retry-After"))
        )

    async def _asend(self, request: HttpRequest) -> HttpResponse | Unreachable:
        used = await self._sessions.value()
        with used.in_flight() as session:
            return await self._answered(session, request)

    async def _answered(
        self, session: aiohttp.ClientSession, request: HttpRequest
    ) -> HttpResponse | Unreachable:
        # A loop that was busy, or did not run, has yet to hear that the peer closed idle connections. It
        # looks at them after the first step and acts on it before the second ends.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        try:
            async with session.request(
                request.method,
                yarl.URL(request.url, encoded=True),
                data=request.body or None,
                headers=request.headers,
                allow_redirects=False,
            ) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            return _unreachable(error, request, unsent=isinstance(error, _UNSENT))
        except (RuntimeError, asyncio.CancelledError):
            # It was closed before this landed; aiohttp then cancels whoever waits for a connection.
            task = asyncio.current_task()
            if not session.closed or (task is not None and task.cancelling()):
                raise
            reason = f"no connection to {_split(request.url)[0]}: the driver was closed meanwhile"
            return Unreachable(reason, received=False)
        return HttpResponse(response.status, body, seconds_to_wait(response.headers.get("Retry-After")))

    def _pool(self, origin: str) -> urllib3.HTTPConnectionPool:
        # What a `PoolManager` does, which works the address out anew for every request.
        with self._lock:
            pool = self._pools.pop(origin, None) or self._opened_pool(origin)
            self._pools[origin] = pool
            if len(self._pools) > _ORIGINS:
                self._pools.pop(next(iter(self._pools))).close()
            return pool

    def _opened_pool(self, origin: str) -> urllib3.HTTPConnectionPool:
        connect, read = self._timeouts
        trust = {"ssl_context": ssl.create_default_context()} if origin.startswith("https:") else {}
        return urllib3.connection_from_url(
            origin,
            maxsize=_CONNECTIONS,
            block=True,
            timeout=urllib3.Timeout(connect=connect, read=read),
            **trust,
        )

    async def _opened(self) -> AsyncGenerator[_Used]:
        """Open the session of an event loop, and close it after that, when what is in flight has landed."""
        connect, read = self._timeouts
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(
                # Twice, as for threads: once to wait for a connection, and once for the answer.
                total=2 * (connect + read),
                connect=connect + read,
                sock_connect=connect,
                sock_read=read,
            ),
            # A cookie from one answer has no business in the next request.
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            used = _Used(session)
            try:
                yield used
            finally:
                await used.landed(connect + read)


class _Used:
    """A *session* and the requests that are in flight in it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self._count = 0
        self._landed = asyncio.Event()

    @contextmanager
    def in_flight(self) -> Iterator[aiohttp.ClientSession]:
        """Lend the session for one request."""
        self._count += 1
        try:
            yield self.session
        finally:
            self._count -= 1
            if not self._count:
                self._landed.set()

    async def landed(self, seconds: float) -> None:
        """Return when no request is in flight, or after so many seconds."""
        self._landed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._count:
                    await self._landed.wait()


def _split(url: str) -> tuple[str, str]:
    """Return the origin of *url*, and what it asks of it."""
    scheme, _, beyond = url.partition("://")
    authority, slash, target = beyond.partition("/")
    authority, mark, query = authority.partition("?")
    return f"{scheme}://{authority}", f"/{mark}{query}{slash if mark else ''}{target}"


def _is_handshake(error: urllib3.exceptions.HTTPError) -> bool:
    match error.args:
        case [ssl.SSLCertVerificationError(), *_]:
            return True
        case [ssl.SSLError(reason="WRONG_VERSION_NUMBER"), *_]:
            return True
    return False


def _unreachable(error: Exception, request: HttpRequest, *, unsent: bool) -> Unreachable:
    origin, _ = _split(request.url)
    what = "no connection to" if unsent else "no answer from"
    return Unreachable(f"{what} {origin}: {_plain(error, request)}", received=not unsent)


def _plain(error: Exception, request: HttpRequest) -> str:
    """Say why, in the words of the system where it was the system that said so."""
    for cause in _causes(error):
        match cause:
            # aiohttp's own is one by name only; the real one is its cause.
            case ssl.SSLCertVerificationError(verify_message=str(why)):
                return f"certificate verify failed: {why}"
            case ssl.SSLError(reason="WRONG_VERSION_NUMBER"):
                return "what is there does not speak TLS"
            case ConnectionError(errno=int(number)):
                return os.strerror(number)
    # Some errors show the whole address; its query may hold a signature or a token.
    return str(error).replace(request.url, request.url.partition("?")[0]) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield *error* and what it came from, however its library keeps that."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        held = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        error = held or getattr(error, "os_error", None) or error.__cause__ or error.__context__
