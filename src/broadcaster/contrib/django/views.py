"""What answers Echo: two views, each for an event loop and for everybody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch, URLPattern
from django.urls.resolvers import RoutePattern
from django.views.decorators.http import require_http_methods

from broadcaster.answers import Answer
from broadcaster.auth_requests import MAX_BODY_SIZE, AuthRequest
from broadcaster.contrib._endpoints import ENDPOINTS, METHODS
from broadcaster.contrib.django.manager import in_request_thread
from broadcaster.manager import BroadcastManager

__all__ = ["endpoints"]


def endpoints(broadcast: BroadcastManager) -> list[URLPattern]:
    """Return the patterns `auth` and `user-auth`, for `include()`."""
    return [_endpoint(broadcast, path.strip("/"), sign_in=sign_in) for path, sign_in in ENDPOINTS.items()]


def _endpoint(broadcast: BroadcastManager, route: str, *, sign_in: bool) -> _Endpoint:
    def view(request: HttpRequest) -> HttpResponse:
        user = _user_of(request)
        return _response(broadcast.answer(_asked(request), user, sign_in=sign_in))

    async def async_view(request: HttpRequest) -> HttpResponse:
        user = await in_request_thread(_user_of, request)
        return _response(await broadcast.aanswer(_asked(request), user, sign_in=sign_in))

    return _Endpoint(route, _finished(view), _finished(async_view))


class _Endpoint(URLPattern):  # type: ignore[misc]
    """A path whose view is async under ASGI, where rules may be, and costs no event loop under WSGI."""

    def __init__(self, route: str, view: _View, async_view: _View) -> None:
        super().__init__(RoutePattern(route, name=route, is_endpoint=True), view, name=route)
        self._async_view = async_view

    def resolve(self, path: str) -> ResolverMatch | None:
        match = super().resolve(path)
        if match is not None and _is_looping():
            match.func = self._async_view
        return match


_View = Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]


def _finished(view: _View) -> Any:
    # Under ATOMIC_REQUESTS Django refuses async views, unless they say that they want no transaction.
    return non_atomic_requests(require_http_methods(METHODS)(view))


def _is_looping() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _user_of(request: Any) -> object:
    """Return who is signed in, or None.

    Not by `auser()`: that is the session's user, also where a middleware set another `user`.
    """
    try:
        user = request.user
    except AttributeError as error:
        raise ImproperlyConfigured(
            "the request has no user; add django.contrib.auth.middleware.AuthenticationMiddleware to "
            "MIDDLEWARE, or a middleware that sets request.user"
        ) from error
    return user if user.is_authenticated else None


def _asked(request: HttpRequest) -> AuthRequest:
    """Read no more of the body than shows that there is too much of it."""
    query, kind = request.META["QUERY_STRING"], request.META.get("CONTENT_TYPE", "")
    length = request.META.get("CONTENT_LENGTH") or "0"
    # Echo sends no such form, but Django's test client does, unless told otherwise.
    if request.content_type == "multipart/form-data" and length.isdecimal() and int(length) <= MAX_BODY_SIZE:
        return AuthRequest(query, "application/x-www-form-urlencoded", request.POST.urlencode().encode())
    return AuthRequest(query, kind, request.read(MAX_BODY_SIZE + 1))


def _response(answer: Answer) -> HttpResponse:
    return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))
