from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, override_settings
from django.urls import include, path, resolve, reverse

from broadcaster import BroadcastManager, SignIn
from broadcaster.contrib.django.manager import manager_of
from broadcaster.contrib.django.views import endpoints
from tests.contrib.homes import CREDENTIALS, HomeContract, asaid, parts, said

from .project import CSRF, ECHO, USER, serving

SESSIONS = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
QUESTION = {"socket_id": "1.2", "channel_name": "private-users.ann"}
ANN = {"X-User": "ann"}


class Home(HomeContract):
    def app(self, broadcast: BroadcastManager) -> Any:
        def say(request: HttpRequest) -> HttpResponse:
            said(broadcast, request.GET["text"])
            return HttpResponse(status=204)

        async def asay(request: HttpRequest) -> HttpResponse:
            await asaid(broadcast, request.GET["text"])
            return HttpResponse(status=204)

        async def aparts() -> AsyncIterator[bytes]:
            for part in parts():
                yield part

        def stream(request: HttpRequest) -> StreamingHttpResponse:
            return StreamingHttpResponse(aparts() if self.asynchronous else parts())

        live = path("broadcasting/", include(endpoints(broadcast)))
        return [live, path("say", say), path("asay", asay), path("stream", stream)]

    def serve(self, app: Any) -> AbstractContextManager[str]:
        return serving(*app, asynchronous=self.asynchronous)


class TestUnderWsgi(Home):
    pass


class TestUnderAsgi(Home):
    asynchronous = True
    says = ("/say", "/asay")


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["wsgi", "asgi"])


def asked(broadcast: BroadcastManager, *, asynchronous: bool, **changed: Any) -> httpx.Response:
    """Return what a project with these settings answers to Ann."""
    live = path("broadcasting/", include(endpoints(broadcast)))
    with serving(live, asynchronous=asynchronous, **changed) as url:
        return httpx.post(f"{url}/broadcasting/auth", data=QUESTION, headers=ANN)


@both
@pytest.mark.usefixtures("database")
def test_the_user_is_who_is_signed_in_by_the_session(asynchronous: bool) -> None:
    broadcast = manager_of(
        {"driver": "pusher", "drivers": {"pusher": {"app_id": 1, "key": "app-key", "secret": "app-secret"}}}
    )
    people = []

    @broadcast.channel("users.{name}")
    def own(user: User, name: str) -> bool:
        people.append(User.objects.get(pk=user.pk).username)
        return bool(user.get_username() == name)

    broadcast.rules.sign_in(lambda user: SignIn(user.get_username()))
    browser = Client()
    browser.force_login(User.objects.create_user("ann"))
    cookies = {"sessionid": browser.cookies["sessionid"].value}
    live = path("broadcasting/", include(endpoints(broadcast)))

    with serving(live, asynchronous=asynchronous, MIDDLEWARE=[ECHO, *SESSIONS]) as url:
        with httpx.Client(base_url=url, cookies=cookies) as http:
            answers = [http.post(f"/broadcasting/{where}", data=QUESTION) for where in ("auth", "user-auth")]
        stranger = httpx.post(f"{url}/broadcasting/auth", data=QUESTION)

    assert answers[0].json() == {"auth": CREDENTIALS.channel_auth("1.2", "private-users.ann")}
    assert answers[1].json()["user_data"] == '{"id":"ann"}'
    assert people == ["ann"]
    assert stranger.status_code == 403


@both
@pytest.mark.usefixtures("database")
def test_the_user_is_the_one_that_a_middleware_set_last(
    broadcast: BroadcastManager, asynchronous: bool
) -> None:
    answer = asked(broadcast, asynchronous=asynchronous, MIDDLEWARE=[ECHO, *SESSIONS, USER])

    assert answer.status_code == 200


@both
def test_a_request_without_any_user_is_told_which_middleware_is_missing(
    broadcast: BroadcastManager, asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    answer = asked(broadcast, asynchronous=asynchronous, MIDDLEWARE=[])

    assert answer.status_code == 500
    assert "add django.contrib.auth.middleware.AuthenticationMiddleware" in caplog.text


@both
@pytest.mark.usefixtures("database")
def test_a_project_with_a_transaction_for_every_request_is_answered(
    broadcast: BroadcastManager, asynchronous: bool
) -> None:
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        answer = asked(broadcast, asynchronous=asynchronous)
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False

    assert answer.status_code == 200


@both
def test_more_than_django_takes_is_no_failure(broadcast: BroadcastManager, asynchronous: bool) -> None:
    middleware = {"MIDDLEWARE": [ECHO, USER, CSRF]}
    live = path("broadcasting/", include(endpoints(broadcast)))
    with serving(live, asynchronous=asynchronous, DATA_UPLOAD_MAX_MEMORY_SIZE=10) as url:
        plain = httpx.post(f"{url}/broadcasting/auth", data=QUESTION, headers=ANN)
    with serving(live, asynchronous=asynchronous, DATA_UPLOAD_MAX_MEMORY_SIZE=10, **middleware) as url:
        headers = {**ANN, "Cookie": f"csrftoken={'a' * 32}"}
        checked = httpx.post(f"{url}/broadcasting/auth", data=QUESTION, headers=headers)

    assert plain.status_code == 200
    assert checked.status_code in {400, 413}


@both
def test_a_body_that_django_has_read_is_answered_too(broadcast: BroadcastManager, asynchronous: bool) -> None:
    live = path("broadcasting/", include(endpoints(broadcast)))
    token, headers = "a" * 32, {**ANN, "X-CSRF-TOKEN": "a" * 32}
    with (
        serving(live, asynchronous=asynchronous, MIDDLEWARE=[ECHO, USER, CSRF]) as url,
        httpx.Client(base_url=f"{url}/broadcasting", cookies={"csrftoken": token}, headers=headers) as http,
    ):
        form = http.post("/auth", data=QUESTION)
        in_parts = http.post("/auth", data=QUESTION, files={"file": b"x"})
        too_long = http.post("/auth", data=QUESTION | {"more": "x" * 70_000})

    assert (form.status_code, in_parts.status_code, too_long.status_code) == (200, 200, 413)


@both
def test_a_form_in_parts_is_answered_like_any_other(broadcast: BroadcastManager, asynchronous: bool) -> None:
    live = path("broadcasting/", include(endpoints(broadcast)))
    with (
        serving(live, asynchronous=asynchronous) as url,
        httpx.Client(base_url=f"{url}/broadcasting", headers=ANN) as http,
    ):
        answers = [
            http.post("/auth", data=QUESTION, files={"file": b"x"}),
            http.post("/auth", data={"socket_id": "1.2"}, files={"file": b"x"}),
            http.post("/auth", data=QUESTION, files={"file": b"x" * 70_000}),
            http.post("/auth", content=b"nonsense", headers={"Content-Type": "multipart/form-data"}),
        ]

    assert [answer.status_code for answer in answers] == [200, 400, 413, 400]


async def test_a_rule_that_blocks_runs_in_the_thread_of_its_request() -> None:
    broadcast = manager_of({"driver": "null"})
    threads = []

    @broadcast.channel("a")
    def rule(user: object) -> bool:
        threads.append(threading.current_thread())
        return True

    here = await sync_to_async(threading.current_thread)()
    await broadcast.aauthorize("ann", "private-a", socket_id="1.2")

    assert threads == [here]
    assert here is not threading.current_thread()


def test_the_patterns_have_names_in_a_space_of_their_own() -> None:
    routes = ModuleType("routes")
    routes.urlpatterns = [path("live/", include("broadcaster.contrib.django.urls"))]  # type: ignore[attr-defined]

    with override_settings(ROOT_URLCONF=routes):
        paths = [reverse(f"broadcasting:{name}") for name in ("auth", "user-auth")]
        name = resolve("/live/auth").view_name

    assert (paths, name) == (["/live/auth", "/live/user-auth"], "broadcasting:auth")
