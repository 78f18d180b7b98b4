"""Requests to Ably, and signed token requests, by the official SDK: the one module that imports it."""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from broadcaster.drivers._carrier import Carrier, seconds_to_wait
from broadcaster.drivers._loops import PerLoop
from broadcaster.drivers.requests import HttpRequest, HttpResponse, Unreachable
from broadcaster.errors import MissingExtra

try:
    import httpx
    from ably import AblyRest
    from ably.sync import AblyRestSync
    from ably.types.capability import Capability
    from ably.types.tokenrequest import TokenRequest
except ImportError as error:
    raise MissingExtra(error.name or "ably", extra="ably") from error

__all__ = ["AblyClient", "token_request"]

_CONNECTIONS = 16
_HOSTS = 3


def token_request(
    key: str, capability: Mapping[str, Iterable[str]], *, client_id: str | None, ttl: float | None
) -> dict[str, Any]:
    """Sign a request for a token that lasts *ttl* seconds; *capability* has operations by resource."""
    name, _, secret = key.partition(":")
    request = TokenRequest(
        key_name=name,
        client_id=client_id,
        nonce=os.urandom(16).hex(),
        capability=str(Capability(dict(capability))),
        ttl=None if ttl is None else round(ttl * 1000),
        timestamp=time.time_ns() // 1_000_000,
    )
    request.sign_request(secret)
    return {field: value for field, value in request.to_dict().items() if value is not None}


class AblyClient(Carrier):
    """The SDK's clients for *key*: one for threads, one for each event loop, timeouts in seconds.

    Requests name a path; the SDK finds the host, signs in, and with *fallback* tries other hosts of
    Ably's when one is down. Belongs to the process that made it.
    """

    def __init__(
        self,
        *,
        key: str,
        endpoint: str | None,
        port: int | None,
        connect_timeout: float,
        read_timeout: float,
        fallback: bool,
    ) -> None:
        self._options: dict[str, Any] = {
            "key": key,
            "endpoint": endpoint,
            "tls_port": port or 443,
            "use_binary_protocol": False,
            "http_open_timeout": connect_timeout,
            "http_request_timeout": read_timeout,
            "http_max_retry_duration": connect_timeout + read_timeout,
            # The SDK counts hosts here, the first one included.
            "http_max_retry_count": _HOSTS if fallback else 1,
        }
        self._timeout = httpx.Timeout(
            connect=connect_timeout,
            read=read_timeout,
            write=read_timeout,
            pool=connect_timeout + read_timeout,
        )
        self._lock = threading.Lock()
        self._blocking: _Shared | None = None
        self._looping = PerLoop(self._opened)

    def close(self) -> None:
        """Close the connections that threads use; those in use are closed after that."""
        with self._lock:
            shared, self._blocking = self._blocking, None
            idle = shared is not None and not shared.users
        if shared is not None and idle:
            shared.rest.close()

    async def aclose(self) -> None:
        """Close the connections that threads use, and those of the running event loop."""
        self.close()
        await self._looping.aclose()

    def _send(self, request: HttpRequest) -> HttpResponse | Unreachable:
        try:
            with self._borrowed() as rest:
                response = rest.http.make_request(
                    request.method, request.url, body=request.body, raise_on_error=False
                )
        except _TROUBLE as error:
            return _unreachable(error)
        return _answer(response)

    async def _asend(self, request: HttpRequest) -> HttpResponse | Unreachable:
        rest = await self._looping.value()
        try:
            response = await rest.http.make_request(
                request.method, request.url, body=request.body, raise_on_error=False
            )
        except _TROUBLE as error:
            return _unreachable(error)
        return _answer(response)

    @contextmanager
    def _borrowed(self) -> Iterator[AblyRestSync]:
        with self._lock:
            shared = self._blocking = self._blocking or _Shared(self._opened_for_threads())
            shared.users += 1
        try:
            yield shared.rest
        finally:
            with self._lock:
                shared.users -= 1
                over = shared is not self._blocking and not shared.users
            if over:
                shared.rest.close()

    def _opened_for_threads(self) -> AblyRestSync:
        rest = AblyRestSync(**self._options)
        http: Any = rest.http
        http.close()
        http._HttpSync__client = httpx.Client(  # noqa: SLF001 - see `_pool`
            event_hooks={"request": [self._limit]}, **self._pool
        )
        return rest

    async def _opened(self) -> AsyncGenerator[AblyRest]:
        rest = AblyRest(**self._options)
        http: Any = rest.http
        http._Http__client = httpx.AsyncClient(  # noqa: SLF001 - see `_pool`
            event_hooks={"request": [self._watch]}, **self._pool
        )
        try:
            yield rest
        finally:
            await rest.close()

    @cached_property
    def _pool(self) -> dict[str, Any]:
        """How connections are held, instead of how the SDK holds them, which has no options for it.

        Its HTTP/2 mixes up requests from several threads, it trusts a list of certificates that it
        brought along rather than that of the system, and to write, or to wait for a connection, it would
        take any time.
        """
        limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
        return {"http2": False, "limits": limits, "verify": ssl.create_default_context()}

    def _limit(self, request: httpx.Request) -> None:
        request.extensions["timeout"] = self._timeout.as_dict()

    async def _watch(self, request: httpx.Request) -> None:
        self._limit(request)
        request.extensions["trace"] = _closing()


@dataclass(slots=True)
class _Shared:
    """What threads share: to close it under a request would leave connections open, so the last user does."""

    rest: AblyRestSync
    users: int = 0


def _closing() -> Callable[[str, Mapping[str, Any]], Awaitable[None]]:
    """Return a trace that closes a connection whose handshake is cancelled, which is left open otherwise."""
    opened: Any = None

    async def trace(event: str, info: Mapping[str, Any]) -> None:
        nonlocal opened
        if event == "connection.connect_tcp.complete":
            opened = info["return_value"]
        elif event == "connection.start_tls.failed" and opened is not None:
            await opened.aclose()

    return trace


# A client that another task closes meanwhile says so by a RuntimeError.
_TROUBLE = (httpx.HTTPError, OSError, RuntimeError)


def _unreachable(error: Exception) -> Unreachable:
    opening = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    # Another host may have got the request before: the error is that of the last one.
    return Unreachable(
        f"{'no connection' if opening else 'no answer'}: {str(error) or type(error).__name__}", received=True
    )


def _answer(response: Any) -> HttpResponse:
    asked = seconds_to_wait(response.headers.get("Retry-After"))
    return HttpResponse(response.status_code, response.content, asked)
