from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from typing import Any

import httpx
import pytest
from asgiref.sync import iscoroutinefunction
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.test import RequestFactory
from django.urls import include, path

from broadcaster import BroadcastManager
from broadcaster.context import socket_of_request
from broadcaster.contrib.django.middleware import EchoMiddleware
from broadcaster.contrib.django.views import endpoints
from tests.contrib.homes import parts

from .project import CSRF, ECHO, USER, serving

both = pytest.mark.parametrize("asynchronous", [False, True], ids=["wsgi", "asgi"])
QUESTION = {"socket_id": "1.2", "channel_name": "private-users.ann"}


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(get_token(request))


@pytest.fixture(params=[False, True], ids=["wsgi", "asgi"])
def browser(request: pytest.FixtureRequest, broadcast: BroadcastManager) -> Iterator[httpx.Client]:
    """Ann's, in a project that is protected."""
    urls = [path("page", page), path("broadcasting/", include(endpoints(broadcast)))]
    with (
        serving(*urls, asynchronous=request.param, MIDDLEWARE=[CSRF, USER, ECHO]) as url,
        httpx.Client(base_url=url, headers={"X-User": "ann"}) as http,
    ):
        yield http


@pytest.mark.parametrize("header", ["X-CSRF-TOKEN", "X-CSRFToken"])
def test_the_token_of_a_page_is_taken_by_its_name_in_echo_and_in_django(
    browser: httpx.Client, header: str
) -> None:
    token = browser.get("/page").text

    answers = [
        browser.post("/broadcasting/auth", data=QUESTION, headers={header: sent})
        for sent in (token, browser.cookies["csrftoken"])
    ]

    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize("headers", [{}, {"X-CSRF-TOKEN": ""}, {"X-CSRF-TOKEN": "b" * 32}])
def test_a_request_without_the_token_is_refused_and_the_log_says_why(
    browser: httpx.Client, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    browser.get("/page")

    answer = browser.post("/broadcasting/auth", data=QUESTION, headers=headers)

    assert answer.status_code == 403
    assert "CSRF" in answer.text
    assert "Forbidden (CSRF token" in caplog.text


def test_django_s_own_header_goes_before_the_one_of_echo(browser: httpx.Client) -> None:
    token = browser.get("/page").text

    answer = browser.post(
        "/broadcasting/auth", data=QUESTION, headers={"X-CSRFToken": token, "X-CSRF-TOKEN": "b" * 32}
    )

    assert answer.status_code == 200


def test_what_only_reads_needs_no_token(browser: httpx.Client) -> None:
    assert browser.get("/broadcasting/auth", params=QUESTION).status_code == 200


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
@both
def test_a_body_of_the_other_world_is_noted_too(asynchronous: bool) -> None:
    async def aparts() -> AsyncIterator[bytes]:
        for part in parts():
            yield part

    def stream(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(parts() if asynchronous else aparts())

    with serving(path("stream", stream), asynchronous=asynchronous) as url:
        heard = [
            httpx.get(f"{url}/stream", headers=headers).text.split()
            for headers in ({"X-Socket-ID": "12.34"}, {}, {"X-Socket-ID": "56.78"})
        ]

    assert heard == [["12.34"] * 3, ["nobody"] * 3, ["56.78"] * 3]


def noted(response: Any) -> Any:
    """Return what a middleware makes of *response* to the connection 12.34."""
    return EchoMiddleware(lambda request: response)(
        RequestFactory().get("/", headers={"X-Socket-ID": "12.34"})
    )


def test_between_two_parts_nothing_is_noted() -> None:
    body = iter(noted(StreamingHttpResponse(parts())))

    assert next(body) == b"12.34\n"
    assert socket_of_request() is None
    assert next(body) == b"12.34\n"


async def test_between_two_parts_of_an_async_body_nothing_is_noted() -> None:
    async def aparts() -> AsyncIterator[bytes]:
        for part in parts():
            yield part

    body = aiter(noted(StreamingHttpResponse(aparts())))

    assert await anext(body) == b"12.34\n"
    assert socket_of_request() is None
    assert [part async for part in body] == [b"12.34\n"] * 2


def test_a_body_that_is_left_early_is_closed() -> None:
    closed = []

    def body() -> Iterator[bytes]:
        try:
            yield from parts()
        finally:
            closed.append(True)

    response = noted(StreamingHttpResponse(body()))
    next(iter(response))
    response.close()

    assert closed == [True]


def test_a_file_is_left_to_the_server() -> None:
    file = BytesIO(b"a file")
    response = FileResponse(file)

    assert noted(response).file_to_stream is file
    response.close()


def test_what_a_view_raises_leaves_no_note() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        raise RuntimeError(socket_of_request())

    with pytest.raises(RuntimeError, match=r"12\.34"):
        EchoMiddleware(view)(RequestFactory().get("/", headers={"X-Socket-ID": "12.34"}))
    assert socket_of_request() is None


def test_it_is_of_the_world_of_what_it_wraps() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    assert iscoroutinefunction(EchoMiddleware(view))
    assert not iscoroutinefunction(EchoMiddleware(page))
    assert EchoMiddleware.sync_capable
    assert EchoMiddleware.async_capable
    assert ECHO.endswith(EchoMiddleware.__name__)
