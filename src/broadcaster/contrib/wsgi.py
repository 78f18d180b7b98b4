"""Broadcasting around any WSGI application."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from broadcaster.answers import Answer
from broadcaster.auth_requests import MAX_BODY_SIZE, AuthRequest
from broadcaster.context import current_socket
from broadcaster.contrib._endpoints import ENDPOINTS, METHODS, PREFIX, failure, headers_of, wrong_method
from broadcaster.manager import BroadcastManager
from broadcaster.rules.calls import Call

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication

__all__ = ["Broadcasting", "Environ", "SocketMiddleware"]

Environ: TypeAlias = dict[str, Any]

_logger = logging.getLogger("broadcaster.contrib")


class SocketMiddleware:
    """Notes which connection each request comes from, so that `to_others=True` leaves it out.

    That holds for the body too, which may be made after *app* has returned.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Be a WSGI application."""
        socket = environ.get("HTTP_X_SOCKET_ID")
        with current_socket(socket):
            body = self._app(environ, start_response)
        return body if _is_made(body, environ) or socket is None else _Body(body, socket)


class Broadcasting:
    """Answers Echo's auth requests beneath *prefix*, and hands every other request to *app*.

    *user* gets the environ and returns whom the rules are asked about, None being nobody. What it or a
    rule raises is logged and answered with 500. Raises `ConfigurationError` for rules that cannot work.
    """

    def __init__(
        self,
        app: WSGIApplication,
        broadcast: BroadcastManager,
        *,
        user: Callable[[Environ], object],
        prefix: str = PREFIX,
    ) -> None:
        broadcast.rules.check()
        self._app = SocketMiddleware(app)
        self._broadcast = broadcast
        self._user = user
        self._endpoints = {f"{prefix}{path}": sign_in for path, sign_in in ENDPOINTS.items()}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Be a WSGI application."""
        sign_in = self._endpoints.get(environ.get("PATH_INFO", ""))
        if sign_in is None:
            return self._app(environ, start_response)
        answer = self._answer(environ, sign_in=sign_in)
        status = HTTPStatus(answer.status)
        start_response(f"{status.value} {status.phrase}", list(headers_of(answer).items()))
        return [answer.body]

    def _answer(self, environ: Environ, *, sign_in: bool) -> Answer:
        if environ["REQUEST_METHOD"] not in METHODS:
            return wrong_method()
        try:
            user = Call("the function for the user", self._user, (environ,), {}).made()
            return self._broadcast.answer(auth_request(environ), user, sign_in=sign_in)
        except Exception:
            _logger.exception("an auth request failed")
            return failure()


def auth_request(environ: Environ) -> AuthRequest:
    """Read no more of the body than shows that there is too much of it."""
    body = environ["wsgi.input"].read(min(_length(environ), MAX_BODY_SIZE + 1))
    return AuthRequest(environ.get("QUERY_STRING", ""), environ.get("CONTENT_TYPE", ""), body)


def _length(environ: Environ) -> int:
    """Return how many bytes there are to read; without a length, what a server can end by itself."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdecimal():
        return int(length)
    return MAX_BODY_SIZE + 1 if environ.get("wsgi.input_terminated") else 0


class _Body:
    """The parts of a response, each made under the note of its request's connection."""

    def __init__(self, parts: Iterable[bytes], socket: str) -> None:
        self._parts = parts
        self._socket = socket

    def __iter__(self) -> Iterator[bytes]:
        with current_socket(self._socket):
            parts = iter(self._parts)
        while True:
            with current_socket(self._socket):
                part = next(parts, None)
            if part is None:
                return
            yield part

    def close(self) -> None:
        with current_socket(self._socket):
            if callable(close := getattr(self._parts, "close", None)):
                close()


def _is_made(body: Iterable[bytes], environ: Environ) -> bool:
    """Whether nothing runs any more when the server reads *body*, or it must see what it is itself."""
    file_wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(body, list | tuple) or (
        isinstance(file_wrapper, type) and isinstance(body, file_wrapper)
    )
