"""What Echo adds to the requests of a page: the connection it listens on, and a CSRF token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase

from broadcaster.context import current_socket

__all__ = ["EchoMiddleware"]

_SOCKET = "HTTP_X_SOCKET_ID"
_CSRF_TOKEN = "HTTP_X_CSRF_TOKEN"  # noqa: S105 - where one is, not one


class EchoMiddleware:
    """Notes which connection each request comes from, so that `to_others=True` leaves it out.

    That holds for a streamed body too, which is made after the view has returned. The CSRF token that
    Echo sends as `X-CSRF-TOKEN` counts as if it had come in Django's own header.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Be a middleware."""
        return self._ahandle(request) if self._is_async else self._handle(request)

    def _handle(self, request: HttpRequest) -> HttpResponseBase:
        with _noted(request):
            response = self.get_response(request)
        return _with_noted_body(request, response)

    async def _ahandle(self, request: HttpRequest) -> HttpResponseBase:
        with _noted(request):
            response = await self.get_response(request)
        return _with_noted_body(request, response)


def _noted(request: HttpRequest) -> AbstractContextManager[None]:
    # Django looks at the token later, when every middleware has had the request: no order is needed.
    if _CSRF_TOKEN in request.META:
        request.META.setdefault(settings.CSRF_HEADER_NAME, request.META[_CSRF_TOKEN])
    return current_socket(request.META.get(_SOCKET))


# Only streaming responses have what is asked for here, and `streaming` says which ones are.
def _with_noted_body(request: HttpRequest, response: Any) -> Any:
    socket = request.META.get(_SOCKET)
    # A file is read, not made; a server may send it by itself, which a wrapped one would keep it from.
    if socket and response.streaming and not isinstance(response, FileResponse):
        parts = response.streaming_content
        response.streaming_content = (_async_parts if response.is_async else _parts)(parts, socket)
    return response


def _parts(parts: Iterator[bytes], socket: str) -> Iterator[bytes]:
    while True:
        with current_socket(socket):
            part = next(parts, None)
        if part is None:
            return
        yield part


async def _async_parts(parts: AsyncIterator[bytes], socket: str) -> AsyncIterator[bytes]:
    while True:
        with current_socket(socket):
            part = await anext(parts, None)
        if part is None:
            return
        yield part
